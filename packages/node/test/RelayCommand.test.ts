/** The real command, from outside: its flags, its lines, its exit codes, and its end. */
import { assert, it } from "@effect/vitest"
import { flags } from "@headgate/node/RelayFlags"
import { Effect, type Scope } from "effect"
import type * as Net from "node:net"
import * as Os from "node:os"
import { describe } from "vitest"
import { type CommandProcess, startCommand } from "./integration/relayProcess.ts"
import {
  conversation,
  echo,
  eventually,
  get,
  isSaturated,
  origin,
  type Picture,
  textOf,
  writeEndlessly
} from "./relayInScope.ts"
import { client, directory, event, server } from "./support.ts"

/** The command, killed with the scope if it has not ended by then. */
const command = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => startCommand(args, env)),
    (it) => Effect.andThen(Effect.sync(() => it.process.kill("SIGKILL")), Effect.asVoid(Effect.promise(() => it.ended)))
  )

/** How the command ends, and what it printed. */
const ended = (it: CommandProcess) =>
  Effect.map(Effect.promise(() => it.ended), (code) => ({ code, output: it.output() }))

const ran = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}) =>
  Effect.scoped(Effect.flatMap(command(args, env), ended))

interface Running {
  readonly it: CommandProcess
  /** Where it listens, in the order of its routes. */
  readonly listening: ReadonlyArray<Net.NetConnectOpts>
  readonly stats: Net.NetConnectOpts
}

const endpointOf = (text: string): Net.NetConnectOpts => {
  const [, path] = /^unix:(.*)$/.exec(text) ?? []
  if (path !== undefined) return { path }
  const [, host = "", port] = /^\[?(.*?)\]?:(\d+)$/.exec(text) ?? []
  return { host, port: Number(port) }
}

/** The command, once it has said where it listens. */
const running = (
  args: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function*() {
    const it = yield* command(args, env)
    const [, routes = ""] = yield* Effect.promise(() => it.says(/relaying (.*)$/))
    const [, stats = ""] = yield* Effect.promise(() => it.says(/status page on (\S+)$/))
    const listening = routes.split(", ").map((route) => endpointOf(route.split(" -> ")[0] ?? ""))
    return { it, listening, stats: endpointOf(stats) }
  })

const picture = ({ stats }: Running): Effect.Effect<Picture> =>
  Effect.flatMap(
    get(stats, "/stats.json"),
    (answer) =>
      answer === undefined ? Effect.die(new Error("no whole answer")) : Effect.sync(() => JSON.parse(answer.body))
  )

const connected = (to: Net.NetConnectOpts | undefined) => {
  if (to === undefined) throw new Error("it does not listen")
  return client(to)
}

/** Lines without their time, level and fiber. */
const lines = (output: string): ReadonlyArray<string> =>
  output.trimEnd().split("\n").map((line) => line.replace(/^\[[\d:.]+\] (\w+) \(#\d+\): /, "$1 "))

/** Every flag of the command with a value that breaks its rule, and what must be said of it. */
const bad: { readonly [flag: string]: readonly [value: string, says: string] } = {
  target: ["nowhere", "target = \"nowhere\": must be"],
  listen: ["127.0.0.1:70000", "listen = \"127.0.0.1:70000\": must have a port from 0 to 65535"],
  limit: ["1", "limit = \"1\": must be an integer of at least 2"],
  reserve: ["0", "reserve = \"0\": must be an integer of at least 1"],
  "buffer-size": ["2 GiB", "bufferSize = \"2 GiB\": must be from 1 byte to 1 GiB"],
  "max-connections": ["-3", "maxConnections = \"-3\": must be an integer of at least 1"],
  "connect-timeout": ["soon", "connectTimeout = \"soon\": must be a duration with its unit"],
  "idle-timeout": ["0 seconds", "idleTimeout = \"0 seconds\": must be a duration above zero"],
  "queue-timeout": ["5", "queueTimeout = \"5\": must be a duration with its unit"],
  "stall-timeout": ["-1 s", "stallTimeout = \"-1 s\": must be a duration above zero"],
  "stall-grace": ["x", "stallGrace = \"x\": must be a duration with its unit"],
  "drain-timeout": ["Infinity", "drainTimeout = \"Infinity\": must be a finite duration of zero or more"],
  "proxy-protocol": ["v1", "proxyProtocol = \"v1\": must be v2, or left out"],
  stats: ["8404", "stats = \"8404\": must be"],
  landing: ["soft", "landing = \"soft\": must be plain"]
}

const variable = (flag: string): string => `HEADGATE_${flag.toUpperCase().replaceAll("-", "_")}`

describe.concurrent("bad input", () => {
  it.live("is told all at once, a line for each flag, with exit code 64; the environment's like that of flags", () =>
    Effect.gen(function*() {
      const entries = Object.entries(bad)
      const [byFlags, byEnvironment] = yield* Effect.all([
        ran(["relay", ...entries.map(([flag, [value]]) => `--${flag}=${value}`)]),
        ran(["relay"], Object.fromEntries(entries.map(([flag, [value]]) => [variable(flag), value])))
      ], { concurrency: "unbounded" })
      assert.deepStrictEqual(byEnvironment, byFlags)
      assert.strictEqual(byFlags.code, 64)
      const said = lines(byFlags.output)
      assert.lengthOf(said, Object.keys(flags).length)
      for (const [at, [, says]] of Object.values(bad).entries()) assert.include(said[at] ?? "", says)
    }))

  it.live("in the name of a flag exits with 64, without a stack", () =>
    Effect.gen(function*() {
      const { code, output } = yield* ran(["relay", "--limits", "3"])
      assert.strictEqual(code, 64)
      assert.match(output, /--limits/)
      assert.notMatch(output, /^\s+at /m)
    }))
})

describe("the heap", () => {
  it.live("keeps its space for new objects at the first size while the program is loaded: 1 MiB, twice", () =>
    Effect.gen(function*() {
      const observer = new URL("./fixtures/newSpace.ts", import.meta.url).href
      const { output } = yield* ran(["relay", "--limit", "0"], { NODE_OPTIONS: `--import ${observer}` })
      assert.match(output, /^new space 2 MiB$/m)
    }))
})

const target = ["--target", "127.0.0.1:9"]

describe("an address that cannot be listened on", () => {
  it.live("is named in one line with the reason, and the exit code is 1", () =>
    Effect.gen(function*() {
      const taken = textOf(yield* server({ host: "127.0.0.1", port: 0 }))
      const stats = (address: string) => ["--listen", "127.0.0.1:0", "--stats", address]
      const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, says: string]> = [
        [["--listen", taken], `${taken}: address already in use (EADDRINUSE)`],
        [stats(taken), `${taken}: address already in use (EADDRINUSE)`],
        [["--listen", "192.0.2.1:0"], "192.0.2.1:0: this machine does not have that address (EADDRNOTAVAIL)"],
        ...Os.platform() === "linux"
          ? [[["--listen", "unix:/proc/it.sock"], "unix:/proc/it.sock: permission denied (EACCES)"]] as const
          : []
      ]
      yield* Effect.forEach(cases, ([args, says]) =>
        Effect.map(ran(["relay", ...args, ...target]), (it) => {
          assert.deepStrictEqual(it, { code: 1, output: `cannot listen on ${says}\n` })
        }), { concurrency: 2 })
    }))
})

describe("--help", () => {
  it.live("tells of every flag its variable, its default and its units", () =>
    Effect.gen(function*() {
      const { code, output } = yield* ran(["relay", "--help"])
      assert.strictEqual(code, 0)
      for (const flag of Object.keys(bad)) {
        const line = output.split("\n").find((line) => line.trimStart().startsWith(`--${flag} `)) ?? ""
        assert.include(line, `[${variable(flag)}]`)
        assert.match(line, /Default|Required/, flag)
        if (flag.endsWith("-timeout") || flag === "stall-grace") {
          assert.match(line, /Default "\d+ (second|minute)s?"/, flag)
        }
      }
      assert.match(output, /--buffer-size .*\(B, kB, MB, GB, KiB, MiB, GiB\).*Default "64 KiB"/)
      assert.match(output, /--stats .*no authentication/)
      assert.match(output, /--log-level/)
    }))
})

describe.concurrent("a relay", () => {
  it.live("takes everything from the environment; says its budget and what is outside it, and nothing per connection", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const targets = [
        yield* origin((socket) => socket.end("four")),
        yield* origin((socket) => socket.end("six"), { host: "::1", port: 0 }),
        yield* origin((socket) => socket.end("unix"), { path: `${path}/target` })
      ].map(textOf)
      const listen = ["127.0.0.1:0", "[::1]:0", `unix:${path}/listen`].map((at, i) => `${at}=${targets[i]}`)
      const relay = yield* running(["relay"], {
        HEADGATE_LISTEN: listen.join(", "),
        HEADGATE_LIMIT: "12",
        HEADGATE_RESERVE: "5",
        HEADGATE_BUFFER_SIZE: "16 KiB",
        HEADGATE_STATS: ":0"
      })
      const answers = yield* Effect.forEach(
        relay.listening,
        (to) => Effect.flatMap(connected(to), (socket) => Effect.promise(() => conversation(socket.end())))
      )
      assert.deepStrictEqual(answers.map(({ end, text }) => `${text} ${end}`), ["four end", "six end", "unix end"])
      const { pool, server } = yield* eventually(picture(relay), ({ server }) => server.open === 0)
      assert.deepStrictEqual([pool.limit, pool.reserve, pool.bufferSize], [12, 5, 16384])
      assert.strictEqual(server.accepted, 3)
      relay.it.process.kill("SIGINT")
      const { code, output } = yield* ended(relay.it)
      assert.strictEqual(code, 0)
      const said = lines(output)
      assert.match(
        said[0] ?? "",
        /^INFO relaying 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+, \[::1\]:\d+ -> \[::1\]:\d+, unix:\S+ -> unix:\S+$/
      )
      assert.match(
        said[1] ?? "",
        /^INFO budget 0\.19 MiB: 12 buffers of 16384 bytes, 5 in reserve; outside it: up to 128 KiB per connection and direction in this process, and the kernel's socket buffers, .*; landing plain$/
      )
      assert.match(said[2] ?? "", /^INFO status page on 127\.0\.0\.1:\d+$/)
      assert.deepStrictEqual(said.slice(3), [
        "INFO stopping: 0 connections open, 30s to finish",
        "INFO stopped after 3 connections: nothing leaked, all buffers are back and nobody waits"
      ])
    }))

  it.live("warns that the status page has no authentication where it is not on loopback", () =>
    Effect.gen(function*() {
      const { it, stats } = yield* running(["relay", "--listen", "127.0.0.1:0", ...target, "--stats", "0.0.0.0:0"])
      yield* Effect.promise(() =>
        it.says(/WARN.*the status page has no authentication, and 0\.0\.0\.0:\d+ is not loopback/)
      )
      assert.strictEqual((yield* get(stats, "/healthz", { host: "192.0.2.7" }))?.status, 200)
    }))

  it.live("with --log-level debug says one line per connection", () =>
    Effect.gen(function*() {
      const to = textOf(yield* origin(echo))
      const relay = yield* running(["relay", "--listen", `127.0.0.1:0=${to}`, "--stats", ":0", "--log-level", "debug"])
      for (const text of ["a", "bb", "ccc"]) {
        const socket = yield* connected(relay.listening[0])
        socket.end(text)
        assert.strictEqual((yield* Effect.promise(() => conversation(socket))).text, text)
      }
      yield* eventually(picture(relay), ({ relay: { ended } }) => ended.completed === 3)
      relay.it.process.kill()
      const { output } = yield* ended(relay.it)
      const debug = lines(output).filter((line) => line.startsWith("DEBUG"))
      assert.lengthOf(debug, 3)
      for (const [at, line] of debug.entries()) {
        assert.match(
          line,
          new RegExp(`-> ${to}: completed, ${at + 1} bytes to the target, ${at + 1} to the client, \\d+ ms$`)
        )
      }
    }))
})

/** A relay before an echo, with one connection that is open and has been answered. */
const withOneOpen = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const to = textOf(yield* origin(echo))
    const relay = yield* running(["relay", "--listen", `127.0.0.1:0=${to}`, "--stats", ":0", ...args])
    const open = yield* connected(relay.listening[0])
    open.write("before")
    yield* event(open, "readable")
    return { relay, open }
  })

const stopped = "stopped after 1 connections: nothing leaked, all buffers are back and nobody waits"

describe.concurrent("SIGTERM", () => {
  it.live("stops accepting, lets connections finish while /readyz says 503, and exits with 0: nothing leaked", () =>
    Effect.gen(function*() {
      const { open, relay } = yield* withOneOpen()
      assert.strictEqual((yield* get(relay.stats, "/readyz"))?.status, 200)
      relay.it.process.kill("SIGTERM")
      yield* Effect.promise(() => relay.it.says(/stopping: 1 connections open, 30s to finish/))
      yield* eventually(get(relay.stats, "/readyz"), (answer) => answer?.status === 503)
      assert.strictEqual((yield* get(relay.stats, "/healthz"))?.status, 200)
      assert.strictEqual((yield* picture(relay)).relay.connections, 1)
      assert.match(String(yield* event(yield* connected(relay.listening[0]), "error")), /ECONNREFUSED/)
      open.end(", and after")
      assert.deepStrictEqual(yield* Effect.promise(() => conversation(open)), { text: "before, and after", end: "end" })
      const { code, output } = yield* ended(relay.it)
      assert.include(output, stopped)
      assert.strictEqual(code, 0)
    }))

  it.live("resets what is left after --drain-timeout, and exits with 0", () =>
    Effect.gen(function*() {
      const { open, relay } = yield* withOneOpen("--drain-timeout", "100 millis")
      relay.it.process.kill("SIGTERM")
      assert.strictEqual((yield* Effect.promise(() => conversation(open))).end, "reset")
      const { code, output } = yield* ended(relay.it)
      assert.include(output, stopped)
      assert.strictEqual(code, 0)
    }))

  it.live("and then SIGINT resets at once, however full the relay is, and exits with 0", () =>
    Effect.gen(function*() {
      const to = textOf(yield* origin(writeEndlessly))
      const relay = yield* running([
        "relay",
        "--listen",
        `127.0.0.1:0=${to}`,
        "--stats",
        ":0",
        "--limit",
        "5",
        "--drain-timeout",
        "1 day"
      ])
      const sockets = yield* Effect.forEach(Array.from({ length: 6 }), () => connected(relay.listening[0]))
      yield* eventually(picture(relay), isSaturated(6, 4))
      relay.it.process.kill("SIGTERM")
      yield* Effect.promise(() => relay.it.says(/stopping: 6 connections open/))
      relay.it.process.kill("SIGINT")
      const ends = yield* Effect.promise(() => Promise.all(sockets.map(conversation)))
      assert.deepStrictEqual(ends.map(({ end }) => end), sockets.map(() => "reset"))
      const { code, output } = yield* ended(relay.it)
      assert.include(output, "stopped after 6 connections: nothing leaked, all buffers are back and nobody waits")
      assert.strictEqual(code, 0)
    }))

  it.live("twice in one breath is not taken for once", () =>
    Effect.gen(function*() {
      const { open, relay } = yield* withOneOpen("--drain-timeout", "1 day")
      relay.it.process.kill("SIGTERM")
      relay.it.process.kill("SIGINT")
      assert.strictEqual((yield* Effect.promise(() => conversation(open))).end, "reset")
      const { code, output } = yield* ended(relay.it)
      assert.include(output, stopped)
      assert.strictEqual(code, 0)
    }))

  it.live("says what leaked, if something did, and exits with 1", () =>
    Effect.gen(function*() {
      // A Node whose sockets never say that a write is over: each keeps its buffer for ever.
      const forgetful = "const { kLastWriteWasAsync, streamBaseState } = process.binding('stream_wrap');" +
        "const { prototype } = process.binding('tcp_wrap').TCP; const { writeBuffer } = prototype;" +
        "prototype.writeBuffer = function(request, bytes) { const status = writeBuffer.call(this, request, bytes);" +
        "streamBaseState[kLastWriteWasAsync] = 1; return status }"
      const to = textOf(yield* origin(echo))
      const it = yield* command(["relay", "--listen", `127.0.0.1:0=${to}`, "--drain-timeout", "0 seconds"], {
        NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(forgetful)}`
      })
      const [, port] = yield* Effect.promise(() => it.says(/relaying 127\.0\.0\.1:(\d+)/))
      const open = yield* client({ host: "127.0.0.1", port: Number(port) })
      open.write("hello")
      yield* event(open, "readable")
      it.process.kill("SIGTERM")
      const { code, output } = yield* ended(it)
      assert.match(output, /ERROR.*leaked: [12] buffers are still lent, and 0 wait/)
      assert.notInclude(output, "nothing leaked")
      assert.strictEqual(code, 1)
    }))
})

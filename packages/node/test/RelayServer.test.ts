/** The relay as a service: whatever its targets and clients do, it goes on, counts it, says it once, and keeps nothing. */
import { assert, it } from "@effect/vitest"
import { headerV2 } from "@headgate/node/ProxyProtocol"
import * as RelayServer from "@headgate/node/RelayServer"
import { Context, Effect, Exit, Fiber, Layer, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Relay } from "headgate"
import * as ChildProcess from "node:child_process"
import Dns from "node:dns"
import { syncBuiltinESMExports } from "node:module"
import * as Net from "node:net"
import * as Path from "node:path"
import { describe } from "vitest"
import {
  ask,
  connectionsOf,
  conversation,
  echo,
  eventually,
  isAtRest,
  logged,
  loopback,
  origin,
  relay,
  saturate,
  settingsFor,
  still,
  textOf,
  to,
  writeEndlessly
} from "./relayInScope.ts"
import { client, directory, event, server } from "./support.ts"

/** The system's lookup knows these names and no others; says which it was asked for. */
const names = (known: { readonly [host: string]: ReadonlyArray<string> }) =>
  Effect.gen(function*() {
    const asked: Array<string> = []
    const real = Dns.lookup
    const lookup = (host: string, ...rest: ReadonlyArray<unknown>): unknown => {
      // `listen` looks up what is no name, too.
      if (Net.isIP(host) !== 0) return Reflect.apply(real, Dns, [host, ...rest])
      asked.push(host)
      const tell = rest.at(-1)
      if (typeof tell !== "function") throw new Error("nobody to tell")
      const addresses = known[host]?.map((address) => ({ address, family: Net.isIP(address) }))
      const error = addresses === undefined ? Object.assign(new Error("no such name"), { code: "ENOTFOUND" }) : null
      return setImmediate(() => Reflect.apply(tell, undefined, [error, addresses ?? []]))
    }
    const replace = (by: unknown) =>
      Effect.sync(() => {
        Reflect.set(Dns, "lookup", by)
        syncBuiltinESMExports()
      })
    yield* Effect.acquireRelease(replace(lookup), () => replace(real))
    return asked
  })

/** A port on which nobody listens any more. */
const freePort = Effect.scoped(Effect.map(server(loopback), textOf))

describe("routes", () => {
  it.live("pair IPv4, IPv6 and Unix sockets, each with its own target", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const targets = [
        yield* origin((socket) => socket.end("four"), { host: "::1", port: 0 }),
        yield* origin((socket) => socket.end("six"), { path: Path.join(path, "target") }),
        yield* origin((socket) => socket.end("unix"))
      ].map(textOf)
      const listen = ["127.0.0.1:0", "[::1]:0", `unix:${path}/listen`]
      const it = yield* relay(settingsFor(listen.map((address, at) => `${address}=${targets[at]}`)))
      assert.deepStrictEqual(it.listening.map(({ _tag }) => _tag), ["Tcp", "Tcp", "Unix"])
      const answers = yield* Effect.forEach(it.listening, (address) => ask(address, "?"))
      assert.deepStrictEqual(answers.map(({ end, text }) => `${text} ${end}`), ["four end", "six end", "unix end"])
      const { relay: { ended } } = yield* eventually(it.picture, isAtRest)
      assert.strictEqual(ended.completed, 3)
    }))

  it.live("share one pool: what one route holds, another waits for", () =>
    Effect.gen(function*() {
      const endless = textOf(yield* origin(writeEndlessly))
      const settings = settingsFor([`127.0.0.1:0=${endless}`, `127.0.0.1:0=${endless}`], { limit: 3, reserve: 1 })
      const it = yield* relay(settings)
      const holders = yield* saturate(it, 3, 3)
      const late = yield* client(to(it.listening[1]))
      yield* eventually(it.picture, ({ pool }) => pool.classes.channel.waiting === 1)
      holders[0]?.destroy()
      yield* event(late, "readable")
      for (const socket of [...holders, late]) socket.destroy()
      yield* eventually(it.picture, isAtRest)
    }))
})

describe("a target's name", () => {
  it.live("is resolved anew for each connection, with fallback over its addresses", () =>
    Effect.gen(function*() {
      const target = yield* origin((socket) => socket.end("here"))
      const asked = yield* names({ "some.name": ["::1", "127.0.0.3", "127.0.0.1"] })
      const port = textOf(target).split(":")[1]
      const it = yield* relay(settingsFor([`127.0.0.1:0=some.name:${port}`]))
      for (const _ of [1, 2, 3]) assert.strictEqual((yield* ask(it.listening[0], "?")).text, "here")
      assert.deepStrictEqual(asked, ["some.name", "some.name", "some.name"])
      const { server } = yield* eventually(it.picture, isAtRest)
      assert.deepStrictEqual(server.connectFailures, {})
    }))
})

describe("a connection that breaks", () => {
  it.live("inside a callback ends alone: it is logged, its client is reset, and its target too", () => {
    const log = logged()
    return Effect.gen(function*() {
      const target = yield* origin(echo)
      const settings = settingsFor([`127.0.0.1:0=${textOf(target)}`])
      const services = yield* Layer.build(RelayServer.layer(settings))
      const real = Context.get(services, Relay)
      let calls = 0
      const runUnsafe: typeof real.runUnsafe = (...all) => {
        if (calls++ === 0) throw new Error("a mistake")
        return real.runUnsafe(...all)
      }
      const it = yield* Effect.provide(
        RelayServer.make(settings),
        Context.add(services, Relay, { ...real, runUnsafe })
      )
      const soon = 5000
      assert.strictEqual((yield* Effect.timeout(ask(it.listening[0], "nobody there"), soon)).end, "reset")
      assert.strictEqual((yield* ask(it.listening[0], "still here")).text, "still here")
      yield* eventually(Effect.sync(() => connectionsOf(target).length), (count) => count === 0, Date.now() + soon)
      const { server } = yield* eventually(it.picture, isAtRest)
      assert.strictEqual(server.accepted, 2)
      assert.match(log.lines.join("\n"), /a connection died of a defect.*a mistake/)
    }).pipe(Effect.provide(log.layer))
  })
})

describe("--proxy-protocol v2", () => {
  const kinds: ReadonlyArray<readonly [kind: string, listen: (directory: string) => string]> = [
    ["IPv4", () => "127.0.0.1:0"],
    ["IPv6", () => "[::1]:0"],
    ["Unix", (path) => `unix:${path}/it.sock`]
  ]
  for (const [kind, listen] of kinds) {
    it.live(`tells the target who an ${kind} client is, before its first byte`, () =>
      Effect.gen(function*() {
        const target = yield* origin(() => {})
        const route = `${listen(yield* directory)}=${textOf(target)}`
        const it = yield* relay(settingsFor([route], { proxyProtocol: "v2" }))
        const socket = yield* client(to(it.listening[0]))
        socket.end("hello")
        yield* eventually(Effect.sync(() => connectionsOf(target).length), (count) => count === 1)
        const [accepted] = connectionsOf(target)
        assert(accepted !== undefined)
        const { text } = yield* Effect.promise(() => conversation(accepted))
        const { localAddress, localPort, remoteAddress, remotePort } = socket
        const header = headerV2({
          remoteAddress: localAddress,
          remotePort: localPort,
          localAddress: remoteAddress,
          localPort: remotePort
        })
        assert.strictEqual(text, `${Buffer.from(header).toString("latin1")}hello`)
      }))
  }
})

/** Listens and never accepts, in a process whose event loop stands still: connections beyond its queue get no answer. */
const deaf: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const script =
    `const server = require("net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    require("fs").writeSync(1, String(server.address().port))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
  })`
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => ChildProcess.spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] })),
    (it) => Effect.sync(() => it.kill("SIGKILL"))
  )
  return `127.0.0.1:${String(yield* event(child.stdout, "data"))}`
})

const attempts = 5

/** So many clients at once; how each ended. */
const clientsOf = (it: RelayServer.RelayServer, count = attempts) =>
  Effect.forEach(Array.from({ length: count }), () => ask(it.listening[0], "?"), { concurrency: "unbounded" })

const failing: ReadonlyArray<
  readonly [cause: string, target: Effect.Effect<string, never, Scope.Scope>, says: string]
> = [
  ["refused", freePort, "connection refused (ECONNREFUSED)"],
  ["nameNotFound", Effect.succeed("no.such.name:80"), "name not found (ENOTFOUND)"],
  ["refused", Effect.map(directory, (path) => `unix:${path}/none.sock`), "no such socket (ENOENT)"]
]

describe("a target that cannot be had", () => {
  for (const [cause, target, says] of failing) {
    it.effect(`(${says}): clients are reset, counted, and told once per interval; the relay goes on`, () => {
      const log = logged()
      return Effect.gen(function*() {
        yield* names({})
        const bad = yield* target
        const good = textOf(yield* origin(echo))
        const it = yield* relay(settingsFor([`127.0.0.1:0=${bad}`, `127.0.0.1:0=${good}`]))
        const ends = yield* clientsOf(it)
        assert.deepStrictEqual(ends.map(({ end }) => end), Array.from({ length: attempts }, () => "reset"))
        const line = `Warn cannot connect to ${bad}: ${says}; its client was reset`
        assert.deepStrictEqual(log.lines, [line])
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(log.lines, [line, `${line} (${attempts - 1} more within 10s)`])
        assert.strictEqual((yield* ask(it.listening[1], "still here")).text, "still here")
        const { server } = yield* eventually(it.picture, isAtRest)
        assert.deepStrictEqual(server.connectFailures, { [cause]: attempts })
      }).pipe(Effect.provide(log.layer))
    })
  }

  it.effect("(no answer in time): clients are reset, counted, and told once; the relay goes on", () => {
    const log = logged()
    return Effect.gen(function*() {
      const good = textOf(yield* origin(echo))
      const it = yield* relay(settingsFor([`127.0.0.1:0=${yield* deaf}`, `127.0.0.1:0=${good}`]))
      const clients = yield* Effect.forkChild(clientsOf(it, 20), { startImmediately: true })
      yield* eventually(it.picture, ({ server }) => server.open === 20)
      yield* TestClock.adjust("5 seconds")
      const { server: { connectFailures } } = yield* eventually(
        it.picture,
        ({ server, relay }) =>
          Object.values(server.connectFailures).reduce((sum, count) => sum + count, 0) + relay.connections === 20
      )
      assert.deepStrictEqual(Object.keys(connectFailures), ["timeout"])
      assert.lengthOf(log.lines, 1)
      assert.match(
        log.lines[0] ?? "",
        /^Warn cannot connect to 127\.0\.0\.1:\d+: no answer within 5s; its client was reset$/
      )
      assert.strictEqual((yield* ask(it.listening[1], "still here")).text, "still here")
      yield* Fiber.interrupt(clients)
    }).pipe(Effect.provide(log.layer))
  })
})

describe("--max-connections", () => {
  it.live("pauses accepting, counts it, and resumes: nobody is lost", () =>
    Effect.gen(function*() {
      const target = yield* origin(echo)
      const it = yield* relay(settingsFor([`127.0.0.1:0=${textOf(target)}`], { maxConnections: 2 }))
      const clients = yield* Effect.forEach([1, 2, 3, 4, 5], () => client(to(it.listening[0])))
      const full = yield* eventually(it.picture, ({ relay }) => relay.connections === 2)
      assert.deepStrictEqual([full.server.open, full.server.accepted, full.server.pausesFull], [2, 2, 1])
      const answers = yield* Effect.forEach(clients, (socket, at) => {
        socket.end(`client ${at}`)
        return Effect.promise(() => conversation(socket))
      })
      assert.deepStrictEqual(answers.map(({ text }) => text), [0, 1, 2, 3, 4].map((at) => `client ${at}`))
      const after = yield* eventually(it.picture, isAtRest)
      assert.strictEqual(after.server.accepted, 5)
      assert.isAtLeast(after.server.pausesFull, 1)
      assert.strictEqual((yield* ask(it.listening[0], "late")).text, "late")
    }))
})

/** What may happen to a connection whose request waits for a buffer. */
const fates: ReadonlyArray<readonly [what: string, happens: (client: Net.Socket, target: Net.Socket) => void]> = [
  ["its client resets", (client) => client.resetAndDestroy()],
  ["its client ends", (client) => client.end()],
  ["its target resets", (_client, target) => target.resetAndDestroy()],
  ["its target ends", (_client, target) => target.end()],
  ["both reset", (client, target) => {
    client.resetAndDestroy()
    target.resetAndDestroy()
  }]
]

describe("a connection that waits for a buffer", () => {
  for (const [what, happens] of fates) {
    it.live(`and ${what}: all figures return to zero`, () =>
      Effect.gen(function*() {
        const deafTarget = yield* origin((socket) => socket.pause())
        const target = yield* origin((socket) => socket.pause())
        const routes = [`127.0.0.1:0=${textOf(deafTarget)}`, `127.0.0.1:0=${textOf(target)}`]
        const it = yield* relay(settingsFor(routes, { limit: 2, reserve: 1, bufferSize: 16 * 1024 }))
        // Its target never reads: sooner or later its request holds the one buffer that `rx` may have, for good.
        const holder = yield* client(to(it.listening[0]))
        writeEndlessly(holder)
        yield* eventually(it.picture, still(({ pool }) => pool.classes.rx.lent === 1))
        const queued = yield* client(to(it.listening[1]))
        queued.write("in line")
        yield* eventually(it.picture, ({ relay }) => relay.waitingDirections === 1)
        const [accepted] = connectionsOf(target)
        assert(accepted !== undefined)
        happens(queued, accepted)
        accepted.resume().on("end", () => accepted.end())
        for (const socket of connectionsOf(deafTarget)) socket.destroy()
        const whole = yield* Effect.promise(() => conversation(queued))
        if (what === "its client ends") assert.strictEqual(whole.end, "end")
        queued.destroy()
        const { pool, relay: { overdrafts } } = yield* eventually(it.picture, isAtRest)
        assert.isAtLeast(overdrafts, 1)
        assert.isAtMost(pool.highWater, 2)
      }))
  }

  it.live("and whose client goes before its target answers leaves nothing", () =>
    Effect.gen(function*() {
      const it = yield* relay(settingsFor([`127.0.0.1:0=${textOf(yield* origin(echo))}`]))
      const sockets = yield* Effect.forEach(Array.from({ length: 20 }), () => client(to(it.listening[0])))
      for (const socket of sockets) socket.once("connect", () => socket.resetAndDestroy())
      const { server: { accepted } } = yield* eventually(it.picture, (seen) =>
        seen.server.accepted === 20 && isAtRest(seen))
      assert.strictEqual(accepted, 20)
    }))
})

describe("logs", () => {
  /** One connection that completes, one that is reset, one whose target is not there, and one open at the end. */
  const program = (lines: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const target = yield* origin(echo)
      const none = yield* freePort
      const scope = yield* Scope.make()
      const routes = [`127.0.0.1:0=${textOf(target)}`, `127.0.0.1:0=${none}`]
      const it = yield* Scope.provide(relay(settingsFor(routes)), scope)
      yield* ask(it.listening[0], "hello")
      const second = yield* client(to(it.listening[0]))
      second.write("abc")
      yield* event(second, "readable")
      second.resetAndDestroy()
      yield* eventually(it.picture, isAtRest)
      yield* ask(it.listening[1], "?")
      const last = yield* client(to(it.listening[0]))
      last.write("four")
      yield* event(last, "readable")
      yield* Scope.close(scope, Exit.void)
      return { lines: lines.map((line) => line.replace(/127\.0\.0\.1:\d+/g, "A").replace(/\d+ ms$/, "T ms")) }
    })

  it.live("say nothing of single connections", () => {
    const log = logged()
    return Effect.gen(function*() {
      const { lines } = yield* program(log.lines)
      assert.deepStrictEqual(lines, [
        "Warn cannot connect to A: connection refused (ECONNREFUSED); its client was reset"
      ])
    }).pipe(Effect.provide(log.layer))
  })

  it.live("at debug level say one line per connection: how it ended, bytes each way, how long it was", () => {
    const log = logged()
    return Effect.gen(function*() {
      const { lines } = yield* program(log.lines)
      assert.deepStrictEqual(lines, [
        "Debug A -> A: completed, 5 bytes to the target, 5 to the client, T ms",
        "Debug A -> A: reset, 3 bytes to the target, 3 to the client, T ms",
        "Warn cannot connect to A: connection refused (ECONNREFUSED); its client was reset",
        "Debug A -> A: refused, 0 bytes to the target, 0 to the client, T ms",
        "Debug A -> A: shutdown, 4 bytes to the target, 4 to the client, T ms"
      ])
    }).pipe(Effect.provide(log.layer), Effect.provideService(References.MinimumLogLevel, "Debug"))
  })
})

describe("the end", () => {
  it.live("of draining comes when the last connection is over, and nobody new is let in", () =>
    Effect.gen(function*() {
      const it = yield* relay(settingsFor([`127.0.0.1:0=${textOf(yield* origin(echo))}`]))
      const open = yield* client(to(it.listening[0]))
      open.write("before")
      yield* event(open, "readable")
      const drained = yield* Effect.forkChild(it.drain, { startImmediately: true })
      assert.isFalse((yield* it.picture).server.accepting)
      const late = yield* client(to(it.listening[0]))
      assert.match(String(yield* event(late, "error")), /ECONNREFUSED/)
      assert.isUndefined(drained.pollUnsafe())
      open.end(" and after")
      const { end, text } = yield* Effect.promise(() => conversation(open))
      assert.deepStrictEqual([text, end], ["before and after", "end"])
      yield* Fiber.join(drained)
      assert.isTrue(isAtRest(yield* it.picture))
    }))

  it.effect("of draining comes after drainTimeout in any case, and the scope's end resets what is left", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const target: string = textOf(yield* origin(writeEndlessly))
      const it = yield* Scope.provide(relay(settingsFor([`127.0.0.1:0=${target}`], { limit: 4 })), scope)
      const sockets = yield* saturate(it, 5, 3)
      const drained = yield* Effect.forkChild(it.drain, { startImmediately: true })
      yield* TestClock.adjust("29 seconds")
      assert.isUndefined(drained.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(drained)
      assert.strictEqual((yield* it.picture).relay.connections, 5)
      yield* Scope.close(scope, Exit.void)
      const ends = yield* Effect.promise(() => Promise.all(sockets.map(conversation)))
      assert.deepStrictEqual(ends.map(({ end }) => end), sockets.map(() => "reset"))
      const { relay: { ended } } = yield* it.picture
      assert.strictEqual(ended.shutdown, 5)
    }))
})

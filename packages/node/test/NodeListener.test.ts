import { assert, it } from "@effect/vitest"
import { type Address, format } from "@headgate/node/Address"
import { AcceptGate, listen, ListenFailed, makeGate } from "@headgate/node/NodeListener"
import { Deferred, Effect, Exit, Logger, Queue, Result, Scope } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { describe } from "vitest"
import { client, directory, event, until } from "./support.ts"

const tcp = (host: string | undefined, port: number = 0): Address => ({ _tag: "Tcp", host, port })

const to = (address: Address): Net.NetConnectOpts =>
  address._tag === "Unix" ? { path: address.path } : { host: address.host ?? "localhost", port: address.port }

/** A handler whose connections are over when the test says so. */
const held = Effect.gen(function*() {
  const sockets: Array<Net.Socket> = []
  const ends = yield* Queue.unbounded<void>()
  const handler = (socket: Net.Socket) => Effect.andThen(Effect.sync(() => sockets.push(socket)), Queue.take(ends))
  return { sockets, handler, finishOne: Queue.offer(ends, undefined) }
})

const fails = (address: Address) =>
  Effect.gen(function*() {
    const gate = yield* makeGate()
    return yield* Effect.flip(Effect.scoped(listen(address, { gate, handler: () => Effect.never })))
  })

const addresses: ReadonlyArray<readonly [string, Effect.Effect<Address, never, Scope.Scope>]> = [
  ["IPv4", Effect.succeed(tcp("127.0.0.1"))],
  ["IPv6", Effect.succeed(tcp("::1"))],
  ["all addresses", Effect.succeed(tcp(undefined))],
  ["a Unix socket", Effect.map(directory, (path): Address => ({ _tag: "Unix", path: Path.join(path, "it.sock") }))]
]

for (const [kind, address] of addresses) {
  describe(`a listener on ${kind}`, () => {
    it.live("gives each connection a fiber, paused and half-open, and aborts what it leaves", () =>
      Effect.gen(function*() {
        const { finishOne, handler, sockets } = yield* held
        const gate = yield* makeGate()
        const listener = yield* listen(yield* address, { gate, handler })
        const one = yield* client(to(listener.address))
        yield* client(to(listener.address))
        yield* until(() => sockets.length === 2)
        assert.isTrue(sockets.every((socket) => socket.isPaused() && socket.allowHalfOpen))
        assert.isTrue(sockets.every((socket) => socket.readableHighWaterMark === 0))
        one.resume()
        yield* finishOne
        yield* until(() =>
          sockets.filter((socket) => socket.destroyed).length === 1 && (one.closed || one.readableEnded)
        )
        assert.strictEqual(gate.snapshot().open, 1)
      }))

    it.live("leaves clients in the backlog while all places are taken, and goes on", () =>
      Effect.gen(function*() {
        const { finishOne, handler, sockets } = yield* held
        const gate = yield* makeGate({ maxConnections: 2 })
        const listener = yield* listen(yield* address, { gate, handler })
        const clients = yield* Effect.forEach([1, 2, 3, 4, 5], () => client(to(listener.address)))
        yield* until(() => clients.every((it) => !it.connecting) && sockets.length === 2)
        yield* Effect.promise(() => new Promise((go) => setImmediate(() => setImmediate(go))))
        const { accepted, parked, paused, pausesFull } = gate.snapshot()
        assert.deepStrictEqual({ accepted, parked, paused, pausesFull }, {
          accepted: 2,
          parked: 0,
          paused: true,
          pausesFull: 1
        })
        for (const served of [3, 4, 5]) {
          yield* finishOne
          yield* until(() => sockets.length === served)
          assert.strictEqual(gate.snapshot().open, 2)
        }
        yield* finishOne
        yield* until(() => gate.snapshot().open === 1)
        assert.isFalse(gate.snapshot().paused)
      }))

    it.live("stops accepting without touching connections", () =>
      Effect.gen(function*() {
        const { handler, sockets } = yield* held
        const gate = yield* makeGate()
        const listener = yield* listen(yield* address, { gate, handler })
        yield* client(to(listener.address))
        yield* until(() => sockets.length === 1)
        yield* listener.stop
        yield* listener.stop
        const late = yield* client(to(listener.address))
        assert.match(String(yield* event(late, "error")), /ECONNREFUSED|ENOENT/)
        assert.isFalse(sockets[0]?.destroyed)
        if (listener.address._tag === "Unix") assert.isFalse(Fs.existsSync(listener.address.path))
      }))

    it.live("interrupts and aborts connections when its scope ends", () =>
      Effect.gen(function*() {
        const { handler, sockets } = yield* held
        const gate = yield* makeGate()
        const scope = yield* Scope.make()
        const listener = yield* Scope.provide(listen(yield* address, { gate, handler }), scope)
        yield* client(to(listener.address))
        yield* until(() => sockets.length === 1)
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(sockets[0]?.destroyed)
        assert.strictEqual(gate.snapshot().open, 0)
      }))

    it.live("says in one line that the address is in use", () =>
      Effect.gen(function*() {
        const gate = yield* makeGate()
        const { address: bound } = yield* listen(yield* address, { gate, handler: () => Effect.never })
        const error = yield* fails(bound)
        assert.strictEqual(
          error.message,
          `cannot listen on ${format(bound)}: address already in use (EADDRINUSE)`
        )
      }))
  })
}

describe("listeners", () => {
  it.live("share one gate", () =>
    Effect.gen(function*() {
      const { finishOne, handler, sockets } = yield* held
      const gate = yield* makeGate({ maxConnections: 1 })
      const one = yield* listen(tcp("127.0.0.1"), { gate, handler })
      const two = yield* listen(tcp("127.0.0.1"), { gate, handler })
      const first = yield* client(to(one.address))
      yield* until(() => sockets.length === 1)
      const second = yield* client(to(two.address))
      yield* until(() => !second.connecting)
      const late = yield* listen(tcp("127.0.0.1"), { gate, handler })
      yield* client(to(late.address))
      assert.strictEqual(gate.snapshot().accepted, 1)
      yield* finishOne
      yield* until(() => first.destroyed || sockets.length === 2)
      yield* finishOne
      yield* until(() => sockets.length === 3)
      assert.strictEqual(gate.snapshot().open, 1)
    }))

  it.live("survive a handler that dies, and log it", () => {
    const logged: Array<string> = []
    const logger = Logger.make(({ message }) => logged.push(String(message)))
    return Effect.gen(function*() {
      const gate = yield* makeGate({ maxConnections: 1 })
      const second = yield* Deferred.make<void>()
      let calls = 0
      const handler = () =>
        calls++ === 0 ? Effect.die(new Error("a mistake")) : Effect.asVoid(Deferred.succeed(second, undefined))
      const listener = yield* listen(tcp("127.0.0.1"), { gate, handler })
      yield* client(to(listener.address))
      yield* client(to(listener.address))
      yield* Deferred.await(second)
      assert.strictEqual(logged.length, 1)
      assert.match(logged[0] ?? "", /a connection died of a defect/)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.live("name bad addresses and the reason", () =>
    Effect.gen(function*() {
      const path = yield* directory
      Fs.writeFileSync(Path.join(path, "file"), "")
      const cases: ReadonlyArray<readonly [Address, RegExp]> = [
        [tcp("192.0.2.1"), /^cannot listen on 192.0.2.1:0: this machine does not have that address \(EADDRNOTAVAIL\)$/],
        [
          { _tag: "Unix", path: `${path}/no/it.sock` },
          /: no such directory \(ENOENT\)$/
        ],
        [{ _tag: "Unix", path: `${path}/file` }, /: address already in use \(EADDRINUSE\)$/]
      ]
      for (const [address, message] of cases) assert.match((yield* fails(address)).message, message)
      assert.isTrue(Fs.existsSync(Path.join(path, "file")))
    }))

  it("say that permission is denied", () => {
    const error = new ListenFailed({ address: tcp("::1", 80), code: "EACCES", why: "permission denied" })
    assert.strictEqual(error.message, "cannot listen on [::1]:80: permission denied (EACCES)")
  })

  it.live("replace the file of a Unix socket on which nobody listens", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* directory, "it.sock")
      const script = `require("net").createServer().listen(${
        JSON.stringify(path)
      }, () => process.kill(process.pid, "SIGKILL"))`
      yield* event(spawn(process.execPath, ["-e", script]), "exit")
      assert.isTrue(Fs.existsSync(path))
      const { handler, sockets } = yield* held
      const gate = yield* makeGate()
      yield* listen({ _tag: "Unix", path }, { gate, handler })
      yield* client({ path })
      yield* until(() => sockets.length === 1)
    }))
})

describe("a gate", () => {
  const connection = (served: Array<string>, name: string) => ({ serve: () => served.push(name) })

  it("parks what was accepted in spite of its pause, and serves it in order", () => {
    const gate = new AcceptGate({ maxConnections: 1, openFiles: { limit: Infinity, used: 0 } })
    const pauses: Array<string> = []
    gate.add({ pause: () => pauses.push("pause"), resume: () => pauses.push("resume") })
    const served: Array<string> = []
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => connection(served, name))
    for (const it of [a, b, c, d]) if (it !== undefined) gate.enter(it, 10)
    if (c !== undefined) gate.forget(c)
    assert.deepStrictEqual([served, gate.snapshot().parked], [["a"], 2])
    gate.leave()
    gate.leave()
    assert.deepStrictEqual(served, ["a", "b", "d"])
    assert.deepStrictEqual(pauses, ["pause"])
    gate.leave()
    assert.deepStrictEqual(pauses, ["pause", "resume"])
    assert.deepInclude(gate.snapshot(), {
      accepted: 4,
      open: 0,
      parked: 0,
      paused: false,
      pausesFull: 1,
      pausesFiles: 0
    })
  })

  it("has a place for every so many open files, and one at least", () => {
    const places = (limit: number, filesPerConnection?: number) =>
      new AcceptGate({ filesPerConnection, openFiles: { limit, used: 20 } }).snapshot().places
    assert.deepStrictEqual([places(1024), places(1024, 1), places(30), places(Infinity)], [486, 972, 1, Infinity])
  })
})

interface Report {
  readonly accepted: number
  readonly open: number
  readonly places: number
  readonly pausesFull: number
  readonly pausesFiles: number
}

/** 150 clients at once against a process that may open 96 files; what they heard, and its gate's counters. */
const underFewFiles = (mode: string) =>
  Effect.gen(function*() {
    const fixture = Path.join(import.meta.dirname, "fixtures", "fewFiles.ts")
    const child = spawn("bash", ["-c", "ulimit -n 96; exec \"$@\"", "-", process.execPath, fixture, "96", mode], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    let output = ""
    child.stdout.on("data", (bytes) => output += String(bytes))
    yield* until(() => output.includes("\n"))
    const { port }: { readonly port: number } = JSON.parse(output)
    const ask = (n: number) =>
      Effect.callback<Result.Result<string, string>>((resume) => {
        let heard = ""
        const socket = Net.connect({ host: "127.0.0.1", port })
        socket.write(`client ${n}`)
        socket.on("data", (bytes) => {
          heard += String(bytes)
          socket.end()
        })
        socket.on("error", (error) => resume(Effect.succeed(Result.fail(String(error)))))
        socket.on("end", () => resume(Effect.succeed(Result.succeed(heard))))
      })
    const numbers = Array.from({ length: 150 }, (_, n) => n)
    const heard = yield* Effect.forEach(numbers, ask, { concurrency: "unbounded" })
    output = ""
    child.stdin.end()
    const code = yield* event(child, "exit")
    assert.deepStrictEqual(heard, numbers.map((n) => Result.succeed(`client ${n}`)))
    assert.strictEqual(code, 0)
    const report: Report = JSON.parse(output)
    return report
  })

describe.runIf(process.platform === "linux")("under a low limit of open files", () => {
  it.live("a gate has as many places as the files allow, and serves everybody in turn", () =>
    Effect.gen(function*() {
      const { accepted, open, pausesFull, places } = yield* underFewFiles("places")
      assert.deepStrictEqual({ accepted, open }, { accepted: 150, open: 0 })
      assert.isAtMost(places, 32)
      assert.isAtLeast(pausesFull, 1)
    }))

  it.live("a gate rests when files are short all the same, and nobody is closed unheard", () =>
    Effect.gen(function*() {
      const { accepted, open, pausesFiles, pausesFull } = yield* underFewFiles("rest")
      assert.deepStrictEqual({ accepted, open, pausesFull }, { accepted: 150, open: 0, pausesFull: 0 })
      assert.isAtLeast(pausesFiles, 1)
    }))
})

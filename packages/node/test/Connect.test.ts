import { assert, it } from "@effect/vitest"
import type { Address } from "@headgate/node/Address"
import { connect, type ConnectFailed, interleave, type ResolvedAddress } from "@headgate/node/Connect"
import { Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Net from "node:net"
import * as Path from "node:path"
import { describe } from "vitest"
import { directory, event, server } from "./support.ts"

const tcp = (host: string, port: number): Address => ({ _tag: "Tcp", host, port })

const portOf = (it: Net.Server): number => {
  const address = it.address()
  return typeof address === "object" && address !== null ? address.port : 0
}

/** A port on which nobody listens (any more). */
const freePort = Effect.scoped(Effect.map(server({ host: "127.0.0.1", port: 0 }), portOf))

const resolvesTo = (...addresses: ReadonlyArray<string>) => (): Effect.Effect<ReadonlyArray<ResolvedAddress>> =>
  Effect.succeed(addresses.map((address) => ({ address, family: Net.isIP(address) })))

const failure = (effect: ReturnType<typeof connect>): Effect.Effect<ConnectFailed> =>
  Effect.orDie(Effect.flip(Effect.scoped(effect)))

/** Sockets that never connect. */
const silent = () => {
  const dialled: Array<Net.Socket> = []
  const hosts: Array<string> = []
  const dial = (options: Net.NetConnectOpts): Net.Socket => {
    const socket = new Net.Socket()
    dialled.push(socket)
    hosts.push("host" in options ? String(options.host) : "")
    return socket
  }
  return { dialled, hosts, dial }
}

describe("connect", () => {
  for (const host of ["127.0.0.1", "::1"]) {
    it.live(`connects to ${host}, reads nothing, and closes with its scope`, () =>
      Effect.gen(function*() {
        const target = yield* server({ host, port: 0 })
        const scope = yield* Scope.make()
        const socket = yield* Scope.provide(connect(tcp(host, portOf(target))), scope)
        assert.isTrue(socket.isPaused())
        assert.isTrue(socket.allowHalfOpen)
        assert.strictEqual(socket.readableHighWaterMark, 0)
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(socket.destroyed)
      }))
  }

  it.live("connects to a Unix socket", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* directory, "it.sock")
      yield* server({ path })
      const socket = yield* connect({ _tag: "Unix", path })
      assert.isFalse(socket.connecting)
    }))

  it.live("falls back over the addresses of a name, asked anew each time", () =>
    Effect.gen(function*() {
      const target = yield* server({ host: "127.0.0.1", port: 0 })
      let asked = 0
      const resolve = () => Effect.andThen(Effect.sync(() => asked++), resolvesTo("::1", "127.0.0.3", "127.0.0.1")())
      for (const _ of [1, 2]) {
        const socket = yield* connect(tcp("some.name", portOf(target)), { resolve })
        assert.strictEqual(socket.remoteAddress, "127.0.0.1")
      }
      assert.strictEqual(asked, 2)
    }))

  it.live("resolves localhost by the system", () =>
    Effect.gen(function*() {
      const target = yield* server({ host: "127.0.0.1", port: 0 })
      const socket = yield* connect({ _tag: "Tcp", host: undefined, port: portOf(target) })
      assert.isFalse(socket.connecting)
    }))

  it.live("says that it was refused, by whom", () =>
    Effect.gen(function*() {
      const port = yield* freePort
      const one = yield* failure(connect(tcp("127.0.0.1", port)))
      assert.strictEqual(one.why, "refused")
      assert.strictEqual(
        one.message,
        `cannot connect to 127.0.0.1:${port}: connection refused (ECONNREFUSED)`
      )
      const two = yield* failure(connect(tcp("x", port), { resolve: resolvesTo("127.0.0.1", "127.0.0.2") }))
      assert.match(
        two.message,
        /^cannot connect to x:\d+: 127.0.0.1 connection refused .*, 127.0.0.2 connection refused/
      )
    }))

  it.live("says that a Unix socket is not there", () =>
    Effect.gen(function*() {
      const path = Path.join(yield* directory, "none.sock")
      const error = yield* failure(connect({ _tag: "Unix", path }))
      assert.strictEqual(error.message, `cannot connect to unix:${path}: no such socket (ENOENT)`)
    }))

  it.live("says that a name is not found, or has no address", () =>
    Effect.gen(function*() {
      const notFound = Object.assign(new Error("no"), { code: "ENOTFOUND" })
      const one = yield* failure(connect(tcp("no.such.name", 1), { resolve: () => Effect.fail(notFound) }))
      assert.deepStrictEqual([one.why, one.detail], ["nameNotFound", "name not found (ENOTFOUND)"])
      const two = yield* failure(connect(tcp("no.such.name", 1), { resolve: resolvesTo() }))
      assert.deepStrictEqual([two.why, two.detail], ["nameNotFound", "no address"])
    }))

  it.effect("divides the time among the addresses, and closes what did not answer", () =>
    Effect.gen(function*() {
      const { dial, dialled, hosts } = silent()
      const options = { resolve: resolvesTo("::1", "127.0.0.1"), dial }
      const fiber = yield* Effect.forkChild(failure(connect(tcp("x", 1), options)), { startImmediately: true })
      yield* TestClock.adjust("2499 millis")
      assert.deepStrictEqual(hosts, ["::1"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(hosts, ["::1", "127.0.0.1"])
      yield* TestClock.adjust("2500 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.why, "timeout")
      assert.match(error.message, /::1 no answer within 2s 500ms, 127.0.0.1 no answer within 2s 500ms/)
      assert.deepStrictEqual(dialled.map((socket) => socket.destroyed), [true, true])
    }))

  it.effect("counts the lookup as part of the time", () =>
    Effect.gen(function*() {
      const options = { resolve: () => Effect.never, connectTimeout: "1 second" } as const
      const fiber = yield* Effect.forkChild(failure(connect(tcp("x", 1), options)), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber)).detail, "no answer within 1s")
    }))

  it.live("closes the socket that it waits for when it is interrupted", () =>
    Effect.gen(function*() {
      const { dial, dialled } = silent()
      const fiber = yield* Effect.forkChild(Effect.scoped(connect(tcp("::1", 1), { dial })), { startImmediately: true })
      assert.strictEqual(dialled.length, 1)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(dialled[0]?.destroyed)
    }))

  it.live("resets the target when its scope ends too early", () =>
    Effect.gen(function*() {
      const target = yield* server({ host: "127.0.0.1", port: 0 })
      const accepted = new Promise<Net.Socket>((resolve) => target.once("connection", resolve))
      const scope = yield* Scope.make()
      yield* Scope.provide(connect(tcp("127.0.0.1", portOf(target))), scope)
      const other = yield* Effect.promise(() => accepted)
      const error = yield* Effect.forkChild(event(other, "error"), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      other.resume()
      assert.propertyVal(yield* Fiber.join(error), "code", "ECONNRESET")
    }))

  it("interleaves the families", () => {
    const six = (address: string): ResolvedAddress => ({ address, family: 6 })
    const four = (address: string): ResolvedAddress => ({ address, family: 4 })
    assert.deepStrictEqual(
      interleave([six("a"), six("b"), six("c"), four("d")]),
      [six("a"), four("d"), six("b"), six("c")]
    )
    assert.deepStrictEqual(interleave([four("a"), six("b")]), [four("a"), six("b")])
    assert.deepStrictEqual(interleave([]), [])
  })
})

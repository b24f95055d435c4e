import { assert, it } from "@effect/vitest"
import type { Landing } from "@headgate/node/Landing"
import { fromSocket, type NodePeer } from "@headgate/node/NodePeer"
import { Effect, Exit, Scope } from "effect"
import type * as Net from "node:net"
import * as Path from "node:path"
import { describe } from "vitest"
import { directory, event, pair, until } from "./support.ts"

/** A peer with everything it tells, in order. What it says can be read is read. */
const recorded = (socket: Net.Socket, landing: Landing = "plain") =>
  Effect.map(fromSocket(socket, { landing }), (peer) => {
    const told: Array<string> = []
    const area = Buffer.alloc(1000)
    peer.attach({
      onBytes: (bytes) => told.push(Buffer.from(bytes).toString()),
      onReadable: () => {
        const count = peer.read(area)
        if (count > 0) told.push(area.toString("utf8", 0, count))
      },
      onEnd: () => told.push("<end>"),
      onReset: (cause) => told.push(`<reset ${cause instanceof Error && "code" in cause ? cause.code : cause}>`)
    })
    return { peer, told }
  })

const written = (peer: NodePeer, views: ReadonlyArray<Uint8Array>): Effect.Effect<boolean> =>
  Effect.callback((resume) => peer.write(views, (accepted) => resume(Effect.succeed(accepted))))

const ended = (peer: NodePeer): Effect.Effect<void> => Effect.callback((resume) => peer.end(() => resume(Effect.void)))

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** More than any kernel buffer takes. */
const big = (): Uint8Array => new Uint8Array(16 << 20)

const received = (socket: Net.Socket): Array<string> => {
  const told: Array<string> = []
  socket.on("data", (chunk) => told.push(String(chunk)))
  socket.on("end", () => told.push("<end>"))
  socket.on("error", (error: NodeJS.ErrnoException) => told.push(`<${error.code}>`))
  socket.resume()
  return told
}

const listeners: ReadonlyArray<readonly [string, Effect.Effect<Net.ListenOptions, never, Scope.Scope>]> = [
  ["IPv4", Effect.succeed({ host: "127.0.0.1", port: 0 })],
  ["IPv6", Effect.succeed({ host: "::1", port: 0 })],
  ["a Unix socket", Effect.map(directory, (path) => ({ path: Path.join(path, "it.sock") }))]
]

const each = listeners.flatMap(([kind, options]) =>
  (["plain", "readiness"] as const).map((landing) => ({ kind, options, landing }))
)

for (const { kind, landing, options } of each) {
  describe(`a peer over ${kind}, ${landing}`, () => {
    it.live("reads nothing before it is told to", () =>
      Effect.gen(function*() {
        const { other, ours } = yield* pair(yield* options)
        const { peer, told } = yield* recorded(ours, landing)
        other.write("hello")
        yield* until(() => other.writableLength === 0)
        assert.deepStrictEqual(told, [])
        peer.readStart()
        yield* until(() => told.length > 0)
        assert.deepStrictEqual(told, ["hello"])
      }))

    it.live("tells bytes and FIN that came in one go, and ends in order", () =>
      Effect.gen(function*() {
        const { other, ours } = yield* pair(yield* options)
        const { peer, told } = yield* recorded(ours, landing)
        other.end("hello")
        yield* event(other, "finish")
        peer.readStart()
        yield* until(() => told.includes("<end>"))
        const seen = received(other)
        assert.isTrue(yield* written(peer, [bytes("good"), bytes("bye")]))
        yield* ended(peer)
        yield* until(() => seen.includes("<end>") && ours.destroyed)
        assert.strictEqual(seen.join(""), "goodbye<end>")
        assert.deepStrictEqual(told, ["hello", "<end>"])
      }))

    it.live("sends FIN first and still reads", () =>
      Effect.gen(function*() {
        const { other, ours } = yield* pair(yield* options)
        const { peer, told } = yield* recorded(ours, landing)
        const seen = received(other)
        peer.readStart()
        yield* ended(peer)
        yield* until(() => seen.includes("<end>"))
        other.end("late")
        yield* until(() => told.includes("<end>"))
        assert.deepStrictEqual(told, ["late", "<end>"])
      }))

    it.live("writes no end before the write in flight is done", () =>
      Effect.gen(function*() {
        const { other, ours } = yield* pair(yield* options)
        const { peer } = yield* recorded(ours, landing)
        const order: Array<string> = []
        const data = big()
        peer.write([data], (accepted) => order.push(`done ${accepted}`))
        peer.end(() => order.push("end"))
        let length = 0
        other.on("data", (chunk: Buffer) => length += chunk.length)
        other.resume()
        yield* event(other, "end")
        yield* until(() => order.length === 2)
        assert.deepStrictEqual(order, ["done true", "end"])
        assert.strictEqual(length, data.length)
      }))

    it.live("lets go of the memory once, when the other side dies in the middle of a write", () =>
      Effect.gen(function*() {
        const { other, ours } = yield* pair(yield* options)
        const { peer, told } = yield* recorded(ours, landing)
        const done: Array<boolean> = []
        peer.write([big(), big()], (accepted) => {
          assert.deepStrictEqual(told, [])
          done.push(accepted)
        })
        assert.deepStrictEqual(done, [])
        assert.isAbove(peer.unacceptedBytes(), 0)
        other.destroy()
        yield* until(() => told.length > 0)
        assert.match(told.join(), /^<reset (ECONNRESET|EPIPE)>$/)
        assert.deepStrictEqual(done, [false])
      }))

    it.live("lets go of the memory once after an abort, and tells nothing", () =>
      Effect.gen(function*() {
        const { ours } = yield* pair(yield* options)
        const { peer, told } = yield* recorded(ours, landing)
        const done: Array<boolean> = []
        peer.readStart()
        peer.write([big(), big()], (accepted) => done.push(accepted))
        peer.abort()
        peer.abort()
        assert.deepStrictEqual(done, [])
        yield* event(ours, "close")
        assert.deepStrictEqual(done, [false])
        assert.deepStrictEqual(told, [])
      }))

    it.live("is harmless once destroyed", () =>
      Effect.gen(function*() {
        const { ours } = yield* pair(yield* options)
        const { peer, told } = yield* recorded(ours, landing)
        ours.destroy()
        yield* event(ours, "close")
        peer.readStart()
        peer.readStop()
        peer.end(() => told.push("ended"))
        assert.isFalse(yield* written(peer, [bytes("x")]))
        assert.strictEqual(peer.unacceptedBytes(), 0)
        assert.strictEqual(peer.unsentBytes(), undefined)
        peer.abort()
        peer.close()
        assert.strictEqual(told.length, 1)
        assert.match(told.join(), /closed before both ends were orderly/)
      }))

    it.live("tells whoever attaches late that it is gone", () =>
      Effect.gen(function*() {
        const { ours } = yield* pair(yield* options)
        ours.destroy()
        yield* event(ours, "close")
        const { told } = yield* recorded(ours, landing)
        assert.deepStrictEqual(told, [])
        yield* until(() => told.length > 0)
        assert.match(told.join(), /^<reset /)
      }))
  })
}

for (const [kind, options] of listeners) {
  describe(`a plain peer over ${kind}`, () => {
    it.live("is paused from the first, though its socket was flowing: no byte goes by before somebody attaches", () =>
      Effect.gen(function*() {
        const { other, ours } = yield* pair(yield* options)
        ours.resume()
        const peer = yield* fromSocket(ours)
        assert.isTrue(ours.isPaused())
        other.write("hello")
        yield* until(() => other.writableLength === 0)
        const told: Array<string> = []
        peer.attach({ onBytes: (chunk) => told.push(String(Buffer.from(chunk))), onEnd: () => {}, onReset: () => {} })
        peer.readStart()
        yield* until(() => told.length > 0)
        assert.deepStrictEqual(told, ["hello"])
      }))

    it.live("lets a chunk's memory go as soon as it has been told", () =>
      Effect.gen(function*() {
        const { other, ours } = yield* pair(yield* options)
        const peer = yield* fromSocket(ours)
        const chunks: Array<Uint8Array> = []
        const lengths: Array<number> = []
        peer.attach({
          onBytes: (chunk) => {
            chunks.push(chunk)
            lengths.push(chunk.length)
          },
          onEnd: () => {},
          onReset: () => {}
        })
        peer.readStart()
        other.write("hello")
        yield* until(() => lengths.length > 0)
        assert.deepStrictEqual(lengths, [5])
        assert.deepStrictEqual(chunks.map(({ length }) => length), [0])
      }))

    it.live("reads nothing after readStop, not even into memory of Node, and loses nothing", () =>
      Effect.gen(function*() {
        const { other, ours } = yield* pair(yield* options)
        const peer = yield* fromSocket(ours)
        const seen = { total: 0, reads: 0, ended: false }
        peer.attach({
          onBytes: (chunk) => {
            seen.total += chunk.length
            seen.reads += 1
            peer.readStop()
          },
          onEnd: () => seen.ended = true,
          onReset: () => {}
        })
        const data = big()
        other.end(data)
        while (!seen.ended) {
          const before = seen.reads
          peer.readStart()
          yield* until(() => seen.reads > before || seen.ended)
          yield* Effect.yieldNow
          assert.isAtMost(seen.reads - before, 1)
          assert.strictEqual(ours.readableLength, 0)
        }
        assert.strictEqual(seen.total, data.length)
      }))
  })
}

describe.each(["plain", "readiness"] as const)("a peer over TCP, %s", (landing) => {
  it.live("tells a reset after bytes as a reset", () =>
    Effect.gen(function*() {
      const { other, ours } = yield* pair()
      const { peer, told } = yield* recorded(ours, landing)
      peer.readStart()
      other.write("hello")
      yield* until(() => told.length > 0)
      other.resetAndDestroy()
      yield* until(() => told.length > 1)
      assert.deepStrictEqual(told, ["hello", "<reset ECONNRESET>"])
    }))

  it.live("tells a reset behind bytes that it has not read as a reset, never as an end", () =>
    Effect.gen(function*() {
      const { other, ours } = yield* pair()
      const { peer, told } = yield* recorded(ours, landing)
      other.write("hello")
      yield* until(() => other.writableLength === 0)
      other.resetAndDestroy()
      yield* event(other, "close")
      peer.readStart()
      yield* until(() => told.join().includes("<"))
      assert.strictEqual(told.at(-1), "<reset ECONNRESET>")
    }))

  it.live("shows the other side a reset when it aborts", () =>
    Effect.gen(function*() {
      const { other, ours } = yield* pair()
      const { peer } = yield* recorded(ours, landing)
      const seen = received(other)
      assert.isTrue(yield* written(peer, [bytes("trunc")]))
      peer.abort()
      yield* until(() => seen.join().includes("<"))
      assert.deepStrictEqual(seen.filter((line) => line.startsWith("<")), ["<ECONNRESET>"])
    }))

  it.live("resets also while its FIN is on its way, and leaks no handle", () =>
    Effect.gen(function*() {
      const { ours } = yield* pair()
      const { peer, told } = yield* recorded(ours, landing)
      peer.end(() => told.push("ended"))
      peer.abort()
      assert.isFalse(ours.destroyed)
      yield* event(ours, "close")
      assert.isTrue(ours.destroyed)
      assert.deepStrictEqual(told, [])
    }))

  it.live("aborts at the end of its scope, unless both ends were orderly", () =>
    Effect.gen(function*() {
      const { other, ours } = yield* pair()
      const seen = received(other)
      const scope = yield* Scope.make()
      yield* Scope.provide(recorded(ours, landing), scope)
      yield* Scope.close(scope, Exit.void)
      yield* until(() => seen.length > 0)
      assert.deepStrictEqual(seen, ["<ECONNRESET>"])
    }))

  it.live("loses no bytes when its scope ends after both ends", () =>
    Effect.gen(function*() {
      const { other, ours } = yield* pair()
      const scope = yield* Scope.make()
      const { peer, told } = yield* Scope.provide(recorded(ours, landing), scope)
      peer.readStart()
      other.end()
      yield* until(() => told.includes("<end>"))
      assert.isTrue(yield* written(peer, [bytes("all of it")]))
      yield* ended(peer)
      yield* Scope.close(scope, Exit.void)
      const seen = received(other)
      yield* until(() => seen.length > 1)
      assert.deepStrictEqual(seen, ["all of it", "<end>"])
    }))

  it.live("is labelled with its address", () =>
    Effect.gen(function*() {
      const { other, ours } = yield* pair({ host: "::1", port: 0 })
      const peer = yield* fromSocket(ours)
      assert.strictEqual(peer.label, `[::1]:${other.localPort}`)
    }))
})

/**
 * A worked example: a `ByteStream` of one's own on simulated peers. It answers with what it is sent, holds one buffer at most,
 * and none while it has nothing to answer.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SimulatedPeer from "@headgate/testing/SimulatedPeer"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { BufferPool, ByteChannel, ByteStream, Headgate, type Peer, Stepper } from "headgate"

const echo = (peer: Peer) =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    let told = new Uint8Array(0)
    let hasEnded = false
    let isOver = false
    const stream = yield* ByteStream.make({
      name: peer.label,
      process: (self) =>
        Effect.gen(function*() {
          if (isOver) return yield* self.end
          // No buffer: this run is over, and comes again when there is one.
          if (told.length > 0) (yield* ByteChannel.alloc(self.request)).write(told)
          told = new Uint8Array(0)
          const buffer = self.request.buffer
          if (buffer !== undefined && buffer.length > 0) return answer(buffer)
          if (hasEnded) return peer.end(over)
          peer.readStart()
        })
    })
    const answer = (buffer: NonNullable<ByteChannel.ByteChannel["buffer"]>): void => {
      const count = buffer.length
      pool.pinUnsafe(buffer)
      peer.write(buffer.readViews(), (accepted) => {
        pool.unpinUnsafe(buffer)
        if (accepted) buffer.consume(count)
        stream.wakeUnsafe("io")
      })
    }
    const over = (): void => {
      isOver = true
      stream.wakeUnsafe("io")
    }
    peer.attach({
      onBytes: (bytes) => {
        peer.readStop()
        told = new Uint8Array(bytes)
        stream.wakeUnsafe("io")
      },
      onEnd: () => {
        hasEnded = true
        stream.wakeUnsafe("io")
      },
      onReset: over
    })
    return stream
  })

/** As slow as peers come: small kernels, five bytes at a time, an answer in its own time. */
const slow: SimulatedPeer.Options = { sendBuffer: 7, receiveBuffer: 20, hostBuffer: 3, segment: 5 }
const world = Headgate.layerManual({ limit: 2, reserve: 1, bufferSize: 16, debug: true })

/** Time enough for what is on the wire. */
const settle = (peers: ReadonlyArray<SimulatedPeer.SimulatedPeer>) =>
  Effect.andThen(Effect.sync(() => peers.forEach((peer) => peer.elapse(10))), Stepper.settle)

describe("a stream of one's own, on simulated peers", () => {
  it.effect("answers five slow clients with two buffers: every byte once and in order, and all buffers back", () =>
    Effect.gen(function*() {
      const peers = Array.from(
        { length: 5 },
        (_, at) => SimulatedPeer.make({ ...slow, label: `client ${at}`, delayMs: at })
      )
      for (const [at, peer] of peers.entries()) {
        yield* echo(peer)
        peer.host.write(SimulatedPeer.pattern(at, 0, 300))
        peer.host.end()
      }
      yield* SimulatedPeer.drain(peers, settle(peers))
      for (const { host, violations } of peers) {
        assert.deepStrictEqual(SimulatedPeer.concat(host.received), SimulatedPeer.concat(host.sent))
        assert.deepStrictEqual(violations, [])
        assert.isTrue(host.sawEnd)
      }
      const { counters, used } = yield* BufferPool.snapshot
      assert.strictEqual(used, 0)
      assert.isAbove(counters.handOffs, 20)
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("gives everything back when its client is gone, in the middle of a write too", () =>
    Effect.gen(function*() {
      const peer = SimulatedPeer.make(slow)
      const stream = yield* echo(peer)
      yield* Stepper.settle
      peer.host.write(new Uint8Array(16))
      peer.arrive()
      peer.deliver()
      yield* Stepper.settle
      peer.transmit()
      peer.arrive()
      peer.host.reset()
      assert.isTrue(peer.hasWriteInFlight)
      assert.strictEqual((yield* BufferPool.snapshot).used, 1)
      yield* SimulatedPeer.drain([peer], Stepper.settle)
      yield* stream.await
      assert.strictEqual((yield* BufferPool.snapshot).used, 0)
      assert.deepStrictEqual(peer.violations, [])
    }).pipe(Effect.scoped, Effect.provide(world)))

  it.effect("connections that take their time, or are refused", () =>
    Effect.gen(function*() {
      const opened = yield* Effect.forkChild(SimulatedPeer.connect({ label: "far", takes: "2 seconds" }))
      const refused = yield* Effect.forkChild(
        Effect.flip(SimulatedPeer.connect({ label: "shut", takes: 1, refused: true }))
      )
      yield* TestClock.adjust("1 second")
      assert.isUndefined(opened.pollUnsafe())
      assert.isDefined(refused.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isDefined(opened.pollUnsafe())
    }))
})

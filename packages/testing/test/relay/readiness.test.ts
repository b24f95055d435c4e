/** Sources that tell that there is something to read, and leave it where it is until it is read into a buffer. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { BufferPool } from "headgate"
import { vi } from "vitest"
import {
  checkBytes,
  checkContract,
  connect,
  drain,
  type Link,
  outcome,
  relaySnapshot,
  send,
  settled,
  takeAll,
  turn,
  world
} from "./world.ts"

const readiness = { landing: "readiness" } as const

const lent = Effect.map(BufferPool.snapshot, ({ used }) => used)

/** Ends a connection from its client's side, whatever it is at. */
const cut = (...links: ReadonlyArray<Link>) =>
  Effect.sync(() => {
    for (const { client, target } of links) {
      client.host.reset()
      client.tellReset()
      target.accept()
    }
    checkContract(...links)
  })

/** One connection whose client lands in this way, and whose target takes no more than `taken` bytes at a time. */
const toSlowTarget = (taken: number) =>
  connect({ client: readiness, target: { ...readiness, sendBuffer: taken, hostBuffer: 0 } })

describe("a source that is told of", () => {
  it.effect("is read into a buffer of its own, which goes back when it is written", () =>
    settled(Effect.gen(function*() {
      const link = yield* connect({ client: readiness, target: { ...readiness, done: "sync" } })
      send(link.client, 10)
      link.client.arrive()
      assert.strictEqual(yield* lent, 0)
      assert.strictEqual(link.client.toldBytes, 0)
      link.client.deliver()
      assert.strictEqual(link.client.toldBytes, 10)
      assert.strictEqual(link.target.acceptedBytes, 10)
      assert.strictEqual(yield* lent, 0)
      assert.isTrue(link.client.isReading)
      link.client.host.end()
      link.target.host.end()
      yield* drain(link)
      checkBytes(link.client, link.target, true)
      checkContract(link)
      assert.strictEqual((yield* outcome(link)).end, "completed")
    })).pipe(Effect.provide(world())))

  it.effect("keeps its bytes while there is no buffer, is not read, and has no overdraft", () =>
    settled(Effect.gen(function*() {
      const link = yield* connect({ client: readiness, target: readiness })
      const giveBack = yield* takeAll("tx")
      send(link.client, 100)
      link.client.arrive()
      assert.isTrue(link.client.deliver())
      assert.isFalse(link.client.isReading)
      assert.isFalse(link.client.deliver())
      assert.strictEqual(link.client.receivingBytes, 100)
      assert.deepInclude(yield* relaySnapshot, { waitingDirections: 1, overdrafts: 0 })
      yield* giveBack(Infinity)
      yield* turn
      assert.strictEqual(link.client.toldBytes, 64)
      yield* drain(link)
      checkBytes(link.client, link.target, true)
      assert.deepInclude(yield* relaySnapshot, { waitingDirections: 0, overdrafts: 0 })
      yield* cut(link)
    })).pipe(Effect.provide(world())))

  it.effect("is not read into what is being written", () =>
    settled(Effect.gen(function*() {
      const link = yield* toSlowTarget(5)
      send(link.client, 20)
      link.client.arrive()
      link.client.deliver()
      assert.isTrue(link.target.hasWriteInFlight)
      send(link.client, 20)
      link.client.arrive()
      link.client.deliver()
      assert.strictEqual(link.client.toldBytes, 20)
      assert.strictEqual(link.client.receivingBytes, 20)
      assert.isFalse(link.client.isReading)
      yield* cut(link)
    })).pipe(Effect.provide(world())))

  it.effect("and has nothing after all, holds no buffer", () =>
    settled(Effect.gen(function*() {
      const link = yield* connect({ client: readiness, target: { ...readiness, done: "sync" } })
      // Just as much as fits: whether there is more, only the next read can tell.
      send(link.client, 64)
      link.client.arrive()
      link.client.deliver()
      assert.strictEqual(link.target.acceptedBytes, 64)
      assert.strictEqual(yield* lent, 0)
      assert.isTrue(link.client.isReading)
      // Nor does the end that is all there is.
      link.client.host.end()
      link.client.deliver()
      assert.strictEqual(yield* lent, 0)
      assert.isFalse(link.target.isEnding)
      link.client.deliver()
      assert.isTrue(link.target.isEnding)
      yield* cut(link)
    })).pipe(Effect.provide(world())))

  it.effect("and has more keeps its buffer in hand, and takes one for all of it", () =>
    settled(Effect.gen(function*() {
      const link = yield* connect({ client: readiness, target: { ...readiness, done: "sync" } })
      const before = (yield* BufferPool.snapshot).counters.takes
      send(link.client, 1000)
      link.client.arrive()
      link.client.deliver()
      assert.strictEqual(link.target.acceptedBytes, 1000)
      assert.strictEqual((yield* BufferPool.snapshot).counters.takes, before + 1)
      yield* cut(link)
    })).pipe(Effect.provide(world())))

  it.effect("and has more lets its buffer go to who waits, and waits behind it", () =>
    settled(Effect.gen(function*() {
      const rich = yield* toSlowTarget(64)
      const poor = yield* connect({ client: readiness, target: readiness })
      send(rich.client, 1000)
      rich.client.arrive()
      rich.client.deliver()
      assert.strictEqual(rich.client.toldBytes, 64)
      send(poor.client, 10)
      poor.client.arrive()
      poor.client.deliver()
      assert.strictEqual((yield* relaySnapshot).waitingDirections, 1)
      rich.target.accept()
      assert.strictEqual(rich.client.toldBytes, 64)
      yield* turn
      assert.strictEqual(poor.client.toldBytes, 10)
      assert.strictEqual((yield* relaySnapshot).waitingDirections, 1)
      yield* cut(rich, poor)
    })).pipe(Effect.provide(world({ limit: 2, reserve: 1 }))))

  it.effect("moves no more than its share in a turn, and goes on in the next without being told again", () =>
    settled(Effect.gen(function*() {
      const link = yield* connect({ client: readiness, target: { ...readiness, done: "sync" } })
      send(link.client, 300)
      link.client.arrive()
      link.client.deliver()
      assert.strictEqual(link.target.acceptedBytes, 100)
      assert.isFalse(link.client.isReading)
      yield* turn
      yield* turn
      assert.strictEqual(link.target.acceptedBytes, 300)
      assert.strictEqual(yield* lent, 0)
      yield* cut(link)
    })).pipe(Effect.provide(world({ relay: { turnBytes: 100 } }))))

  it.effect("is not asked whether there is more than its share: it tells that in the next turn", () =>
    settled(Effect.gen(function*() {
      const link = yield* connect({ client: readiness, target: { ...readiness, done: "sync" } })
      const read = vi.spyOn(link.client, "read")
      send(link.client, 128)
      link.client.arrive()
      link.client.deliver()
      assert.deepStrictEqual([link.target.acceptedBytes, read.mock.calls.length, link.client.isReading], [
        128,
        2,
        false
      ])
      yield* turn
      assert.deepStrictEqual([link.target.acceptedBytes, read.mock.calls.length, link.client.isReading], [128, 2, true])
      send(link.client, 30)
      link.client.arrive()
      link.client.deliver()
      assert.deepStrictEqual([link.target.acceptedBytes, read.mock.calls.length, link.client.isReading], [158, 3, true])
      yield* cut(link)
    })).pipe(Effect.provide(world({ relay: { turnBytes: 128 } }))))

  it.effect("is not read any more when the connection is over", () =>
    settled(Effect.gen(function*() {
      const link = yield* toSlowTarget(64)
      send(link.client, 1000)
      link.client.arrive()
      link.client.deliver()
      link.target.host.reset()
      link.target.tellReset()
      assert.isTrue(link.client.isAborted)
      yield* turn
      assert.strictEqual(link.client.toldBytes, 64)
      assert.strictEqual(yield* lent, 0)
      checkContract(link)
      assert.strictEqual((yield* outcome(link)).end, "reset")
    })).pipe(Effect.provide(world())))
})

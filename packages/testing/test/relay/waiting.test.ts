import { assert, describe, it } from "@effect/vitest"
import type { SimulatedPeer } from "@headgate/testing/SimulatedPeer"
import { Effect } from "effect"
import { BufferPool, Relay } from "headgate"
import {
  checkBytes,
  checkContract,
  checkHonest,
  connect,
  drain,
  isOver,
  outcome,
  pass,
  relaySnapshot,
  send,
  settled,
  takeAll,
  turn,
  world
} from "./world.ts"

const KiB = 1024
const minute = 60_000

/** Bytes come in, as far as the relay reads. */
const arrive = (peer: SimulatedPeer, count: number): void => {
  send(peer, count)
  peer.arrive()
  while (peer.deliver()) { /* as far as it reads */ }
}

describe("overdraft", () => {
  it.effect("what cannot be placed is counted, in order, and bounded; reading is off until it is gone", () =>
    Effect.gen(function*() {
      const giveBack = yield* takeAll("rx")
      const link = yield* connect()
      arrive(link.client, 64 * KiB)
      assert.isFalse(link.client.isReading)
      assert.isTrue(link.client.deliverLate() === false)
      const { overdraftBytes, overdraftHighWaterBytes, overdrafts, waitingDirections } = yield* relaySnapshot
      assert.deepStrictEqual([overdraftBytes, overdraftHighWaterBytes, overdrafts, waitingDirections], [
        64 * KiB,
        64 * KiB,
        1,
        1
      ])
      send(link.client, 64 * KiB)
      link.client.arrive()
      assert.isTrue(link.client.deliverLate())
      assert.isFalse(isOver(link))
      assert.strictEqual((yield* relaySnapshot).overdraftBytes, 128 * KiB)
      yield* giveBack(1)
      for (let written = link.target.writes; (yield* relaySnapshot).overdraftBytes > 0;) {
        assert.isFalse(link.client.isReading)
        yield* turn
        link.target.accept()
        link.target.transmit()
        assert.isAbove(link.target.writes, written)
        written = link.target.writes
      }
      // The last of it is in the buffer, and fills it.
      assert.isFalse(link.client.isReading)
      yield* drain(link)
      assert.isTrue(link.client.isReading)
      checkBytes(link.client, link.target, true)
      assert.strictEqual((yield* relaySnapshot).overdraftHighWaterBytes, 128 * KiB)
      link.client.host.end()
      link.target.host.end()
      yield* drain(link)
      checkContract(link)
    }).pipe(settled, Effect.provide(world())))

  it.effect("a peer that goes on sending beyond 128 KiB is reset, on both sides, by the byte", () =>
    Effect.gen(function*() {
      yield* takeAll("rx")
      const link = yield* connect()
      arrive(link.client, 64 * KiB)
      send(link.client, 64 * KiB + 1)
      link.client.arrive()
      link.client.deliverLate()
      assert.isFalse(link.client.isAborted)
      // A real peer would not: it has told the 64 KiB that were under way.
      link.client.readStart()
      link.client.deliver()
      const ended = yield* outcome(link)
      assert.strictEqual(ended.end, "reset")
      checkHonest(link, ended)
      assert.strictEqual((yield* relaySnapshot).overdraftHighWaterBytes, 128 * KiB)
    }).pipe(settled, Effect.provide(world())))

  it.effect("bytes behind a full buffer stay behind it, and reading comes back only with the overdraft gone", () =>
    Effect.gen(function*() {
      const link = yield* connect({ target: { sendBuffer: 10, hostBuffer: 10 } })
      arrive(link.client, 150)
      assert.strictEqual((yield* relaySnapshot).overdraftBytes, 150 - 64)
      assert.strictEqual((yield* relaySnapshot).waitingDirections, 0)
      for (let at = 0; at < 200; at++) {
        const { overdraftBytes } = yield* relaySnapshot
        assert.isTrue(overdraftBytes === 0 || !link.client.isReading)
        link.target.accept()
        link.target.transmit()
        link.target.host.read()
        yield* turn
      }
      assert.isTrue(link.client.isReading)
      checkBytes(link.client, link.target, true)
      link.target.host.reset()
      link.target.tellReset()
    }).pipe(settled, Effect.provide(world())))

  it.effect("bytes that come between the grant and its run stay behind those that waited for it", () =>
    Effect.gen(function*() {
      const giveBack = yield* takeAll("rx")
      const link = yield* connect()
      arrive(link.client, 30)
      yield* giveBack(1)
      send(link.client, 30)
      link.client.arrive()
      assert.isTrue(link.client.deliverLate())
      yield* drain(link)
      checkBytes(link.client, link.target, true)
      link.client.host.end()
      link.target.host.end()
      yield* drain(link)
      assert.strictEqual((yield* outcome(link)).end, "completed")
    }).pipe(settled, Effect.provide(world())))

  it.effect("who waits reads nothing: neither bytes nor an end are asked for until a buffer comes", () =>
    Effect.gen(function*() {
      const giveBack = yield* takeAll("rx")
      const link = yield* connect()
      arrive(link.client, 10)
      link.client.host.end()
      assert.isFalse(link.client.deliver())
      yield* giveBack(1)
      yield* drain(link)
      assert.isTrue(link.target.host.sawEnd)
      link.target.host.end()
      yield* drain(link)
      assert.strictEqual((yield* outcome(link)).end, "completed")
    }).pipe(settled, Effect.provide(world())))

  it.effect("a buffer that is emptied goes to who waits, not back to the one that had it", () =>
    Effect.gen(function*() {
      const first = yield* connect()
      const others = [yield* connect(), yield* connect()]
      const waits = yield* connect()
      const links = [first, ...others, waits]
      for (const { client } of links) arrive(client, 300)
      assert.strictEqual(waits.target.writes, 0)
      while (first.target.accept()) { /* its buffer is empty now, and it has more for it */ }
      assert.strictEqual(first.target.writes, 1)
      yield* turn
      assert.isTrue(waits.target.hasWriteInFlight)
      assert.isFalse(first.target.hasWriteInFlight)
      // Then it is its turn again.
      while (waits.target.accept()) { /* the same */ }
      yield* turn
      assert.isTrue(first.target.hasWriteInFlight)
      for (const link of links) {
        link.client.host.reset()
        link.client.tellReset()
        link.target.accept()
      }
    }).pipe(settled, Effect.provide(world())))
})

describe("timeouts", () => {
  it.effect("queueTimeout bounds the wait for a buffer, from when it began, and both sides are reset", () =>
    Effect.gen(function*() {
      yield* takeAll("rx")
      const link = yield* connect()
      arrive(link.client, 10)
      yield* pass(2 * minute - 250)
      assert.isFalse(isOver(link))
      yield* pass(250)
      const ended = yield* outcome(link)
      assert.strictEqual(ended.end, "queueTimeout")
      checkHonest(link, ended)
    }).pipe(settled, Effect.provide(world())))

  it.effect("queueTimeout begins anew with each wait", () =>
    Effect.gen(function*() {
      const link = yield* connect()
      for (let round = 0; round < 3; round++) {
        const giveBack = yield* takeAll("rx")
        arrive(link.client, 10)
        yield* pass(90_000)
        assert.strictEqual((yield* relaySnapshot).waitingDirections, 1)
        yield* giveBack(Infinity)
        yield* drain(link)
      }
      assert.isFalse(isOver(link))
      link.client.host.reset()
      link.client.tellReset()
    }).pipe(settled, Effect.provide(world())))

  it.effect("idleTimeout: no byte in either direction for so long, and not a second more", () =>
    Effect.gen(function*() {
      const link = yield* connect()
      yield* pass(4 * minute)
      arrive(link.target, 10)
      yield* drain(link)
      yield* pass(5 * minute - 1000)
      assert.isFalse(isOver(link))
      yield* pass(2000)
      const ended = yield* outcome(link)
      assert.strictEqual(ended.end, "idle")
      checkHonest(link, ended)
    }).pipe(settled, Effect.provide(world())))

  it.effect("idleTimeout ends a connection that is half closed, or whose write never ends while nobody waits", () =>
    Effect.gen(function*() {
      const half = yield* connect()
      const stuck = yield* connect({ target: { sendBuffer: 1, hostBuffer: 1 } })
      half.client.host.end()
      yield* drain(half)
      arrive(stuck.client, 10)
      yield* pass(6 * minute)
      assert.strictEqual((yield* outcome(half)).end, "idle")
      assert.strictEqual((yield* outcome(stuck)).end, "idle")
      stuck.target.accept()
    }).pipe(settled, Effect.provide(world())))

  it.effect("the clock of idleTimeout stands while a direction waits for a buffer, and then goes on", () =>
    Effect.gen(function*() {
      const giveBack = yield* takeAll("rx")
      const link = yield* connect({ target: { sendBuffer: 1 } })
      yield* pass(minute)
      arrive(link.client, 10)
      yield* pass(9 * minute)
      assert.isFalse(isOver(link))
      yield* giveBack(1)
      yield* turn
      assert.isTrue(link.target.hasWriteInFlight)
      yield* pass(4.9 * minute)
      assert.isFalse(isOver(link))
      yield* pass(0.2 * minute)
      assert.strictEqual((yield* outcome(link)).end, "idle")
      link.target.accept()
    }).pipe(settled, Effect.provide(world({ relay: { queueTimeout: "1 hour" } }))))

  it.effect("a fall of what the kernel has unsent is activity: a reader of 6 kB/s with 4 MB in the kernel is not idle", () =>
    Effect.gen(function*() {
      const link = yield* connect({ client: { sendBuffer: 4 * KiB * KiB, hostBuffer: 64 * KiB, done: "sync" } })
      send(link.target, 4 * KiB * KiB)
      yield* drainInto(link.client, link.target)
      assert.isFalse(link.client.hasWriteInFlight)
      const readSlowly = () => {
        link.client.host.read(1500)
        link.client.transmit()
      }
      // The kernel needs eleven minutes, in which nothing reaches us.
      yield* pass(11 * minute, readSlowly)
      assert.isFalse(isOver(link))
      assert.isAbove(link.client.sendingBytes, 0)
      yield* pass(minute, readSlowly)
      assert.strictEqual(link.client.sendingBytes, 0)
      yield* pass(4 * minute)
      assert.isFalse(isOver(link))
      yield* pass(2 * minute)
      assert.strictEqual((yield* outcome(link)).end, "idle")
    }).pipe(settled, Effect.provide(world({ bufferSize: 64 * KiB }))))

  it.effect("bytes that stay in the kernel are no activity: a reader that takes nothing is idle", () =>
    Effect.gen(function*() {
      const link = yield* connect({ client: { sendBuffer: 4 * KiB * KiB, hostBuffer: 64 * KiB, done: "sync" } })
      send(link.target, KiB * KiB)
      yield* drainInto(link.client, link.target)
      yield* pass(5 * minute - 1000)
      assert.isFalse(isOver(link))
      yield* pass(2000)
      assert.strictEqual((yield* outcome(link)).end, "idle")
    }).pipe(settled, Effect.provide(world({ bufferSize: 64 * KiB }))))

  it.effect("a sample that throws changes nothing but what is known: every bound still holds", () =>
    Effect.gen(function*() {
      const link = yield* connect()
      arrive(link.client, 10)
      yield* drain(link)
      yield* pass(5 * minute + 1000)
      assert.strictEqual((yield* outcome(link)).end, "idle")
    }).pipe(
      settled,
      Effect.provide(world({
        relay: {
          sampleUnsent: () => {
            throw new Error("no /proc here")
          }
        }
      }))
    ))

  it.effect("options are checked by name and value", () =>
    Effect.gen(function*() {
      const refused = yield* Effect.flip(Relay.make({ turnBytes: 300 * KiB, idleTimeout: -1, stallTimeout: 0 }))
      assert.deepStrictEqual(refused.problems.map(({ field }) => field), ["turnBytes", "idleTimeout", "stallTimeout"])
      assert.strictEqual((yield* BufferPool.snapshot).used, 0)
    }).pipe(Effect.scoped, Effect.provide(world())))
})

/** All that the source has goes into the sink's kernel; its host reads nothing. */
const drainInto = (sink: SimulatedPeer, source: SimulatedPeer) =>
  Effect.gen(function*() {
    for (let isMoving = true; isMoving;) {
      isMoving = [source.arrive(), source.deliver(), sink.accept(), sink.transmit()].includes(true)
      yield* turn
    }
  })

import { assert, describe, it } from "@effect/vitest"
import { SimulatedPeer } from "@headgate/testing/SimulatedPeer"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import {
  checkBytes,
  checkContract,
  checkHonest,
  connect,
  drain,
  isOver,
  outcome,
  relaySnapshot,
  runs,
  seed,
  send,
  settled,
  turn,
  turns,
  world
} from "./world.ts"

const size = fc.constantFrom(1, 7, 64)
const peer = fc.record({
  sendBuffer: size,
  receiveBuffer: size,
  hostBuffer: size,
  landing: fc.constantFrom("plain", "readiness"),
  done: fc.constantFrom("sync", "async")
})
const chunks = fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 6 })

const transfer = fc.record({
  limit: fc.integer({ min: 2, max: 64 }),
  reserve: fc.integer({ min: 1, max: 3 }),
  bufferSize: size,
  turnBytes: fc.constantFrom(1, 5, 64, 1000),
  links: fc.array(fc.record({ client: peer, target: peer, request: chunks, response: chunks }), {
    minLength: 1,
    maxLength: 5
  }),
  // Which of the possible movements come next, and whether a read that was under way still tells its bytes.
  order: fc.array(fc.nat(1000), { maxLength: 40 })
})

type Transfer = typeof transfer extends fc.Arbitrary<infer A> ? A : never

const transferred = ({ bufferSize, limit, links, order, reserve, turnBytes }: Transfer) =>
  settled(Effect.gen(function*() {
    const made = []
    for (const options of links) made.push({ ...options, link: yield* connect(options) })
    for (const { link, request, response } of made) {
      for (const count of request) send(link.client, count, 1)
      for (const count of response) send(link.target, count, 2)
      link.client.host.end()
      link.target.host.end()
    }
    const peers = made.flatMap(({ link }) => [link.client, link.target])
    for (const pick of order) {
      const one = peers[pick % peers.length]
      if (one === undefined) break
      const moves = [one.arrive, one.deliver, one.deliverLate, one.accept, one.transmit, one.acknowledgeEnd]
      moves[pick % moves.length]?.call(one, 1 + pick % 90)
      if (pick % 3 === 0) yield* turn
    }
    yield* drain(...made.map(({ link }) => link))
    for (const { link } of made) {
      const ended = yield* outcome(link)
      assert.strictEqual(ended.end, "completed")
      checkHonest(link, ended)
      checkBytes(link.client, link.target, true)
      checkBytes(link.target, link.client, true)
      assert.strictEqual(ended.requestBytes, link.client.host.sentBytes)
      assert.strictEqual(ended.responseBytes, link.target.host.sentBytes)
    }
    checkContract(...made.map(({ link }) => link))
  })).pipe(
    Effect.provide(
      world({ limit, reserve: Math.min(reserve, limit - 1), bufferSize, relay: { turnBytes } })
    ),
    Effect.provide(TestClock.layer())
  )

describe("bytes", () => {
  it(`every byte once and in order, both ways, whatever the chunks, the limit and the buffers (HEADGATE_SEED=${seed})`, () =>
    fc.assert(fc.asyncProperty(transfer, (one) => Effect.runPromise(transferred(one))), {
      numRuns: runs(200),
      seed
    }))

  it.effect("an end is passed on as an end, whichever side ends first, and the other side still sends", () =>
    Effect.gen(function*() {
      for (const side of ["client", "target"] as const) {
        const link = yield* connect()
        const [first, second] = side === "client" ? [link.client, link.target] : [link.target, link.client]
        send(first, 100)
        first.host.end()
        yield* drain(link)
        assert.isTrue(second.host.sawEnd)
        assert.isFalse(isOver(link))
        send(second, 200)
        yield* drain(link)
        checkBytes(second, first, true)
        assert.isFalse(first.host.sawEnd)
        second.host.end()
        yield* drain(link)
        assert.isTrue(first.host.sawEnd)
        const ended = yield* outcome(link)
        assert.strictEqual(ended.end, "completed")
        checkHonest(link, ended)
        checkContract(link)
      }
    }).pipe(settled, Effect.provide(world())))

  it.effect("an end waits for the bytes before it, in the overdraft too", () =>
    Effect.gen(function*() {
      const link = yield* connect({ target: { sendBuffer: 10, hostBuffer: 10 } })
      send(link.client, 300)
      link.client.host.end()
      for (let at = 0; at < 5; at++) {
        link.client.arrive()
        link.client.deliver()
        link.client.deliverLate()
        yield* turn
      }
      assert.isAbove((yield* relaySnapshot).overdraftBytes, 0)
      assert.isFalse(link.target.host.sawEnd)
      yield* drain(link)
      assert.isTrue(link.target.host.sawEnd)
      checkBytes(link.client, link.target, true)
      link.target.host.end()
      yield* drain(link)
      assert.strictEqual((yield* outcome(link)).end, "completed")
    }).pipe(settled, Effect.provide(world())))

  it.effect("a direction moves at most turnBytes per turn, in both directions and however it is cut", () =>
    Effect.gen(function*() {
      const link = yield* connect({ client: { done: "sync" }, target: { done: "sync" } })
      yield* turns(2)
      for (const one of [link.client, link.target]) {
        send(one, 500)
        one.arrive()
      }
      const moved = () => [link.target.sendingBytes, link.client.sendingBytes]
      for (let turnNumber = 1; turnNumber <= 5; turnNumber++) {
        for (const one of [link.client, link.target]) {
          while (one.deliver(30) || one.deliverLate(30)) {
            /* all that it would take */
          }
        }
        assert.deepStrictEqual(moved(), [100 * turnNumber, 100 * turnNumber])
        assert.isFalse(link.client.isReading || link.target.isReading)
        // One turn of the event loop, and no more.
        yield* Effect.yieldNow
      }
      link.client.host.end()
      link.target.host.end()
      yield* drain(link)
      assert.strictEqual((yield* outcome(link)).end, "completed")
    }).pipe(settled, Effect.provide(world({ relay: { turnBytes: 100 } }))))

  it.effect("who has moved its share goes on in the next turn, even if reading had stopped before for want of room", () =>
    Effect.gen(function*() {
      const link = yield* connect({ target: { sendBuffer: 63, done: "sync" } })
      send(link.client, 64 + 36 + 50)
      link.client.arrive()
      // The buffer is full and its write under way: reading stops, with 36 bytes of the turn left. Then those come.
      link.client.deliver(64)
      assert.isFalse(link.client.isReading)
      link.client.deliverLate(36)
      link.target.transmit()
      // In the same turn the write is done, and the rest moves at once: the turn is used up with nothing left to do.
      link.target.accept()
      assert.strictEqual(link.target.dones, 2)
      assert.isFalse(link.client.isReading)
      yield* turns(1)
      assert.isTrue(link.client.isReading)
      yield* drain(link)
      checkBytes(link.client, link.target, true)
      link.client.host.end()
      link.target.host.end()
      yield* drain(link)
    }).pipe(settled, Effect.provide(world({ relay: { turnBytes: 100 } }))))

  it.effect("twenty thousand writes that are done at once leave the stack flat", () =>
    Effect.gen(function*() {
      const link = yield* connect({ target: { done: "sync" } })
      send(link.client, 20_000)
      link.client.arrive()
      link.client.deliver()
      yield* turn
      assert.strictEqual(link.target.writes, 20_000)
      link.client.host.end()
      link.target.host.end()
      yield* drain(link)
      checkBytes(link.client, link.target, true)
      assert.strictEqual((yield* outcome(link)).end, "completed")
    }).pipe(settled, Effect.provide(world({ bufferSize: 1 }))))

  it.effect("reading is on exactly while what is read can be placed: off with a full buffer, on again with room", () =>
    Effect.gen(function*() {
      const link = yield* connect({ target: { sendBuffer: 1 } })
      assert.isTrue(link.client.isReading && link.target.isReading)
      send(link.client, 64)
      link.client.arrive()
      link.client.deliver(63)
      assert.isTrue(link.client.isReading)
      link.client.deliver(1)
      assert.isFalse(link.client.isReading)
      assert.isTrue(link.target.isReading)
      link.target.transmit()
      yield* drain(link)
      assert.isTrue(link.client.isReading)
      link.client.host.reset()
      link.client.tellReset()
    }).pipe(settled, Effect.provide(world())))
})

describe("the simulated peer", () => {
  it("notices what is against the port's contract", () => {
    const one = new SimulatedPeer({ sendBuffer: 1 })
    one.readStart()
    one.attach({ onBytes: () => {}, onEnd: () => {}, onReset: () => {} })
    one.attach({ onBytes: () => {}, onEnd: () => {}, onReset: () => {} })
    const memory = new Uint8Array(4)
    one.write([memory], () => {})
    one.write([memory], () => {})
    memory[0] = 1
    one.transmit()
    one.accept()
    one.end(() => {})
    one.end(() => {})
    one.write([], () => {})
    one.abort()
    one.abort()
    one.readStop()
    assert.deepStrictEqual([...new Set(one.violations)], [
      "readStart before attach",
      "attached twice",
      "a write while one is in flight",
      "the memory of a write in flight has changed",
      "ended twice",
      "a write behind the end",
      "a write of nothing",
      "readStop after abort"
    ])
  })

  it("tells nothing after abort, nothing while it is not read but 64 KiB that were under way, and done once", () => {
    const told: Array<string> = []
    const one = new SimulatedPeer({ receiveBuffer: 200_000, sendBuffer: 1 })
    one.attach({
      onBytes: (bytes) => told.push(`${bytes.length}`),
      onEnd: () => told.push("end"),
      onReset: () => told.push("reset")
    })
    send(one, 200_000)
    one.arrive()
    assert.isFalse(one.deliver() || one.deliverLate())
    one.readStart()
    assert.isTrue(one.deliver(5))
    one.readStop()
    assert.isTrue(one.deliverLate(60_000) && one.deliverLate(60_000))
    assert.isFalse(one.deliverLate() || one.deliver())
    one.write([new Uint8Array(2)], (accepted) => told.push(`done ${accepted}`))
    one.abort()
    assert.isTrue(one.accept())
    assert.isFalse(one.accept() || one.tellReset() || one.deliverLate() || one.acknowledgeEnd())
    assert.deepStrictEqual(told, ["5", "60000", "5536", "done false"])
    assert.deepStrictEqual(one.violations, [])
  })
})

/** The picture of a pool at one moment: every field, with numbers that tell each from every other. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { BufferPool } from "headgate"

it.effect("a snapshot says who holds, who waits since when, and what happened since the start", () =>
  Effect.gen(function*() {
    const pool = yield* BufferPool.make({
      name: "picture",
      limit: 6,
      reserve: 3,
      bufferSize: 16,
      leakThreshold: "1 hour",
      maxWaiting: 1
    })
    const later = (milliseconds: number) => TestClock.adjust(milliseconds)
    const waiter = (target: string, criticality: "tx" | "channel" | "endpoint" | "rx", answer = true) =>
      pool.waitQueue.waiter({ target, criticality, wake: () => answer })
    yield* later(5)
    const [request] = yield* Effect.all([pool.tryAcquire("rx"), pool.tryAcquire("rx")])
    yield* later(10)
    const response = yield* pool.tryAcquire("channel")
    const spare = yield* pool.tryAcquire("endpoint")
    pool.pinUnsafe(response)
    pool.pinUnsafe(response)
    yield* later(20)
    const waiters = {
      rx: waiter("r", "rx"),
      endpoint: waiter("e", "endpoint"),
      second: waiter("e2", "endpoint"),
      declining: waiter("d", "tx", false),
      patient: waiter("p", "tx")
    }
    for (const at of [waiters.rx, waiters.endpoint]) {
      assert.strictEqual(pool.waitQueue.takeOrWaitUnsafe(at), "queued")
      yield* later(40)
    }
    yield* Effect.all([pool.tryAcquire("channel"), pool.tryAcquire("tx")])
    assert.strictEqual(pool.waitQueue.takeOrWaitUnsafe(waiters.second), "queued")
    for (const at of [waiters.declining, waiters.patient]) {
      assert.strictEqual(pool.waitQueue.takeOrWaitUnsafe(at), "queued")
    }
    yield* Effect.flip(Effect.scoped(pool.tryAcquire("rx")))
    assert.throws(() => pool.unpinUnsafe(spare))
    yield* later(80)
    pool.giveBackUnsafe(spare)
    yield* later(160)
    yield* Effect.forkChild(pool.acquire("rx"), { startImmediately: true })
    assert.strictEqual((yield* Effect.flip(Effect.scoped(pool.acquire("rx"))))._tag, "WaitRefused")
    yield* pool.resize(5)
    pool.waitQueue.favourUnsafe("endpoint")

    const snapshot = yield* pool.snapshot
    assert.deepStrictEqual({ ...snapshot, waits: undefined, waiting: undefined }, {
      name: "picture",
      limit: 5,
      reserve: 3,
      bufferSize: 16,
      capacity: 6,
      allocated: 6,
      used: 6,
      free: 0,
      highWater: 6,
      closed: false,
      favoured: "endpoint",
      classes: {
        tx: { waiting: 0, oldestWaitMs: 0, lent: 2 },
        channel: { waiting: 0, oldestWaitMs: 0, lent: 2 },
        endpoint: { waiting: 2, oldestWaitMs: 280, lent: 0 },
        rx: { waiting: 2, oldestWaitMs: 320, lent: 2 }
      },
      waiting: undefined,
      holders: [
        { criticality: "rx", pins: 0, heldMs: 350, origin: undefined },
        { criticality: "rx", pins: 0, heldMs: 350, origin: undefined },
        { criticality: "channel", pins: 2, heldMs: 340, origin: undefined },
        { criticality: "tx", pins: 0, heldMs: 240, origin: undefined },
        { criticality: "channel", pins: 0, heldMs: 240, origin: undefined },
        { criticality: "tx", pins: 0, heldMs: 160, origin: undefined }
      ],
      counters: {
        unavailable: 1,
        refused: 1,
        misuse: 1,
        leaks: 0,
        takes: 8,
        handOffs: 2,
        passedOn: 1,
        declined: 1,
        wakesThrown: 0,
        created: 6,
        creationsFailed: 0
      },
      waits: undefined
    })
    assert.deepStrictEqual(snapshot.waits, {
      count: 2,
      totalMs: 160,
      buckets: Array.from({ length: 22 }, (_, bucket) => bucket === 7 ? 2 : 0)
    })
    assert.deepStrictEqual(snapshot.waiting.slice(0, 3), [
      { target: "e", criticality: "endpoint", state: "queued", forMs: 280 },
      { target: "e2", criticality: "endpoint", state: "queued", forMs: 240 },
      { target: "r", criticality: "rx", state: "queued", forMs: 320 }
    ])
    assert.match(String(snapshot.waiting[3]?.target), /^fiber #\d+$/)
    assert.deepStrictEqual({ ...snapshot.waiting[3], target: undefined }, {
      target: undefined,
      criticality: "rx",
      state: "queued",
      forMs: 0
    })
    assert.deepStrictEqual(snapshot.waiting.slice(4), [
      { target: "p", criticality: "tx", state: "granted", forMs: 160 }
    ])
    assert.deepStrictEqual(pool.waitQueue.pressureUnsafe(), { queued: 4, oldestWaitMs: 320 })
    assert.deepStrictEqual(yield* pool.waitQueue.waiting, snapshot.waiting)
    for (const at of Object.values(waiters)) pool.waitQueue.leaveUnsafe(at)
    for (let pin = 0; pin < 2; pin++) pool.unpinUnsafe(response)
    pool.giveBackUnsafe(request)
  }).pipe(Effect.scoped))

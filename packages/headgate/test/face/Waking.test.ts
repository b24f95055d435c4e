/**
 * Waiters of one's own, and what their wakes may do: throw, decline, come back in, end each other (L11). And the one place
 * where nobody waits: inside a run.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import { BufferMisuse, WaitRefused } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import type { Waiter } from "headgate/WaitQueue"
import {
  broken,
  causeOf,
  give,
  hold,
  isBuffer,
  logged,
  manual,
  must,
  patient,
  type Pool,
  row,
  start,
  stepped
} from "./harness.ts"

const lawful = (pool: Pool): void => {
  expect(broken(Effect.runSync(pool.snapshot), Effect.runSync(pool.waitQueue.waiting))).toEqual([])
}

describe("a wake", () => {
  it.effect("that throws declines: it is logged once, counted, and the next is served in the same step", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(4)
        const bad = pool.waitQueue.waiter({
          target: "bad",
          criticality: "tx",
          wake: () => {
            throw new Error("a wake must not throw")
          }
        })
        for (const waiter of [bad, patient(pool, "rx", "good", news)]) pool.waitQueue.takeOrWaitUnsafe(waiter)
        pool.giveBackUnsafe(must(held[0]))
        expect([yield* row, bad.state, news]).toEqual([[3, 1, 1, 0], "idle", []])
        pool.giveBackUnsafe(must(held[1]))
        expect([yield* row, news]).toEqual([[3, 1, 0, 1], ["good granted"]])
        expect((yield* pool.snapshot).counters).toMatchObject({ wakesThrown: 1, declined: 1, passedOn: 1, handOffs: 2 })
        expect(lines).toEqual([expect.stringContaining("a wake threw; its waiter declined the buffer")])
      }).pipe((test) => manual({}, test))
    ))

  it.effect("that declines passes its buffer on, down the whole queue, in one step", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const asked: Array<string> = []
        const [first] = yield* hold(4)
        const waiters = Array.from({ length: 50 }, (_, i) =>
          pool.waitQueue.waiter({
            target: i,
            criticality: "channel",
            wake: () => {
              asked.push(String(i))
              return i === 49
            }
          }))
        for (const waiter of waiters) pool.waitQueue.takeOrWaitUnsafe(waiter)
        yield* give(first)
        expect([asked.length, yield* row]).toEqual([50, [4, 0, 0, 1]])
        expect(waiters.map(({ state }) => state)).toEqual([...waiters.slice(1).map(() => "idle"), "granted"])
        expect((yield* pool.snapshot).counters).toMatchObject({ handOffs: 50, declined: 49, passedOn: 49 })
      })
    ))

  it.effect("is delivered 64 times per step at most, and the rest by the flush", () =>
    manual(
      { limit: 200 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(200)
        for (let i = 0; i < 150; i++) pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", `waiter ${i}`, news))
        yield* pool.resize(400)
        expect([news.length, yield* row]).toEqual([64, [350, 50, 0, 150]])
        expect([yield* Stepper.flush, news.length, yield* Stepper.flush]).toEqual([86, 150, 0])
        for (const buffer of held) pool.giveBackUnsafe(buffer)
        expect(yield* row).toEqual([150, 250, 0, 150])
      })
    ))

  it.effect("of a fiber never comes inside the step that granted: only the flush resumes it", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const events: Array<string> = []
        const [first] = yield* hold(4)
        yield* start(pool.withBuffer("tx", () => Effect.sync(() => events.push("served"))))
        pool.giveBackUnsafe(must(first))
        expect([events, yield* row]).toEqual([[], [4, 0, 0, 1]])
        expect([yield* Stepper.flush, events, yield* row]).toEqual([1, ["served"], [3, 1, 0, 0]])
      })
    ))

  it.effect("of fibers in a chain of 5 000 hand-offs grows no stack: each flush serves the next", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        let served = 0
        const [first] = yield* hold(4)
        for (let i = 0; i < 5000; i++) yield* start(pool.withBufferSync("tx", () => void served++))
        yield* give(first)
        expect([served, yield* Stepper.settle, served, yield* row]).toEqual([0, 5000, 5000, [3, 1, 0, 0]])
      })
    ))
})

describe("a wake that comes back in (acceptance case 20)", () => {
  /** What a wake does, on a pool with the waiter itself, the one behind it, and a buffer that the test holds. */
  interface World {
    readonly pool: Pool
    readonly self: () => Waiter
    readonly next: Waiter
    readonly spare: ByteBuffer
    readonly taken: Array<ByteBuffer>
    readonly close: () => void
  }
  const take = ({ pool, taken }: World, waiter: Waiter): void => {
    const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
    if (isBuffer(door)) taken.push(door)
  }
  const actions: { readonly [name: string]: (world: World) => void } = {
    "takes its grant": (world) => take(world, world.self()),
    "takes its grant and queues again": (world) => {
      take(world, world.self())
      take(world, world.self())
    },
    "takes its grant and gives it back": (world) => {
      take(world, world.self())
      world.pool.giveBackUnsafe(must(world.taken.pop()))
    },
    "gives back another": ({ pool, spare }) => pool.giveBackUnsafe(spare),
    "leaves": ({ pool, self }) => pool.waitQueue.leaveUnsafe(self()),
    "leaves and queues again": (world) => {
      world.pool.waitQueue.leaveUnsafe(world.self())
      take(world, world.self())
    },
    "ends the next": ({ next, pool }) => pool.waitQueue.leaveUnsafe(next),
    "tries to take one more": ({ pool, taken }) => {
      const buffer = pool.tryTakeUnsafe("tx")
      if (buffer !== undefined) taken.push(buffer)
    },
    "resizes": ({ pool }) => void Effect.runSync(Effect.orDie(pool.resize(6))),
    "trims": ({ pool }) => Effect.runSync(pool.trim),
    "closes the pool": ({ close }) => close(),
    "favours": ({ pool }) => pool.waitQueue.favourUnsafe("rx")
  }
  const positions = { first: 0, middle: 1, last: 2 }

  describe.each(Object.entries(actions))("%s", (_, action) => {
    it.effect.each(Object.entries(positions))(
      "as the %s of three: nothing is lost, nobody forgotten",
      ([, at]) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const options = { name: "re-entered", limit: 4, reserve: 1, bufferSize: 16, debug: true }
          const pool = yield* Effect.orDie(Scope.provide(BufferPool.make(options), scope))
          const held = Array.from({ length: 4 }, () => must(pool.tryTakeUnsafe("tx")))
          const spare = must(held.pop())
          const taken: Array<ByteBuffer> = []
          let done = false
          let depth = 0
          let deepest = 0
          const waiters: Array<Waiter> = []
          for (let i = 0; i < 4; i++) {
            waiters.push(pool.waitQueue.waiter({
              target: i,
              criticality: "channel",
              wake: () => {
                deepest = Math.max(deepest, ++depth)
                if (i === at && !done) {
                  done = true
                  const close = () => Effect.runSync(Scope.close(scope, Exit.void))
                  action({ pool, self: () => must(waiters[i]), next: must(waiters[i + 1]), spare, taken, close })
                }
                depth--
                return true
              }
            }))
          }
          for (const waiter of waiters) expect(pool.waitQueue.takeOrWaitUnsafe(waiter)).toBe("queued")
          for (const buffer of held) {
            pool.giveBackUnsafe(buffer)
            lawful(pool)
          }
          expect([done, deepest], "the wake came, and no wake came inside another").toEqual([true, 1])
          for (let rounds = 0; rounds < 10; rounds++) {
            for (const waiter of waiters) {
              if (waiter.state !== "granted") continue
              const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
              if (isBuffer(door)) taken.push(door)
              lawful(pool)
            }
            for (const buffer of taken.splice(0)) pool.giveBackUnsafe(buffer)
            lawful(pool)
          }
          if (spare.room > 0) pool.giveBackUnsafe(spare)
          for (const waiter of waiters) if (waiter.state === "granted") pool.waitQueue.leaveUnsafe(waiter)
          expect((yield* pool.snapshot).used).toBe(0)
          expect(waiters.map(({ state }) => state)).toEqual(["idle", "idle", "idle", "idle"])
          yield* Scope.close(scope, Exit.void)
          expect((yield* pool.snapshot).allocated).toBe(0)
        })
    )
  })
})

describe("a waiter", () => {
  it.effect("queued twice is queued once and keeps its place; granted, it is given the very same buffer once", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(4)
        const [first, second] = [patient(pool, "tx", "first", news), patient(pool, "tx", "second", news)]
        for (const waiter of [first, second, first]) expect(pool.waitQueue.takeOrWaitUnsafe(waiter)).toBe("queued")
        expect(yield* row).toEqual([4, 0, 2, 0])
        yield* give(held[0])
        expect([news, yield* row]).toEqual([["first granted"], [4, 0, 1, 1]])
        expect(isBuffer(pool.waitQueue.takeOrWaitUnsafe(first))).toBe(true)
        expect([pool.waitQueue.takeOrWaitUnsafe(first), yield* row]).toEqual(["queued", [4, 0, 2, 0]])
        pool.waitQueue.leaveUnsafe(second)
        pool.waitQueue.leaveUnsafe(second)
        expect(yield* row).toEqual([4, 0, 1, 0])
      })
    ))
})

describe("inside a run nobody waits", () => {
  it.effect("withBuffer, withBufferSync and acquire take what is free, or fail at once with WaitRefused", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const outcomes: Array<string> = []
        const attempt = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
          Effect.map(Effect.exit(effect), (exit) => {
            const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
            const error = reason?._tag === "Fail" ? reason.error : undefined
            outcomes.push(error instanceof WaitRefused ? `${error.why} at ${error.criticality}` : exit._tag)
          })
        const task = yield* Task.make(() =>
          Effect.gen(function*() {
            yield* attempt(pool.withBuffer("rx", () => Effect.void))
            yield* attempt(pool.withBufferSync("rx", () => 1))
            yield* attempt(Effect.scoped(pool.acquire("tx")))
            const child = yield* Effect.forkChild(attempt(pool.withBuffer("channel", () => Effect.void)), {
              startImmediately: true
            })
            expect(child.pollUnsafe()).toBeDefined()
          })
        )
        yield* Stepper.runTasks
        expect(outcomes.splice(0)).toEqual(["Success", "Success", "Success", "Success"])
        const held = yield* hold(4)
        task.wakeUnsafe("io")
        yield* Stepper.runTasks
        expect(outcomes).toEqual(["insideRun at rx", "insideRun at rx", "insideRun at tx", "insideRun at channel"])
        expect([yield* row, (yield* pool.snapshot).counters.refused]).toEqual([[4, 0, 0, 0], 4])
        for (const buffer of held) pool.giveBackUnsafe(buffer)
      })
    ))

  it.effect("but a fiber that a run forked, and that outlives it, may wait again", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(4)
        const gate = yield* Deferred.make<void>()
        const events: Array<string> = []
        const task = yield* Task.make((self) =>
          Effect.asVoid(Effect.forkIn(
            Effect.andThen(
              Deferred.await(gate),
              pool.withBuffer("tx", () => Effect.sync(() => events.push("served")))
            ),
            self.scope,
            { startImmediately: true }
          ))
        )
        yield* Stepper.runTasks
        yield* Deferred.succeed(gate, undefined)
        expect(yield* row).toEqual([4, 0, 1, 0])
        yield* give(held[0])
        expect([yield* Stepper.settle, events, yield* row]).toEqual([1, ["served"], [3, 1, 0, 0]])
        yield* task.end
      })
    ))

  it.effect("and who nests against the order is told so with debug, before it can freeze anybody", () =>
    manual(
      { limit: 6, reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const nested = (outer: "rx" | "channel", inner: "rx" | "channel") =>
          Effect.exit(pool.withBuffer(outer, () => pool.withBuffer(inner, () => Effect.void)))
        expect((yield* nested("rx", "channel"))._tag).toBe("Success")
        for (const [outer, inner] of [["rx", "rx"], ["channel", "rx"], ["channel", "channel"]] as const) {
          const cause = causeOf(yield* nested(outer, inner))
          expect(cause).toContain(`holds a buffer at "${outer}" (margin ${outer === "rx" ? 3 : 1})`)
          expect(cause).toContain(`asks for one at "${inner}" (margin ${inner === "rx" ? 3 : 1})`)
        }
        expect(yield* row).toEqual([0, 6, 0, 0])
      })
    ))
})

it("a buffer that comes back between a fiber's try and its wait is its own, wherever the yields fall", () => {
  for (const pick of [0, 1]) {
    for (let steps = 0; steps < 12; steps++) {
      const { fork, pool, run, scheduler } = stepped({ limit: 2, reserve: 1 })
      const held = [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
      const fiber = fork(pool.withBuffer("tx", ({ size }) => Effect.succeed(size)))
      for (let step = 0; step < steps; step++) scheduler.step()
      pool.giveBackUnsafe(must(held[0]))
      while (scheduler.step(pick)) { /* the fiber first, or the wake that it has not come to wait for yet */ }
      expect(fiber.pollUnsafe(), `after ${steps} steps, pick ${pick}`).toEqual(Exit.succeed(8))
      expect(run(pool.snapshot)).toMatchObject({ used: 1, waiting: [], counters: { passedOn: 0, wakesThrown: 0 } })
    }
  }
})

describe("a fiber that holds several buffers", () => {
  it.effect("and gave back the last is still held, with debug, to the order of those before it", () =>
    manual(
      { limit: 9, reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const nested = (last: "rx" | "endpoint") =>
          Effect.scoped(Effect.gen(function*() {
            yield* pool.acquire("rx")
            yield* Effect.scoped(pool.acquire("endpoint"))
            yield* pool.acquire(last)
            return "had it"
          }))
        expect(yield* nested("endpoint")).toBe("had it")
        expect(causeOf(yield* Effect.exit(nested("rx")))).toContain("strictly decreasing margin")
        expect(yield* row).toEqual([0, 9, 0, 0])
      })
    ))
})

describe("a fiber that holds a buffer from tryAcquire", () => {
  it.effect("and waits for another against the order is told so with debug, as one that waited for the first", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const nested = Effect.scoped(Effect.andThen(pool.tryAcquire("rx"), pool.acquire("rx")))
        expect(causeOf(yield* Effect.exit(nested))).toContain("strictly decreasing margin")
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("which freezes two of them for ever, if nobody says so", () =>
    manual(
      { limit: 3, debug: false },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const gate = yield* Deferred.make<void>()
        const nested = Effect.scoped(
          pool.tryAcquire("rx").pipe(Effect.andThen(Deferred.await(gate)), Effect.andThen(pool.acquire("rx")))
        )
        const fibers = [yield* start(nested), yield* start(nested)]
        expect(yield* row).toEqual([2, 1, 0, 0])
        yield* Deferred.succeed(gate, undefined)
        yield* Stepper.settle
        expect([yield* row, fibers.map((fiber) => causeOf(fiber.pollUnsafe()))]).toEqual([
          [2, 1, 2, 0],
          ["running", "running"]
        ])
      })
    ))
})

describe("two pools never mix", () => {
  const both = (test: (a: Pool, b: Pool) => void) =>
    manual(
      { name: "a" },
      Effect.gen(function*() {
        const a = yield* BufferPool
        const b = yield* Effect.orDie(BufferPool.make({ name: "b", limit: 4, reserve: 1, bufferSize: 16, debug: true }))
        test(a, b)
        for (const pool of [a, b]) lawful(pool)
      })
    )

  it.effect("a buffer of one, given back to or pinned at the other, is a defect that changes neither", () =>
    both((a, b) => {
      const buffer = must(a.tryTakeUnsafe("tx"))
      for (const door of [b.giveBackUnsafe, b.pinUnsafe, b.unpinUnsafe]) {
        expect(() => door(buffer)).toThrow(BufferMisuse)
      }
      expect(() => b.giveBackUnsafe(buffer)).toThrow("a buffer of pool \"a\" was handed to this one")
      const used = (pool: Pool) => Effect.runSync(pool.snapshot).used
      expect([used(a), used(b), buffer.room]).toEqual([1, 0, 16])
      a.giveBackUnsafe(buffer)
      expect([used(a), used(b)]).toEqual([0, 0])
    }))

  it.effect("a waiter of one, brought to the other's door, is a defect that changes neither", () =>
    both((a, b) => {
      const news: Array<string> = []
      for (let i = 0; i < 4; i++) a.tryTakeUnsafe("tx")
      for (let i = 0; i < 4; i++) b.tryTakeUnsafe("tx")
      const waiter = patient(a, "tx", "of a", news)
      expect(() => b.waitQueue.takeOrWaitUnsafe(waiter)).toThrow(BufferMisuse)
      expect(a.waitQueue.takeOrWaitUnsafe(waiter)).toBe("queued")
      expect(() => b.waitQueue.leaveUnsafe(waiter)).toThrow(BufferMisuse)
      expect(waiter.state).toBe("queued")
    }))

  it.effect("and a second pool of the same name in a process logs a line, the first does not", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const one = BufferPool.make({ name: "twin", limit: 2, bufferSize: 16 })
        yield* Effect.scoped(one)
        yield* Effect.scoped(one)
        expect(lines).toEqual([])
        yield* Effect.scoped(Effect.andThen(one, one))
        expect(lines).toEqual([expect.stringContaining("pool \"twin\" now exists 2 times")])
      })
    ))
})

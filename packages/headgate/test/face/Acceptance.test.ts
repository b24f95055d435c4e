/**
 * Cases that the pools of other languages are tested with, as far as they touch the face. (13 is in Closing.test.ts, 20 in
 * Waking.test.ts.) Rows are `[used, free, queued, granted]`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { BufferPool } from "headgate/BufferPool"
import { AllocationFailed, BufferMisuse, BufferUnavailable } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import { broken, causeOf, classes, give, hold, manual, must, patient, row, start, stepped } from "./harness.ts"

const noMemory = new Error("no memory")

describe("11: memory that cannot be had", () => {
  it.effect.each([1, 2, 3])(
    "while the pool is made, at creation %s of the reserve's: it is not made",
    (k) =>
      Effect.gen(function*() {
        let creations = 0
        const allocate = (size: number) => {
          if (++creations === k) throw noMemory
          return new Uint8Array(size)
        }
        const made = BufferPool.make({ name: "never made", limit: 6, reserve: 2, bufferSize: 16, allocate })
        const error = yield* Effect.flip(Effect.scoped(made))
        expect(error).toBeInstanceOf(AllocationFailed)
        expect(error).toMatchObject({ pool: "never made", bufferSize: 16, allocated: k - 1, cause: noMemory })
      })
  )

  it.effect.each([4, 5, 6])(
    "later, at creation %s: the buffer is not counted, and the next who waits has a chance",
    (k) => {
      let creations = 0
      const allocate = (size: number) => {
        if (++creations === k) throw noMemory
        return new Uint8Array(size)
      }
      return manual(
        { limit: 6, reserve: 2, allocate },
        Effect.gen(function*() {
          const pool = yield* BufferPool
          const news: Array<string> = []
          const held = yield* hold(k - 1)
          expect([creations, yield* row]).toEqual([k - 1, [k - 1, 7 - k, 0, 0]])
          const error = yield* Effect.flip(Effect.scoped(pool.tryAcquire("tx")))
          expect(error).toBeInstanceOf(BufferUnavailable)
          expect(error).toMatchObject({ used: k - 1, limit: 6, cause: expect.any(AllocationFailed) })
          expect([yield* row, (yield* pool.snapshot).allocated]).toEqual([[k - 1, 7 - k, 0, 0], k - 1])
          const again = yield* hold(7 - k)
          expect(yield* row).toEqual([6, 0, 0, 0])
          pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", "next", news))
          for (const buffer of [...again, ...held]) pool.giveBackUnsafe(buffer)
          expect([yield* row, news, (yield* pool.snapshot).counters.creationsFailed]).toEqual([
            [1, 5, 0, 1],
            ["next granted"],
            1
          ])
        })
      )
    }
  )

  it.effect("for a fiber: it waits as in any shortage, and the next give-back serves it", () => {
    let memory = 3
    const allocate = (size: number) => {
      if (--memory < 0) throw noMemory
      return new Uint8Array(size)
    }
    return manual(
      { limit: 6, reserve: 2, allocate },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(3)
        const fiber = yield* start(pool.withBuffer("tx", () => Effect.succeed("served")))
        expect([yield* row, (yield* pool.snapshot).capacity]).toEqual([[3, 0, 1, 0], 3])
        yield* give(held[0])
        expect([yield* row, (yield* pool.snapshot).capacity]).toEqual([[3, 3, 0, 1], 6])
        expect([yield* Stepper.flush, causeOf(fiber.pollUnsafe()), yield* row]).toEqual([1, "success", [2, 4, 0, 0]])
      })
    )
  })
})

describe("15: a buffer on its way from its releaser to who waits", () => {
  it("is never to be seen as free, at any step of the scheduler, from the first wait to the last", () => {
    const { fork, pool, scheduler } = stepped({ limit: 2, reserve: 1, ageAfter: Infinity })
    let served = 0
    const fibers = Array.from(
      { length: 20 },
      () => fork(pool.withBuffer("tx", () => Effect.andThen(Effect.yieldNow, Effect.sync(() => served++))))
    )
    let looks = 0
    let grants = 0
    while (scheduler.step()) {
      const { classes: { tx }, free } = Effect.runSync(pool.snapshot)
      const waiting = Effect.runSync(pool.waitQueue.waiting)
      if (tx.waiting > 0) {
        looks++
        expect(free).toBe(0)
      }
      grants += waiting.length - tx.waiting
    }
    expect([served, fibers.every((fiber) => fiber.pollUnsafe() !== undefined)]).toEqual([20, true])
    expect(looks).toBeGreaterThan(50)
    expect(grants, "grants were seen before their fibers came").toBeGreaterThan(10)
  })
})

describe("22: another limit", () => {
  it.effect("growing serves exactly as many as fit; shrinking below what is lent absorbs what comes back", () =>
    manual(
      { limit: 4, reserve: 1 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(4)
        const fibers = yield* Effect.forEach([0, 1, 2, 3, 4], () => start(pool.withBuffer("tx", () => Effect.never)))
        expect(yield* row).toEqual([4, 0, 5, 0])
        yield* pool.resize(7)
        expect(yield* row).toEqual([7, 0, 2, 3])
        expect([yield* Stepper.flush, yield* row]).toEqual([3, [7, 0, 2, 0]])
        yield* pool.resize(3)
        const capacities: Array<unknown> = []
        for (const buffer of held) {
          pool.giveBackUnsafe(buffer)
          capacities.push([(yield* pool.snapshot).capacity, ...(yield* row)])
        }
        expect(capacities).toEqual([[6, 6, 0, 2, 0], [5, 5, 0, 2, 0], [4, 4, 0, 2, 0], [3, 3, 0, 2, 0]])
        must(fibers[0]).interruptUnsafe()
        expect([yield* row, (yield* pool.snapshot).capacity]).toEqual([[3, 0, 1, 1], 3])
      })
    ))

  it.effect("that is not above the reserve is refused with field, value and rule, and changes nothing", () =>
    manual(
      { limit: 4, reserve: 2 },
      Effect.gen(function*() {
        const before = yield* BufferPool.snapshot
        for (const limit of [2, 1, 0, -1, 1.5, Number.NaN]) {
          const error = yield* Effect.flip(BufferPool.resize(limit))
          expect(error.problems.map(({ value }) => value)).toContainEqual(limit)
        }
        expect(yield* BufferPool.snapshot).toEqual(before)
      })
    ))
})

describe("26: giving back too often", () => {
  it.effect("is a defect that names the pool, and never more capacity", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const [first, second] = yield* hold(2)
        yield* give(first)
        const before = yield* pool.snapshot
        for (let i = 0; i < 3; i++) {
          expect(() => pool.giveBackUnsafe(must(first))).toThrow(BufferMisuse)
          expect(() => pool.giveBackUnsafe(must(first))).toThrow("pool \"default\": a buffer was given back twice")
        }
        const { counters: { misuse, ...counters }, ...after } = yield* pool.snapshot
        expect({ ...after, counters }).toEqual({ ...before, counters: { ...before.counters, misuse: undefined } })
        expect([misuse, yield* row]).toEqual([6, [1, 3, 0, 0]])
        yield* give(second)
        const scoped = yield* Effect.exit(
          Effect.scoped(Effect.flatMap(pool.acquire("tx"), (buffer) => Effect.sync(() => pool.giveBackUnsafe(buffer))))
        )
        expect([scoped._tag, yield* row], "a finalizer after a give-back by hand is harmless").toEqual(["Success", [
          0,
          4,
          0,
          0
        ]])
      })
    ))
})

describe("28: the head of a queue is cancelled", () => {
  it.effect("with buffers free that neither may take: the next moves up, and has the next that may be taken", () =>
    manual(
      { limit: 4, reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(2)
        const [head, next] = [
          yield* start(pool.withBuffer("rx", () => Effect.void)),
          yield* start(pool.withBuffer("rx", () => Effect.void))
        ]
        expect(yield* row).toEqual([2, 2, 2, 0])
        head.interruptUnsafe()
        expect([yield* row, causeOf(next.pollUnsafe())]).toEqual([[2, 2, 1, 0], "running"])
        yield* give(held[0])
        expect(yield* row).toEqual([1, 3, 1, 0])
        yield* give(held[1])
        expect([yield* row, yield* Stepper.flush, causeOf(next.pollUnsafe())]).toEqual([[1, 3, 0, 1], 1, "success"])
      })
    ))

  it.effect("after its grant: the next in line is served in the same step, in its own class or in another", () =>
    manual(
      { limit: 4, reserve: 1 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        for (const [mine, others] of [["tx", "tx"], ["tx", "endpoint"], ["channel", "endpoint"]] as const) {
          const held = yield* hold(4)
          const head = yield* start(pool.withBuffer(mine, () => Effect.die("must not be served")))
          const next = yield* start(pool.withBuffer(others, () => Effect.succeed("served")))
          const before = (yield* pool.snapshot).counters
          yield* give(held[0])
          expect(yield* row).toEqual([4, 0, 1, 1])
          head.interruptUnsafe()
          expect(yield* row).toEqual([4, 0, 0, 1])
          expect([yield* Stepper.flush, next.pollUnsafe()]).toEqual([1, Exit.succeed("served")])
          const after = (yield* pool.snapshot).counters
          expect([after.handOffs - before.handOffs, after.passedOn - before.passedOn]).toEqual([2, 1])
          for (const buffer of held.slice(1)) pool.giveBackUnsafe(buffer)
          expect(yield* row).toEqual([0, 4, 0, 0])
        }
      })
    ))
})

describe("29: a caller that is interrupted", () => {
  it.effect("already gets nothing, even if buffers are free", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const doors: ReadonlyArray<() => Effect.Effect<unknown, unknown>> = [
          () => pool.withBuffer("tx", () => Effect.die("must not run")),
          () => pool.withBufferSync("tx", () => must<never>(undefined)),
          () => Effect.scoped(pool.acquire("tx")),
          () => Effect.scoped(pool.tryAcquire("tx"))
        ]
        for (const door of doors) {
          const fiber = yield* start(Effect.withFiber((fiber) => {
            fiber.interruptUnsafe()
            return door()
          }))
          expect(causeOf(fiber.pollUnsafe())).toContain("Interrupt")
        }
        expect([(yield* pool.snapshot).counters.takes, yield* row]).toEqual([0, [0, 4, 0, 0]])
      })
    ))

  it.effect("in the step in which it was granted, before or after, passes the buffer on in that step", () =>
    Effect.gen(function*() {
      for (const first of ["interrupt", "give back"] as const) {
        for (const at of classes) {
          yield* manual(
            { name: `${first} ${at}` },
            Effect.gen(function*() {
              const pool = yield* BufferPool
              const held = yield* hold(4)
              const target = yield* start(Effect.scoped(pool.acquire(at)))
              const next = yield* start(Effect.scoped(Effect.as(pool.acquire("rx"), "served")))
              expect(yield* row).toEqual([4, 0, 2, 0])
              if (first === "interrupt") target.interruptUnsafe()
              for (const buffer of held.splice(0)) pool.giveBackUnsafe(buffer)
              if (first === "give back") target.interruptUnsafe()
              expect([yield* row, causeOf(target.pollUnsafe()).includes("Interrupt")]).toEqual([[1, 3, 0, 1], true])
              expect(broken(yield* pool.snapshot, yield* pool.waitQueue.waiting)).toEqual([])
              expect([yield* Stepper.flush, next.pollUnsafe(), yield* row]).toEqual([1, Exit.succeed("served"), [
                0,
                4,
                0,
                0
              ]])
            })
          )
        }
      }
    }))
})

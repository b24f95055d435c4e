/** What each fault provokes, to the last count. */
import { assert, describe, expect, it } from "@effect/vitest"
import {
  busyRunQueue,
  DecliningWaiter,
  FaultyAllocator,
  layerBusyRunQueue,
  layerSlowHolders,
  slowHolder,
  slowHolders,
  ThrownOnPurpose
} from "@headgate/testing/Faults"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { BufferPool, type BufferPoolOptions } from "headgate/BufferPool"
import * as Headgate from "headgate/Headgate"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"

const small: BufferPoolOptions = { limit: 3, reserve: 1, bufferSize: 8, ageAfter: "Infinity" }

const taken = (pool: BufferPool["Service"]) => {
  const buffer = pool.tryTakeUnsafe("tx")
  assert(buffer !== undefined)
  return buffer
}

describe("a faulty allocator", () => {
  it.effect("makes a shortage: the third buffer cannot be had, and the next try has it", () =>
    Effect.gen(function*() {
      const allocator = new FaultyAllocator((creation) => creation === 2)
      const pool = yield* BufferPool.make({ ...small, allocate: allocator.allocate })
      taken(pool)
      taken(pool)
      expect((yield* Effect.scoped(Effect.flip(pool.tryAcquire("tx")))).message).toContain("no memory for creation 2")
      expect([allocator.asked, allocator.failed]).toEqual([3, 1])
      taken(pool)
      expect((yield* pool.snapshot).counters).toMatchObject({ created: 3, creationsFailed: 1 })
    }))

  it.effect("fails so many times when it is told to", () =>
    Effect.gen(function*() {
      const allocator = new FaultyAllocator()
      const pool = yield* BufferPool.make({ ...small, allocate: allocator.allocate })
      taken(pool)
      taken(pool)
      allocator.failNext(2)
      expect([1, 2, 3].map(() => pool.tryTakeUnsafe("tx") === undefined)).toEqual([true, true, false])
    }))

  it.effect("leaves no pool when one of the first creations fails", () =>
    Effect.gen(function*() {
      const allocator = new FaultyAllocator((creation) => creation === 1)
      const failure = yield* Effect.flip(BufferPool.make({ ...small, allocate: allocator.allocate }))
      expect(failure).toMatchObject({ _tag: "AllocationFailed", allocated: 1, cause: expect.any(ThrownOnPurpose) })
    }))
})

describe("a declining waiter", () => {
  it.effect.each(["decline", "throw"] as const)(
    "passes what it is granted on to the next: %s",
    (how) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool.make(small)
        const buffers = [taken(pool), taken(pool), taken(pool)]
        const fault = new DecliningWaiter(pool, { criticality: "tx", how, target: "the fault" })
        const next = pool.waitQueue.waiter({ target: "next", criticality: "tx", wake: () => true })
        expect([fault.ask(), fault.ask(), pool.waitQueue.takeOrWaitUnsafe(next)]).toEqual([
          "queued",
          "queued",
          "queued"
        ])
        pool.giveBackUnsafe(buffers[0] ?? taken(pool))
        expect([fault.news, fault.waiter.state, next.state]).toEqual([["granted"], "idle", "granted"])
        const { declined, passedOn, wakesThrown } = (yield* pool.snapshot).counters
        expect({ declined, passedOn, wakesThrown }).toEqual({
          declined: 1,
          passedOn: 1,
          wakesThrown: how === "throw" ? 1 : 0
        })
        pool.waitQueue.leaveUnsafe(next)
        expect([fault.ask(), (yield* pool.snapshot).used]).toEqual(["taken", 2])
      }).pipe(Effect.scoped)
  )

  it.effect("leaves, and is told when the pool closes", () =>
    Effect.gen(function*() {
      const { fault, pool } = yield* Effect.scoped(Effect.gen(function*() {
        const pool = yield* BufferPool.make(small)
        for (let held = 0; held < 3; held++) taken(pool)
        const fault = new DecliningWaiter(pool, { criticality: "rx" })
        fault.ask()
        fault.leave()
        expect([fault.waiter.state, (yield* pool.snapshot).waiting]).toEqual(["idle", []])
        fault.ask()
        return { fault, pool }
      }))
      expect([fault.news, fault.ask(), pool.isClosedUnsafe()]).toEqual([["closed"], "closed", true])
    }))
})

describe("a slow holder", () => {
  it.effect("keeps its buffer for exactly so long", () =>
    Effect.gen(function*() {
      const used = Effect.map(BufferPool.snapshot, (pool) => pool.used)
      yield* Effect.forkScoped(slowHolder("rx", "10 seconds"), { startImmediately: true })
      yield* TestClock.adjust("9 seconds")
      expect(yield* used).toBe(1)
      yield* TestClock.adjust("1 second")
      expect(yield* used).toBe(0)
    }).pipe(Effect.provide(BufferPool.layer(small))))

  it.effect("starves those who need what it holds, again and again, as long as its scope", () =>
    Effect.gen(function*() {
      const waited = Effect.timeout(BufferPool.withBuffer("rx", () => Effect.void), "5 seconds")
      const once = yield* Effect.forkScoped(Effect.flip(waited), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      expect((yield* Fiber.join(once))._tag).toBe("TimeoutError")
      const { counters, used } = yield* BufferPool.snapshot
      expect({ used, takes: counters.takes }).toEqual({ used: 2, takes: 2 })
      yield* TestClock.adjust("15 seconds")
      expect((yield* BufferPool.snapshot).counters.takes).toBe(6)
    }).pipe(
      Effect.provide(
        layerSlowHolders({ count: 2, criticality: "rx", holds: "10 seconds" }).pipe(
          Layer.provideMerge(BufferPool.layer(small))
        )
      )
    ))

  it.effect("goes when its scope closes, and is over when the pool is", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make(small)
      yield* Effect.scoped(Effect.gen(function*() {
        yield* slowHolders({ count: 2, criticality: "tx", holds: "1 second" })
        expect((yield* pool.snapshot).used).toBe(2)
      })).pipe(Effect.provideService(BufferPool, pool))
      expect((yield* pool.snapshot).used).toBe(0)
    }))
})

describe("a busy run queue", () => {
  const queued = Effect.flatMap(TaskScheduler, (scheduler) => scheduler.snapshot)

  it.effect("keeps the queue full and takes no buffer; whoever is woken waits for its turn, and has it", () =>
    Effect.gen(function*() {
      const runs: Array<number> = []
      const task = yield* Task.make(() => Effect.sync(() => runs.push(runs.length)))
      const rounds: Array<number> = []
      for (let round = 0; round < 4; round++) rounds.push(yield* Stepper.runTasks)
      expect(rounds).toEqual([4, 3, 3, 0])
      expect([runs, (yield* BufferPool.snapshot).counters.takes]).toEqual([[0], 0])
      task.wakeUnsafe("io")
      expect([yield* Stepper.runTasks, runs]).toEqual([1, [0, 1]])
    }).pipe(
      Effect.provide(
        layerBusyRunQueue({ entries: 3, runs: 3 }).pipe(Layer.provideMerge(Headgate.layerManual({ limit: 2 })))
      )
    ))

  it.effect("leaves the queue when its scope closes", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* busyRunQueue({ entries: 2, runs: Infinity })
        yield* Stepper.runTasks
        expect(yield* queued).toMatchObject({ runQueueLength: 2, entities: 2, starts: 2 })
      }))
      expect(yield* queued).toMatchObject({ runQueueLength: 0, entities: 0, failed: 0 })
      yield* busyRunQueue({ entries: 2, runs: 0 })
      expect(yield* Stepper.runTasks).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual({ limit: 2 }))))
})

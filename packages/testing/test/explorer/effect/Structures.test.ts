/**
 * Effect's own structures under every schedule, within the bounds that each test's name states. Their state cannot be
 * counted, so nothing is left out as equivalent. What does not hold in Effect 4.1.0 is in Faults.test.ts. With
 * `HEADGATE_FULL=1` the bounds are those of `pnpm verify`.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { describe } from "vitest"
import type { Explored, ExploreOptions, World } from "../../../src/Explorer.ts"
import { it } from "../../../src/vitest.ts"
import { ended, published, queued } from "./messages.ts"
import {
  partitionedIfAvailable,
  partitionedTakeAndRelease,
  partitionedWithPermits,
  takeAndRelease,
  takeScoped,
  transactionalTakeAndRelease,
  transactionalWithPermits,
  visited,
  withPermits,
  withPermitsIfAvailable
} from "./permits.ts"
import { mapped, pooled } from "./resources.ts"

const isFull = process.env["HEADGATE_FULL"] === "1"

type Bounds = readonly [ExploreOptions, ...ReadonlyArray<ExploreOptions>]

/** One program under the quick bounds, or also under those for `pnpm verify`. */
const holds = (
  name: string,
  make: (world: World) => Explored,
  quick: Bounds,
  full: ReadonlyArray<ExploreOptions> = []
): void => {
  for (const bounds of isFull ? [...quick, ...full] : quick) {
    it.explore(name, make, { maxSchedules: 5_000_000, ...bounds })
  }
}

const quiet = (preemptions: number): ExploreOptions => ({ preemptions })
const interrupted = (preemptions: number): ExploreOptions => ({ preemptions, interrupts: 1 })
const failing = (preemptions: number): ExploreOptions => ({ preemptions, faults: 1 })
/** Two interruptions are too many to try all. */
const random = (schedules: number): ExploreOptions => ({ interrupts: 2, random: { schedules } })

describe("Semaphore", () => {
  holds("withPermits, 2 fibers, 1 permit", visited(withPermits, 1, 1, 1), [quiet(2), interrupted(1)], [
    quiet(3),
    interrupted(2)
  ])
  holds("withPermits, 3 fibers, 1 permit", visited(withPermits, 1, 1, 1, 1), [quiet(1), random(300)], [
    quiet(2),
    interrupted(1),
    random(50_000)
  ])
  holds("withPermits, requests of 1, 2 and 1 of 2 permits", visited(withPermits, 2, 1, 2, 1), [quiet(1), random(300)], [
    quiet(2),
    interrupted(1),
    random(50_000)
  ])
  holds("takeScoped, 2 fibers, 1 permit", visited(takeScoped, 1, 1, 1), [quiet(1), interrupted(0)], [
    quiet(2),
    interrupted(1),
    random(20_000)
  ])
  holds("take and release, 2 fibers, 1 permit", visited(takeAndRelease, 1, 1, 1), [quiet(1), interrupted(0)], [
    quiet(2),
    interrupted(1)
  ])
  holds("withPermitsIfAvailable, 2 fibers, 1 permit", visited(withPermitsIfAvailable, 1, 1, 1), [
    quiet(2),
    interrupted(1)
  ], [interrupted(2)])
})

describe("PartitionedSemaphore", () => {
  holds("withPermits, 2 fibers, 1 permit, nobody interrupted", visited(partitionedWithPermits, 1, 1, 1), [quiet(2)], [
    quiet(3)
  ])
  holds(
    "withPermits, requests of 1, 2 and 1 of 2 permits, nobody interrupted",
    visited(partitionedWithPermits, 2, 1, 2, 1),
    [quiet(1)],
    [quiet(2)]
  )
  holds("take and release, 2 fibers, 1 permit", visited(partitionedTakeAndRelease, 1, 1, 1), [interrupted(0)], [
    interrupted(1)
  ])
  holds("withPermitsIfAvailable, 2 fibers, 1 permit", visited(partitionedIfAvailable, 1, 1, 1), [
    quiet(2),
    interrupted(1)
  ], [interrupted(2)])
})

describe("TxSemaphore", () => {
  holds("withPermits, 2 fibers, 1 permit, nobody interrupted", visited(transactionalWithPermits, 1, 1, 1), [quiet(1)], [
    quiet(2)
  ])
  holds("acquire and release, 2 fibers, 1 permit", visited(transactionalTakeAndRelease, 1, 1, 1), [interrupted(0)], [
    interrupted(1)
  ])
})

describe("Pool", () => {
  for (const borrowing of ["use", "get"] as const) {
    holds(`${borrowing}, 2 fibers, 1 item`, pooled({ max: 1 }, borrowing, 2), [quiet(1), interrupted(0)], [
      quiet(2),
      interrupted(1)
    ])
    holds(`${borrowing}, 3 fibers, 2 items`, pooled({ max: 2 }, borrowing, 3), [random(200)], [
      quiet(1),
      interrupted(0),
      random(20_000)
    ])
  }
  holds("use and invalidate, 2 fibers, 1 item", pooled({ max: 1 }, "useAndInvalidate", 2), [quiet(0)], [
    quiet(1),
    interrupted(0)
  ])
  holds("2 users an item, 3 fibers", pooled({ max: 1, usersEach: 2 }, "use", 3), [random(200)], [
    quiet(1),
    interrupted(0)
  ])
  holds("an acquisition fails, 2 fibers, 1 item", pooled({ max: 1 }, "use", 2), [failing(0)], [failing(1)])
  holds("growing from 0 to 1, 2 fibers, nobody interrupted", pooled({ min: 0, max: 1 }, "use", 2), [quiet(0)], [
    quiet(1)
  ])
})

describe("Queue", () => {
  for (const capacity of [0, 1]) {
    const of = `capacity ${capacity}`
    holds(
      `take, ${of}, 2 producers, 2 consumers`,
      queued(capacity, "take", { producers: 2, consumers: 2 }),
      [quiet(1)],
      [
        quiet(2)
      ]
    )
    holds(
      `take, ${of}, 2 producers, a consumer interrupted`,
      queued(capacity, "take", { producers: 2, consumers: 1, victims: "consumers" }),
      [interrupted(1)],
      [interrupted(2)]
    )
    holds(
      `takeAll, ${of}, 2 producers, a consumer interrupted`,
      queued(capacity, "takeAll", { producers: 2, consumers: 1, victims: "consumers" }),
      [interrupted(1)],
      [interrupted(2)]
    )
  }
  holds(
    "take, capacity 1, 2 producers, 1 of them interrupted",
    queued(1, "take", { producers: 2, consumers: 1, victims: "producers" }),
    [interrupted(1)],
    [interrupted(2)]
  )
  holds(
    "take, capacity 1, 2 producers, 2 consumers, 2 of them interrupted",
    queued(1, "take", { producers: 2, consumers: 2, victims: "consumers" }),
    [random(300)],
    [interrupted(1), random(50_000)]
  )
  holds("end, capacity 1, 2 producers", ended(1, 2), [quiet(1), interrupted(0)], [quiet(2), interrupted(1)])
})

describe("PubSub", () => {
  for (const take of ["take", "takeAll"] as const) {
    holds(
      `${take}, capacity 1, 2 publishers, 2 subscribers, nobody interrupted`,
      published(1, take, { producers: 2, consumers: 2 }),
      [quiet(1)],
      [quiet(2)]
    )
    holds(
      `${take}, capacity 1, 2 publishers, 1 of them interrupted`,
      published(1, take, { producers: 2, consumers: 1, victims: "producers" }),
      [interrupted(1)],
      [interrupted(2)]
    )
  }
})

describe("Latch", () => {
  /** Fibers that wait, and one that opens: nobody is left waiting. */
  const opened =
    (waiters: number, open: (latch: Latch.Latch) => Effect.Effect<unknown>) => (world: World): Explored => ({
      program: Effect.gen(function*() {
        const latch = yield* Latch.make()
        const names = Array.from({ length: waiters }, (_, index) => `waiter ${index + 1}`)
        const fibers = yield* Effect.forEach(names, (name) => world.fork(name, latch.whenOpen(Effect.void)))
        const opener = yield* world.fork("opener", open(latch), { victim: false })
        yield* world.await(...fibers, opener)
      })
    })
  holds("open, 1 waiter", opened(1, (latch) => latch.open), [{}, { interrupts: 1 }])
  holds("open, 2 waiters", opened(2, (latch) => latch.open), [quiet(2), interrupted(1)], [quiet(3), interrupted(2)])
  holds(
    "open, close and open, 2 waiters",
    opened(2, (latch) => Effect.andThen(Effect.andThen(latch.open, latch.close), latch.open)),
    [quiet(1), interrupted(0)],
    [quiet(2), interrupted(1)]
  )
})

describe("RcMap", () => {
  holds("get, 2 fibers, 1 key", mapped({}, 2), [quiet(1), interrupted(0)], [quiet(2), interrupted(1), random(20_000)])
  holds("get and invalidate, 2 fibers, 1 key", mapped({ invalidated: true }, 2), [quiet(1)], [interrupted(1)])
  holds("get, 2 fibers, a lookup fails", mapped({}, 2), [failing(1)], [failing(2)])
  const idle = mapped({ idle: true }, 2)
  holds("get, 2 fibers, entries live on for a while", idle, [quiet(1)], [interrupted(1)])
  holds("get, 2 fibers, entries live on, time may move at any moment", idle, [{ preemptions: 0, timers: "racy" }], [
    { preemptions: 1, timers: "racy" }
  ])
})

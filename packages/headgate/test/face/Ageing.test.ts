/** Ageing: when a class is favoured, for how long, and what that mends. Time is virtual; windows are exact. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import { Stepper } from "headgate/Stepper"
import { hold, isBuffer, manual, must, patient, row, start, stepped } from "./harness.ts"

const favoured = Effect.map(BufferPool.snapshot, ({ favoured }) => favoured ?? "nobody")

/** Nothing runs by itself here, but the ageing fiber must have gone to sleep before anybody waits. */
const rested = TestClock.adjust(0)

/** When, by the design, a head that has waited since 0 and is never served is favoured: `[from, to)` in milliseconds. */
const windows = (count: number, ageAfter: number): ReadonlyArray<readonly [from: number, to: number]> => {
  const all: Array<readonly [number, number]> = []
  for (let from = ageAfter; all.length < count;) {
    const length = Math.min(Math.max(from / 4, 250), 4000)
    all.push([from, from + length])
    from += 5 * length
  }
  return all
}

describe("a head that has waited for ageAfter", () => {
  it.effect.each(["rx", "endpoint"] as const)(
    "at %s is favoured for a quarter of its wait, 250 ms to 4 s",
    (at) =>
      manual(
        { limit: 4, reserve: 3 },
        Effect.gen(function*() {
          const pool = yield* BufferPool
          yield* rested
          yield* hold(4)
          pool.waitQueue.takeOrWaitUnsafe(patient(pool, at, "head", []))
          const lengths: Array<number> = []
          let now = 0
          const advanceTo = (time: number) => {
            const by = time - now
            now = time
            return TestClock.adjust(by)
          }
          for (const [from, to] of windows(8, 1000)) {
            yield* advanceTo(Math.ceil(from) - 1)
            expect(yield* favoured, `at ${now}`).toBe("nobody")
            yield* advanceTo(Math.ceil(from))
            expect(yield* favoured, `at ${now}`).toBe(at)
            yield* advanceTo(Math.ceil(to) - 1)
            expect(yield* favoured, `at ${now}`).toBe(at)
            yield* advanceTo(Math.ceil(to))
            expect(yield* favoured, `at ${now}`).toBe("nobody")
            lengths.push(Math.round(to - from))
          }
          expect(lengths).toEqual([250, 563, 1266, 2848, 4000, 4000, 4000, 4000])
        })
      )
  )

  it.effect("is not favoured at channel or tx, nor before that time, nor ever when ageing is off", () =>
    Effect.gen(function*() {
      yield* manual(
        { ageAfter: "Infinity" },
        Effect.gen(function*() {
          const pool = yield* BufferPool
          yield* rested
          yield* hold(4)
          for (const at of ["endpoint", "rx"] as const) pool.waitQueue.takeOrWaitUnsafe(patient(pool, at, at, []))
          for (let hour = 0; hour < 24; hour++) {
            yield* TestClock.adjust("1 hour")
            expect(yield* favoured).toBe("nobody")
          }
        })
      )
      yield* manual(
        { ageAfter: "100 millis" },
        Effect.gen(function*() {
          const pool = yield* BufferPool
          yield* rested
          yield* hold(4)
          for (const at of ["tx", "channel"] as const) pool.waitQueue.takeOrWaitUnsafe(patient(pool, at, at, []))
          for (let i = 0; i < 50; i++) {
            yield* TestClock.adjust("100 millis")
            expect(yield* favoured).toBe("nobody")
          }
        })
      )
    }))

  it.effect("is favoured after that time, whatever it is, and whoever comes in the pause after a window likewise", () =>
    manual(
      { limit: 3, reserve: 1, ageAfter: "1700 millis" },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* rested
        const held = yield* hold(3)
        const first = patient(pool, "rx", "first", [])
        pool.waitQueue.takeOrWaitUnsafe(first)
        yield* TestClock.adjust(1699)
        expect(yield* favoured).toBe("nobody")
        yield* TestClock.adjust(1)
        expect(yield* favoured).toBe("rx")
        for (const buffer of held.slice(0, 2)) pool.giveBackUnsafe(buffer)
        expect(first.state).toBe("granted")
        yield* TestClock.adjust(250)
        expect(yield* favoured).toBe("nobody")
        yield* TestClock.adjust(1000)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "rx", "second", []))
        yield* TestClock.adjust(1699)
        expect(yield* favoured).toBe("nobody")
        yield* TestClock.adjust(1)
        expect(yield* favoured).toBe("rx")
      })
    ))

  it.effect("as long as another is favoured if it is at rx", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* rested
        yield* hold(4)
        for (const at of ["endpoint", "rx"] as const) pool.waitQueue.takeOrWaitUnsafe(patient(pool, at, at, []))
        yield* TestClock.adjust("1 second")
        expect(yield* favoured).toBe("rx")
      })
    ))

  it.effect("longest is favoured, of the two classes", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* rested
        yield* hold(4)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "endpoint", "older", []))
        yield* TestClock.adjust("10 millis")
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "rx", "younger", []))
        yield* TestClock.adjust("990 millis")
        expect(yield* favoured).toBe("endpoint")
      })
    ))

  it.effect.each([[1600, "nobody"], [1400, "rx"]] as const)(
    "and is served: the window ends early, unless the next has waited as long (it came at %s ms)",
    ([came, then]) =>
      manual(
        { limit: 3, reserve: 1 },
        Effect.gen(function*() {
          const pool = yield* BufferPool
          yield* rested
          const held = yield* hold(3)
          const [head, next] = [patient(pool, "rx", "head", []), patient(pool, "rx", "next", [])]
          pool.waitQueue.takeOrWaitUnsafe(head)
          yield* TestClock.adjust(came)
          pool.waitQueue.takeOrWaitUnsafe(next)
          yield* TestClock.adjust(2250 - came)
          expect(yield* favoured).toBe("rx")
          for (const buffer of held.slice(0, 2)) pool.giveBackUnsafe(buffer)
          expect([head.state, next.state, yield* favoured]).toEqual(["granted", "queued", "rx"])
          yield* TestClock.adjust(249)
          expect(yield* favoured).toBe("rx")
          yield* TestClock.adjust(1)
          expect(yield* favoured).toBe(then)
          yield* TestClock.adjust(313)
          expect(yield* favoured).toBe("nobody")
        })
      )
  )

  it.effect("stops being favoured when its layer closes", () =>
    Effect.gen(function*() {
      const pool = yield* Effect.scoped(Effect.gen(function*() {
        const pool = yield* Effect.orDie(BufferPool.make({ name: "brief", limit: 2, bufferSize: 16, debug: true }))
        yield* rested
        for (let i = 0; i < 2; i++) pool.tryTakeUnsafe("tx")
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "rx", "head", []))
        yield* TestClock.adjust("1 second")
        expect((yield* pool.snapshot).favoured).toBe("rx")
        return pool
      }))
      expect(yield* pool.snapshot).toMatchObject({ favoured: undefined, closed: true })
    }))
})

describe("a newcomer at rx beside downloads that never pause", () => {
  /** Downloads take one at channel whenever they can, and each give-back is followed by another of them that waits. */
  const downloads = (ageAfter: "Infinity" | "1 second", seconds: number) =>
    manual(
      { limit: 4, reserve: 1, ageAfter },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* rested
        const held: Array<ByteBuffer> = yield* hold(4, "tx")
        const waiting = Array.from({ length: 4 }, (_, i) => patient(pool, "channel", `download ${i}`, []))
        for (const waiter of waiting) pool.waitQueue.takeOrWaitUnsafe(waiter)
        let served: number | undefined
        const started = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
        yield* start(pool.withBuffer("rx", () =>
          Effect.map(Effect.clockWith((clock) => clock.currentTimeMillis), (now) => {
            served = now - started
          })))
        let handOffs = 0
        for (let ms = 0; ms < seconds * 1000; ms += 50) {
          pool.giveBackUnsafe(must(held.shift()))
          for (const waiter of waiting) {
            const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
            if (!isBuffer(door)) {
              continue
            }
            held.push(door)
            handOffs++
            pool.waitQueue.takeOrWaitUnsafe(waiter)
          }
          yield* Stepper.flush
          yield* TestClock.adjust("50 millis")
          if (held.length === 0) {
            break
          }
        }
        return { handOffs, served }
      })
    )

  it.effect("is never served by strict priority alone: 30 s, 600 hand-offs to others", () =>
    Effect.map(downloads("Infinity", 30), (outcome) => expect(outcome).toEqual({ handOffs: 600, served: undefined })))

  it.effect("is served in the first favoured window, after 1 s, with ageing", () =>
    Effect.gen(function*() {
      const { served } = yield* downloads("1 second", 3)
      expect(served).toBeGreaterThanOrEqual(1000)
      expect(served).toBeLessThan(1250)
    }))
})

describe("the ageing fiber", () => {
  it("sleeps while nobody waits, and while nobody waits at endpoint or rx: not a single timer", () => {
    const { clock, pool, scheduler } = stepped({ limit: 2, reserve: 1, ageAfter: 1000 })
    expect(clock.pending).toBe(0)
    const held = [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
    const quiet = patient(pool, "channel", "quiet", [])
    pool.waitQueue.takeOrWaitUnsafe(quiet)
    scheduler.drain()
    clock.advance(100_000)
    scheduler.drain()
    expect(clock.pending).toBe(0)
    pool.waitQueue.leaveUnsafe(quiet)
    const late = patient(pool, "rx", "late", [])
    pool.waitQueue.takeOrWaitUnsafe(late)
    scheduler.drain()
    expect(clock.pending).toBe(1)
    pool.waitQueue.leaveUnsafe(late)
    for (const buffer of held) pool.giveBackUnsafe(buffer)
    for (let i = 0; i < 10; i++) {
      clock.advance(1000)
      scheduler.drain()
    }
    expect(clock.pending).toBe(0)
    expect(Effect.runSync(pool.snapshot).favoured).toBeUndefined()
  })

  it("misses no waiter that comes between any two of its operations, at every yield budget from 3 to 64", () => {
    for (let maxOps = 3; maxOps <= 64; maxOps++) {
      for (let slice = 0; slice < 12; slice++) {
        const { clock, pool, scheduler } = stepped({ limit: 2, reserve: 1, ageAfter: 1000 }, maxOps)
        const held = [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
        // One waiter comes and goes, so that the fiber turns round; the next comes `slice` of its slices later.
        const first = patient(pool, "rx", "first", [])
        pool.waitQueue.takeOrWaitUnsafe(first)
        pool.waitQueue.leaveUnsafe(first)
        for (let steps = 0; steps < slice; steps++) scheduler.step()
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "rx", "second", []))
        scheduler.drain()
        clock.advance(1000)
        scheduler.drain()
        expect(Effect.runSync(pool.snapshot).favoured, `${maxOps} operations per slice, slice ${slice}`).toBe("rx")
        for (const buffer of held) pool.giveBackUnsafe(buffer)
      }
    }
  })
})

describe("favouring", () => {
  it.effect("one class serves tx first, then it, then those before it with its margin, then the rest", () =>
    manual(
      { limit: 8, reserve: 3, ageAfter: "Infinity" },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(8)
        for (const at of ["rx", "endpoint", "channel", "tx"] as const) {
          pool.waitQueue.takeOrWaitUnsafe(patient(pool, at, at, news))
        }
        pool.waitQueue.favourUnsafe("endpoint")
        const rows: Array<unknown> = []
        for (let i = 0; i < 6; i++) {
          pool.giveBackUnsafe(must(held.shift()))
          rows.push([...news.splice(0), ...(yield* row)])
        }
        expect(rows).toEqual([
          ["tx granted", 8, 0, 3, 1],
          [7, 1, 3, 1],
          [6, 2, 3, 1],
          ["endpoint granted", 6, 2, 2, 2],
          ["channel granted", 6, 2, 1, 3],
          [5, 3, 1, 3]
        ])
        pool.waitQueue.favourUnsafe(undefined)
        expect([news.splice(0), yield* row]).toEqual([[], [5, 3, 1, 3]])
        pool.giveBackUnsafe(must(held.shift()))
        expect([news, yield* row]).toEqual([["rx granted"], [5, 3, 0, 4]])
      })
    ))
})

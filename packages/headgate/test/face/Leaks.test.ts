/** Leases that are out too long: reported once, and so is their return. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { BufferPool } from "headgate/BufferPool"
import { give, hold, logged, manual, must } from "./harness.ts"

const leaks = Effect.map(BufferPool.snapshot, ({ counters }) => counters.leaks)

describe("with leakThreshold, a lease", () => {
  it.effect("that is older is reported once, however long it stays, and its return is reported with its age", () =>
    logged((lines) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("100 millis")
        const held = yield* hold(1)
        yield* TestClock.adjust("900 millis")
        expect([yield* leaks, lines]).toEqual([0, []])
        yield* TestClock.adjust("600 millis")
        expect([yield* leaks, lines]).toEqual([1, ["Warn a buffer has been out for 1400 ms"]])
        yield* TestClock.adjust("1 minute")
        expect([yield* leaks, lines.length]).toEqual([1, 1])
        yield* give(held[0])
        expect(lines.slice(1)).toEqual(["Info a buffer reported as a leak came back after 61500 ms"])
        yield* TestClock.adjust("1 minute")
        expect([yield* leaks, lines.length]).toEqual([1, 2])
      }).pipe((test) => manual({ leakThreshold: "1 second" }, test))
    ))

  it.effect("that comes back in time is never reported, nor is the next lease of the same area before its time", () =>
    logged((lines) =>
      Effect.gen(function*() {
        for (let i = 0; i < 20; i++) {
          const held = yield* hold(1)
          yield* TestClock.adjust("400 millis")
          yield* give(held[0])
        }
        expect([yield* leaks, lines]).toEqual([0, []])
        const [late] = yield* hold(1)
        yield* TestClock.adjust("2 seconds")
        yield* give(late)
        const [next] = yield* hold(1)
        yield* TestClock.adjust("400 millis")
        yield* give(next)
        expect([yield* leaks, lines.length]).toEqual([1, 2])
      }).pipe((test) => manual({ leakThreshold: "1 second" }, test))
    ))

  it.effect("is reported for each of several, and the snapshot says how old each is", () =>
    logged((lines) =>
      Effect.gen(function*() {
        yield* hold(2)
        yield* TestClock.adjust("700 millis")
        yield* hold(1)
        yield* TestClock.adjust("800 millis")
        expect([yield* leaks, lines.length]).toEqual([2, 2])
        const { holders } = yield* BufferPool.snapshot
        expect(holders.map(({ heldMs }) => heldMs)).toEqual([1500, 1500, 800])
        yield* TestClock.adjust("1 second")
        expect([yield* leaks, lines.length]).toEqual([3, 3])
      }).pipe((test) => manual({ leakThreshold: "1 second" }, test))
    ))

  it.effect("says where it was taken only with trackOrigins", () =>
    Effect.gen(function*() {
      for (const trackOrigins of [true, false]) {
        yield* manual(
          { leakThreshold: "1 second", trackOrigins, name: `origins ${trackOrigins}` },
          Effect.gen(function*() {
            yield* hold(1)
            const origin = must((yield* BufferPool.snapshot).holders[0]).origin
            if (trackOrigins) expect(origin).toContain("harness.ts")
            else expect(origin).toBeUndefined()
          })
        )
      }
    }))

  it.effect("is not watched when it is off: no line, no age", () =>
    logged((lines) =>
      Effect.gen(function*() {
        yield* hold(1)
        yield* TestClock.adjust("1 day")
        const { holders } = yield* BufferPool.snapshot
        expect([yield* leaks, lines, holders.map(({ heldMs }) => heldMs)]).toEqual([0, [], [undefined]])
      }).pipe((test) => manual({}, test))
    ))
})

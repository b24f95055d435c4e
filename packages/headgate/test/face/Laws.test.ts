/**
 * The laws once more, through the face: programs of real fibers under every kind of disturbance, on a scheduler that
 * yields after every three operations. And wrong ways to wait, which the same harness must catch.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import type { ByteBuffer } from "headgate/ByteBuffer"
import { isBuffer, type Pool } from "./harness.ts"
import { play, program, type WithBuffer } from "./programs.ts"

const runs = Number(process.env["HEADGATE_RUNS"] ?? 300)
const seed = Number(process.env["HEADGATE_SEED"] ?? Date.now() % 2 ** 31)

describe("programs of fibers", () => {
  it(`keep L1-L7 and L9 after every step, whatever interrupts them (${runs} programs)`, () => {
    console.info(`HEADGATE_SEED=${seed}`)
    const seen = new Map<string, number>()
    fc.assert(
      fc.property(program, (program) => {
        expect(play(program, undefined, seen)).toEqual([])
      }),
      { numRuns: runs, seed }
    )
    console.info(JSON.stringify(Object.fromEntries([...seen].sort())))
    for (
      const what of [
        "interrupts",
        "steps with waiters",
        "steps with a grant not collected",
        "withBuffer well",
        "withBuffer failing",
        "withBuffer dying",
        "withBufferSync",
        "BufferUnavailable",
        "ConfigError",
        "PoolClosed",
        "TimeoutError",
        "WaitRefused"
      ]
    ) expect.soft(seen.get(what) ?? 0, what).toBeGreaterThan(0)
  })
})

// ---- wrong ways to wait, each as somebody would write it ------------------------------------------------------------------

let waiters = 0

/** A waiter, its door, and the effect that ends when it is told. */
const atTheDoor = (pool: Pool, at: Parameters<Pool["withBuffer"]>[0]) => {
  let resume: (() => void) | undefined
  let isTold = false
  const waiter = pool.waitQueue.waiter({
    target: `waiter ${++waiters}`,
    criticality: at,
    wake: () => {
      isTold = true
      resume?.()
      return true
    }
  })
  const told = Effect.callback<void>((resumeFiber) => {
    resume = () => resumeFiber(Effect.void)
    if (isTold) resume()
  })
  return {
    told,
    door: () => pool.waitQueue.takeOrWaitUnsafe(waiter),
    leave: () => pool.waitQueue.leaveUnsafe(waiter),
    state: () => waiter.state
  }
}

/** Waits at the door until it has a buffer; what becomes of an interruption is the caller's. */
const queued = (pool: Pool, at: Parameters<Pool["withBuffer"]>[0]) => {
  const { door, leave, told } = atTheDoor(pool, at)
  const buffer: Effect.Effect<ByteBuffer> = Effect.suspend(() => {
    const now = door()
    if (isBuffer(now)) return Effect.succeed(now)
    return now === "closed" ? Effect.interrupt : Effect.flatMap(told, () => buffer)
  })
  return { buffer, leave }
}

const giving = (pool: Pool, buffer: ByteBuffer) => Effect.sync(() => pool.giveBackUnsafe(buffer))

/** Taken in one operation, and its return promised in a later one. */
const withoutMask: WithBuffer = (pool) => (at, use) =>
  Effect.suspend(() => {
    const { buffer, leave } = queued(pool, at)
    return Effect.flatMap(
      Effect.onInterrupt(buffer, () => Effect.sync(leave)),
      (buffer) => Effect.ensuring(Effect.suspend(() => use(buffer)), giving(pool, buffer))
    )
  })

const neverLeaving: WithBuffer = (pool) => (at, use) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      restore(Effect.suspend(() => queued(pool, at).buffer)),
      (buffer) => Effect.ensuring(restore(Effect.suspend(() => use(buffer))), giving(pool, buffer))
    )
  )

const waitingInsideTheMask: WithBuffer = (pool) => (at, use) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.suspend(() => queued(pool, at).buffer),
      (buffer) => Effect.ensuring(restore(Effect.suspend(() => use(buffer))), giving(pool, buffer))
    )
  )

/** The door is inside the mask, but a grant that comes together with an interruption is forgotten. */
const forgettingTheGrant: WithBuffer = (pool) => (at, use) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const { door, leave, state, told } = atTheDoor(pool, at)
      const waited = Effect.onInterrupt(restore(told), () =>
        Effect.sync(() => state() === "queued" ? leave() : undefined))
      const taken = Effect.suspend(() => {
        const now = door()
        return isBuffer(now) ? Effect.succeed(now) : Effect.flatMap(waited, () =>
          Effect.sync(door))
      })
      return Effect.flatMap(
        taken,
        (buffer) =>
          isBuffer(buffer)
            ? Effect.ensuring(restore(Effect.suspend(() => use(buffer))), giving(pool, buffer))
            : Effect.interrupt
      )
    })
  )

const keepingWhatFails: WithBuffer = (pool) => (at, use) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const { buffer, leave } = queued(pool, at)
      return Effect.flatMap(
        Effect.onInterrupt(restore(buffer), () => Effect.sync(leave)),
        (buffer) => Effect.tap(restore(Effect.suspend(() => use(buffer))), giving(pool, buffer))
      )
    })
  )

/** The library's own, whose bodies hand the buffer to a waiter of theirs and let it go before they have finished. */
const givingBackEarly: WithBuffer = (pool) => (at, use) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      const { buffer, leave } = queued(pool, at)
      return Effect.flatMap(
        Effect.onInterrupt(restore(buffer), () => Effect.sync(leave)),
        (buffer) => Effect.andThen(giving(pool, buffer), restore(Effect.suspend(() => use(buffer))))
      )
    })
  )

describe("a wrong withBuffer is caught by the same programs", () => {
  const variants: ReadonlyArray<readonly [string, WithBuffer, RegExp]> = [
    ["no mask: what is taken is not yet promised back", withoutMask, /^L3: \d used/],
    ["an interrupted wait does not leave the queue", neverLeaving, /^L3: \d (used|wait)/],
    ["the wait is inside the mask", waitingInsideTheMask, /^L9: .* kept by its wait/],
    ["an interrupted wait forgets that it was granted", forgettingTheGrant, /^L3: \d used/],
    ["a body that fails keeps the buffer", keepingWhatFails, /^L3: \d used/],
    ["the buffer goes back before its body runs", givingBackEarly, /BufferMisuse/]
  ]
  it.each(variants)("%s", (_, withBuffer, law) => {
    const { counterexample, numRuns } = fc.check(
      fc.property(program, (program) => !play(program, withBuffer).some((wrong) => law.test(wrong))),
      { numRuns: 2000, seed: 1, endOnFailure: true }
    )
    const caught = counterexample === null ? [] : play(counterexample[0], withBuffer)
    expect(caught, `${numRuns} programs found nothing`).toContainEqual(expect.stringMatching(law))
    console.info(`caught after ${numRuns} programs: ${caught.join("; ")}`)
  })
})

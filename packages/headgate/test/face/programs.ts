/**
 * Programs of fibers as data: what each fiber does, and what happens to them between any two steps of a scheduler that
 * yields after every three operations. `play` runs one and returns what broke a law; the withBuffer it uses can be replaced,
 * so that a wrong one can be shown to be caught.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as fc from "fast-check"
import type { ByteBuffer } from "headgate/ByteBuffer"
import type { Criticality } from "headgate/Criticality"
import type { Waiting } from "headgate/WaitQueue"
import { broken, classes, margin, must, type Pool, stepped } from "./harness.ts"

type Plain =
  | {
    readonly does: "withBuffer"
    readonly at: Criticality
    readonly yields: number
    readonly nested: number
    readonly ends: "well" | "failing" | "dying"
  }
  | { readonly does: "withBufferSync"; readonly at: Criticality; readonly throws: boolean }
  | { readonly does: "acquire" | "tryAcquire"; readonly at: Criticality; readonly yields: number }
  | { readonly does: "resize"; readonly to: number }
  | { readonly does: "trim" }
export type Instruction = Plain | { readonly does: "within"; readonly ms: number; readonly instruction: Plain }

export type Event =
  | { readonly event: "step"; readonly pick: number }
  | { readonly event: "interrupt"; readonly fiber: number }
  | { readonly event: "interrupt, and all go on"; readonly fiber: number }
  | { readonly event: "take"; readonly at: Criticality }
  | { readonly event: "give back" | "pin" | "unpin"; readonly lease: number }
  | { readonly event: "give back, interrupt" | "interrupt, give back"; readonly lease: number; readonly fiber: number }
  | { readonly event: "advance"; readonly ms: number }
  | { readonly event: "favour"; readonly at: Criticality | undefined }
  | { readonly event: "resize"; readonly to: number }
  | { readonly event: "trim" | "close" }

export interface Program {
  readonly limit: number
  readonly reserve: number
  readonly maxWaiting: number
  readonly ageAfter: number
  /** Which creations fail, beyond those that every pool needs. */
  readonly failures: ReadonlyArray<boolean>
  readonly fibers: ReadonlyArray<ReadonlyArray<Instruction>>
  readonly events: ReadonlyArray<Event>
}

const criticality = fc.constantFrom(...classes)
const plain: fc.Arbitrary<Plain> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant("withBuffer" as const),
      at: criticality,
      yields: fc.nat(3),
      nested: fc.nat(3),
      ends: fc.constantFrom("well" as const, "well" as const, "failing" as const, "dying" as const)
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({ does: fc.constant("withBufferSync" as const), at: criticality, throws: fc.boolean() })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constantFrom("acquire" as const, "tryAcquire" as const),
      at: criticality,
      yields: fc.nat(3)
    })
  },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("resize" as const), to: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant("trim" as const) }) }
)
const instruction: fc.Arbitrary<Instruction> = fc.oneof(
  { weight: 2, arbitrary: plain },
  {
    weight: 1,
    arbitrary: fc.record({ does: fc.constant("within" as const), ms: fc.nat(15), instruction: plain })
  }
)
const index = fc.nat(5)
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 30, arbitrary: fc.record({ event: fc.constant("step" as const), pick: fc.nat(7) }) },
  { weight: 2, arbitrary: fc.record({ event: fc.constant("interrupt" as const), fiber: index }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant("interrupt, and all go on" as const), fiber: index }) },
  { weight: 4, arbitrary: fc.record({ event: fc.constant("take" as const), at: criticality }) },
  {
    weight: 4,
    arbitrary: fc.record({
      event: fc.constantFrom("give back" as const, "give back" as const, "pin" as const, "unpin" as const),
      lease: index
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      event: fc.constantFrom("give back, interrupt" as const, "interrupt, give back" as const),
      lease: index,
      fiber: index
    })
  },
  { weight: 3, arbitrary: fc.record({ event: fc.constant("advance" as const), ms: fc.nat(40) }) },
  {
    weight: 1,
    arbitrary: fc.record({ event: fc.constant("favour" as const), at: fc.constantFrom(undefined, ...classes) })
  },
  { weight: 1, arbitrary: fc.record({ event: fc.constant("resize" as const), to: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ event: fc.constantFrom("trim" as const, "trim" as const, "close" as const) })
  }
)

export const program: fc.Arbitrary<Program> = fc.integer({ min: 2, max: 5 }).chain((limit) =>
  fc.record({
    limit: fc.constant(limit),
    reserve: fc.integer({ min: 1, max: limit - 1 }),
    maxWaiting: fc.constantFrom(Infinity, Infinity, 2, 0),
    ageAfter: fc.constantFrom(Infinity, 10),
    failures: fc.array(fc.boolean(), { maxLength: 6 }),
    fibers: fc.array(fc.array(instruction, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 6 }),
    events: fc.array(event, { maxLength: 150, size: "max" })
  })
)

export type WithBuffer = (pool: Pool) => Pool["withBuffer"]

class Spoilt extends Error {}

/** Runs a program to its end; what it returns broke a law, empty if all held. `seen` counts what happened. */
export const play = (
  { ageAfter, events, failures, fibers: scripts, limit, maxWaiting, reserve }: Program,
  withBuffer: WithBuffer = (pool) => pool.withBuffer,
  seen: Map<string, number> = new Map()
): Array<string> => {
  const wrong: Array<string> = []
  let creations = 0
  const allocate = (size: number) => {
    if (++creations > reserve + 1 && failures[creations - reserve - 2]) throw new Error("no memory")
    return new Uint8Array(size)
  }
  const { clock, fork, pool, scheduler, scope } = stepped({ limit, reserve, maxWaiting, ageAfter, allocate })
  const lend = withBuffer(pool)
  const count = (what: string) => void seen.set(what, (seen.get(what) ?? 0) + 1)

  // ---- what fibers do
  /** The bytes of an owner stay its own, however long it holds them. */
  const work = (buffer: ByteBuffer, yields: number, id: number) =>
    Effect.gen(function*() {
      const view = buffer.writeView()
      buffer.write(Uint8Array.of(id))
      for (let i = 0; i < yields; i++) yield* Effect.yieldNow
      if (view[0] !== id || buffer.length !== 1) wrong.push(`L2: the bytes of fiber ${id} became another's`)
    })
  const nestedBelow = (at: Criticality, nested: number): Criticality | undefined => {
    const below = classes.filter((other) => margin(other, reserve) < margin(at, reserve))
    return nested === 0 ? undefined : below[nested % Math.max(1, below.length)]
  }
  const use = (does: Plain, id: number): Effect.Effect<void, unknown> => {
    switch (does.does) {
      case "withBuffer": {
        const below = nestedBelow(does.at, does.nested)
        return lend(does.at, (buffer) =>
          Effect.gen(function*() {
            yield* work(buffer, does.yields, id)
            if (below !== undefined) yield* lend(below, (inner) => work(inner, does.yields, id))
            count(`withBuffer ${does.ends}`)
            if (does.ends === "failing") return yield* Effect.fail("as the program wants")
            if (does.ends === "dying") return yield* Effect.die(new Spoilt())
          }))
      }
      case "withBufferSync":
        return pool.withBufferSync(does.at, (buffer) => {
          count("withBufferSync")
          if (does.throws) throw new Spoilt()
          return buffer.write(Uint8Array.of(id))
        })
      case "acquire":
        return Effect.scoped(Effect.flatMap(pool.acquire(does.at), (buffer) => work(buffer, does.yields, id)))
      case "tryAcquire":
        return Effect.scoped(Effect.flatMap(pool.tryAcquire(does.at), (buffer) => work(buffer, does.yields, id)))
      case "resize":
        return pool.resize(does.to)
      case "trim":
        return pool.trim
    }
  }
  const perform = (does: Instruction, id: number): Effect.Effect<void> => {
    const effect = does.does === "within" ? Effect.timeout(use(does.instruction, id), does.ms) : use(does, id)
    return Effect.catch(Effect.catchDefect(effect, spoilt), (error) => Effect.sync(() => count(tagOf(error))))
  }
  const fibers: ReadonlyArray<Fiber.Fiber<void>> = scripts.map((script, i) =>
    fork(Effect.andThen(Effect.yieldNow, Effect.forEach(script, (does) => perform(does, i + 1), { discard: true })))
  )

  // ---- what happens to them
  const leases: Array<ByteBuffer> = []
  const pins: Array<ByteBuffer> = []
  const interrupt = (at: number) => {
    const fiber = must(fibers[at % fibers.length])
    if (fiber.pollUnsafe() === undefined) count("interrupts")
    fiber.interruptUnsafe(-1)
    return fiber
  }
  const giveBack = (at: number) => {
    const [lease] = leases.splice(at % Math.max(1, leases.length), 1)
    if (lease !== undefined) pool.giveBackUnsafe(lease)
  }
  const happen = (event: Event): void => {
    switch (event.event) {
      case "step":
        return void scheduler.step(event.pick)
      case "interrupt":
        return void interrupt(event.fiber)
      case "interrupt, and all go on": {
        const fiber = interrupt(event.fiber)
        scheduler.drain()
        if (fiber.pollUnsafe() === undefined) wrong.push("L9: a fiber was interrupted and is kept by its wait")
        return
      }
      case "take": {
        const lease = pool.tryTakeUnsafe(event.at)
        if (lease !== undefined) leases.push(lease)
        return
      }
      case "give back":
        return giveBack(event.lease)
      case "give back, interrupt":
        giveBack(event.lease)
        return void interrupt(event.fiber)
      case "interrupt, give back":
        interrupt(event.fiber)
        return giveBack(event.lease)
      case "pin": {
        const lease = leases[event.lease % Math.max(1, leases.length)]
        if (lease === undefined) return
        pool.pinUnsafe(lease)
        return void pins.push(lease)
      }
      case "unpin": {
        const [lease] = pins.splice(event.lease % Math.max(1, pins.length), 1)
        if (lease !== undefined) pool.unpinUnsafe(lease)
        return
      }
      case "advance":
        return clock.advance(event.ms)
      case "favour":
        return pool.waitQueue.favourUnsafe(event.at)
      case "resize":
        return void Effect.runSyncExit(pool.resize(event.to))
      case "trim":
        return Effect.runSync(pool.trim)
      case "close":
        return void fork(Scope.close(scope, Exit.void))
    }
  }

  // ---- the laws, after every step
  let before = picture(pool)
  const look = (what: string) => {
    const after = picture(pool)
    const laws = [
      ...broken(after.pool, after.waiting, before.pool.capacity),
      ...overtaken(before, after, what),
      ...dead(after.waiting, fibers)
    ]
    if (after.waiting.length > 0) count("steps with waiters")
    if (after.waiting.some(({ state }) => state === "granted")) count("steps with a grant not collected")
    wrong.push(...laws.map((law) => `after ${what}: ${law}`))
    before = after
  }
  for (const event of events) {
    happen(event)
    look(JSON.stringify(event))
    if (wrong.length > 0) return wrong
  }

  // ---- the end: everything is given back, time passes, and everybody must have come through
  if (!before.pool.closed) pool.waitQueue.favourUnsafe(undefined)
  while (leases.length > 0) giveBack(0)
  for (const lease of pins.splice(0)) pool.unpinUnsafe(lease)
  look("all is given back")
  for (let rounds = 0; fibers.some((fiber) => fiber.pollUnsafe() === undefined) && rounds < 200; rounds++) {
    for (let steps = 0; scheduler.step() && steps < 10_000; steps++) look("a last step")
    clock.advance(100)
    look("time has passed")
  }
  scheduler.drain()
  look("the end")
  const parked = fibers.filter((fiber) => fiber.pollUnsafe() === undefined).length
  if (parked > 0) wrong.push(`L8: ${parked} fibers are parked for ever`)
  if (before.pool.used !== 0) wrong.push(`L3: ${before.pool.used} used at the end`)
  if (before.waiting.length > 0) wrong.push(`L3: ${before.waiting.length} wait at the end`)
  for (const fiber of fibers) {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined && Exit.isFailure(exit) && !exit.cause.reasons.every(isWanted)) {
      wrong.push(String(exit.cause))
    }
  }
  fork(Scope.close(scope, Exit.void))
  scheduler.drain()
  const { allocated } = picture(pool).pool
  if (allocated !== 0) wrong.push(`${allocated} areas outlive the pool`)
  return wrong
}

const spoilt = (defect: unknown): Effect.Effect<void> => defect instanceof Spoilt ? Effect.void : Effect.die(defect)

const isWanted = (reason: Cause.Reason<unknown>): boolean =>
  Cause.isInterruptReason(reason) || Cause.isDieReason(reason) && reason.defect instanceof Spoilt

const tagOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)

const picture = (pool: Pool) => ({
  pool: Effect.runSync(pool.snapshot),
  waiting: Effect.runSync(pool.waitQueue.waiting)
})
type Picture = ReturnType<typeof picture>

/** L5: whoever was queued and has a grant now left nobody behind in the queue that stood before it. */
const overtaken = (before: Picture, after: Picture, what: string): Array<string> => {
  if (before.pool.favoured !== undefined || after.pool.favoured !== undefined || what.includes("favour")) return []
  const now = new Map(after.waiting.map(({ state, target }) => [target, state]))
  const queued = before.waiting.filter(({ state }) => state === "queued").map(({ target }) => target)
  const served = queued.findLastIndex((target) => now.get(target) === "granted")
  return queued.slice(0, Math.max(0, served)).filter((target) => now.get(target) === "queued").map((target) =>
    `L5: ${target} was overtaken by ${queued[served]}`
  )
}

/** L6: who has ended waits for nothing. */
const dead = (waiting: ReadonlyArray<Waiting>, fibers: ReadonlyArray<Fiber.Fiber<void>>): Array<string> => {
  const ended = new Set(
    fibers.filter((fiber) => fiber.pollUnsafe() !== undefined).map(({ id }) => `fiber #${id}`)
  )
  return waiting.flatMap(({ target }) => ended.has(String(target)) ? [`L6: ${target} has ended and waits`] : [])
}

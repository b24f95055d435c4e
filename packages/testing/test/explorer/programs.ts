/** Headgate's effects as programs for the explorer: small, with the laws between all steps and nothing left at the end. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Scope from "effect/Scope"
import * as Applet from "headgate/Applet"
import { BufferPool } from "headgate/BufferPool"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import type { Criticality } from "headgate/Criticality"
import * as Headgate from "headgate/Headgate"
import type { PoolClosed } from "headgate/PoolError"
import { accesses } from "headgate/Probe"
import * as Task from "headgate/Task"
import type { Gate } from "../../../headgate/src/internal/gate.ts"
import { PoolImpl } from "../../../headgate/src/internal/pool.ts"
import type { Explored, World } from "../../src/Explorer.ts"

export type Pool = BufferPool["Service"]
export type Make = (world: World) => Explored

export const gateOf = (pool: Pool): Gate => {
  if (pool instanceof PoolImpl) return pool.gate
  throw new TypeError("the pool is not one of Headgate's own")
}

/** L1, L4 and L7 in numbers, cheap enough to be asked a million times. */
export const lawsOf = (gate: Gate): string | undefined => {
  const { allocated, capacity, limit, ordinaryMargins, used } = gate
  const lent = gate.lent()
  if (!(0 <= used && used <= allocated && allocated <= capacity)) {
    return `L1: used ${used}, allocated ${allocated}, capacity ${capacity}`
  }
  let lentFrom = 0
  let allowed = limit
  for (let level = 3; level >= 0; level--) {
    lentFrom += lent[level] ?? 0
    allowed = Math.max(allowed, lentFrom + (ordinaryMargins[level] ?? 0))
    const queued = gate.queues[level]?.length ?? 0
    if (queued > 0 && capacity - used > gate.marginOf(level)) {
      return `L4: ${queued} wait at level ${level}, free ${capacity - used}`
    }
    if (!gate.closed && lentFrom > allocated - (ordinaryMargins[level] ?? 0)) {
      return `L7: ${lentFrom} lent at level ${level} and beyond`
    }
  }
  return gate.closed || capacity <= allowed ? undefined : `L1: capacity ${capacity}, limit ${limit}`
}

/** What a step may change of a gate. */
const stateOf = (gate: Gate): string => {
  const { allocated, capacity, closed, limit, pendingWakes, queued, used } = gate
  return `${limit} ${capacity} ${allocated} ${used} ${queued} ${pendingWakes} ${closed} ${gate.lent().join(" ")}`
}

/** The laws between all steps, and that no step changes the gate without being counted. */
const lawsBetweenSteps = (gateNow: () => Gate | undefined): () => string | undefined => {
  let [counted, state] = [-1, ""]
  return () => {
    const gate = gateNow()
    if (gate === undefined) return undefined
    const isCounted = accesses() !== counted
    const now = stateOf(gate)
    const broken = isCounted || now === state ? lawsOf(gate) : `not counted: ${state} became ${now}`
    counted = accesses()
    state = now
    return broken
  }
}

/** L3: with everybody gone, nothing is lent, nobody waits, nobody is to be woken. */
const atRest = (gate: Gate): string | undefined =>
  gate.used === 0 && gate.queued === 0 && gate.pendingWakes === 0 && gate.waiters().length === 0
    ? undefined
    : `L3: used ${gate.used}, ${gate.queued} queued, ${gate.pendingWakes} to be woken at the end`

export interface Visitor {
  readonly name: string
  /** The pool's scope is the visitor's to close early, if that is what it is about. */
  readonly does: (pool: Pool, world: World, poolScope: Scope.Closeable) => Effect.Effect<unknown, unknown>
  readonly victim?: boolean
  /** The error that the others may meet because of it. */
  readonly brings?: PoolClosed["_tag"]
}

/** A fiber may end by an error that something in its program brings; any other is a failure of the program. */
const expecting = (
  isExpected: (tag: unknown) => boolean,
  effect: Effect.Effect<unknown, unknown>
): Effect.Effect<void> =>
  Effect.catch(
    Effect.asVoid(effect),
    (error) => Predicate.hasProperty(error, "_tag") && isExpected(error._tag) ? Effect.void : Effect.die(error)
  )

let pools = 0

/** A pool of its own for each run, and fibers that use it. */
export const visited = (
  options: NonNullable<Parameters<typeof BufferPool.make>[0]>,
  visitors: ReadonlyArray<Visitor>
): Make =>
(world) => {
  let gate: Gate | undefined
  const expected = new Set<unknown>(visitors.flatMap(({ brings }) => brings ?? []))
  const program = Effect.gen(function*() {
    const scope = yield* Scope.make()
    const made = BufferPool.make({
      name: `explored ${++pools}`,
      bufferSize: 8,
      ageAfter: "Infinity",
      allocate: (size) => {
        if (gate === undefined || !world.fault("a creation fails")) return new Uint8Array(size)
        expected.add("AllocationFailed")
        throw new Error("no memory")
      },
      ...options
    })
    const pool = yield* Scope.provide(made, scope)
    gate = gateOf(pool)
    const fibers: Array<Fiber.Fiber<void>> = []
    for (const { does, name, victim } of visitors) {
      fibers.push(yield* world.fork(name, expecting((tag) => expected.has(tag), does(pool, world, scope)), { victim }))
    }
    yield* world.await(...fibers)
    yield* Scope.close(scope, Exit.void)
  })
  return {
    program,
    probe: accesses,
    invariant: lawsBetweenSteps(() => gate),
    atEnd: () => gate === undefined ? "there was no pool" : atRest(gate)
  }
}

// ---- what fibers do with a pool ------------------------------------------------------------------------------------------

export const withBuffer = (name: string, criticality: Criticality): Visitor => ({
  name,
  does: (pool, world) =>
    pool.withBuffer(criticality, (buffer) =>
      Effect.sync(() => {
        world.at("holds its buffer")
        buffer.write("x")
      }))
})

export const acquire = (name: string, criticality: Criticality): Visitor => ({
  name,
  does: (pool, world) =>
    Effect.scoped(Effect.flatMap(pool.acquire(criticality), (buffer) =>
      Effect.sync(() => {
        world.at("holds its buffer")
        buffer.write("x")
      })))
})

export const resizing = (name: string, ...limits: ReadonlyArray<number>): Visitor => ({
  name,
  victim: false,
  does: (pool) => Effect.forEach(limits, (limit) => pool.resize(limit), { discard: true })
})

export const closing = (name: string): Visitor => ({
  name,
  victim: false,
  brings: "PoolClosed",
  does: (_, __, scope) => Scope.close(scope, Exit.void)
})

// ---- entities ------------------------------------------------------------------------------------------------------------

/** Fibers that make, wake and end entities: each gets services of one and the same layer. */
export const inhabited = (
  options: Headgate.HeadgateOptions,
  body: (world: World) => Effect.Effect<unknown, unknown, Headgate.Services | Scope.Scope>,
  atEnd: () => string | undefined = () => undefined
): Make =>
(world) => {
  let gate: Gate | undefined
  const program = Effect.gen(function*() {
    gate = gateOf(yield* BufferPool)
    yield* Effect.scoped(body(world))
  }).pipe(
    Effect.provide(Headgate.layer({ name: `explored ${++pools}`, bufferSize: 8, ageAfter: "Infinity", ...options }))
  )
  return {
    program,
    probe: accesses,
    invariant: lawsBetweenSteps(() => gate),
    atEnd: () => gate === undefined ? "there was no pool" : atRest(gate) ?? atEnd()
  }
}

/** A stream that fills its request channel, drains it and is done: how often it ran. */
export const streamOnce = Effect.gen(function*() {
  let runs = 0
  const stream = yield* ByteStream.make({
    process: (self) =>
      Effect.gen(function*() {
        runs++
        const buffer = yield* ByteChannel.alloc(self.request)
        buffer.write("abc")
        yield* ByteChannel.takeText(self.request)
        yield* self.end
      })
  })
  yield* stream.await
  return runs
}).pipe(Effect.scoped)

/** Streams that need a buffer each; every one of them is served, or interrupted. */
export const streams = (options: Headgate.HeadgateOptions, ...names: ReadonlyArray<string>): Make =>
  inhabited(options, (world) =>
    Effect.gen(function*() {
      const fibers = yield* Effect.forEach(names, (name) => world.fork(name, streamOnce))
      yield* world.await(...fibers)
    }))

/** Wakers that set a flag and then wake: a run that starts after a wake has seen its flag, so the last run sees all. */
export const wokenTask = (wakers: number): Make => {
  let seen = 0
  return (world) => {
    let flags = 0
    seen = 0
    return inhabited({ limit: 2 }, () =>
      Effect.gen(function*() {
        const task = yield* Task.make((self) =>
          Effect.suspend(() => {
            world.touch()
            seen = flags
            return seen === wakers ? self.end : Effect.void
          })
        )
        const fibers = yield* Effect.forEach(
          Array.from({ length: wakers }, (_, index) => `waker ${index + 1}`),
          (name) =>
            world.fork(
              name,
              Effect.sync(() => {
                world.touch()
                flags++
                task.wakeUnsafe("message")
              })
            )
        )
        yield* world.await(...fibers)
        yield* task.await
      }), () => seen === wakers ? undefined : `the last run saw ${seen} of ${wakers} flags`)(world)
  }
}

/** A stream whose response an applet fills, beside a holder of the only buffer that the applet may have. */
export const fedByApplet = (options: Headgate.HeadgateOptions): Make => {
  let text = ""
  return (world) => {
    text = ""
    return inhabited(options, () =>
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const holder = yield* world.fork("holder", pool.withBuffer("tx", () => Effect.sync(() => world.at("holds it"))))
        const reader = yield* world.fork(
          "reader",
          Effect.scoped(Effect.gen(function*() {
            const stream = yield* ByteStream.make({
              fillers: { response: "applet" },
              response: "channel",
              process: (self) =>
                Effect.gen(function*() {
                  text += yield* ByteChannel.takeText(self.response)
                  if (text !== "") yield* self.end
                })
            })
            yield* Applet.make({
              channel: stream.response,
              run: (input) =>
                Effect.sync(() => {
                  if (Option.isNone(input)) return "wait"
                  input.value.write("answer")
                  stream.wakeUnsafe("message")
                  return "done"
                })
            })
            yield* stream.await
          })),
          { victim: options.limit !== 2 }
        )
        yield* world.await(holder, reader)
      }), () => text === "answer" || options.limit !== 2 ? undefined : `the reader got "${text}"`)(world)
  }
}

/** One fiber ends a stream that another one waits for, while a third competes for the buffer. */
export const endedFromOutside: Make = inhabited({ limit: 2, reserve: 1 }, (world) =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const stream = yield* ByteStream.make({
      process: (self) =>
        Effect.asVoid(
          Effect.flatMap(ByteChannel.alloc(self.request), (buffer) => Effect.sync(() => buffer.write("abc")))
        )
    })
    const ender = yield* world.fork("ender", stream.end, { victim: false })
    const competitor = yield* world.fork("competitor", pool.withBuffer("rx", () => Effect.void))
    yield* world.await(ender, competitor)
    yield* stream.await
  }))

/** Semaphores of every kind: never too many inside, and in the end every permit is back. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as PartitionedSemaphore from "effect/PartitionedSemaphore"
import * as Semaphore from "effect/Semaphore"
import * as TxSemaphore from "effect/TxSemaphore"
import type { Explored, World } from "../../../src/Explorer.ts"

/** A semaphore as its visitors and its auditor see it. */
export interface Gate {
  /** Runs the body with so many permits, in whatever way is explored. */
  readonly pass: (permits: number, body: Effect.Effect<void>, visitor: string) => Effect.Effect<unknown>
  /** Whether just so many permits are free, when nobody is inside. */
  readonly hasFree: (permits: number) => Effect.Effect<boolean>
}

export type MakeGate = (permits: number) => Effect.Effect<Gate>

const semaphore = (pass: (semaphore: Semaphore.Semaphore) => Gate["pass"]): MakeGate => (permits) =>
  Effect.map(Semaphore.make(permits), (made) => ({
    pass: pass(made),
    hasFree: (free) => Effect.zipWith(made.takeIfAvailable(free), made.takeIfAvailable(1), (all, more) => all && !more)
  }))

export const withPermits = semaphore((made) => (permits, body) => made.withPermits(permits)(body))
export const withPermitsIfAvailable = semaphore((made) => (permits, body) => made.withPermitsIfAvailable(permits)(body))
export const takeScoped = semaphore((made) => (permits, body) =>
  Effect.scoped(Effect.andThen(made.takeScoped(permits), body))
)
export const takeAndRelease = semaphore((made) => (permits, body) =>
  Effect.acquireUseRelease(made.take(permits), () => body, () => made.release(permits))
)

const partitioned =
  (pass: (semaphore: PartitionedSemaphore.PartitionedSemaphore<string>) => Gate["pass"]): MakeGate => (permits) =>
    Effect.map(PartitionedSemaphore.make<string>({ permits }), (made) => ({
      pass: pass(made),
      hasFree: (free) => Effect.map(made.available, (available) => available === free)
    }))

export const partitionedWithPermits = partitioned((made) => (permits, body, visitor) =>
  made.withPermits(visitor, permits)(body)
)
export const partitionedIfAvailable = partitioned((made) => (permits, body) =>
  made.withPermitsIfAvailable(permits)(body)
)
export const partitionedTakeAndRelease = partitioned((made) => (permits, body, visitor) =>
  Effect.acquireUseRelease(made.take(visitor, permits), () => body, () => made.release(permits))
)

const transactional = (pass: (semaphore: TxSemaphore.TxSemaphore) => Gate["pass"]): MakeGate => (permits) =>
  Effect.map(TxSemaphore.make(permits), (made) => ({
    pass: pass(made),
    hasFree: (free) => Effect.map(TxSemaphore.available(made), (available) => available === free)
  }))

export const transactionalWithPermits = transactional((made) => (permits, body) =>
  TxSemaphore.withPermits(made, permits, body)
)
export const transactionalTakeAndRelease = transactional((made) => (permits, body) =>
  Effect.acquireUseRelease(
    TxSemaphore.acquireN(made, permits),
    () => body,
    () => TxSemaphore.releaseN(made, permits)
  )
)

/** One visitor for each request, which goes through the gate once. */
export const visited =
  (make: MakeGate, permits: number, ...requests: ReadonlyArray<number>) => (world: World): Explored => {
    const inside = new Map<string, number>()
    let isBack = false
    // Yields while it is inside, so that others come meanwhile without a preemption of the bound.
    const stay = (visitor: string, held: number) =>
      Effect.ensuring(
        Effect.andThen(Effect.sync(() => void inside.set(visitor, held)), Effect.yieldNow),
        Effect.sync(() => void inside.delete(visitor))
      )
    return {
      program: Effect.gen(function*() {
        const gate = yield* make(permits)
        const visitors: Array<Fiber.Fiber<unknown>> = []
        for (const [index, request] of requests.entries()) {
          const visitor = `visitor ${index + 1}`
          visitors.push(yield* world.fork(visitor, gate.pass(request, stay(visitor, request), visitor)))
        }
        yield* world.await(...visitors)
        isBack = yield* gate.hasFree(permits)
      }),
      invariant: () => {
        const held = [...inside.values()].reduce((sum, each) => sum + each, 0)
        return held <= permits ? undefined : `${held} of ${permits} permits are inside`
      },
      atEnd: () => isBack ? undefined : `not just ${permits} permits are back`
    }
  }

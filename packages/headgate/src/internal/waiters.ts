/**
 * The two kinds of waiters that the face makes: somebody's own, with its own callback, and a fiber's, whose wake resumes it.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Fiber from "effect/Fiber"
import * as Hash from "effect/Hash"
import type { Criticality } from "../Criticality.ts"
import type { News, WaiterOptions } from "../WaitQueue.ts"
import { Waiter } from "./gate.ts"
import { touch } from "./version.ts"

/** A label for people. It is the caller's, and must not throw into whoever reports it. */
export const labelOf = (target: unknown): string => {
  try {
    return String(target)
  } catch {
    return "a target without a name"
  }
}

/** A waiter of somebody's own. It knows its pool: in another one's queue it would corrupt both. */
export class PoolWaiter extends Waiter implements Equal.Equal {
  readonly pool: { readonly name: string }

  constructor(pool: { readonly name: string }, { criticality, target, wake }: WaiterOptions) {
    super(target, criticality, wake, false)
    this.pool = pool
  }

  toJSON() {
    return { pool: this.pool.name, target: labelOf(this.target), criticality: this.criticality, state: this.state }
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return JSON.stringify(this)
  }
  [Equal.symbol](that: Equal.Equal): boolean {
    return this === that
  }
  [Hash.symbol](): number {
    return Hash.random(this)
  }
}

/** A fiber's waiter, and the effect in which the fiber waits. The news is kept: a yield may fall between the two. */
export const fiberWaiter = (fiber: Fiber.Fiber<unknown, unknown>, criticality: Criticality) => {
  let news: News | undefined = undefined
  let resume: ((effect: Effect.Effect<void>) => void) | undefined = undefined
  const waiter = new Waiter(`fiber #${fiber.id}`, criticality, (told) => {
    news = told
    resume?.(Effect.void)
    return true
  }, true)
  const told = Effect.callback<void>((resumeFiber) => {
    touch()
    if (news === undefined) resume = resumeFiber
    else resumeFiber(Effect.void)
  })
  return { told, waiter }
}

/**
 * The waiters that somebody makes through the wait queue, with a callback of its own. (A fiber's waiter is its loan's.)
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import type { WaiterOptions } from "../WaitQueue.ts"
import { Waiter } from "./gate.ts"

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

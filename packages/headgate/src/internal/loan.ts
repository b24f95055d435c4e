/**
 * One loan for the length of a use: `withBuffer` and `withBufferSync` as effects.
 *
 * Invariant: the frame that gives back stands before anything is taken, so whatever comes between two steps (an interrupt, a
 * throw) finds it there. What is free is taken without a mask; only who must wait needs a region that nothing interrupts.
 *
 * They are classes because a class costs one object where a closure for each step costs five: a tenth of an uncontended use.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type { ByteBuffer } from "../ByteBuffer.ts"
import type { Criticality } from "../Criticality.ts"
import type { PoolClosed, WaitRefused } from "../PoolError.ts"
import type { Lease } from "./buffer.ts"

export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
export type Refusal = PoolClosed | WaitRefused

/** What a loan needs of its pool. */
export interface Bank {
  /** What is free, without a wait. */
  readonly takeFree: (criticality: Criticality) => Lease | undefined
  /** Runs `then` with a lease, in the uninterruptible step in which it began. */
  readonly whenLent: <A, E, R>(
    criticality: Criticality,
    then: (lease: Lease, restore: Restore) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | Refusal, R>
  /** Ends a lease that may have ended already. */
  readonly end: (lease: Lease) => void
}

/** `withBuffer`, as often as it is run. */
export class WithBuffer<A, E, R> extends Effectable.Class<A, E | Refusal, R> {
  readonly bank: Bank
  readonly criticality: Criticality
  readonly use: (buffer: ByteBuffer) => Effect.Effect<A, E, R>

  constructor(bank: Bank, criticality: Criticality, use: (buffer: ByteBuffer) => Effect.Effect<A, E, R>) {
    super()
    this.bank = bank
    this.criticality = criticality
    this.use = use
  }

  asEffect(): Effect.Effect<A, E | Refusal, R> {
    const loan = new Loan(this)
    return Effect.onExitPrimitive(loan, () => {
      if (loan.lease !== undefined) this.bank.end(loan.lease)
      return undefined
    })
  }
}

/** One run of it, inside its frame. */
class Loan<A, E, R> extends Effectable.Class<A, E | Refusal, R> {
  lease: Lease | undefined = undefined
  private readonly made: WithBuffer<A, E, R>

  constructor(made: WithBuffer<A, E, R>) {
    super()
    this.made = made
  }

  asEffect(): Effect.Effect<A, E | Refusal, R> {
    const { bank, criticality, use } = this.made
    this.lease = bank.takeFree(criticality)
    if (this.lease !== undefined) return use(this.lease)
    return bank.whenLent(criticality, (lease, restore) => {
      this.lease = lease
      return restore(Effect.suspend(() => use(lease)))
    })
  }
}

/** `withBufferSync`: taken, used and given back in one step. */
export class WithBufferSync<A> extends Effectable.Class<A, Refusal> {
  private readonly bank: Bank
  private readonly criticality: Criticality
  private readonly use: (buffer: ByteBuffer) => A

  constructor(bank: Bank, criticality: Criticality, use: (buffer: ByteBuffer) => A) {
    super()
    this.bank = bank
    this.criticality = criticality
    this.use = use
  }

  asEffect(): Effect.Effect<A, Refusal> {
    const lease = this.bank.takeFree(this.criticality)
    return lease === undefined
      ? this.bank.whenLent(this.criticality, (granted) => this.useNow(granted))
      : this.useNow(lease)
  }

  private useNow(lease: Lease): Effect.Effect<A> {
    try {
      return Effect.succeed(this.use(lease))
    } finally {
      this.bank.end(lease)
    }
  }
}

/**
 * One loan for the length of a use: `withBuffer`, `withBufferSync` and `acquire` as effects.
 *
 * Invariant: the frame that cleans up stands before anything is taken or queued, and what there is to clean up is noted in the
 * step in which it begins. So whatever comes between two steps (an interrupt, a throw) finds a lease and ends it, or a waiter
 * and has it leave, which passes a grant on. Hence nothing is masked: waiting can be interrupted, and so can every step.
 *
 * They are classes because a class costs one object where a closure for each step costs five: a tenth of an uncontended use. And
 * a loan that was woken is run again as what it is, so between a give-back and the next use there is one step.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { ByteBuffer } from "../ByteBuffer.ts"
import type { Criticality } from "../Criticality.ts"
import type { PoolClosed, WaitRefused } from "../PoolError.ts"
import { Lease } from "./buffer.ts"
import { Waiter } from "./gate.ts"
import { touch } from "./version.ts"

export type Refusal = PoolClosed | WaitRefused

/** What a loan needs of its pool. Every function is one step. */
export interface Bank {
  /** What is free, without a wait. */
  readonly takeFree: (criticality: Criticality) => Lease | undefined
  /** In the queue; or a lease after all; or why this fiber may not wait. */
  readonly queue: (waiter: Waiter) => Lease | "queued" | Refusal
  /** What a waiter was told of. */
  readonly collect: (waiter: Waiter) => Lease | Refusal
  readonly leave: (waiter: Waiter) => void
  /** Ends a lease that may have ended already. */
  readonly end: (lease: Lease) => void
}

/** What is asked for, as often as it is run. */
interface Request<A, E, R> {
  readonly bank: Bank
  readonly criticality: Criticality
  readonly use: (lease: Lease) => Effect.Effect<A, E, R>
}

/** One run of a request, to be run inside a frame that calls `over`. */
class Loan<A, E, R> extends Effectable.Class<A, E | Refusal, R> {
  private lease: Lease | undefined = undefined
  private waiter: Waiter | undefined = undefined
  private isTold = false
  private resume: ((effect: Effect.Effect<A, E | Refusal, R>) => void) | undefined = undefined
  private readonly request: Request<A, E, R>

  constructor(request: Request<A, E, R>) {
    super()
    this.request = request
  }

  asEffect(): Effect.Effect<A, E | Refusal, R> {
    const { bank, criticality } = this.request
    if (this.waiter !== undefined) return this.enter(bank.collect(this.waiter))
    const lease = bank.takeFree(criticality)
    return lease === undefined ? this.wait() : this.enter(lease)
  }

  over(): void {
    const { bank } = this.request
    if (this.lease !== undefined) bank.end(this.lease)
    else if (this.waiter !== undefined) bank.leave(this.waiter)
  }

  private enter(door: Lease | Refusal): Effect.Effect<A, E | Refusal, R> {
    if (!(door instanceof Lease)) return Effect.fail(door)
    this.lease = door
    const { use } = this.request
    return use(door)
  }

  private wait(): Effect.Effect<A, E | Refusal, R> {
    const { bank, criticality } = this.request
    const waiter = new LoanWaiter(this, criticality)
    const door = bank.queue(waiter)
    if (door !== "queued") return this.enter(door)
    this.waiter = waiter
    return Effect.callback<A, E | Refusal, R>((resume) => this.sleep(resume))
  }

  /** A yield may fall between the queueing and the sleep: the news waits for it. */
  private sleep(resume: (effect: Effect.Effect<A, E | Refusal, R>) => void): void {
    touch()
    if (this.isTold) resume(this)
    else this.resume = resume
  }

  told(): boolean {
    this.isTold = true
    this.resume?.(this)
    return true
  }
}

/** One function for all: of ten thousand who wait, each closure on the way to its fiber is memory that is not at hand. */
function wake(this: Waiter): boolean {
  return this instanceof LoanWaiter && this.loan.told()
}

/** A fiber's waiter. */
class LoanWaiter extends Waiter {
  readonly loan: { readonly told: () => boolean }

  constructor(loan: LoanWaiter["loan"], criticality: Criticality) {
    super(`fiber #${Fiber.getCurrent()?.id}`, criticality, wake, true)
    this.loan = loan
  }
}

/** `withBuffer`. */
export class WithBuffer<A, E, R> extends Effectable.Class<A, E | Refusal, R> implements Request<A, E, R> {
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
    return lentFor(this)
  }
}

const lentFor = <A, E, R>(request: Request<A, E, R>): Effect.Effect<A, E | Refusal, R> => {
  const loan = new Loan(request)
  return Effect.onExitPrimitive(loan, () => {
    loan.over()
    return undefined
  })
}

/** `withBufferSync`: what is free is taken, used and given back in one step. */
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
    const { bank, criticality, use } = this
    const lease = bank.takeFree(criticality)
    if (lease === undefined) return lentFor({ bank, criticality, use: (granted) => Effect.succeed(use(granted)) })
    try {
      return Effect.succeed(use(lease))
    } finally {
      bank.end(lease)
    }
  }
}

/**
 * A wait for a buffer that outlives the effect: `keep` binds it to whoever owns it from then on. One that is interrupted after
 * that (a timeout that lost its race) gives it back all the same, for its caller never sees it.
 */
export const lentUntil = <E, R>(
  bank: Bank,
  criticality: Criticality,
  keep: (lease: Lease) => Effect.Effect<ByteBuffer, E, R>
): Effect.Effect<ByteBuffer, E | Refusal, R> => {
  const loan = new Loan({ bank, criticality, use: keep })
  return Effect.onExitPrimitive(loan, (exit) => {
    if (Exit.isFailure(exit)) loan.over()
    return undefined
  })
}

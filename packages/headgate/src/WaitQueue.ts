/**
 * The generic list of those who wait for a buffer. It knows nothing of streams or applets: who waits says so with a waiter
 * of its own, and is woken by its own callback (HAProxy commit a73e59b69). Filters and entities of your own wait through
 * it beside Headgate's.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ByteBuffer } from "./ByteBuffer.ts"
import type { Criticality } from "./Criticality.ts"

/**
 * What a wake tells: a buffer is the waiter's own (take it at the door), or the pool is closed.
 *
 * @category models
 * @since 0.1.0
 */
export type News = "granted" | "closed"

/**
 * Somebody who may wait: idle, queued, or granted. Granted means that a buffer is its own until a door hands it out, or
 * the waiter leaves or declines.
 *
 * @category models
 * @since 0.1.0
 */
export interface Waiter {
  /** Who waits, as a label for people. */
  readonly target: unknown
  readonly criticality: Criticality
  readonly state: "idle" | "queued" | "granted"
  /** Which of the pool's hand-offs its latest grant is: tells one grant from the next. */
  readonly grantNumber: number
}

/**
 * How a waiter is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface WaiterOptions {
  readonly target: unknown
  readonly criticality: Criticality
  /**
   * Called once per grant (or when the pool closes), synchronously, after the step that granted. `true` promises to come to
   * the door or to leave; `false` declines, and the buffer goes on to the next. A throw declines and is logged.
   */
  readonly wake: (news: News) => boolean
}

/**
 * One who waits, as `waiting` shows it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Waiting {
  readonly target: unknown
  readonly criticality: Criticality
  readonly state: "queued" | "granted"
  /** Since it was queued, or since it was granted and did not collect; in milliseconds. */
  readonly forMs: number
}

/**
 * The wait queue of one pool: `pool.waitQueue`, or this service.
 *
 * @category services
 * @since 0.1.0
 */
export class WaitQueue extends Context.Service<WaitQueue, {
  /** The name of its pool. */
  readonly pool: string
  /** A new waiter, idle. O(1). */
  readonly waiter: (options: WaiterOptions) => Waiter
  /**
   * The one door: hands out the waiter's grant, or a buffer that may be taken now, or else queues the waiter, in one step.
   * Queued twice is queued once and keeps its place. `"full"` does not happen to waiters made here: `maxWaiting` counts
   * fibers only. O(1).
   */
  readonly takeOrWaitUnsafe: (waiter: Waiter) => ByteBuffer | "queued" | "full" | "closed"
  /** Out of the queue; a grant goes on to the next. For ends and interruptions. O(1), and safe to repeat. */
  readonly leaveUnsafe: (waiter: Waiter) => void
  /**
   * Serves a class before its turn: `tx` first, then this class, then those that were before it, with its margin. For
   * ageing policies of your own; the pool's own uses it too. `undefined` restores the ordinary table.
   */
  readonly favourUnsafe: (criticality: Criticality | undefined) => void
  /** How many are queued, and how long the longest of them has been, in milliseconds. O(1), for policies. */
  readonly pressureUnsafe: () => { readonly queued: number; readonly oldestWaitMs: number }
  /** Who is queued, by class and in order, then who was granted and has not collected. O(waiters). */
  readonly waiting: Effect.Effect<ReadonlyArray<Waiting>>
}>()("headgate/WaitQueue") {}

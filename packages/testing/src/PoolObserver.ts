/**
 * Watches a pool through its public doors, and judges it and its users by the laws.
 *
 * `observe(pool)` returns the same service with every door watched: give that to whatever is under test. Each call of a
 * door is one step; so is each answer to a wake, and a picture is taken at the start of every wake, so the laws are
 * judged in between, too. What fibers do inside `withBuffer` and `acquire` is seen at the next look, and judged as a picture
 * alone. The first step after which something is wrong ends the watching: what follows would be its consequences.
 *
 * Beside the laws of the pool it judges what a user owes it:
 * - a wake does not throw; who answers `true` to a grant comes to the door or leaves (L11, L4);
 * - a buffer that was given back is not used again (L2);
 * - a fiber that holds a buffer asks only for one of a strictly smaller margin (L8);
 * - who has ended holds nothing and is in no queue (L3, L6).
 *
 * It shows no more than a snapshot does of which areas are unused, so there L2 and L3 say nothing. For tests: a look is
 * O(waiters + buffers), and the laws are quadratic in them.
 *
 * @since 0.1.0
 */
import type { BufferPool } from "headgate/BufferPool"
import { Observer, Owner } from "./internal/lawsObserver.ts"
import type * as Laws from "./Laws.ts"

export {
  /**
   * Whose deeds a fiber does: a `Context.Reference` of a name. Waiters and buffers are called after it, and so it is known
   * what somebody left behind.
   *
   * @category references
   * @since 0.1.0
   */
  Owner
}

/**
 * A law that does not hold: after which step, and who waits, in words.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finding extends Laws.Violation {
  readonly step: string
  readonly waiter: string | undefined
}

/**
 * A pool that is watched.
 *
 * @category models
 * @since 0.1.0
 */
export interface PoolObserver {
  /** The pool, with its queue, for whatever is under test. */
  readonly pool: BufferPool["Service"]
  /** What the laws see now. */
  readonly state: () => Laws.PoolState
  /** Judges what is there now. `after` says in words what was done. */
  readonly look: (after: string) => void
  /** To be called when nothing can run any more: whoever accepted a grant has come, and not all holders wait. */
  readonly rest: () => void
  /** To be called when an owner has ended: it holds nothing and is in no queue. */
  readonly ended: (owner: string) => void
  /** To be called when all have ended: nothing is lent and nobody waits. */
  readonly end: () => void
  /** What is wrong after the first step after which something is; empty if all is well. */
  readonly findings: () => ReadonlyArray<Finding>
  /** How often each law had something to say. */
  readonly exercised: () => Laws.Exercised
}

/**
 * Watches a pool from now on. Its `snapshot`, `resize` and `trim` must be synchronous, as Headgate's are.
 *
 * @category constructors
 * @since 0.1.0
 */
export const observe = (pool: BufferPool["Service"]): PoolObserver => {
  const observer = new Observer(pool)
  return {
    pool: observer.pool,
    state: () => observer.state(),
    look: (after) => observer.look(after),
    rest: () => observer.rest(),
    ended: (owner) => observer.ended(owner),
    end: () => observer.end(),
    findings: () => observer.findings,
    exercised: () => observer.exercised
  }
}

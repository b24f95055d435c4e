/**
 * A fiber that sleeps until it is woken, then processes.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { Entity } from "./internal/entity.ts"
import type { BufferPending } from "./PoolError.ts"
import { TaskScheduler } from "./TaskScheduler.ts"
import type { WakeReason } from "./WakeReason.ts"

/**
 * An entity as its own runs see it: without its error, so that types are not circular.
 *
 * @category models
 * @since 0.1.0
 */
export interface Self {
  readonly name: string
  /** The entity's: what a run adds here lives until the entity ends. (A run's own scope ends with the run.) */
  readonly scope: Scope.Scope
  /** Idle: queued to run. Queued or running: the reason is merged, and it runs (once more). O(1), for callbacks. */
  readonly wakeUnsafe: (reason: WakeReason) => void
  /** Wakes it with `timer` after that time; each call replaces the one before. */
  readonly expire: (duration: Duration.Input) => Effect.Effect<void>
  /**
   * Ends it in order: out of every queue and everything given back, in one step. From inside its own run, that run goes on
   * to its exit; from elsewhere, a run under way is interrupted and waited for.
   */
  readonly end: Effect.Effect<void>
  /** For callbacks: the same step. A run under way is interrupted, and not waited for. O(channels). */
  readonly endUnsafe: () => void
}

/**
 * An entity: idle, queued to run, or running; then ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Task<out E = never> extends Self {
  /** Waits for its end: fails as its `process` failed; interrupted if its scope closed first. */
  readonly await: Effect.Effect<void, E>
}

/**
 * Makes a task, and wakes it with `init`. A failing `process` ends it; one that succeeds does not: the task sleeps until it is
 * woken again, and ends by `self.end`. Runs never overlap, may suspend, and may not wait
 * for buffers (`WaitRefused`); a run that joins a fiber from outside which waits for one is beyond that check.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <E, R>(
  process: (self: Self, reasons: ReadonlySet<WakeReason>) => Effect.Effect<void, E, R>,
  options: { readonly name?: string | undefined } = {}
): Effect.Effect<Task<Exclude<E, BufferPending>>, never, Exclude<R, Scope.Scope> | Scope.Scope | TaskScheduler> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const scheduler = yield* TaskScheduler
    const name = options.name ?? "task"
    const run = (reasons: ReadonlySet<WakeReason>): Effect.Effect<void, E, R> => process(entity, reasons)
    const entity = new Entity({ name, scheduler, run }, yield* Scope.make())
    yield* entity.start(yield* Effect.scope)
    entity.wakeUnsafe("init")
    return entity
  }))

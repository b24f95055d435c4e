/**
 * Who runs next among tasks and streams: a run queue in the order of wakes.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as internal from "./internal/scheduler.ts"
import type { ConfigError } from "./PoolError.ts"
import type { WakeReason } from "./WakeReason.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface SchedulerOptions {
  /** Runs started per turn, at most, before input and output are let in. Default 200. */
  readonly runQueueDepth?: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface SchedulerSnapshot {
  /** Entities queued to run. */
  readonly runQueueLength: number
  /** Entities that have not ended. */
  readonly entities: number
  /** Runs started so far. */
  readonly starts: number
  /** Entities that ended by a failure or a defect. */
  readonly failed: number
}

/**
 * A place in a run queue, for entities of your own kind: idle, queued, running or ended.
 *
 * @category models
 * @since 0.1.0
 */
export interface Runnable {
  /** Idle: queued. Queued: reasons merged. Running: runs once more. Ended: nothing. O(1). */
  readonly wakeUnsafe: (reason: WakeReason) => void
  /** The run that `start` began is over. Call it once per start. O(1). */
  readonly finishedUnsafe: () => void
  /** Out of the queue, never started again. Safe to repeat. O(1). */
  readonly endUnsafe: (outcome: "done" | "failed") => void
}

/**
 * What a scheduler does.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scheduler {
  readonly runQueueDepth: number
  /** A new place in the queue. `start` is called in a turn, once per run, and must not throw. */
  readonly runnable: (start: (reasons: ReadonlySet<WakeReason>) => void) => Runnable
  readonly snapshot: Effect.Effect<SchedulerSnapshot>
}

/**
 * The scheduler of tasks and streams.
 *
 * @category services
 * @since 0.1.0
 */
export class TaskScheduler extends Context.Service<TaskScheduler, Scheduler>()("headgate/TaskScheduler") {
  static readonly layer = (options: SchedulerOptions = {}): Layer.Layer<TaskScheduler, ConfigError> =>
    Layer.effect(TaskScheduler, internal.make(options))
}

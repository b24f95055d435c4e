/**
 * Headgate by hand: with `Headgate.layerManual` nothing runs until it is told to, so a test can look after every step.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/**
 * Steps pool and schedulers.
 *
 * @category services
 * @since 0.1.0
 */
export class Stepper extends Context.Service<Stepper, {
  /** Starts the runs of tasks and streams queued now, in wake order; says how many. Later wakes wait for the next call. */
  readonly runTasks: Effect.Effect<number>
  /** The same for applets. */
  readonly runApplets: Effect.Effect<number>
  /** Delivers the wakes of fibers that are pending now; says how many. */
  readonly flush: Effect.Effect<number>
  /** Repeats all three until nothing is left; says how many steps that took. Dies after a million: then it has no end. */
  readonly settle: Effect.Effect<number>
}>()("headgate/Stepper") {
  static readonly runTasks: Effect.Effect<number, never, Stepper> = Stepper.use((stepper) => stepper.runTasks)
  static readonly runApplets: Effect.Effect<number, never, Stepper> = Stepper.use((stepper) => stepper.runApplets)
  static readonly flush: Effect.Effect<number, never, Stepper> = Stepper.use((stepper) => stepper.flush)
  static readonly settle: Effect.Effect<number, never, Stepper> = Stepper.use((stepper) => stepper.settle)
}

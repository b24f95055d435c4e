/**
 * Everything in one layer: a pool with its queue, and both schedulers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { AppletScheduler } from "./AppletScheduler.ts"
import { BufferPool, type BufferPoolOptions } from "./BufferPool.ts"
import * as HeadgateConfig from "./HeadgateConfig.ts"
import { failOn, poolRules, problemsOfPool, schedulerRules } from "./internal/options.ts"
import * as pools from "./internal/pool.ts"
import * as schedulers from "./internal/scheduler.ts"
import * as Turns from "./internal/turns.ts"
import type { AllocationFailed, ConfigError } from "./PoolError.ts"
import { Stepper } from "./Stepper.ts"
import { type SchedulerOptions, TaskScheduler } from "./TaskScheduler.ts"
import { WaitQueue } from "./WaitQueue.ts"

export { Stepper }

/**
 * The options of pool and schedulers, in one object. All may be left out; an unknown one is an error.
 *
 * @category models
 * @since 0.1.0
 */
export interface HeadgateOptions extends BufferPoolOptions, SchedulerOptions {}

/**
 * What the layers provide.
 *
 * @category models
 * @since 0.1.0
 */
export type Services = BufferPool | WaitQueue | TaskScheduler | AppletScheduler

const parts = (options: HeadgateOptions) =>
  Effect.gen(function*() {
    yield* failOn(problemsOfPool(options, { ...poolRules, ...schedulerRules }))
    const { runQueueDepth, ...poolOptions } = options
    const pool = yield* pools.make(poolOptions)
    const tasks = yield* schedulers.make({ runQueueDepth })
    const applets = yield* schedulers.make({ runQueueDepth })
    return { pool, tasks, applets }
  })

const contextOf = ({ applets, pool, tasks }: Effect.Success<ReturnType<typeof parts>>): Context.Context<Services> =>
  Context.make(BufferPool, pool).pipe(
    Context.add(WaitQueue, pool.waitQueue),
    Context.add(TaskScheduler, tasks),
    Context.add(AppletScheduler, applets)
  )

/**
 * Pool, queue and schedulers. Share one `const`: built twice, it is two pools.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: HeadgateOptions = {}): Layer.Layer<Services, ConfigError | AllocationFailed> =>
  Layer.effectContext(Effect.map(parts(options), contextOf))

/**
 * The same, with the options that the environment gives (see `HeadgateConfig`).
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<Services, ConfigError | AllocationFailed> = Layer.effectContext(
  Effect.map(Effect.flatMap(HeadgateConfig.load, parts), contextOf)
)

/**
 * The same, by hand: no run is started and no fiber is woken but by the `Stepper`, so whoever awaits an entity without
 * stepping waits for ever. Closing the layer flushes.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerManual = (
  options: HeadgateOptions = {}
): Layer.Layer<Services | Stepper, ConfigError | AllocationFailed> =>
  Layer.effectContext(
    Effect.map(parts(options).pipe(Turns.provide(Turns.byHand)), (made) =>
      Context.add(contextOf(made), Stepper, stepper(made)))
  )

/** A program that is not still after so many steps has no end. */
const mostSteps = 1_000_000

const stepper = ({ applets, pool, tasks }: Effect.Success<ReturnType<typeof parts>>): Stepper["Service"] => {
  const round = () => pool.gate.flush(pool.gate.pendingWakes) + tasks.queue.run(Infinity) + applets.queue.run(Infinity)
  return {
    runTasks: Effect.sync(() => tasks.queue.run(Infinity)),
    runApplets: Effect.sync(() => applets.queue.run(Infinity)),
    flush: Effect.sync(() => pool.gate.flush(pool.gate.pendingWakes)),
    settle: Effect.suspend(() => {
      let steps = 0
      for (let taken = round(); taken > 0; taken = round()) {
        steps += taken
        if (steps > mostSteps) {
          return Effect.die(new Error(`settle took more than ${mostSteps} steps: something never rests`))
        }
      }
      return Effect.succeed(steps)
    })
  }
}

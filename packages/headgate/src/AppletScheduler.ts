/**
 * Who runs next among applets: a run queue of their own, as in HAProxy, so that applets and streams do not delay each
 * other's turns.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as internal from "./internal/scheduler.ts"
import type { ConfigError } from "./PoolError.ts"
import type { Scheduler, SchedulerOptions } from "./TaskScheduler.ts"

/**
 * The scheduler of applets.
 *
 * @category services
 * @since 0.1.0
 */
export class AppletScheduler extends Context.Service<AppletScheduler, Scheduler>()("headgate/AppletScheduler") {
  static readonly layer = (options: SchedulerOptions = {}): Layer.Layer<AppletScheduler, ConfigError> =>
    Layer.effect(AppletScheduler, internal.make(options))
}

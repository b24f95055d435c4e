/**
 * Whether a fiber is inside an entity's run: a token, fresh for each run and cleared at its exit, that fibers inherit.
 */
import * as Context from "effect/Context"
import * as Fiber from "effect/Fiber"

export interface Run {
  active: boolean
  /** The entity whose run it is. */
  readonly entity: object
}

export const CurrentRun = Context.Reference<Run | undefined>("headgate/internal/CurrentRun", {
  defaultValue: () => undefined
})

export const runOf = (fiber: Fiber.Fiber<unknown, unknown>): Run | undefined => {
  const run = fiber.getRef(CurrentRun)
  return run !== undefined && run.active ? run : undefined
}

/** The run of the fiber that is executing now, if it executes at all: callbacks are outside any run. */
export const currentRun = (): Run | undefined => {
  const fiber = Fiber.getCurrent()
  return fiber === undefined ? undefined : runOf(fiber)
}

/**
 * Whether a fiber is inside an entity's run: a token, fresh for each run and cleared at its exit, that fibers inherit.
 */
import * as Context from "effect/Context"
import * as Fiber from "effect/Fiber"
import { touch } from "./version.ts"

/** What a run holds until its exit: the channels whose buffers it allocated. */
export interface RunPin {
  readonly afterRun: () => void
}

export class Run {
  active = true
  /** The entity whose run it is. */
  readonly entity: object
  private pins: Array<RunPin> | undefined = undefined

  constructor(entity: object) {
    this.entity = entity
  }

  hold(pin: RunPin): void {
    if (this.pins === undefined) this.pins = [pin]
    else this.pins.push(pin)
  }

  exit(): void {
    touch()
    this.active = false
    for (const pin of this.pins ?? []) pin.afterRun()
  }
}

export const CurrentRun = Context.Reference<Run | undefined>("headgate/internal/CurrentRun", {
  defaultValue: () => undefined
})

export const runOf = (fiber: Fiber.Fiber<unknown, unknown>): Run | undefined => {
  touch()
  const run = fiber.getRef(CurrentRun)
  return run !== undefined && run.active ? run : undefined
}

/** The run of the fiber that is executing now, if one is: callbacks are outside any run. */
export const currentRun = (): Run | undefined => {
  const fiber = Fiber.getCurrent()
  return fiber === undefined ? undefined : runOf(fiber)
}

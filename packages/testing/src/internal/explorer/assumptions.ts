/**
 * What the explorer takes for granted of Effect's runtime, checked on the Effect that is installed.
 *
 * `Scheduler` is stable API; in how many operations a fiber returns from a yield, and that resumptions run inside the
 * resumer's operation, is not promised anywhere. Were it otherwise, schedules would be missed without a word.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"
import { operationsAfterYield } from "./run.ts"

class Asking implements Scheduler.Scheduler {
  readonly executionMode = "sync"
  readonly tasks: Array<() => void> = []
  asked = 0
  yieldsAt = Infinity
  shouldYield(): boolean {
    return ++this.asked === this.yieldsAt
  }
  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return { scheduleTask: (task) => void this.tasks.push(task), flush: () => {} }
  }
}

const asksForYield = (): number => {
  const scheduler = new Asking()
  let before = 0
  let after = 0
  // The question before the second operation is the one that is answered by a yield.
  const body = Effect.andThen(
    Effect.sync(() => {
      scheduler.yieldsAt = scheduler.asked + 1
    }),
    Effect.sync(() => {
      after = scheduler.asked
    })
  )
  Effect.runFork(body, { scheduler })
  before = scheduler.asked
  while (scheduler.tasks.length > 0) scheduler.tasks.shift()?.()
  return after - before
}

const resumesInline = (): boolean => {
  let resume: (() => void) | undefined
  let went = false
  const waits = Effect.callback<void>((then) => {
    resume = () => then(Effect.void)
  })
  Effect.runFork(Effect.andThen(waits, Effect.sync(() => void (went = true))), { scheduler: new Asking() })
  resume?.()
  return went
}

const interruptsInline = (): boolean => {
  let cleaned = false
  const waits = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (cleaned = true)))
  const fiber: Fiber.Fiber<never> = Effect.runFork(waits, { scheduler: new Asking() })
  fiber.interruptUnsafe()
  return cleaned
}

const forksThroughScheduler = (): boolean => {
  const scheduler = new Asking()
  let went = false
  Effect.runFork(Effect.forkChild(Effect.sync(() => void (went = true))), { scheduler })
  return !went && scheduler.tasks.length === 1
}

/** What does not hold; empty if the explorer may be trusted with this Effect. */
export const brokenAssumptions = (): ReadonlyArray<string> => {
  const asks = asksForYield()
  return [
    ...asks === operationsAfterYield
      ? []
      : [`a fiber comes back from a yield in ${asks} operations, not in ${operationsAfterYield}`],
    ...resumesInline() ? [] : ["a fiber that is resumed does not run at once"],
    ...interruptsInline() ? [] : ["a parked fiber that is interrupted does not clean up at once"],
    ...forksThroughScheduler() ? [] : ["a child is not started through its scheduler"]
  ]
}

/**
 * What the explorer takes for granted of Effect's runtime, checked on the Effect that is installed.
 *
 * `Scheduler` is stable API; in how many operations a fiber returns from a yield, when a value is passed on without asking,
 * and that resumptions run inside the resumer's operation, is not promised anywhere. Were it otherwise, schedules would be
 * missed without a word.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"
import { askAlways, operationsAfterYield } from "./grain.ts"

class Asking implements Scheduler.Scheduler {
  readonly executionMode = "sync"
  readonly tasks: Array<() => void> = []
  asked = 0
  yieldsAt = Infinity
  shouldYield(_fiber: Fiber.Fiber<unknown, unknown>): boolean {
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

/** Asks of a value that three `map`s pass on, and of which the counts of operations were set. */
class Counting extends Asking {
  firstCount: number | undefined
  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.firstCount ??= fiber.currentOpCount
    askAlways(fiber)
    return super.shouldYield(fiber)
  }
}

const asksBetweenMaps = (): boolean => {
  const scheduler = new Counting()
  const seen: Array<number> = []
  const look = () => void seen.push(scheduler.asked)
  Effect.runFork(Effect.map(Effect.map(Effect.map(Effect.sync(look), look), look), look), { scheduler })
  // The first `map` is part of the operation whose value it gets.
  return scheduler.firstCount === 1 && seen.length === 4 && new Set(seen).size === 3
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
    ...asksBetweenMaps() ? [] : ["a scheduler cannot have itself asked before each continuation"],
    ...resumesInline() ? [] : ["a fiber that is resumed does not run at once"],
    ...interruptsInline() ? [] : ["a parked fiber that is interrupted does not clean up at once"],
    ...forksThroughScheduler() ? [] : ["a child is not started through its scheduler"]
  ]
}

/**
 * When the core's pending work runs: wakes of fibers, and runs of entities.
 *
 * Invariant: work never runs inside the step that asked for it, and no turn does more than `perTurn` steps of it before
 * input and output are let in. Which turns those are is decided once, when a layer is built: microtasks under the default
 * scheduler (about a tenth of the cost of a macrotask), the app's own scheduler otherwise, so that whoever steps that
 * scheduler controls every wake; or by hand.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"

/** Work that is done in turns: `run` does at most `max` steps and says how many; `pending` whether more is left. */
export interface Work {
  readonly perTurn: number
  readonly run: (max: number) => number
  readonly pending: () => boolean
}

/** Makes the function that asks for a turn of some work. */
export type Turns = (work: Work) => () => void

declare const queueMicrotask: (task: () => void) => void
declare const setImmediate: ((task: () => void) => unknown) | undefined

/** A chain of microtasks would starve I/O: after `perTurn` steps the next turn waits for a macrotask. */
const microtasks = (immediate: (task: () => void) => unknown): Turns => (work) => {
  let asked = false
  let spent = 0
  const ask = () => {
    if (asked) return
    asked = true
    if (spent < work.perTurn) queueMicrotask(turn)
    else immediate(freshTurn)
  }
  const turn = () => {
    try {
      spent += work.run(work.perTurn - spent)
    } finally {
      asked = false
      if (work.pending()) ask()
    }
  }
  const freshTurn = () => {
    spent = 0
    turn()
  }
  return ask
}

const scheduled = (dispatcher: Scheduler.SchedulerDispatcher): Turns => (work) => {
  let asked = false
  const ask = () => {
    if (asked) return
    asked = true
    dispatcher.scheduleTask(turn, 0)
  }
  const turn = () => {
    try {
      work.run(work.perTurn)
    } finally {
      asked = false
      if (work.pending()) ask()
    }
  }
  return ask
}

/** Nothing runs by itself: a `Stepper` calls. */
export const byHand: Turns = () => () => {}

const chosen = Context.Reference<Turns | undefined>("headgate/internal/Turns", { defaultValue: () => undefined })

export const provide = (turns: Turns) => Effect.provideService(chosen, turns)

export const current: Effect.Effect<Turns> = Effect.withFiber((fiber) => {
  const given = fiber.getRef(chosen)
  if (given !== undefined) return Effect.succeed(given)
  const scheduler = fiber.getRef(Scheduler.Scheduler)
  const isDefault = scheduler === Context.get(Context.empty(), Scheduler.Scheduler)
  return Effect.succeed(
    isDefault && typeof setImmediate === "function" ? microtasks(setImmediate) : scheduled(scheduler.makeDispatcher())
  )
})

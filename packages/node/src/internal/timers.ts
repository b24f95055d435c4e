/**
 * A program's clock, for callbacks: Node's own timers where the program was given no other clock, and else that clock.
 *
 * Invariant: what was asked for is called at most once, later than it was asked for, and never once it was stopped.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export interface Timers {
  readonly now: () => number
  /** Calls once, later, unless what it returns is called before. */
  readonly after: (ms: number, then: () => void) => () => void
}

/** The clock of a program that was given none: its sleeps are Node's timers, which can be had without a fiber. */
const usualClock = Context.get(Context.empty(), Clock.Clock)

/** Longer is not known to Node's timers, and the operating system gives up long before. */
const longestTimerMs = 2 ** 31 - 1

const nothing = (): void => {}

const usualTimers: Timers = {
  now: () => usualClock.currentTimeMillisUnsafe(),
  after: (ms, then) => {
    if (ms > longestTimerMs) return nothing
    const timer = setTimeout(then, ms)
    return () => clearTimeout(timer)
  }
}

const timersBy = (clock: Clock.Clock, context: Context.Context<never>): Timers => ({
  now: () => clock.currentTimeMillisUnsafe(),
  after: (ms, then) => {
    const sleeper = Effect.runForkWith(context)(Effect.andThen(clock.sleep(Duration.millis(ms)), Effect.sync(then)))
    return () => sleeper.interruptUnsafe()
  }
})

/** Those of the program that this is a part of. */
export const timersHere: Effect.Effect<Timers> = Effect.withFiber((fiber) => {
  const clock = fiber.getRef(Clock.Clock)
  return Effect.succeed(clock === usualClock ? usualTimers : timersBy(clock, fiber.context))
})

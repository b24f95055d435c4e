/**
 * How finely Effect's runtime lets a scheduler cut a fiber: what both the explorer and the sweep build on, and what
 * `assumptions.ts` checks on the Effect that is installed.
 */
import type * as Fiber from "effect/Fiber"

/** Operations that a fiber spends on getting back to where it yielded. */
export const operationsAfterYield = 2

/** Effect hands a value to the next continuation without asking, but whenever the count of operations comes to 32 n. */
const countBeforeAsking = 31

/** To be called at every question: lets the scheduler be asked wherever production may ask, after every `map` and `as`, too. */
export const askAlways = (fiber: Fiber.Fiber<unknown, unknown>): void =>
  void Reflect.set(fiber, "currentOpCount", countBeforeAsking)

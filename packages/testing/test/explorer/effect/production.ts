/**
 * Programs on Effect's own scheduler, without the explorer. What the explorer finds must happen here, too: a fiber yields
 * when it has done 2048 operations, so with enough of them before, a program yields at any place one likes.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Turns of the event loop: until whatever can run has run. */
export const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Operations that do nothing. */
export const operations = (count: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    for (let done = 0; done < count; done++) yield* Effect.sync(() => done)
  })

/** Whether something happens after some number of operations, of those that nearly use up the 2048. */
export const happensSomewhere = async (happensAfter: (count: number) => Promise<boolean>): Promise<boolean> => {
  for (let count = 1980; count < 2060; count++) {
    if (await happensAfter(count)) return true
  }
  return false
}

/** Whether `use` loses something if it is interrupted where its fiber yields: `isLost` looks when all is over. */
export const losesInterrupted = <Made>(
  make: Effect.Effect<Made>,
  use: (made: Made) => Effect.Effect<unknown, unknown>,
  isLost: (made: Made) => Effect.Effect<boolean>
): Promise<boolean> =>
  happensSomewhere(async (count) => {
    const made = await Effect.runPromise(make)
    const fiber = Effect.runFork(Effect.andThen(operations(count), use(made)))
    fiber.interruptUnsafe()
    await Effect.runPromise(Fiber.await(fiber))
    return Effect.runPromise(isLost(made))
  })

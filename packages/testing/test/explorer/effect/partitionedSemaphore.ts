/**
 * A worked example: the permit that Effect 4.1.0 loses.
 *
 * `PartitionedSemaphore.withPermits` promises: "Once acquired, the permits are released even if the wrapped effect fails or
 * is interrupted". To put that to the explorer takes three things:
 *
 * 1. a program, as small as can be, made anew for every run: here one fiber that takes the only permit;
 * 2. what must hold when everything is over: the permit is back;
 * 3. how far to go: `{ interrupts: 1 }` is every schedule there is, with the fiber interrupted at each operation in turn.
 *
 *     explore(permitsAreBack, { interrupts: 1 })
 *
 * finds a leak among the first dozen schedules. Its trace is
 *
 *     1  visitor starts
 *     6  visitor is INTERRUPTED at operation 6
 *     7  visitor goes on
 *
 * and its id, given to `replay(permitsAreBack, id)`, does it again.
 *
 * What happens there: `withPermits` is `uninterruptibleMask((restore) => flatMap(restore(take), () => ensuring(..., release)))`.
 * `take` gives the permits back if it fails. Interrupted right after it has succeeded, it has nothing to give back any more,
 * and the interruption is raised where `restore` ends: before `ensuring` has been reached. The permits are nobody's.
 *
 * It is no artefact of a scheduler that yields anywhere: a fiber that has done 2038 operations before yields at that very
 * place in production, too, and whoever waits for the permit afterwards waits for ever.
 */
import * as Effect from "effect/Effect"
import * as PartitionedSemaphore from "effect/PartitionedSemaphore"
import type { Explored, World } from "../../../src/Explorer.ts"

const permits = 1

export const permitsAreBack = (world: World): Explored => {
  const semaphore = PartitionedSemaphore.makeUnsafe<string>({ permits })
  let back: number | undefined
  return {
    program: Effect.gen(function*() {
      const visitor = yield* world.fork("visitor", semaphore.withPermits("key", permits)(Effect.void))
      yield* world.await(visitor)
      back = yield* semaphore.available
    }),
    atEnd: () => back === permits ? undefined : `${back} of ${permits} permits are back`
  }
}

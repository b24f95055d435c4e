/** The worked example, and that its test would say what to do if there were nothing to find any more. */
import * as Effect from "effect/Effect"
import * as PartitionedSemaphore from "effect/PartitionedSemaphore"
import { assert, describe, it } from "vitest"
import { type KnownFault, mustBeFound, stillThere } from "./knownFault.ts"
import { permitsAreBack } from "./partitionedSemaphore.ts"
import { visited, withPermits } from "./permits.ts"
import { losesInterrupted } from "./production.ts"

const lostPermit: KnownFault = {
  of: "PartitionedSemaphore.withPermits",
  what: "an interruption loses the permit",
  make: permitsAreBack,
  options: { interrupts: 1 },
  kind: "leak",
  interruptions: 1,
  pauses: 0,
  inProduction: () =>
    losesInterrupted(
      PartitionedSemaphore.make<string>({ permits: 1 }),
      (semaphore) => semaphore.withPermits("key", 1)(Effect.void),
      (semaphore) => Effect.map(semaphore.available, (available) => available === 0)
    )
}

describe("the permit that Effect 4.1.0 loses", () => {
  stillThere(lostPermit)

  it("is lost as the example tells it", () => {
    assert.deepStrictEqual(mustBeFound(lostPermit).trace.map((line) => line.trim()), [
      "1  visitor starts",
      "6  visitor is INTERRUPTED at operation 6",
      "7  visitor goes on"
    ])
  })

  it("once it is not lost any more, the test says what to do: Semaphore, which does not lose it, stands in", () => {
    assert.throws(
      () => mustBeFound({ ...lostPermit, make: visited(withPermits, 1, 1) }),
      /does not show its fault any more .*: all schedules, 1 interruption anywhere: .*upstream has mended it: let the program hold in Structures\.test\.ts/
    )
  })
})

/** Faults of the Effect that is installed: each test finds its fault, and says what to do once it finds it no more. */
import { assert, it } from "vitest"
import {
  coverageLine,
  explore,
  type Explored,
  type ExploreOptions,
  type Failure,
  type FailureKind,
  promiseLine,
  replay,
  type World
} from "../../../src/Explorer.ts"

export interface KnownFault {
  /** What it is a fault of: `PubSub.take`. */
  readonly of: string
  /** What goes wrong, in a few words. */
  readonly what: string
  readonly make: (world: World) => Explored
  readonly options: ExploreOptions
  readonly kind: FailureKind
  /** The fewest interruptions and pauses that do it. */
  readonly interruptions: number
  readonly pauses: number
  /** The same without the explorer, on Effect's own scheduler. */
  readonly inProduction: () => Promise<boolean>
}

const mended = (fault: KnownFault, seen: string): string =>
  `${fault.of} does not show its fault any more (${fault.what}): ${seen}. If Effect was updated, upstream has mended it: let ` +
  "the program hold in Structures.test.ts from now on, delete the fault here, and move its row in docs/verification.md to " +
  "those that are mended, with the version. If Effect is the same, the explorer has gone blind: mend that first"

/** Throws unless the fault is found soon, replayed by its id, and as small as it can be. */
export const mustBeFound = (fault: KnownFault): Failure => {
  const { interruptions, kind, make, options, pauses } = fault
  const report = explore(make, options)
  const { failure } = report
  if (failure === undefined) throw new Error(mended(fault, coverageLine(report)))
  assert.strictEqual(failure.kind, kind, failure.message)
  assert.isAtMost(report.schedules, 100)
  const lines = (word: string) => failure.trace.filter((line) => line.includes(word)).length
  assert.deepStrictEqual(
    { interruptions: lines("INTERRUPTED"), pauses: lines(" pauses at ") },
    { interruptions, pauses },
    failure.trace.join("\n")
  )
  const again = replay(make, failure.id)
  assert.strictEqual(again.failure?.message, failure.message)
  assert.deepStrictEqual(again.trace, failure.trace)
  return failure
}

/** One test under the explorer, and one without it: what is found is no artefact. */
export const stillThere = (fault: KnownFault): void => {
  const name = `${fault.of}: ${fault.what}`
  it(`${name}, found within 100 schedules and replayed (${promiseLine(fault.options)})`, () => {
    mustBeFound(fault)
  })
  it(`${name}, without the explorer, on Effect's own scheduler`, async () => {
    if (!await fault.inProduction()) throw new Error(mended(fault, "it does not happen on Effect's own scheduler"))
  })
}

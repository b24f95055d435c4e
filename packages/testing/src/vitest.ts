/**
 * Explorations as tests of vitest. Its own module, so that nobody else needs vitest.
 *
 * @since 0.1.0
 */
import { it as vitestIt } from "vitest"
import {
  assertExplored,
  coverageLine,
  explore,
  type Explored,
  type ExploreOptions,
  promiseLine,
  type World
} from "./Explorer.ts"

/**
 * vitest's `it`, with `it.explore(name, make, options)`: explores the program and fails with the trace and the line that
 * replays it. What was covered stands in the test's name, and in numbers in its annotation (`--reporter verbose`) and its meta
 * (`covered`, in the JSON report); an exploration that does not get to the end fails. `maxSchedules` and `maxSteps` limit it,
 * not vitest's `testTimeout`.
 *
 * @since 0.1.0
 */
export const it: typeof vitestIt & {
  readonly explore: (name: string, make: (world: World) => Explored, options?: ExploreOptions) => void
} = Object.assign(vitestIt, {
  explore: (name: string, make: (world: World) => Explored, options: ExploreOptions = {}): void =>
    vitestIt(`${name} (${promiseLine(options)})`, { timeout: 0 }, async ({ annotate, task }) => {
      const report = explore(make, options)
      const covered = coverageLine(report)
      Object.assign(task.meta, { covered })
      await annotate(covered)
      assertExplored(report)
    })
})

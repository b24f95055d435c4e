/**
 * L9 for the entities of `headgate`, their channels, the relay and the stepper: see `headgate.test.ts`, whose table this is.
 */
import { describe, it } from "@effect/vitest"
import { assertSwept } from "../../src/Sweep.ts"
import { entityRows, manualRows } from "./headgateRows.ts"
import { situations, sweepManualRow, sweepRow } from "./stage.ts"

describe.each(Object.entries(entityRows))("%s, interrupted anywhere", (_, row) => {
  it.each(situations)("%s: leaks nothing and forgets nobody", (situation) => {
    assertSwept(sweepRow(row, situation))
  })
})

describe.each(Object.entries(manualRows))("%s, interrupted anywhere", (_, row) => {
  it.each(situations)("%s: leaks nothing and forgets nobody", (situation) => {
    assertSwept(sweepManualRow(row, situation))
  })
})

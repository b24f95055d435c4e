/**
 * L9 for the entities of `headgate`, their channels, the relay and the stepper: see `headgate.test.ts`, whose table this is.
 */
import { describe, it } from "@effect/vitest"
import { assertSwept } from "../../src/Sweep.ts"
import { entityRows, manualRows } from "./headgateRows.ts"
import { sweepManualRow, sweepRow, sweeps } from "./stage.ts"

describe.each(Object.entries(entityRows))("%s, interrupted anywhere", (_, row) => {
  it.each(sweeps)("$situation (debug: $debug): leaks nothing and forgets nobody", ({ mode, situation }) => {
    assertSwept(sweepRow(row, situation, mode))
  })
})

describe.each(Object.entries(manualRows))("%s, interrupted anywhere", (_, row) => {
  it.each(sweeps)("$situation (debug: $debug): leaks nothing and forgets nobody", ({ mode, situation }) => {
    assertSwept(sweepManualRow(row, situation, mode))
  })
})

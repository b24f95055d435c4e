/**
 * What must have a mutant: each law, and each rule that an earlier wording of the design had and that lost something. The
 * rows are those of the design's verification: E1–E15 were refuted by exhaustive search over the pool, F1–F10 by simulated
 * relays.
 */
import type { Law, Mutant } from "./mutant.ts"

/** All but L10, which is a cost: a benchmark judges it, no test. */
const laws: ReadonlyArray<Law> = ["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L9", "L11"]

const rows: { readonly [row: string]: string } = {
  E1: "shrinking: nobody is granted while used is above the limit",
  E2: "shrinking: capacity falls to max(limit, used + reserve)",
  E3: "shrinking counts the returning buffer as lent",
  E4: "the reserve is only a number; capacity drops to what exists after a failed creation",
  E5: "the first creation fails, and nothing was created before",
  E6: "capacity recovers only when a give-back finds nobody queued",
  E7: "no state between grant and wake",
  E8: "a run may wait for a buffer",
  E9: "margin(endpoint) = margin(rx) at reserve 1, by rounding",
  E10: "a stream's filter asks at rx to empty an rx channel",
  // As such it is no wrong rule: margins grow along the table, so it never finds anybody. Its mutant is a table in which they
  // do not.
  E11: "the offer passes over waiters that are not entitled",
  E12: "ageing without a window that ends",
  E13: "ageing with margin(c) + 1 for the others",
  E14: "ageing for a fixed 250 ms per second, until the head is served",
  E15: "no offer when the table changes",
  F1: "the stall policy acts only if no buffer was handed to anyone in stallGrace",
  F2: "any byte is progress",
  F3: "writes are sampled only while somebody waits",
  F4: "idleTimeout counts only our own reads and writes",
  F5: "queueTimeout = stallTimeout",
  F6: "reading starts before the target is connected",
  F7: "the status listener reads its request into a pooled buffer",
  F8: "strict priority, no ageing",
  F9: "plain holds at most 64 KiB beyond the pool",
  // Nor this: the same connections end the same way. Its mutant is a turn without the bound that stands in its place.
  F10: "one buffer per turn while anyone waits"
}

/** Laws and rows without a mutant, and rows that a mutant names and that there are not. */
export const gaps = (mutants: ReadonlyArray<Mutant>): ReadonlyArray<string> => [
  ...laws.filter((law) => !mutants.some((mutant) => mutant.law === law)).map((law) => `${law} has no mutant`),
  ...Object.entries(rows).filter(([row]) => !mutants.some((mutant) => mutant.row === row)).map(([row, rule]) =>
    `${row} (${rule}) has no mutant`
  ),
  ...mutants.filter(({ row }) => row !== undefined && !Object.hasOwn(rows, row)).map(({ name, row }) =>
    `${name} names row ${row}, which there is not`
  )
]

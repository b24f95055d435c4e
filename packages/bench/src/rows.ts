/**
 * A row: one piece of work, what it costs here and elsewhere, and what the ratio of the two must come to.
 *
 * Ratios are of medians over interleaved rounds; the spread is that of the ratios of single rounds, in which both sides ran
 * within seconds of each other. Where `net` is given, the cost of the loop that drives both sides is subtracted from both.
 */
import type { Outcome, Samples } from "./rounds.ts"

/** What a row is to be made of. A key names a measure that some contestant reports in each round. */
export interface Comparison {
  readonly work: string
  readonly ours: Side
  readonly peer: Side
  readonly unit: string
  /** The measure of the driver alone, to be subtracted from both sides. */
  readonly net?: string
  /** What is judged: the ratio, unless a bound is on our own value (no bytes at all). */
  readonly judged?: "ratio" | "ours"
  /** Whether more is worse (the default) or better. */
  readonly sense?: "at most" | "at least"
  readonly must?: number
  readonly want?: number
}

export interface Side {
  /** As the table calls it. */
  readonly name: string
  readonly key: string
}

export interface Value {
  readonly name: string
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Row {
  readonly work: string
  readonly unit: string
  readonly ours: Value
  readonly peer: Value
  /** `null` if the peer's value is 0. */
  readonly ratio: number | null
  /** The least and the greatest ratio of one round. */
  readonly spread: readonly [number, number] | null
  /** The ratio with the driver's cost still in both sides, where `ratio` is without. */
  readonly gross: number | null
  readonly judged: "ratio" | "ours"
  readonly sense: "at most" | "at least"
  readonly must: number | null
  readonly want: number | null
  /** Whether the must is met; a row without one always holds. */
  readonly holds: boolean
  /** Whether the want is met; `null` without one. */
  readonly reached: boolean | null
}

/** A row that could not be made, and why. `excused`: it cannot run on this machine. */
export interface Missing {
  readonly work: string
  readonly contestant: string
  readonly why: string
  readonly excused: boolean
}

export const median = (values: ReadonlyArray<number>): number => {
  if (values.length === 0) throw new RangeError("the median of no values")
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

export const rowsOf = (
  comparisons: ReadonlyArray<Comparison>,
  outcome: Outcome
): { readonly rows: ReadonlyArray<Row>; readonly missing: ReadonlyArray<Missing> } => {
  const rows: Array<Row> = []
  const missing: Array<Missing> = []
  for (const comparison of comparisons) {
    const absent = keysOf(comparison).filter((key) => (outcome.samples.get(key)?.length ?? 0) === 0)
    if (absent.length === 0) rows.push(rowOf(comparison, outcome.samples))
    else missing.push(...absent.map((key) => ({ work: comparison.work, ...reasonOf(key, outcome) })))
  }
  return { rows, missing }
}

/** What a run ends with: the reasons, if any, for which it is not a success. */
export const faultsOf = (rows: ReadonlyArray<Row>, missing: ReadonlyArray<Missing>): ReadonlyArray<string> => [
  ...missing.filter(({ excused }) => !excused).map(({ contestant, why, work }) =>
    `missing: ${work}: ${contestant}: ${why}`
  ),
  ...rows.filter(({ holds }) => !holds).map(({ judged, must, ours, peer, ratio, sense, work }) =>
    `does not hold: ${work}, beside ${peer.name}: ${
      judged === "ours" ? ours.median : ratio?.toFixed(4)
    }, must be ${sense} ${must}`
  )
]

const keysOf = ({ net, ours, peer }: Comparison): ReadonlyArray<string> =>
  net === undefined ? [ours.key, peer.key] : [ours.key, peer.key, net]

const rowOf = (comparison: Comparison, samples: Samples): Row => {
  const { judged = "ratio", must, ours, peer, sense = "at most", unit, want, work } = comparison
  const [mine, theirs, driver = []] = keysOf(comparison).map((key) => samples.get(key) ?? [])
  if (mine === undefined || theirs === undefined) throw new TypeError(`a row of one side: ${work}`)
  const below = driver.length === 0 ? 0 : median(driver)
  const ratio = quotient(median(mine) - below, median(theirs) - below)
  const perRound = mine.flatMap((value, round) => {
    const [other, under = 0] = [theirs[round], driver[round]]
    const one = other === undefined ? null : quotient(value - under, other - under)
    return one === null ? [] : [one]
  })
  const meets = (bound: number): boolean => {
    const value = judged === "ours" ? median(mine) : ratio
    return value !== null && (sense === "at most" ? value <= bound : value >= bound)
  }
  return {
    work,
    unit,
    ours: valueOf(ours.name, mine, below),
    peer: valueOf(peer.name, theirs, below),
    ratio,
    spread: perRound.length === 0 ? null : [Math.min(...perRound), Math.max(...perRound)],
    gross: driver.length === 0 ? null : quotient(median(mine), median(theirs)),
    judged,
    sense,
    must: must ?? null,
    want: want ?? null,
    holds: must === undefined || meets(must),
    reached: want === undefined ? null : meets(want)
  }
}

/** Undefined unless both are real costs: a value of nothing or less (a driver that measured dearer) is no divisor. */
const quotient = (one: number, other: number): number | null => other > 0 ? one / other : null

const valueOf = (name: string, values: ReadonlyArray<number>, below: number): Value => ({
  name,
  median: median(values) - below,
  min: Math.min(...values) - below,
  max: Math.max(...values) - below
})

const reasonOf = (key: string, { failed, unavailable }: Outcome): Omit<Missing, "work"> => {
  const isOf = ({ contestant }: { readonly contestant: string }) =>
    key === contestant || key.startsWith(`${contestant} `)
  const here = unavailable.find(isOf)
  if (here !== undefined) return { ...here, excused: true }
  return { contestant: key, why: failed.find(isOf)?.why ?? "no value was reported", excused: false }
}

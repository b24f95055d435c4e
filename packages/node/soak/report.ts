/** What the soak prints: a line for each minute and limit, a table at the end, and the verdict. */
import { duration, mib, type Row, table } from "../demo/table.ts"
import type { Sample, Standing } from "./standing.ts"

/** What was seen of one relay. */
export interface Seen {
  readonly standing: Standing
  /** Under load, each minute, with the number of the load. */
  readonly minutes: Array<{ readonly load: number; readonly sample: Sample }>
  /** Behind each load. */
  readonly rests: Array<Sample>
}

const count = (of: { readonly [end: string]: number }, end: string): number => of[end] ?? 0

const wide = (value: number | string, width: number): string => String(value).padStart(width)

export const minuteLine = (minute: number, { standing }: Seen, { load, relay }: Sample): string =>
  `minute ${wide(minute, 2)}, limit ${wide(standing.stand.limit, 4)}: ` + [
    `${wide(load.conversations, 6)} requests`,
    `${wide(mib(load.bytes), 9)}`,
    `${wide(count(relay.ended, "stalled"), 4)} evicted`,
    `oldest wait ${wide(duration(relay.oldestWaitMs), 7)}`,
    `RSS ${wide(mib(relay.rssBytes), 7)}`,
    `heap ${wide(mib(relay.heapBytes), 7)}`,
    `buffers ${relay.used}/${relay.allocated}/${relay.limit}`
  ].join(", ")

type Figure = (seen: Seen, last: Sample) => string

const fromTo = (rests: ReadonlyArray<Sample>, of: (sample: Sample) => number): string =>
  rests.map((sample) => (of(sample) / 1024 ** 2).toFixed(1)).join(", ")

const figures: ReadonlyArray<readonly [what: string, figure: Figure]> = [
  ["connections", (_, { load }) => `${load.conversations}`],
  ["  complete, both ways", (_, { load }) => `${load.completed}`],
  ["  reset, as provoked", (_, { load }) => `${load.provoked}`],
  ["  reset, their reader was late", (_, { load }) => `${load.late}`],
  ["bytes", (_, { load }) => mib(load.bytes)],
  ["evicted by the stall policy", (_, { relay }) => `${count(relay.ended, "stalled")}`],
  ["connections killed", (_, { load }) => `${load.kills}`],
  ["origin gone", (_, { load }) => `${load.outages} times`],
  ["resized", ({ standing }) => `${standing.resizes} times`],
  ["oldest wait", ({ standing }) => duration(standing.oldestWaitMs)],
  ["  nearest to its bound", (_, { relay }) => `${(100 * relay.nearestToBound).toFixed(0)} %`],
  ["heap at each rest, MiB", ({ rests }) => fromTo(rests, ({ memory }) => memory.heapBytes)],
  ["RSS beside buffers, MiB", ({ rests }) => fromTo(rests, ({ memory }) => memory.rssBytes)]
]

/** What is known of each relay at its last look; empty if there was none. */
export const summary = (seen: ReadonlyArray<Seen>): ReadonlyArray<string> => {
  const columns = seen.flatMap((one) => {
    const last = one.rests.at(-1) ?? one.minutes.at(-1)?.sample
    return last === undefined ? [] : [{ one, last }]
  })
  if (columns.length === 0) return []
  const rows = figures.map(([what, figure]): Row => [what, ...columns.map(({ last, one }) => figure(one, last))])
  return ["", ...table(["", ...columns.map(({ one }) => `limit ${one.standing.stand.limit}`)], rows), ""]
}

export const verdict = (
  seen: ReadonlyArray<Seen>,
  flags: string,
  failures: ReadonlyArray<string>
): ReadonlyArray<string> => {
  if (failures.length > 0) return [`soak: FAILED, ${flags}`, ...failures.map((what) => `  ${what}`)]
  const last = seen.flatMap(({ rests }) => rests.at(-1) ?? [])
  const sum = (of: (sample: Sample) => number): number => last.reduce((sum, sample) => sum + of(sample), 0)
  return [`soak: ${sum(({ load }) => load.conversations)} connections, ${sum(({ load }) => load.bytes)} bytes, clean`]
}

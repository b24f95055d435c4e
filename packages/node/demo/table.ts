/**
 * Aligned text: columns side by side, and how figures are written.
 *
 * Invariant: it only lays out what it is given; no figure begins here.
 */

export type Row = ReadonlyArray<string>

/** Rows with each column as wide as its widest cell, `gap` between them. */
export const columns = (rows: ReadonlyArray<Row>, gap = "   "): ReadonlyArray<string> => {
  const count = Math.max(0, ...rows.map((row) => row.length))
  const widths = Array.from({ length: count }, (_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  return rows.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(gap).trimEnd())
}

type Figures = ReadonlyArray<readonly [what: string, figure: string]>

/** What two have found out, side by side: a row for each thing that either knows. */
export const sideBySide = (left: Figures, right: Figures): ReadonlyArray<Row> => {
  const find = (figures: Figures, what: string): string => figures.find(([name]) => name === what)?.[1] ?? "-"
  const names = new Set([...left, ...right].map(([what]) => what))
  return [...names].map((what) => [what, find(left, what), find(right, what)])
}

/** Columns under a head and a rule. */
export const table = (head: Row, rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const [first = "", ...rest] = columns([head, ...rows])
  return [first, "-".repeat(Math.max(first.length, ...rest.map((line) => line.length))), ...rest]
}

export const mib = (bytes: number): string => `${(bytes / 1024 ** 2).toFixed(bytes < 10 * 1024 ** 2 ? 1 : 0)} MiB`

export const kib = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`

export const duration = (ms: number): string => ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`

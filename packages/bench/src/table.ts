/** Results as Markdown, and their place in a page: between `<!-- name -->` and `<!-- /name -->`. */
import type { Machine } from "./machine.ts"
import type { Missing, Row } from "./rows.ts"

export const rowTable = (rows: ReadonlyArray<Row>): string =>
  table(
    ["work", "Headgate", "beside", "its value", "ratio (rounds)", "must", "want", "holds"],
    rows.map((row) => [
      row.work,
      `${number(row.ours.median)} ${row.unit}`,
      row.peer.name,
      `${number(row.peer.median)} ${row.unit}`,
      ratioOf(row),
      bound(row, row.must),
      bound(row, row.want),
      row.must === null ? "reported" : row.holds ? "yes" : "**no**"
    ])
  )

export const missingList = (missing: ReadonlyArray<Missing>): string =>
  missing.map(({ contestant, excused, why, work }) =>
    `- ${work}: ${contestant} ${excused ? "could not run here" : "is missing"}: ${why}`
  ).join("\n")

export const machineTable = ({ date, kernel, load, memory, processors, versions }: Machine): string =>
  table(["", ""], [
    ["date", date],
    ["processors", processors],
    ["memory", memory],
    ["kernel", kernel],
    ["load at the start", load.join(", ")],
    ["versions", Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")]
  ])

export const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [heads, heads.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

/** The page with `text` between the two marks of that name. */
export const placed = (page: string, name: string, text: string): string => {
  const [from, to] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [start, end] = [page.indexOf(from), page.indexOf(to)]
  if (start === -1 || end < start) throw new Error(`the page has no ${from} … ${to}`)
  return `${page.slice(0, start + from.length)}\n\n${text}\n\n${page.slice(end)}`
}

/** Three digits, and no more zeros than they need. */
export const number = (value: number): string =>
  Math.abs(value) >= 100
    ? Math.round(value).toLocaleString("en-US").replaceAll(",", " ")
    : String(Number(value.toPrecision(3)))

/** A small ratio as a fraction: 1/81 says more than 0.0123. */
export const quotient = (ratio: number): string => ratio > 0 && ratio < 0.1 ? `1/${number(1 / ratio)}` : number(ratio)

const ratioOf = ({ ratio, spread }: Row): string =>
  ratio === null ? "" : spread === null ? quotient(ratio) : `${quotient(ratio)} (${spread.map(quotient).join(" to ")})`

const bound = ({ judged, sense, unit }: Row, limit: number | null): string =>
  limit === null
    ? ""
    : `${sense === "at most" ? "≤" : "≥"} ${judged === "ours" ? `${limit} ${unit}` : fraction(limit)}`

const fraction = (limit: number): string => {
  const inverse = 1 / limit
  return limit < 0.5 && Math.abs(inverse - Math.round(inverse)) < 1e-9 && inverse > 2 && limit !== 0.25
    ? `1/${Math.round(inverse)}`
    : String(limit)
}

/** What a run of the bench ends with: everything printed, the results' file, the page, and whether it is a success. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Machine } from "./machine.ts"
import { exponents, picture, type Plot, svg } from "./plot.ts"
import { faultsOf, type Missing, type Row } from "./rows.ts"
import { machineTable, missingList, number, placed, rowTable, table } from "./table.ts"

export interface Results {
  readonly name: "pool" | "relay"
  readonly machine: Machine
  readonly rounds: number
  readonly rows: ReadonlyArray<Row>
  readonly missing: ReadonlyArray<Missing>
  readonly growth: ReadonlyArray<Plot>
}

export const root = join(import.meta.dirname, "../../..")
const page = join(root, "docs/benchmarks.md")
const images = join(root, "docs/images")

/** Writes results/<name>.json, the plots, and the page's parts `<name>` and `<name>-growth`. */
export const write = (results: Results): void => {
  const { growth, machine, missing, name, rounds, rows } = results
  const folder = join(root, "packages/bench/results")
  mkdirSync(folder, { recursive: true })
  mkdirSync(images, { recursive: true })
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(results, null, 2)}\n`)
  for (const plot of growth) {
    for (const theme of ["light", "dark"] as const) {
      writeFileSync(join(images, `growth-${plot.id}-${theme}.svg`), svg(plot, theme))
    }
  }
  const rowPart = [
    machineTable(machine),
    `Medians of ${rounds} rounds; in brackets the ratios of single rounds.`,
    rowTable(rows),
    missingList(missing)
  ]
  const text = placed(readFileSync(page, "utf8"), name, rowPart.filter((part) => part !== "").join("\n\n"))
  writeFileSync(page, placed(text, `${name}-growth`, growth.map(growthPart).join("\n\n")))
}

/** Prints the tables and what is wrong; returns the exit code. */
export const report = ({ growth, machine, missing, rows }: Results, print: (line: string) => void): number => {
  const faults = faultsOf(rows, missing)
  for (const part of [machineTable(machine), rowTable(rows), missingList(missing)]) if (part !== "") print(`${part}\n`)
  for (const plot of growth) print(`${plot.title}\n${growthTable(plot)}\n`)
  for (const fault of faults) print(fault)
  print(faults.length === 0 ? "all musts hold" : `${faults.length} faults`)
  return faults.length === 0 ? 0 : 1
}

const growthPart = (plot: Plot): string =>
  [`### ${plot.title}`, picture(plot, "images"), growthTable(plot)].join("\n\n")

/** The plot's values, one curve a row: for those who cannot see it, and for exact figures. */
const growthTable = ({ curves, valueLabel }: Plot): string => {
  const sizes = [...new Set(curves.flatMap(({ points }) => points.map(({ size }) => size)))].sort((a, b) => a - b)
  return table(
    [valueLabel, ...sizes.map((size) => number(size)), "exponent", ""],
    curves.map(({ name, points, stopped = "" }) => [
      name,
      ...sizes.map((size) => {
        const point = points.find((other) => other.size === size)
        return point === undefined ? "" : number(point.value)
      }),
      exponents(points) ?? "",
      stopped
    ])
  )
}

/**
 * `pnpm bench:relay`: the relay beside what one would take instead; see docs/benchmarks.md. With names of works (`bulk`, `growth`,
 * ...) only these, printed and not written.
 */
import { machine } from "./machine.ts"
import { systemVersions } from "./relay/contestants.ts"
import { growths } from "./relay/growth.ts"
import { plans } from "./relay/plans.ts"
import { report, write } from "./results.ts"
import { interleave } from "./rounds.ts"
import { median, type Missing, type Row, rowsOf } from "./rows.ts"
import { number } from "./table.ts"

const startedAt = performance.now()
const print = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

if (process.platform !== "linux") {
  print("bench:relay reads processor time and memory of processes from /proc: it runs on Linux only")
  process.exit(1)
}

const asked = process.argv.slice(2)
const isAsked = (id: string): boolean => asked.length === 0 || asked.includes(id)
const known = [...plans.map(({ id }) => id), "growth"]
const unknown = asked.filter((id) => !known.includes(id))
if (unknown.length > 0) {
  print(`there is no ${unknown.join(", ")}: ${known.join(", ")}`)
  process.exit(64)
}

const here = machine(["effect", "@effect/platform-node"], systemVersions())
const rows: Array<Row> = []
const missing: Array<Missing> = []
for (const { comparisons, contestants, id, rounds, title } of plans) {
  if (!isAsked(id)) continue
  print(`\n${title}`)
  const outcome = await interleave(contestants, { rounds, print })
  for (const [measure, values] of outcome.samples) {
    print(`${measure}: ${number(median(values))} (${values.map(number).join(", ")})`)
  }
  const made = rowsOf(comparisons(outcome.samples), outcome)
  rows.push(...made.rows)
  missing.push(...made.missing)
}
const growth = isAsked("growth") ? await growths(print) : { plots: [], missing: [] }
const results = {
  name: "relay",
  machine: here,
  rounds: Math.min(...plans.map(({ rounds }) => rounds)),
  rows,
  missing: [...missing, ...growth.missing],
  growth: growth.plots
} as const
if (asked.length === 0) write(results)
print(`\n${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes\n`)
process.exit(report(results, print))

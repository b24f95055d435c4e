/** Runs mutants against the suites of their laws, some at a time, and prints what became of each. */
import { availableParallelism } from "node:os"
import { judge, type Verdict } from "./judge.ts"
import { Lane, type Settings } from "./lane.ts"
import type { Law, Mutant, Part } from "./mutant.ts"
import type { Tests } from "./suites.ts"

export interface Plan {
  readonly mutants: ReadonlyArray<Mutant>
  readonly suites: { readonly [P in Part]: { readonly [L in Law]?: ReadonlyArray<Tests> } }
  readonly settings: Settings
  readonly print: (line: string) => void
}

/** More share one thread that transforms for all of them. */
const lanesOf = (cores: number): number => Math.min(Math.max(cores, 2), 4)

/** True if every mutant was caught. */
export const run = async ({ mutants, print, settings, suites }: Plan): Promise<boolean> => {
  const startedAt = performance.now()
  const lanes = Array.from({ length: lanesOf(availableParallelism()) }, () => new Lane(settings))
  const suiteOf = ({ law, part }: Mutant): ReadonlyArray<Tests> => suites[part][law] ?? []
  try {
    const sound = await areSound(lanes, new Set(mutants.flatMap(suiteOf)), print)
    if (!sound) return false
    print(row("mutant", "law", "after", "time", "names", "caught by"))
    const counts = { caught: 0, survived: 0, invalid: 0, hung: 0 }
    await shared(lanes, mutants, async (lane, mutant) => {
      const from = performance.now()
      const verdict = await judge(lane, mutant, suiteOf(mutant))
      counts[verdict.is]++
      print(rowOf(mutant, verdict, `${Math.round(performance.now() - from)} ms`))
      if (mutants.length === 1 && verdict.is === "caught") print(`\n${verdict.errors.join("\n")}\n`)
    })
    const { caught, hung, invalid, survived } = counts
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    print(`mutants: ${caught} caught, ${survived} survived${others({ hung, invalid })} (${seconds} s)`)
    return caught === mutants.length
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()))
  }
}

/** A suite that fails by itself would catch everything. */
const areSound = async (
  lanes: ReadonlyArray<Lane>,
  suites: ReadonlySet<Tests>,
  print: (line: string) => void
): Promise<boolean> => {
  let sound = true
  await shared(lanes, [...suites], async (lane, tests) => {
    const outcome = await lane.run(tests, undefined)
    if (outcome.says === "passed") return
    sound = false
    const errors = "errors" in outcome ? outcome.errors : []
    print(`${tests.file} ${outcome.says} without any mutant ${errors.join("\n")}`)
  })
  return sound
}

/** Each lane takes the next item when it is done with the one before. */
const shared = async <A>(
  lanes: ReadonlyArray<Lane>,
  items: ReadonlyArray<A>,
  work: (lane: Lane, item: A) => Promise<void>
): Promise<void> => {
  const rest = items.values()
  await Promise.all(lanes.map(async (lane) => {
    for (const item of rest) await work(lane, item)
  }))
}

const others = (counts: { readonly [kind: string]: number }): string =>
  Object.entries(counts).filter(([, count]) => count > 0).map(([kind, count]) => `, ${count} ${kind}`).join("")

const rowOf = ({ law, name }: Mutant, verdict: Verdict, time: string): string => {
  if (verdict.is === "caught") return row(name, law, verdict.after, time, verdict.names, shortened(verdict.by))
  const [innermost = ""] = verdict.is === "invalid" ? verdict.errors.slice(-1) : []
  return row(name, law, verdict.is.toUpperCase(), time, "", innermost.replace(/\s+/g, " ").slice(0, 200))
}

const row = (name: string, law: string, after: string, time: string, names: string, by: string): string =>
  `${name.padEnd(56)} ${law.padEnd(9)} ${after.padEnd(13)} ${time.padStart(8)}  ${names.padEnd(9)} ${by}`.trimEnd()

/** The test's file and its own name. */
const shortened = (test: string): string => {
  const [file = "", ...names] = test.split(" > ")
  return `${file.replace(/^.*\//, "").replace(/\.test\.ts$/, "")}: ${names.at(-1) ?? ""}`.slice(0, 100)
}

/** The pool bench as a function: rounds of all subjects, and what follows from them. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { machine } from "../machine.ts"
import type { Results } from "../results.ts"
import { interleave } from "../rounds.ts"
import { rowsOf } from "../rows.ts"
import { comparisons, plots } from "./comparisons.ts"
import type { Effort } from "./measure.ts"
import { longestMs, type Report, type Subject, subjects } from "./subjects.ts"

export interface PoolBench {
  readonly effort: Effort
  readonly rounds: number
  /** One round of one subject: in a process of its own, but for tests. */
  readonly measure: (subject: Subject, effort: Effort) => Promise<Report>
  readonly print: (line: string) => void
}

export const poolBench = async ({ effort, measure, print, rounds }: PoolBench): Promise<Results> => {
  const here = machine(["effect", "generic-pool", "tarn", "tinybench"])
  const stopped = new Map<string, number>()
  const contestants = subjects.map((subject) => ({
    name: subject.name,
    run: async () => {
      const { measures, stoppedAt } = await measure(subject, effort)
      if (stoppedAt !== undefined) stopped.set(subject.name, Math.min(stoppedAt, stopped.get(subject.name) ?? Infinity))
      return measures
    }
  }))
  const outcome = await interleave(contestants, { rounds, print })
  return {
    name: "pool",
    machine: here,
    rounds,
    ...rowsOf(comparisons(effort.sizes), outcome),
    growth: plots(effort.sizes, outcome.samples, stopped)
  }
}

const child = join(import.meta.dirname, "../child.ts")

/** The last line that it prints is its report. A few sizes, each of which may take as long as the longest. */
const timeoutMs = 4 * longestMs

export const inChild = (subject: Subject, effort: Effort): Promise<Report> =>
  new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath, [...subject.flags, child, subject.name, JSON.stringify(effort)], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: timeoutMs
    })
    let output = ""
    process_.stdout.setEncoding("utf8").on("data", (chunk: string) => output += chunk)
    process_.once("error", reject)
    process_.once("close", (code, signal) => {
      const line = output.trimEnd().split("\n").at(-1)
      if (code === 0 && line?.startsWith("{") === true) resolve(JSON.parse(line))
      else reject(new Error(`its process ended with ${signal ?? code}`))
    })
  })

/** The pool bench as a function: rounds of all subjects, and what follows from them. */
import { spawn } from "node:child_process"
import { join } from "node:path"
import { machine } from "../machine.ts"
import { type Results, root } from "../results.ts"
import { interleave } from "../rounds.ts"
import { rowsOf } from "../rows.ts"
import { comparisons, plots } from "./comparisons.ts"
import { type Effort, longestMs } from "./measure.ts"
import { type Report, type Subject, subjects } from "./subjects.ts"

export interface PoolBench {
  readonly effort: Effort
  readonly rounds: number
  /** One round of one subject: in a process of its own, but for tests. */
  readonly measure: (subject: Subject, effort: Effort) => Promise<Report>
  readonly print: (line: string) => void
  /** Only subjects whose names have one of these in them, and what can be said of them. */
  readonly only?: ReadonlyArray<string>
}

export const poolBench = async ({ effort, measure, only, print, rounds }: PoolBench): Promise<Results> => {
  const here = machine(["effect", "generic-pool", "tarn", "tinybench"])
  const stopped = new Map<string, number>()
  const asked = subjects.filter(({ name }) => only === undefined || only.some((part) => name.includes(part)))
  const contestants = asked.map((subject) => ({
    name: subject.name,
    run: async () => {
      // What took too long in one round is not tried again in the next.
      const most = stopped.get(subject.name) ?? Infinity
      const sizes = effort.sizes.filter((size) => size < most)
      const { measures, stoppedAt } = await measure(subject, { ...effort, sizes })
      if (stoppedAt !== undefined) stopped.set(subject.name, stoppedAt)
      return measures
    }
  }))
  const outcome = await interleave(contestants, { rounds, print })
  const { missing, rows } = rowsOf(comparisons(effort.sizes), outcome)
  const listed = only === undefined ? missing : []
  // Who is in plots alone, or was asked for by name.
  const others = outcome.failed.filter((one) =>
    listed.every(({ contestant }) => !contestant.startsWith(one.contestant))
  )
  const growth = plots(effort.sizes, outcome.samples, stopped)
  return {
    name: "pool",
    machine: here,
    rounds,
    rows,
    missing: [...listed, ...others.map((one) => ({ work: "measure", ...one, excused: false }))],
    growth: growth.filter(({ curves }) => curves.some(({ points }) => points.length > 0))
  }
}

const entry = join(import.meta.dirname, "../child.ts")

/** A few sizes, each of which may take as long as the longest. */
const timeoutMs = 4 * longestMs

/** In a process of its own. The last line that it prints is its report. */
export const inChild = (subject: Subject, effort: Effort): Promise<Report> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...subject.flags, entry, subject.name, JSON.stringify(effort)], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: timeoutMs,
      // Spares each process most of what it takes to start: compiled code, as from the second start of any program.
      env: { ...process.env, NODE_COMPILE_CACHE: join(root, "node_modules/.cache/bench") }
    })
    let output = ""
    let errors = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => output += chunk)
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => errors += chunk)
    child.once("error", reject)
    child.once("close", (code, signal) => {
      const line = output.trimEnd().split("\n").at(-1)
      if (code === 0 && line?.startsWith("{") === true) resolve(JSON.parse(line))
      else reject(new Error(`its process ended with ${signal ?? code}: ${errors.trim()}`))
    })
  })

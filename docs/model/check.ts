/**
 * Checks the Spin model (headgate.pml): each row of rows.ts is searched exhaustively and must come out as expected. A row that
 * must fail and holds is as much an error as the reverse, and so are a failure of another kind and a search cut short.
 *
 *     node docs/model/check.ts [--quick] [--trace ROW]
 *
 * One compilation for each variant and size; the claim is chosen when the checker runs. Everything happens in a temporary
 * folder, as many compilations at a time as there are processors. Needs `spin` and `gcc`, and nothing but Node otherwise.
 */
import { type ChildProcess, execFile } from "node:child_process"
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { type Build, builds, type Row, type Size, type Variant } from "./rows.ts"

const model = join(import.meta.dirname, "headgate.pml")

/** The deepest search: one that reaches it is cut short, and so proves nothing. */
const depth = 50_000
const memoryMiB = 2000

/** Held under weak fairness: whoever can move for ever, moves. */
const livenessClaims = new Set(["request", "response", "applet"])
/** Searched for a run, not for a state. */
const traceClaims = new Set(["inTheStreamsName", "busyRunQueue", "halfTheReserve", "mixedSides", "killedBeforeItRan"])

interface NumberedRow extends Row {
  readonly number: number
}

interface NumberedBuild extends Build {
  readonly rows: ReadonlyArray<NumberedRow>
}

interface Verdict {
  readonly got: "holds" | "fails" | "unknown"
  /** Why it is not what was expected, where that is more than the other way round. */
  readonly why: string
}

interface Outcome extends Verdict {
  readonly build: NumberedBuild
  readonly row: NumberedRow
  readonly isExpected: boolean
  readonly states: string
  readonly seconds: number
  /** The failing run, in words. */
  readonly story: ReadonlyArray<string>
}

let count = 0
/** Numbered over the whole table, so that a row has the same number with `--quick`. */
const numbered: ReadonlyArray<NumberedBuild> = builds.map((build) => ({
  ...build,
  rows: build.rows.map((row) => ({ ...row, number: ++count }))
}))

// ---- running programs -----------------------------------------------------------------------------------------------

interface Ran {
  readonly code: number
  readonly output: string
  readonly isMissing: boolean
}

/** Those running now: none outlives this program. */
const children = new Set<ChildProcess>()

/** Never rejects: what a program says, on both its outputs, is for the caller to judge. */
const execute = (program: string, args: ReadonlyArray<string>, cwd: string): Promise<Ran> =>
  new Promise((resolve) => {
    const child = execFile(program, args, { cwd, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      children.delete(child)
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1
      resolve({ code, output: stdout + stderr, isMissing: error !== null && error.code === "ENOENT" })
    })
    children.add(child)
  })

const missingPrograms = async (): Promise<ReadonlyArray<string>> => {
  const found = await Promise.all([["spin", "-V"], ["gcc", "--version"]].map(async ([program = "", arg = ""]) => ({
    program,
    isMissing: (await execute(program, [arg], tmpdir())).isMissing
  })))
  return found.filter(({ isMissing }) => isMissing).map(({ program }) => program)
}

// ---- one build ------------------------------------------------------------------------------------------------------

/** The shortest trace is looked for where a state is to be found; the search then remembers how deep each state was. */
const wantsShortest = (build: Build): boolean =>
  build.rows.some((row) => row.expected === "fails" && !livenessClaims.has(row.claim))

const compile = async (build: Build, directory: string): Promise<void> => {
  copyFileSync(model, join(directory, "headgate.pml"))
  const defines = Object.entries(build.size).map(([name, value]) => `-D${name}=${value}`)
  const generated = await execute("spin", ["-a", `-D${build.variant}`, ...defines, "headgate.pml"], directory)
  const faults = generated.output.split("\n").filter((line) => /error/i.test(line))
  if (generated.code !== 0 || faults.length > 0) throw new Error(faults.join("\n") || `spin exited ${generated.code}`)
  // Most searches take less time than the compiler would take to make them faster. Partial order reduction gains nothing.
  const options = ["-O0", "-w", "-DNOREDUCE", "-DNFAIR=3", `-DMEMLIM=${memoryMiB}`]
  const shortest = wantsShortest(build) ? ["-DREACH"] : []
  const compiled = await execute("gcc", [...options, ...shortest, "-o", "pan", "pan.c"], directory)
  if (compiled.code !== 0) throw new Error(compiled.output)
}

const search = async (build: NumberedBuild, row: NumberedRow, directory: string): Promise<Outcome> => {
  const isLiveness = livenessClaims.has(row.claim)
  const forRuns = isLiveness ? ["-a", "-f"] : traceClaims.has(row.claim) ? ["-a"] : []
  const forShortest = row.expected === "fails" && !isLiveness ? ["-i"] : []
  const start = performance.now()
  const args = ["-w20", `-m${depth}`, ...forRuns, ...forShortest, "-N", row.claim]
  const { output } = await execute("./pan", args, directory)
  const seconds = (performance.now() - start) / 1000
  const verdict = judge(output, isLiveness)
  const story = verdict.got === "fails" ? tell(build.size, await replay(row.claim, directory)) : []
  const untold = verdict.got === "fails"
    ? row.story.find((_, at) => !isTold(story, row.story.slice(0, at + 1)))
    : undefined
  const why = untold === undefined ? verdict.why : `no ${untold} in its trace`
  return {
    build,
    row,
    got: verdict.got,
    why,
    isExpected: verdict.got === row.expected && why === "",
    states: /^\s*(\d+) states, stored/m.exec(output)?.[1] ?? "-",
    seconds,
    story
  }
}

/** Only a whole search shows that a claim holds; only the claim's own violation, that it fails. */
const judge = (output: string, isLiveness: boolean): Verdict => {
  const errors = /errors: (\d+)/.exec(output)?.[1]
  const cut = /max search depth too small|out of memory|MEMLIM|aborted/i.exec(output)?.[0]
  if (errors === undefined) return { got: "unknown", why: /^pan: (?!ltl).*/m.exec(output)?.[0] ?? "no verdict" }
  if (cut !== undefined) return { got: "unknown", why: `cut short: ${cut}` }
  if (errors === "0") {
    const isWhole = /Full statespace search/.test(output)
    return isWhole ? { got: "holds", why: "" } : { got: "unknown", why: "not all states were searched" }
  }
  const error = /^pan:\d+: (.*)$/m.exec(output)?.[1] ?? "an unnamed error"
  const isOwn = (isLiveness ? /^acceptance cycle/ : /^assertion violated {2}!\(/).test(error)
  return { got: "fails", why: isOwn ? "" : error }
}

const replay = async (claim: string, directory: string): Promise<string> =>
  (await execute("./pan", ["-r", "-S", "-N", claim, "headgate.pml.trail"], directory)).output

const classes = ["tx", "channel", "endpoint", "rx", "no class"]

/** The model's own words, its numbers replaced by names. */
const tell = (size: Size, replayed: string): ReadonlyArray<string> => {
  const streams = Number(size["STREAMS"])
  const name = (entity: number) => entity < streams ? `stream ${entity}` : `applet ${entity - streams}`
  const lines = replayed.split("\n").map((line) => line.trim()).filter((line) => line !== "")
  const end = lines.findIndex((line) => line.startsWith("spin: trail ends"))
  return lines.slice(0, end === -1 ? lines.length : end)
    .filter((line) => !/^(MSC|pan|spin|Never claim)\b/.test(line))
    .map((line) =>
      line
        .replaceAll(/entity (\d+)/g, (_, entity: string) => name(Number(entity)))
        .replaceAll(/level (\d)/g, (_, level: string) => classes[Number(level)] ?? level)
    )
}

/** Each pattern is found after the one before it. */
const isTold = (story: ReadonlyArray<string>, patterns: ReadonlyArray<RegExp>): boolean => {
  let rest = story.join("\n")
  return patterns.every((pattern) => {
    const found = pattern.exec(rest)
    if (found !== null) rest = rest.slice(found.index + found[0].length)
    return found !== null
  })
}

/** One build and all its rows, in a folder of their own. */
const check = async (build: NumberedBuild, directory: string): Promise<ReadonlyArray<Outcome>> => {
  mkdirSync(directory)
  await compile(build, directory)
  const outcomes: Array<Outcome> = []
  for (const row of build.rows) outcomes.push(await search(build, row, directory))
  rmSync(directory, { recursive: true })
  return outcomes
}

// ---- the table ------------------------------------------------------------------------------------------------------

const variants: { readonly [V in Variant]: string } = { PARENT: "parent", SEED: "seed", HAND_OFF: "hand-off" }

const sizeText = ({ LIMIT, RESERVE, STREAMS, APPLETS, ...more }: Size): string => {
  const rest = Object.entries(more).map(([name, value]) => value === 1 ? name.toLowerCase() : optionText(name, value))
  return [`L${LIMIT} R${RESERVE} S${STREAMS} A${APPLETS}`, ...rest].join(" ")
}

const optionText = (name: string, value: number | string): string =>
  name === "SESSIONS" && value === 0 ? "endless" : name === "FAULT" ? `${value}` : `${name.toLowerCase()}=${value}`

const widths = [3, 8, 26, 8, 8, 8, 8]

const line = (...cells: ReadonlyArray<string>): string =>
  cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" ").trimEnd()

const head = line("row", "variant", "property", "expected", "got", "states", "time", "size: what it shows")

const outcomeLine = ({ build, got, isExpected, row, seconds, states, why }: Outcome): string =>
  line(
    `${row.number}`,
    variants[build.variant],
    row.claim,
    row.expected,
    got,
    states,
    `${seconds.toFixed(2)} s`,
    [sizeText(build.size), ...(row.note === "" ? [] : [row.note])].join(": "),
    ...(isExpected ? [] : [`NOT AS EXPECTED ${why}`])
  )

/** Runs as many builds at a time as there are processors; hands out what they gave in the order of the table. */
const checkAll = async (
  chosen: ReadonlyArray<NumberedBuild>,
  directory: string,
  report: (outcome: Outcome) => void
): Promise<void> => {
  const results = chosen.map(() => Promise.withResolvers<ReadonlyArray<Outcome>>())
  // One that is not yet awaited may already have failed: the first in order is told.
  for (const { promise } of results) promise.catch(() => {})
  const next = results.entries()
  const work = async (): Promise<void> => {
    for (const [at, { reject, resolve }] of next) {
      await check(chosen[at]!, join(directory, `${at}`)).then(resolve, reject)
    }
  }
  for (let worker = 0; worker < availableParallelism(); worker++) void work()
  for (const { promise } of results) {
    for (const outcome of await promise) report(outcome)
  }
}

// ---- the command ----------------------------------------------------------------------------------------------------

const usage = "usage: node docs/model/check.ts [--quick] [--trace ROW]"

interface Request {
  readonly isQuick: boolean
  /** The row whose trace is wanted. */
  readonly trace: number | undefined
}

const read = (): Request | string => {
  try {
    const { values } = parseArgs({ options: { quick: { type: "boolean" }, trace: { type: "string" } } })
    const trace = values.trace === undefined ? undefined : Number(values.trace)
    if (trace === undefined || (Number.isInteger(trace) && trace >= 1 && trace <= count)) {
      return { isQuick: values.quick === true, trace }
    }
    return `--trace ${values.trace}: must be the number of a row, 1 to ${count}`
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The exit code. */
const run = async ({ isQuick, trace }: Request, directory: string): Promise<number> => {
  const chosen = trace === undefined
    ? numbered.filter((build) => build.isQuick || !isQuick)
    : numbered.map((build) => ({ ...build, rows: build.rows.filter((row) => row.number === trace) }))
      .filter((build) => build.rows.length > 0)
  let expected = 0
  let unexpected = 0
  console.log(head)
  await checkAll(chosen, directory, (outcome) => {
    console.log(outcomeLine(outcome))
    if (outcome.isExpected) expected++
    else unexpected++
    if (trace !== undefined) {
      console.log(
        outcome.story.length === 0 ? "  no trace" : outcome.story.map((line) => `  ${line}`).join("\n")
      )
    }
  })
  console.log(`model: ${expected} as expected, ${unexpected} not`)
  return unexpected === 0 ? 0 : 1
}

const main = async (): Promise<number> => {
  const request = read()
  if (typeof request === "string") {
    console.error(`${request}\n${usage}`)
    return 64
  }
  const missing = await missingPrograms()
  if (missing.length > 0) {
    console.error(
      `The model needs ${
        missing.join(" and ")
      }: install with \`apt-get install spin gcc\` or \`brew install spin gcc\`.`
    )
    return 1
  }
  const directory = mkdtempSync(join(tmpdir(), "headgate-model-"))
  process.once("exit", () => {
    for (const child of children) child.kill("SIGKILL")
    rmSync(directory, { recursive: true, force: true })
  })
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    process.once(signal, () => process.exit(code))
  }
  return run(request, directory)
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exit(1)
  }
)

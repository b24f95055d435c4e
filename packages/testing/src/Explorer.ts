/**
 * An interleaving explorer for Effect fibers: runs a small program under every schedule of its fibers, or within a stated
 * bound, or at random; interrupts any of them at any operation; and hands back a schedule that breaks it as an id to replay.
 *
 * It is a stateless model checker, as loom is for Rust and CHESS for Windows, on Effect's stable API alone: a `Scheduler`
 * that is asked before every operation, and a `Clock`. It needs nothing of the program but that the same schedule makes it
 * do the same.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { brokenAssumptions } from "./internal/explorer/assumptions.ts"
import { idOf, isRunOf, parseId } from "./internal/explorer/path.ts"
import {
  atRandom,
  depthFirst,
  follow,
  type Found,
  type SearchSettings,
  shrink,
  type Tally
} from "./internal/explorer/search.ts"

/**
 * What a program may ask of the explorer. The functions may be taken out of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface World {
  /** Forks a child by a name of its own; it may be interrupted by the explorer, unless `victim` is false. */
  readonly fork: <A, E, R>(
    name: string,
    effect: Effect.Effect<A, E, R>,
    options?: { readonly victim?: boolean | undefined }
  ) => Effect.Effect<Fiber.Fiber<A, E>, never, R>
  /** Waits until all are over, however they end. */
  readonly await: (...fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>>) => Effect.Effect<void>
  /** Says what the fiber that calls it is at, until it says otherwise, for the traces. Not an operation. */
  readonly at: (what: string) => void
  /** A line in the trace of a replay. */
  readonly log: (text: string) => void
  /** To be called at every access to state that fibers share and that the program's `probe` does not count. */
  readonly touch: () => void
  /** Something that the program leaves open: every answer is explored. Returns its index. */
  readonly choose: (question: string, answers: ReadonlyArray<string>) => number
  /** Whether something goes wrong here: explored both ways, as long as the run has faults left. */
  readonly fault: (what: string) => boolean
}

/**
 * A program under exploration, made anew for every run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Explored {
  /** Sets up, forks the fibers under test by `fork`, and awaits them. It must succeed; it is itself not preempted. */
  readonly program: Effect.Effect<unknown, unknown>
  /** Must hold between all steps: throws, or returns what is wrong. */
  readonly invariant?: (() => string | undefined | void) | undefined
  /** Must hold when everything is over: what leaked? */
  readonly atEnd?: (() => string | undefined | void) | undefined
  /**
   * How often state that fibers share was accessed so far, reads included. With it, schedules that differ only in the order
   * of steps that touch nothing in common are explored once. One access that it misses is a schedule that is missed: leave it
   * out if the fibers share anything that does not count, such as a `Deferred` or a `Ref`.
   */
  readonly probe?: (() => number) | undefined
}

/**
 * How far to go. Without `random`, every schedule within the bounds is explored.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExploreOptions {
  /**
   * How often a fiber that could go on may be made to wait, in one run. Default: without a bound. To interrupt the fiber that
   * runs costs none, but for one that runs inside the operation of who resumed it: that must pause first.
   */
  readonly preemptions?: number | undefined
  /** How many interruptions there may be in one run, each of any fiber at any operation. Default 0. */
  readonly interrupts?: number | undefined
  /** How often `fault` may answer true in one run. Default 0. */
  readonly faults?: number | undefined
  /** `idle`: time moves when nothing else can happen. `racy`: a timer that is due first may fire at any time. Default `idle`. */
  readonly timers?: "idle" | "racy" | undefined
  /** That many schedules, drawn from one seed. Seed 1 is the default. */
  readonly random?: { readonly schedules: number; readonly seed?: number | undefined } | undefined
  /** Schedules at most. Default 100 000. */
  readonly maxSchedules?: number | undefined
  /** Operations in one run at most. Default 5 000. */
  readonly maxSteps?: number | undefined
  /** Whether the program's own fiber is preempted, too. Default false: it only sets up. */
  readonly preemptRoot?: boolean | undefined
  /** Explore one schedule of those that are equivalent, if there is a `probe`. Default true. */
  readonly reductions?: boolean | undefined
}

/**
 * What can go wrong: a deadlock; a broken invariant; a leak at the end, of a fiber or of what `atEnd` looks at; a run without
 * an end; a program that does not succeed or a fiber that dies; a program that does not do the same under the same schedule;
 * a real timer or promise inside. (What waits for an event that no fiber brings, such as `process.nextTick`, is a deadlock.)
 *
 * @category models
 * @since 0.1.0
 */
export type FailureKind =
  | "deadlock"
  | "invariant"
  | "leak"
  | "livelock"
  | "failure"
  | "nondeterminism"
  | "foreign"

/**
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly kind: FailureKind
  readonly message: string
  /** For `replay`. */
  readonly id: string
  /** Each step at which not simply the fiber that ran went on, in the program's own names. */
  readonly trace: ReadonlyArray<string>
}

/**
 * What was covered, and what was found. There is no "passed" in it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly coverage:
    | { readonly kind: "complete" }
    | { readonly kind: "bounded" }
    | { readonly kind: "random"; readonly seed: number }
    | { readonly kind: "incomplete" }
    | { readonly kind: "replayed" }
  /** Runs to the end, and runs given up because the rest was explored from an equivalent schedule. */
  readonly schedules: number
  readonly pruned: number
  /** Runs that somebody who sees every access to shared state could tell apart; undefined without a `probe`. */
  readonly traces: number | undefined
  /** Choices in all runs, and in the longest. */
  readonly choices: number
  readonly longest: number
  /** The bounds. */
  readonly preemptions: number
  readonly interrupts: number
  readonly faults: number
  readonly timers: "idle" | "racy"
  readonly failure: Failure | undefined
}

/**
 * An option, or an id, that cannot be used.
 *
 * @category errors
 * @since 0.1.0
 */
export class ExplorerMisuse extends Error {
  override readonly name = "ExplorerMisuse"
}

const misuse = (field: string, value: unknown, rule: string): ExplorerMisuse =>
  new ExplorerMisuse(`${field} is ${typeof value === "string" ? JSON.stringify(value) : String(value)}: ${rule}`)

const count = (field: string, value: number | undefined, otherwise: number, least: number): number => {
  if (value === undefined || value === Infinity && otherwise === Infinity) return otherwise
  if (Number.isSafeInteger(value) && value >= least) return value
  throw misuse(field, value, `it must be an integer of at least ${least}`)
}

const settingsOf = (options: ExploreOptions): SearchSettings => ({
  preemptions: count("preemptions", options.preemptions, Infinity, 0),
  interrupts: count("interrupts", options.interrupts, 0, 0),
  faults: count("faults", options.faults, 0, 0),
  timers: options.timers ?? "idle",
  preemptRoot: options.preemptRoot ?? false,
  reduces: options.reductions ?? true,
  maxSteps: count("maxSteps", options.maxSteps, 5000, 1),
  maxSchedules: options.random === undefined
    ? count("maxSchedules", options.maxSchedules, 100_000, 1)
    : count("random.schedules", options.random.schedules, 1, 1)
})

const seedOf = ({ seed }: NonNullable<ExploreOptions["random"]>): number => count("random.seed", seed, 1, 0)

let trusted = false

const trustRuntime = (): void => {
  if (trusted) return
  const broken = brokenAssumptions()
  if (broken.length > 0) {
    throw new ExplorerMisuse(
      `the Effect that is installed is not the one that the explorer knows: ${
        broken.join("; ")
      }. Its verdicts would be ` +
        "worth nothing: use effect 4.1, or a later version of @headgate/testing"
    )
  }
  trusted = true
}

/**
 * Runs a program under its schedules until one breaks it, or all within the bounds were tried.
 *
 * A failing schedule is shrunk before it is reported. Throws `ExplorerMisuse` for an option that cannot be used. Cost: about
 * ten thousand schedules a second; how many there are grows exponentially with operations and fibers.
 *
 * @category exploring
 * @since 0.1.0
 */
export const explore = (make: (world: World) => Explored, options: ExploreOptions = {}): Report => {
  trustRuntime()
  const settings = settingsOf(options)
  if (options.random !== undefined) {
    const seed = seedOf(options.random)
    const { found, tally } = atRandom(make, settings, seed)
    return reportOf(make, settings, { kind: "random", seed }, tally, found)
  }
  const { found, isComplete, tally } = depthFirst(make, settings)
  return reportOf(make, settings, coverageOf(settings, isComplete), tally, found)
}

const coverageOf = ({ preemptions }: SearchSettings, isComplete: boolean): Report["coverage"] => {
  if (!isComplete) return { kind: "incomplete" }
  return { kind: preemptions === Infinity ? "complete" : "bounded" }
}

const reportOf = (
  make: (world: World) => Explored,
  settings: SearchSettings,
  coverage: Report["coverage"],
  tally: Tally,
  found: Found | undefined
): Report => ({
  coverage,
  schedules: tally.schedules,
  pruned: tally.pruned,
  traces: tally.isProbed ? tally.traces.size : undefined,
  choices: tally.choices,
  longest: tally.longest,
  preemptions: settings.preemptions,
  interrupts: settings.interrupts,
  faults: settings.faults,
  timers: settings.timers,
  failure: found === undefined ? undefined : failureOf(make, settings, found)
})

/** What a run found depends on what earlier runs left, if the program is not its own: then there is nothing to shrink. */
const failureOf = (make: (world: World) => Explored, settings: SearchSettings, found: Found): Failure => {
  const { kind, message, path } = found.kind === "nondeterminism" ? found : shrink(make, found, settings)
  const again = follow(make, path.map(({ chosen }) => chosen), settings)
  const failure = { id: idOf({ path: again.path, steps: again.run.steps }, settings), trace: again.run.trace }
  if (kind === "nondeterminism" || again.found?.kind === kind) return { kind, message, ...failure }
  const then = again.found === undefined ? "went well" : `was a ${again.found.kind}: ${again.found.message}`
  return {
    kind: "nondeterminism",
    message:
      `a run was a ${kind}: ${message}; and the same schedule, run again, ${then}. It must not depend on anything ` +
      "that an earlier run left behind",
    ...failure
  }
}

/**
 * Runs a program once, by the schedule of a failure that was found before, and tells what happens.
 *
 * Throws `ExplorerMisuse` if it is no id, or was made by another program (its text, its options or the Effect under it have
 * changed since).
 *
 * @category exploring
 * @since 0.1.0
 */
export const replay = (
  make: (world: World) => Explored,
  id: string
): Report & { readonly trace: ReadonlyArray<string> } => {
  trustRuntime()
  const parsed = parseId(id)
  if (parsed === undefined) throw misuse("id", id, "it must be the id that a failed exploration has printed")
  const { found, path, run } = follow(make, parsed.choices, parsed.shape)
  if (!isRunOf({ path, steps: run.steps }, parsed)) {
    throw misuse(
      "id",
      id,
      "it was made by another program, or the program or the Effect under it has changed since: what could happen at its " +
        "choices is not what can happen now. Explore again"
    )
  }
  return {
    coverage: { kind: "replayed" },
    schedules: 1,
    pruned: 0,
    traces: run.isProbed ? 1 : undefined,
    choices: run.depth,
    longest: run.depth,
    preemptions: Infinity,
    interrupts: parsed.shape.interrupts,
    faults: parsed.shape.faults,
    timers: parsed.shape.timers,
    failure: found === undefined ? undefined : { kind: found.kind, message: found.message, id, trace: run.trace },
    trace: run.trace
  }
}

const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? "" : "s"}`

const allowances = ({ faults, interrupts, timers }: Pick<Report, "faults" | "interrupts" | "timers">): string =>
  (interrupts === 0 ? "" : `, ${plural(interrupts, "interruption")} anywhere`) +
  (faults === 0 ? "" : `, ${plural(faults, "fault")}`) +
  (timers === "idle" ? "" : ", timers at any time")

const within = (preemptions: number): string =>
  preemptions === Infinity ? "" : ` within ${plural(preemptions, "preemption")}`

/**
 * What a report says, in one line.
 *
 * @category exploring
 * @since 0.1.0
 */
export const coverageLine = (report: Report): string => {
  const { choices, coverage, longest, preemptions, pruned, schedules } = report
  const bounds = `${within(preemptions)}${allowances(report)}`
  const runs = `${plural(schedules, "schedule")}${pruned === 0 ? "" : ` and ${pruned} pruned`}`
  const what = {
    complete: `all schedules${bounds}`,
    bounded: `all schedules${bounds}`,
    random: `random schedules from seed ${coverage.kind === "random" ? coverage.seed : ""}${bounds}`,
    incomplete: `NOT all schedules${bounds}`,
    replayed: "one schedule, replayed"
  }[coverage.kind]
  return `${what}: ${runs}, ${choices} choices, ${longest} in the longest`
}

/**
 * What an exploration with such options will have covered once it is complete, for the name of a test.
 *
 * @category exploring
 * @since 0.1.0
 */
export const promiseLine = (options: ExploreOptions): string => {
  const settings = settingsOf(options)
  const bounds = `${within(settings.preemptions)}${allowances(settings)}`
  return options.random === undefined
    ? `all schedules${bounds}`
    : `${plural(settings.maxSchedules, "random schedule")} from seed ${seedOf(options.random)}${bounds}`
}

/** The trace of a livelock may be as long as it ran. */
const shortened = (trace: ReadonlyArray<string>, most = 200): ReadonlyArray<string> =>
  trace.length <= most
    ? trace
    : [...trace.slice(0, most / 2), `... ${trace.length - most} lines more ...`, ...trace.slice(-most / 2)]

/**
 * Raises what an exploration found, or that it did not get to the end of what it was to cover.
 *
 * @category exploring
 * @since 0.1.0
 */
export const assertExplored = (report: Report): void => {
  const { coverage, failure, schedules } = report
  if (failure !== undefined) {
    throw new Error(
      `${failure.kind} after ${plural(schedules, "schedule")}: ${failure.message}\n` +
        `${shortened(failure.trace).map((line) => `  ${line}`).join("\n")}\n` +
        `replay(make, ${JSON.stringify(failure.id)})`
    )
  }
  if (coverage.kind === "incomplete") {
    throw new Error(
      `not explored to the end: ${coverageLine(report)}. Raise maxSchedules, bound the preemptions, make the program ` +
        "smaller, or ask for random schedules"
    )
  }
}

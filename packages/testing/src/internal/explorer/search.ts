/**
 * Which schedules are tried, and in which order.
 *
 * Depth first: re-run the program along the last path, change the deepest choice that has an option left, and go on by
 * defaults. When no choice has an option left, every schedule was tried, or an equivalent one:
 *
 * - *sleep sets* (Godefroid): an option that was explored at a choice is left out below it until a step touches what it
 *   touches. Only without a bound on preemptions: with one, the schedule that stands for the others may be out of bounds.
 * - *local steps*: a step that touched nothing but its own fiber, when no interruption can come any more, commutes with
 *   everything, so the alternatives to it are all found after it. (A program that interrupts its own fibers is begun anew
 *   without this reduction for those, once seen.) Under a bound only if the running fiber goes on by it: then a switch costs
 *   the same before and after.
 *
 * The bound on preemptions is CHESS's (Musuvathi, Qadeer).
 */
import type { Explored, FailureKind, World } from "../../Explorer.ts"
import type { Node } from "./path.ts"
import { Failed, Run, type RunSettings } from "./run.ts"

export type Make = (world: World) => Explored

export interface SearchSettings extends Omit<RunSettings, "pick" | "sleeps" | "traced"> {
  readonly preemptions: number
  readonly reduces: boolean
  readonly maxSchedules: number
}

export interface Found {
  readonly kind: FailureKind
  readonly message: string
  readonly path: ReadonlyArray<Node>
}

export class Tally {
  schedules = 0
  /** Runs that were given up because the rest was explored from an equivalent schedule. */
  pruned = 0
  choices = 0
  longest = 0
  readonly traces = new Set<string>()
  isProbed = false

  add(run: Run, outcome: Failed | "asleep" | undefined): void {
    this.isProbed = run.isProbed
    if (outcome === "asleep") this.pruned++
    else {
      this.schedules++
      this.traces.add(run.equivalence)
    }
    this.choices += run.depth
    this.longest = Math.max(this.longest, run.depth)
  }
}

/** The first option after the one chosen that is within bounds and was not explored elsewhere. */
const nextOption = (node: Node, after: number, preemptions: number): number | undefined => {
  for (let option = after + 1; option < node.labels.length; option++) {
    if (node.asleep.has(node.labels[option] ?? "")) continue
    if (node.preempts[option] === true && node.preemptions >= preemptions) continue
    return option
  }
  return undefined
}

const isLocal = (node: Node, { interrupts, preemptions }: SearchSettings, interrupted: ReadonlySet<string>): boolean =>
  node.kind === "schedule" && node.interrupts >= interrupts &&
  (node.continues && node.chosen === 0 || preemptions === Infinity) &&
  node.footprint.size === 1 &&
  [...node.footprint].every((touched) => touched.startsWith("fiber ") && !interrupted.has(touched))

/** Moves a path on to the next schedule; false if there is none. */
const advance = (
  path: Array<Node>,
  settings: SearchSettings,
  isReducing: boolean,
  interrupted: ReadonlySet<string>
): boolean => {
  for (let node = path.at(-1); node !== undefined; node = path.at(-1)) {
    if (node.kind === "schedule") node.asleep.set(node.labels[node.chosen] ?? "", node.footprint)
    const option = isReducing && isLocal(node, settings, interrupted)
      ? undefined
      : nextOption(
        withoutSleep(node, isReducing && settings.preemptions === Infinity),
        node.chosen,
        settings.preemptions
      )
    if (option !== undefined) {
      node.chosen = option
      node.footprint = new Set()
      return true
    }
    path.pop()
  }
  return false
}

const withoutSleep = (node: Node, sleeps: boolean): Node => sleeps ? node : { ...node, asleep: new Map() }

/** Every schedule within the bounds; `isComplete` unless `maxSchedules` came first. */
export const depthFirst = (
  make: Make,
  settings: SearchSettings
): { readonly found: Found | undefined; readonly tally: Tally; readonly isComplete: boolean } => {
  const path: Array<Node> = []
  const tally = new Tally()
  const interrupted = new Set<string>()
  let isReducing = settings.reduces
  while (tally.schedules + tally.pruned < settings.maxSchedules) {
    const run = new Run(path, {
      ...settings,
      sleeps: isReducing && settings.preemptions === Infinity,
      traced: false,
      pick: (node) => nextOption(node, -1, settings.preemptions)
    })
    const outcome = run.execute(make)
    // Without a probe nobody knows what a step touched.
    isReducing &&= run.isProbed
    tally.add(run, outcome)
    if (outcome instanceof Failed) return { found: { ...kindOf(outcome), path }, tally, isComplete: false }
    const known = interrupted.size
    for (const family of run.interruptedByProgram) interrupted.add(family)
    if (isReducing && interrupted.size > known) path.length = 0
    else if (!advance(path, settings, isReducing, interrupted)) return { found: undefined, tally, isComplete: true }
  }
  return { found: undefined, tally, isComplete: false }
}

const kindOf = ({ kind, message }: Failed) => ({ kind, message })

// ---- random -----------------------------------------------------------------------------------------------------------

/** Mulberry32: small, and the same everywhere. */
export const randomFrom = (seed: number): () => number => {
  let state = seed | 0
  return () => {
    state = state + 0x6d2b79f5 | 0
    let mixed = Math.imul(state ^ state >>> 15, 1 | state)
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed
    return ((mixed ^ mixed >>> 14) >>> 0) / 4294967296
  }
}

/** A fiber that could go on mostly does, and interruptions are rare: races need few switches, but anywhere. */
const randomOption = (node: Node, random: () => number, preemptions: number): number => {
  const options = node.labels.length
  if (node.kind === "choice") return Math.floor(random() * options)
  if (node.continues && random() >= 0.15) return 0
  const first = node.continues ? 1 : 0
  const mayPreempt = node.preemptions < preemptions
  const all = Array.from({ length: options - first }, (_, index) => index + first)
    .filter((option) => mayPreempt || node.preempts[option] !== true)
  const harmless = all.filter((option) => node.labels[option]?.startsWith("!") !== true)
  const candidates = harmless.length === 0 || random() < 0.1 ? all : harmless
  return candidates[Math.floor(random() * candidates.length)] ?? 0
}

/** `maxSchedules` schedules, all drawn from one seed. */
export const atRandom = (
  make: Make,
  settings: SearchSettings,
  seed: number
): { readonly found: Found | undefined; readonly tally: Tally } => {
  const tally = new Tally()
  const random = randomFrom(seed)
  const pick = (node: Node) => randomOption(node, random, settings.preemptions)
  while (tally.schedules < settings.maxSchedules) {
    const path: Array<Node> = []
    const run = new Run(path, { ...settings, sleeps: false, traced: false, pick })
    const outcome = run.execute(make)
    tally.add(run, outcome)
    if (outcome instanceof Failed) return { found: { ...kindOf(outcome), path }, tally }
  }
  return { found: undefined, tally }
}

// ---- following a path -------------------------------------------------------------------------------------------------

export interface Followed {
  readonly found: Found | undefined
  readonly path: ReadonlyArray<Node>
  readonly run: Run
}

/** Runs once: by the choices given, and by defaults after them. */
export const follow = (
  make: Make,
  choices: ReadonlyArray<number>,
  settings: Omit<RunSettings, "pick" | "sleeps" | "traced">
): Followed => {
  const path: Array<Node> = []
  const pick = (node: Node) => Math.min(choices[path.length] ?? 0, node.labels.length - 1)
  const run = new Run(path, { ...settings, sleeps: false, traced: true, pick })
  const outcome = run.execute(make)
  return { found: outcome instanceof Failed ? { ...kindOf(outcome), path } : undefined, path, run }
}

/**
 * A schedule within the same bounds that fails in the same way, with as few choices off the default as can be found by
 * undoing one at a time. At most `limit` runs.
 */
export const shrink = (make: Make, found: Found, settings: SearchSettings, limit = 2000): Found => {
  let best = found
  let runs = 0
  for (let place = 0; place < best.path.length && runs < limit; place++) {
    if (best.path[place]?.chosen === 0) continue
    runs++
    const tried = follow(make, best.path.map(({ chosen }, index) => index === place ? 0 : chosen), settings).found
    if (tried?.kind !== found.kind || deviations(tried) >= deviations(best)) continue
    if (preemptionsOf(tried) > settings.preemptions) continue
    best = tried
    place = -1
  }
  return best
}

const deviations = ({ path }: Found): number => path.filter(({ chosen }) => chosen !== 0).length

const preemptionsOf = ({ path }: Found): number =>
  path.filter(({ chosen, preempts }) => preempts[chosen] === true).length

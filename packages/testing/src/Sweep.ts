/**
 * The operation sweep: runs a program again and again, and interrupts it at every place where a fiber can be interrupted.
 *
 * What goes wrong under an interruption goes wrong between two operations: a permit is taken and its return not yet
 * promised, a waiter is granted and forgets it. A test that interrupts "somewhere" misses that one place; a sweep tries them
 * all, in three passes over runs that are otherwise the same:
 *
 * 1. The fiber yields before its n-th operation and is interrupted there, for every n: what Effect's own scheduler does once
 *    in 2048 operations. (Not for the two that a fiber begins with when it is started or resumed: no budget ends there.)
 * 2. Every fiber yields after k operations, and the program is interrupted between any two steps of the scheduler, for k = 3
 *    to 64 and for none: so it meets its companions in many orders. (3 is the smallest k with which Effect makes progress.)
 * 3. Only with `during`: it is interrupted in the course of its n-th operation.
 *
 * After each run the program and its companions must be over, nobody may have died, and the invariant must hold.
 *
 * Not tried: two interruptions in one run, and orders of fibers that no k gives (the explorer does that, for small programs);
 * and whatever runs with `PreventSchedulerYield`, where nothing can be interrupted.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { fewestOperations, type Outcome, play, SweepMisuse, type Trial } from "./internal/sweepRun.ts"

export { SweepMisuse }

/**
 * What `make` may ask of a run. The functions may be taken out of it.
 *
 * Time is virtual, and passes only when nothing else can happen: a sleep of a companion is over when everybody waits.
 *
 * @category models
 * @since 0.1.0
 */
export interface World {
  /** Starts a companion. It is never interrupted, and must succeed in every run: else it was not served. */
  readonly fork: (name: string, effect: Effect.Effect<unknown>) => void
  /** Runs a set-up to its end, and returns what it made; its scope closes after the run. Throws if it does not succeed. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) => A
  /** Runs the oldest task of the scheduler; false if there is none. Time stands. */
  readonly step: () => boolean
  /** Lets time pass, and everything happen that is due. */
  readonly elapse: (ms: number) => void
  /** The time, in milliseconds since the run began. */
  readonly now: () => number
}

/**
 * What is swept: an effect, or one beside whatever the invariant needs to see.
 *
 * @category models
 * @since 0.1.0
 */
export type Swept = Effect.Effect<unknown, unknown> | { readonly program: Effect.Effect<unknown, unknown> }

/**
 * Whether an invariant holds: `false`, words or a throw say that it does not; nothing, `true` and an empty list that it does.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict = boolean | string | ReadonlyArray<string> | void

/**
 * One run of a sweep. Without `before`, `during` and `step` nothing is interrupted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Point {
  /** Every fiber yields after so many operations; left out: none does. */
  readonly yieldAfter?: number | undefined
  /** The program is interrupted before this operation of its own or its children's, the first being 1. */
  readonly before?: number | undefined
  /** The program is interrupted in the course of this operation. */
  readonly during?: number | undefined
  /** The program is interrupted before this step of the scheduler after its start, the first being 1. */
  readonly step?: number | undefined
}

/**
 * How to sweep.
 *
 * @category models
 * @since 0.1.0
 */
export interface SweepOptions<Made> {
  /** Must hold between any two steps, and not only at the end. */
  readonly always?: ((made: Made) => Verdict) | undefined
  /**
   * Also interrupts in the course of each operation, as a callback may that the operation calls. Stricter than what a yield
   * can do: a value that one operation hands to the next is lost, however it is written. Default false.
   */
  readonly during?: boolean | undefined
  /** Only this run, with its log lines, which a sweep drops: to look at a failure. */
  readonly only?: Point | undefined
}

/**
 * A run in which something was wrong.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly point: Point
  /** The operation that the program was at when it was interrupted, waiting in it or about to begin it; 0 if it was not. */
  readonly operation: number
  /** What was wrong, in words. */
  readonly broken: ReadonlyArray<string>
}

/**
 * What a sweep has done, and what it has found.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  /** Of the program and its children, undisturbed. */
  readonly operations: number
  readonly runs: number
  /** The largest k that made a difference: from there to 64 nobody had so many operations to do at a time. */
  readonly yieldsUpTo: number
  readonly failures: ReadonlyArray<Failure>
}

/**
 * What a sweep raises.
 *
 * @category errors
 * @since 0.1.0
 */
export class SweepFailed extends Error {
  override readonly name = "SweepFailed"
  readonly report: Report

  constructor(report: Report) {
    super(wordsOf(report))
    this.report = report
  }
}

const mostOperations = 64

/**
 * Interrupts a program at every operation, and between any two steps of fibers that yield after every k, and says in which
 * runs something was wrong.
 *
 * `make` is called for each run, so that none sees what another left behind; an effect alone must itself leave everything as
 * it was. Runs are synchronous and make no use of real time. Throws `SweepMisuse` for a program that cannot be swept: one
 * that does not end by itself, has no operations, or is not the same each time.
 *
 *     const report = sweep((world) => {
 *       const semaphore = Semaphore.makeUnsafe(1)
 *       world.fork("holder", semaphore.withPermit(Effect.sleep("1 second")))
 *       return { program: semaphore.withPermit(Effect.yieldNow), semaphore }
 *     }, ({ semaphore }) => Effect.runSync(semaphore.takeIfAvailable(1)))
 *
 * About five runs for each operation of the program, and each costs what the program costs: a few milliseconds for ten
 * operations, a second for some hundreds.
 *
 * @category sweeping
 * @since 0.1.0
 */
export const sweep = <Made extends Swept>(
  make: Made | ((world: World) => Made),
  invariant: (made: Made) => Verdict,
  options: SweepOptions<Made> = {}
): Report => {
  const trial = (world: World): Trial => {
    const made = isMake(make) ? make(world) : make
    return {
      program: Effect.isEffect(made) ? made : made.program,
      always: () => judged("the invariant between steps", options.always, made),
      atEnd: () => judged("the invariant", invariant, made)
    }
  }
  return options.only === undefined ? new Sweep(trial).all(options.during ?? false) : once(trial, options.only)
}

const isMake = <Made>(make: Made | ((world: World) => Made)): make is (world: World) => Made =>
  typeof make === "function" && !Effect.isEffect(make)

const judged = <Made>(
  name: string,
  invariant: ((made: Made) => Verdict) | undefined,
  made: Made
): ReadonlyArray<string> => {
  try {
    const verdict = invariant?.(made)
    if (verdict === false) return [`${name} does not hold`]
    return typeof verdict === "string" ? [verdict] : typeof verdict === "object" ? verdict : []
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)]
  }
}

/** The passes over all points. Once something was found, whatever differs from the first run may be its consequence. */
class Sweep {
  private runs = 0
  private yieldsUpTo = 0
  private readonly failures: Array<Failure> = []
  private readonly make: (world: World) => Trial

  constructor(make: (world: World) => Trial) {
    this.make = make
  }

  all(isDuring: boolean): Report {
    const { operations, places, steps } = this.undisturbed()
    for (const before of places) this.interrupted({ before })
    for (let at = 1; at <= (isDuring ? operations : 0); at++) this.interrupted({ during: at })
    this.betweenSteps(steps, {})
    for (let yieldAfter = fewestOperations; yieldAfter <= mostOperations; yieldAfter++) {
      const first = this.play({ yieldAfter })
      const yielded = this.betweenSteps(first.steps, { yieldAfter })
      if (!first.yielded && !yielded) break
      this.yieldsUpTo = yieldAfter
    }
    const { failures, runs, yieldsUpTo } = this
    return { operations, runs, yieldsUpTo, failures }
  }

  /** Twice, for a program that differs by itself cannot be swept. */
  private undisturbed(): Outcome {
    const first = this.play({})
    if (first.stuck !== undefined) throw stuck(first.stuck)
    if (first.operations === 0) throw noOperations()
    const again = this.play({})
    if (this.failures.length > 0 || isSame(first, again)) return first
    throw differs(
      `it had ${first.operations} operations in ${first.steps} steps, then ${again.operations} in ${again.steps}`
    )
  }

  private betweenSteps(steps: number, at: Point): boolean {
    let yielded = false
    for (let step = 1; step <= steps; step++) yielded = this.interrupted({ ...at, step }).yielded || yielded
    return yielded
  }

  private interrupted(point: Point): Outcome {
    const outcome = this.play(point)
    if (!outcome.isReached && this.failures.length === 0) {
      throw differs(`a run that was to be ${placeOf(point)} ended before`)
    }
    return outcome
  }

  private play(point: Point): Outcome {
    const outcome = play(this.make, point, true)
    this.runs++
    if (outcome.broken.length > 0) this.failures.push(failureOf(point, outcome))
    return outcome
  }
}

const once = (make: (world: World) => Trial, point: Point): Report => {
  check(point)
  const outcome = play(make, point, false)
  if (interruptionsOf(point).length > 0 && !outcome.isReached) {
    throw new SweepMisuse(`there is no run that is ${placeOf(point)}: the program has changed since, sweep it anew`)
  }
  const failures = outcome.broken.length === 0 ? [] : [failureOf(point, outcome)]
  return { operations: outcome.operations, runs: 1, yieldsUpTo: point.yieldAfter ?? 0, failures }
}

const interruptionsOf = ({ before, during, step }: Point): ReadonlyArray<number> =>
  [before, during, step].filter((at) => at !== undefined)

const check = (point: Point): void => {
  for (const [field, least] of [["yieldAfter", fewestOperations], ["before", 1], ["during", 1], ["step", 1]] as const) {
    const value = point[field]
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= least)) {
      throw new SweepMisuse(`only.${field} is ${value}: it must be an integer of at least ${least}`)
    }
  }
  if (interruptionsOf(point).length > 1) {
    throw new SweepMisuse(`only is ${shown(point)}: a run has one interruption at most, before, during or step`)
  }
}

const failureOf = (point: Point, { broken, interruptedAt }: Outcome): Failure => ({
  point,
  operation: interruptedAt ?? 0,
  broken
})

const isSame = (one: Outcome, other: Outcome): boolean =>
  one.operations === other.operations && one.steps === other.steps

// ---- in words ---------------------------------------------------------------------------------------------------------

const stuck = (who: string): SweepMisuse =>
  new SweepMisuse(
    `${who}, though nothing was interrupted. Make it end by itself: bound its loops, fork whoever it waits for as a ` +
      "companion, put what runs in the background into a scope (world.run(Effect.forkScoped(...))), and a stand-in where it " +
      "waits for a promise, a real timer or input"
  )

const noOperations = (): SweepMisuse =>
  new SweepMisuse(
    "the program has no operations that could be interrupted: give the effect that does the work, not its result"
  )

const differs = (how: string): SweepMisuse =>
  new SweepMisuse(
    `the program is not the same each time: ${how}. Make everything anew for each run (sweep((world) => ...)), and take random ` +
      "numbers, dates and names from what you have set up"
  )

const placeOf = ({ before, during, step, yieldAfter }: Point): string => {
  const yields = yieldAfter === undefined ? "" : `, with a yield after every ${yieldAfter} operations`
  if (before !== undefined) return `interrupted before operation ${before}${yields}`
  if (during !== undefined) return `interrupted during operation ${during}${yields}`
  return step === undefined ? `not interrupted${yields}` : `interrupted before step ${step}${yields}`
}

const shown = (point: Point): string =>
  `{ ${Object.entries(point).map(([name, value]) => `${name}: ${value}`).join(", ")} }`

/**
 * A failure in words, with the option that replays it.
 *
 * @category sweeping
 * @since 0.1.0
 */
export const failureLine = ({ broken, operation, point }: Failure): string => {
  const at = point.step === undefined ? "" : ` (at operation ${operation})`
  return `${placeOf(point)}${at}: ${broken.join("; ")}\n  just this run, with its log lines: sweep(…, { only: ${
    shown(point)
  } })`
}

/**
 * What a report says it has done, in one line.
 *
 * @category sweeping
 * @since 0.1.0
 */
export const coverageLine = ({ operations, runs, yieldsUpTo }: Report): string =>
  `${operations} operations, ${runs} runs: interrupted before each operation, and between any two steps with a yield after ` +
  `every k operations, k = ${fewestOperations}…${mostOperations}` +
  (yieldsUpTo === mostOperations ? "" : ` (all alike from ${Math.max(fewestOperations, yieldsUpTo + 1)} on)`)

const wordsOf = (report: Report): string => {
  const [first, ...others] = report.failures
  const more = others.length === 0
    ? ""
    : `\nand ${others.length} more: ${others.slice(0, 3).map(({ point }) => placeOf(point)).join("; ")}${
      others.length > 3 ? "; …" : ""
    }`
  return first === undefined ? "nothing was wrong" : `${failureLine(first)}${more}\n${coverageLine(report)}`
}

/**
 * Raises what a sweep has found, with the first of its failures in words.
 *
 * @category sweeping
 * @since 0.1.0
 */
export const assertSwept = (report: Report): void => {
  if (report.failures.length > 0) throw new SweepFailed(report)
}

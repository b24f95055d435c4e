/**
 * One run of a sweep: a program and its companions on one list of tasks and a clock of their own, and one interruption.
 *
 * Invariant: nothing here is decided by anything but the point, so the same point gives the same run, as long as the program
 * does the same.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import type * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Point, World } from "../Sweep.ts"
import { askAlways, operationsAfterYield } from "./explorer/grain.ts"
import { VirtualTime } from "./explorer/virtualTime.ts"

type AnyFiber = Fiber.Fiber<unknown, unknown>

/**
 * With a smaller budget a fiber would never get on: it needs two operations to come back from a yield. So whatever the budget,
 * no fiber yields before its third operation since it was last started or resumed.
 */
export const fewestOperations = operationsAfterYield + 1

/** A run with more operations, of all fibers together, and steps has no end. */
const mostOperations = 20_000

/** Whether a fiber is the program under test, or was forked by it: children inherit it. */
const IsSwept = Context.Reference<boolean>("@headgate/testing/internal/IsSwept", { defaultValue: () => false })

/** A program made for one run, and what is wrong in it, in words: between steps, and at its end. */
export interface Trial {
  readonly program: Effect.Effect<unknown, unknown>
  readonly always: () => ReadonlyArray<string>
  readonly atEnd: () => ReadonlyArray<string>
}

export interface Outcome {
  /** What the program and its children began until it ended, and the steps before which it was not over. */
  readonly operations: number
  readonly steps: number
  /** The operations before which it can be made to yield. */
  readonly places: ReadonlyArray<number>
  /** Whether the point came, and the operation that the program was at, if it was not over by then. */
  readonly isReached: boolean
  readonly interruptedAt: number | undefined
  /** Whether anybody yielded because of `yieldAfter`. */
  readonly yielded: boolean
  /** Who did not come to an end, and why the run could not go on. */
  readonly stuck: string | undefined
  /** What was wrong, `stuck` included; empty if nothing was. */
  readonly broken: ReadonlyArray<string>
}

/**
 * A program, or an option, that cannot be swept; the message says what to change.
 *
 * @category errors
 * @since 0.1.0
 */
export class SweepMisuse extends Error {
  override readonly name = "SweepMisuse"
}

/** One list of tasks for all fibers, first in, first out. It is asked before every operation, and so counts them. */
class SweepScheduler implements Scheduler.Scheduler {
  readonly executionMode = "async"
  program: AnyFiber | undefined = undefined
  operations = 0
  /** Those before which a fiber can be made to yield. */
  readonly places: Array<number> = []
  yielded = false
  /** The operation before which the interruption is to come has come: the fiber that is at it yields. */
  isDue = false
  interruptedAt: number | undefined = undefined
  /** Nobody yields while something is set up, or comes to its end behind the program. */
  isSettingUp = false
  /** Whether the operation that is interrupted in its course masks the fiber, before it calls anything. */
  isMasking = false
  private all = 0
  /** The operations of fibers that are coming back from a yield, which are not the program's. */
  private readonly comingBack = new WeakMap<AnyFiber, number>()
  /** What each fiber has begun since it was last started or resumed. */
  private readonly begun = new WeakMap<AnyFiber, number>()
  private readonly tasks: Array<() => void> = []
  private readonly point: Point
  private readonly dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (task) => void this.tasks.push(task),
    flush: () => {
      while (this.step()) { /* until none is left */ }
    }
  }

  constructor(point: Point) {
    this.point = point
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return this.dispatcher
  }

  shouldYield(fiber: AnyFiber): boolean {
    this.count()
    const begun = fiber.currentOpCount === 1 ? 1 : (this.begun.get(fiber) ?? 0) + 1
    this.begun.set(fiber, begun)
    askAlways(fiber)
    const back = this.comingBack.get(fiber) ?? 0
    if (back > 0) this.comingBack.set(fiber, back - 1)
    const isSpent = !this.isSettingUp && begun >= (this.point.yieldAfter ?? Infinity)
    this.yielded ||= isSpent
    const isDue = back === 0 && fiber.getRef(IsSwept) && this.begins(fiber, begun)
    if (isSpent || isDue) this.comingBack.set(fiber, operationsAfterYield)
    return isSpent || isDue || this.isEndless
  }

  /** The next operation of the program; whether the interruption is to come before it. */
  private begins(fiber: AnyFiber, begun: number): boolean {
    this.program ??= fiber
    if (this.program.pollUnsafe() !== undefined) return false
    this.operations++
    if (begun < fewestOperations) return false
    this.places.push(this.operations)
    if (this.operations !== this.point.before) return false
    return this.isDue = true
  }

  interrupt(): void {
    if (this.interruptedAt !== undefined) return
    this.interruptedAt = this.point.before ?? this.operations
    this.program?.interruptUnsafe(-1)
  }

  count(): void {
    this.all++
  }

  get isEndless(): boolean {
    return this.all > mostOperations
  }

  step(): boolean {
    const task = this.isEndless ? undefined : this.tasks.shift()
    if (task === undefined) return false
    this.count()
    task()
    return true
  }
}

class SweepWorld implements World {
  readonly scheduler: SweepScheduler
  private readonly scope = Scope.makeUnsafe()
  private readonly companions = new Map<string, AnyFiber>()
  private readonly time = new VirtualTime(() => undefined, () => {})
  private readonly context: Context.Context<never>

  constructor(point: Point, isSilent: boolean) {
    this.scheduler = new SweepScheduler(point)
    const timed = Context.make(Clock.Clock, this.time)
    this.context = isSilent ? Context.add(timed, Logger.CurrentLoggers, new Set<never>()) : timed
  }

  readonly fork = (name: string, effect: Effect.Effect<unknown>): void => {
    if (this.companions.has(name)) throw new SweepMisuse(`two companions have the name "${name}": give each its own`)
    this.companions.set(name, this.begin(effect))
  }

  readonly run = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>): A => {
    const exit = this.exitOf(Scope.provide(effect, this.scope))
    if (exit !== undefined && Exit.isSuccess(exit)) return exit.value
    throw new SweepMisuse(`a set-up did not succeed: ${exit === undefined ? "it never ends" : said(exit)}`)
  }

  readonly step = (): boolean => this.scheduler.step()

  readonly elapse = (ms: number): void => {
    const end = this.now() + ms
    this.run(Effect.sleep(ms))
    while (this.step() || (this.time.first?.at ?? Infinity) <= end && this.advance()) { /* what is due by then */ }
  }

  readonly now = (): number => this.time.currentTimeMillisUnsafe()

  /** The oldest task; if there is none, time passes until the next sleep is over. False: nothing is left that could happen. */
  advance(): boolean {
    if (this.step()) return true
    const timer = this.time.first
    if (timer === undefined || this.scheduler.isEndless) return false
    this.scheduler.count()
    this.time.fire(timer)
    return true
  }

  start(program: Effect.Effect<unknown, unknown>, during: number | undefined, moment: Moment): AnyFiber {
    const swept = Context.add(this.context, IsSwept, true)
    if (during === undefined) return this.begin(program, swept)
    return this.begin(program, Context.add(swept, Tracer.Tracer, interruptingDuring(this.scheduler, during, moment)))
  }

  isUnfinished(): boolean {
    for (const fiber of this.companions.values()) if (fiber.pollUnsafe() === undefined) return true
    return false
  }

  unfinished(): ReadonlyArray<string> {
    return [...this.companions].flatMap(([name, fiber]) =>
      fiber.pollUnsafe() === undefined ? [`companion "${name}"`] : []
    )
  }

  failed(): ReadonlyArray<string> {
    return [...this.companions].flatMap(([name, fiber]) => {
      const exit = fiber.pollUnsafe()
      return exit === undefined || Exit.isSuccess(exit) ? [] : [`companion "${name}" failed: ${said(exit)}`]
    })
  }

  close(): ReadonlyArray<string> {
    const exit = this.exitOf(Scope.close(this.scope, Exit.void))
    if (exit === undefined) return ["what was set up does not come to its end"]
    return Exit.isSuccess(exit) ? [] : [`the end of what was set up failed: ${said(exit)}`]
  }

  private exitOf<A, E>(effect: Effect.Effect<A, E>): Exit.Exit<A, E> | undefined {
    this.scheduler.isSettingUp = true
    const fiber = this.begin(effect)
    while (fiber.pollUnsafe() === undefined && this.advance()) { /* until it is over */ }
    this.scheduler.isSettingUp = false
    return fiber.pollUnsafe()
  }

  private begin<A, E>(effect: Effect.Effect<A, E>, context = this.context): Fiber.Fiber<A, E> {
    return Effect.runForkWith(context)(effect, { scheduler: this.scheduler })
  }
}

const isInterruptible = (fiber: AnyFiber): boolean => Reflect.get(fiber, "interruptible") === true

/** Where in an operation its interruption comes: before the first that it does, or after the last. */
type Moment = "first" | "last"

/** Interrupts the program while an operation is evaluated, as code that the operation calls might. */
const interruptingDuring = (scheduler: SweepScheduler, operation: number, moment: Moment): Tracer.Tracer =>
  Tracer.make({
    span: (options) => new Tracer.NativeSpan(options),
    context: (primitive, fiber) => {
      if (scheduler.operations !== operation) return primitive["~effect/Effect/evaluate"](fiber)
      const wasInterruptible = isInterruptible(fiber)
      if (moment === "first") scheduler.interrupt()
      const next = primitive["~effect/Effect/evaluate"](fiber)
      scheduler.isMasking ||= wasInterruptible && !isInterruptible(fiber)
      scheduler.interrupt()
      return next
    }
  })

const said = (exit: Exit.Failure<unknown, unknown>): string => {
  if (Cause.hasInterruptsOnly(exit.cause)) return "it was interrupted"
  const error = Cause.squash(exit.cause)
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}

const isDefect = (exit: Exit.Exit<unknown, unknown> | undefined): exit is Exit.Failure<unknown, unknown> =>
  exit !== undefined && Exit.isFailure(exit) && exit.cause.reasons.some(Cause.isDieReason)

const stuckOf = (unfinished: ReadonlyArray<string>, isEndless: boolean): string =>
  `${unfinished.join(" and ")} ${unfinished.length > 1 ? "are" : "is"} not over` +
  (isEndless ? ` after ${mostOperations} operations` : ", and nothing is left that could happen")

/** Makes the program anew, and runs it with the one interruption of the point. */
export const play = (make: (world: World) => Trial, point: Point, isSilent: boolean): Outcome => {
  const { isMasking, outcome } = playAt(make, point, isSilent, "first")
  // Nothing that it calls can interrupt it before its mask: what was seen cannot happen.
  return isMasking ? playAt(make, point, isSilent, "last").outcome : outcome
}

const playAt = (
  make: (world: World) => Trial,
  point: Point,
  isSilent: boolean,
  moment: Moment
): { readonly isMasking: boolean; readonly outcome: Outcome } => {
  const world = new SweepWorld(point, isSilent)
  const { scheduler } = world
  const trial = make(world)
  const broken = new Set<string>()
  const program = world.start(trial.program, point.during, moment)
  const goesOn = () => program.pollUnsafe() === undefined
  let steps = 0
  do {
    if (goesOn()) {
      steps++
      if (point.step === steps || scheduler.isDue) scheduler.interrupt()
    }
    for (const wrong of trial.always()) broken.add(wrong)
  } while (goesOn() || world.isUnfinished() ? world.advance() : world.step())

  const unfinished = [...goesOn() ? ["the program"] : [], ...world.unfinished()]
  const stuck = unfinished.length === 0 ? undefined : stuckOf(unfinished, scheduler.isEndless)
  const exit = program.pollUnsafe()
  if (stuck !== undefined) broken.add(stuck)
  if (isDefect(exit)) broken.add(`the program died: ${said(exit)}`)
  for (const wrong of [...world.failed(), ...trial.atEnd(), ...stuck === undefined ? world.close() : []]) {
    broken.add(wrong)
  }
  const outcome = {
    operations: Exit.isExit(trial.program) ? 0 : scheduler.operations,
    steps,
    places: scheduler.places,
    isReached: scheduler.isDue || scheduler.interruptedAt !== undefined,
    interruptedAt: scheduler.interruptedAt,
    yielded: scheduler.yielded,
    stuck,
    broken: [...broken]
  }
  return { isMasking: scheduler.isMasking, outcome }
}

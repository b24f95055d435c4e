/**
 * One run of a program under a scheduler whose every choice is made by a path.
 *
 * The grain is Effect's own: a scheduler is asked before each operation of a fiber, and a fiber that is resumed or
 * interrupted runs inside the operation of whoever did it. A *step* is what happens between two questions; nothing else can
 * come between its parts in production either. Every schedule is reachable, because at each question either the fiber goes
 * on, or it parks itself as a task, and then any task, timer or interruption may come next. A fiber that was resumed inside
 * somebody else's operation does its first operation there, and then goes on or returns to its caller, as in production.
 *
 * Where production may or may not ask, it is asked here: Effect passes the value of a `map` straight on, and asks only after
 * every 32nd of a fiber's operations.
 *
 * A run is synchronous from start to end: time is a number that moves when a timer is chosen, and a real timer or promise
 * inside the program ends the run with an error.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"
import type { Explored, FailureKind, World } from "../../Explorer.ts"
import { type AnyFiber, Fibers, type Known } from "./fibers.ts"
import { watched } from "./foreign.ts"
import { askAlways, operationsAfterYield } from "./grain.ts"
import type { Footprint, Node, Shape } from "./path.ts"
import { VirtualTime } from "./virtualTime.ts"

export interface RunSettings extends Shape {
  readonly maxSteps: number
  /** Leave out what was explored from an equivalent schedule. Only sound while nothing bounds the preemptions. */
  readonly sleeps: boolean
  readonly traced: boolean
  /** Picks an option of a new node; undefined if all of them were explored elsewhere. */
  readonly pick: (node: Node) => number | undefined
}

/** Why a run ended before the program did. */
export class Failed extends Error {
  readonly kind: FailureKind
  constructor(kind: FailureKind, message: string) {
    super(message)
    this.kind = kind
  }
}

/** Everything that could come next was explored from an equivalent schedule. */
const asleep = Symbol("asleep")

interface Task {
  readonly label: string
  /** On whose account it runs. */
  readonly by: Known
  readonly run: () => void
  /** The fiber that it brings back, or starts; undefined if that is not known. */
  fiber: AnyFiber | undefined
}

interface Option {
  readonly label: string
  /** For the trace. */
  readonly said: () => string
  readonly run: () => void
}

const goOn: Option = { label: "@", said: () => "", run: () => {} }
const returnToCaller: Option = { label: "^", said: () => "", run: () => {} }

export class Run implements Scheduler.Scheduler {
  readonly executionMode = "sync"
  readonly trace: Array<string> = []
  /** Who touched what all can see, in order; and what happened to a fiber alone, after how many touches of its own. */
  private readonly visible: Array<string> = []
  private readonly private: Array<string> = []
  steps = 0
  depth = 0

  private readonly path: Array<Node>
  private readonly settings: RunSettings
  private readonly fibers = new Fibers({
    interrupted: ({ family }) => {
      this.footprint.add(family)
      if (!this.isInjecting) this.interruptedByProgram.add(family)
    },
    observed: ({ end }) => this.footprint.add(end),
    ended: (known, exit) => this.ended(known, exit)
  })
  /** Families of which the program itself interrupts somebody. */
  readonly interruptedByProgram = new Set<string>()
  private isInjecting = false
  private readonly time = new VirtualTime<Known>(() => this.runner, () => this.seen())
  private readonly victims: Array<AnyFiber> = []
  private tasks: Array<Task> = []
  private explored: Explored = { program: Effect.void }
  private root: AnyFiber | undefined
  private rootKnown: Known | undefined
  private preemptions = 0
  private interrupts = 0
  private faults = 0
  private footprint: Footprint = new Set()
  private lastProbe = 0
  /** The task that the loop runs now, and the fiber that asked last in it. */
  private current: Task | undefined
  private asker: Known | undefined
  /** The fiber whose step it is, if it was resumed by somebody else. */
  private guest: AnyFiber | undefined
  /** The fiber that is about to schedule its own return; and how many of its operations only bring it back. */
  private parking: AnyFiber | undefined
  private readonly returning = new Map<AnyFiber, number>()
  /** What was chosen has not done its first operation yet. */
  private isFresh = false
  private planned: Option | undefined
  /** The fiber that forks a named one, which it does without a pause; and the task that starts that one. */
  private forking: { readonly parent: AnyFiber | undefined; readonly name: string; start?: Task } | undefined
  private stopped: Failed | typeof asleep | undefined

  constructor(path: Array<Node>, settings: RunSettings) {
    this.path = path
    this.settings = settings
  }

  // ---- the loop -------------------------------------------------------------------------------------------------------

  /** What went wrong; `"asleep"` if the rest was explored elsewhere; undefined if the program ended well. */
  execute(make: (world: World) => Explored): Failed | "asleep" | undefined {
    try {
      watched((door) => this.stop(foreign(door)), () => this.perform(make))
    } catch (error) {
      if (error instanceof Failed) return error
      if (error === asleep) return "asleep"
      throw error
    }
    return undefined
  }

  private perform(make: (world: World) => Explored): void {
    this.explored = make(this.world)
    this.lastProbe = this.probe()
    this.inTask(undefined, () => this.start())
    while (!this.isOver()) {
      this.check()
      const option = this.planned ?? this.decide(undefined, this.others(undefined))
      this.planned = undefined
      option.run()
    }
    this.check()
    this.finish()
  }

  private start(): void {
    const program = Effect.withFiber((fiber) => {
      this.root = fiber
      this.rootKnown = this.fibers.name(fiber, "root")
      return this.explored.program
    })
    this.root = Effect.runFork(Effect.provideService(program, Clock.Clock, this.time), { scheduler: this })
  }

  /** Everything runs in here: afterwards nothing of it is under way. */
  private inTask(task: Task | undefined, run: () => void): void {
    this.current = task
    this.isFresh = true
    run()
    this.isFresh = false
    if (this.guest !== undefined) this.footprint.add("shared")
    this.see()
    this.guest = this.asker = this.current = undefined
  }

  private isOver(): boolean {
    if (this.stopped !== undefined) throw this.stopped
    return this.rootKnown?.isOver === true && this.tasks.length === 0 && this.planned === undefined
  }

  private finish(): void {
    const exit = this.rootKnown?.poll()
    if (exit !== undefined && Exit.isFailure(exit)) {
      throw new Failed("failure", `the program did not succeed: ${Cause.pretty(exit.cause)}`)
    }
    const left = this.fibers.unfinished()
    if (left !== "") throw new Failed("leak", `the program is over, and these fibers are not: ${left}`)
    judge("leak", this.explored.atEnd)
  }

  private stop(reason: Failed | typeof asleep): void {
    this.stopped ??= reason
  }

  private check(): void {
    if (this.explored.invariant === undefined) return
    judge("invariant", this.explored.invariant)
    // The invariant may read what the probe counts: that is not the program's doing.
    this.lastProbe = this.probe()
  }

  // ---- the scheduler --------------------------------------------------------------------------------------------------

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return { scheduleTask: (run) => void this.tasks.push(this.task(run)), flush: () => {} }
  }

  private task(run: () => void): Task {
    const fiber = Fiber.getCurrent()
    const by = this.runner
    if (fiber !== undefined && fiber === this.parking) {
      this.parking = undefined
      return { label: `@${by.name}`, by, run, fiber }
    }
    const kind = this.forking?.name ?? (fiber === undefined ? this.current?.label : undefined) ?? by.name
    const task: Task = { label: this.fibers.numbered(`${kind}#`), by, run, fiber: undefined }
    if (this.forking !== undefined) this.forking.start = task
    return task
  }

  /** On whose account things happen now. */
  private get runner(): Known {
    return this.fibers.current ?? this.current?.by ?? this.rootKnown ?? this.fibers.of(this.mustHaveRoot())
  }

  private mustHaveRoot(): AnyFiber {
    if (this.root === undefined) throw new Failed("failure", "something was scheduled before the program had started")
    return this.root
  }

  /** Effect asks this before every operation of every fiber. True parks the fiber. */
  shouldYield(fiber: AnyFiber): boolean {
    // Whoever resumed or interrupted it did its first operation, too.
    const isFirst = fiber.currentOpCount === 1
    askAlways(fiber)
    this.see()
    const known = this.fibers.of(fiber, this.asker ?? this.current?.by)
    this.asker = known
    if (this.guest !== undefined && this.guest !== fiber) this.footprint.add("shared")
    this.footprint.add(known.family)
    this.dropStaleTask(fiber)
    if (this.isReturning(fiber)) return false
    known.operations++
    if (++this.steps > this.settings.maxSteps) this.stop(endless(this.settings.maxSteps))
    this.orStop(() => this.check())
    if (this.stopped !== undefined) return this.park(fiber)
    if (this.isFresh || isFirst || this.forking?.parent === fiber) {
      this.isFresh = false
      return false
    }
    if (fiber === this.root && !this.settings.preemptRoot) return false
    return this.isPreempted(fiber) && this.park(fiber)
  }

  /** A fiber that parked itself and was resumed by an interruption: its way back is nobody's task any more. */
  private dropStaleTask(fiber: AnyFiber): void {
    const stale = this.tasks.findIndex((task) => task.fiber === fiber)
    if (stale < 0) return
    this.tasks.splice(stale, 1)
    this.returning.delete(fiber)
  }

  /** Whether this operation only brings the fiber back to where it parked. */
  private isReturning(fiber: AnyFiber): boolean {
    const left = this.returning.get(fiber)
    if (left === undefined) return false
    this.isFresh = false
    if (left === 1) this.returning.delete(fiber)
    else this.returning.set(fiber, left - 1)
    return true
  }

  private isPreempted(fiber: AnyFiber): boolean {
    const isGuest = this.current !== undefined && this.current.fiber !== fiber
    const others = isGuest ? [returnToCaller] : this.others(fiber)
    if (others.length === 0) return false
    const option = this.orStop(() => this.decide(fiber, others))
    this.guest = isGuest && option === goOn ? fiber : undefined
    if (option === returnToCaller) this.footprint.add("shared")
    else if (option !== goOn) this.planned = option
    return option !== goOn
  }

  /** Nothing may be thrown into a fiber: what goes wrong inside its operations stops the run before its next. */
  private orStop<A>(run: () => A): A | undefined {
    try {
      return run()
    } catch (error) {
      this.stop(reasonOf(error))
      return undefined
    }
  }

  private park(fiber: AnyFiber): true {
    this.returning.set(fiber, operationsAfterYield)
    this.parking = fiber
    return true
  }

  // ---- what may come next ---------------------------------------------------------------------------------------------

  /** What may happen now, other than that `fiber` goes on. */
  private others(fiber: AnyFiber | undefined): Array<Option> {
    const options = this.tasks.map((task) => this.toRun(task))
    const timer = this.time.first
    const mayTimeMove = this.settings.timers === "racy" || (options.length === 0 && fiber === undefined)
    if (mayTimeMove && timer !== undefined) options.push(this.toFire(timer.owner))
    if (options.length === 0 && fiber === undefined) {
      throw new Failed("deadlock", `nothing can run, and these are not over: ${this.fibers.unfinished()}`)
    }
    if (this.interrupts < this.settings.interrupts) {
      options.push(
        ...this.victims.filter((victim) => !this.fibers.of(victim).isOver).map((it) => this.toInterrupt(it))
      )
    }
    return options
  }

  private toRun(task: Task): Option {
    return {
      label: task.label,
      said: () => saidOf(task.label, task.by),
      run: () => {
        this.tasks = this.tasks.filter((other) => other !== task)
        if (task.fiber !== undefined) this.footprint.add(this.fibers.of(task.fiber).family)
        this.inTask(task, task.run)
      }
    }
  }

  private toFire(owner: Known): Option {
    const label = `~${owner.name}`
    return {
      label,
      said: () => `time moves: the sleep of ${owner.name} is over`,
      run: () => {
        const timer = this.time.first
        if (timer !== undefined) this.inTask(taskOf(label, owner), () => this.time.fire(timer))
      }
    }
  }

  private toInterrupt(victim: AnyFiber): Option {
    const known = this.fibers.of(victim)
    const label = `!${known.name}`
    return {
      label,
      said: () => `${known.name} is INTERRUPTED at ${known.place}`,
      run: () => {
        this.interrupts++
        this.privately(known, "is interrupted")
        this.footprint.add(known.family)
        this.isInjecting = true
        this.inTask({ ...taskOf(label, known), fiber: victim }, () => victim.interruptUnsafe())
        this.isInjecting = false
      }
    }
  }

  // ---- choices --------------------------------------------------------------------------------------------------------

  private decide(fiber: AnyFiber | undefined, others: ReadonlyArray<Option>): Option {
    const known = fiber === undefined ? undefined : this.fibers.of(fiber)
    const options = known === undefined ? others : [goOn, ...others]
    const labels = options.map((option) => option === goOn ? `@${known?.name}` : option.label)
    // To interrupt the very fiber that runs is not to preempt it.
    const preempts = options.map((option) =>
      known !== undefined && option !== goOn && option.label !== `!${known.name}`
    )
    const node = this.node("schedule", labels, preempts, known !== undefined)
    this.footprint = node.footprint
    const option = options[node.chosen]
    if (option === undefined) throw new Failed("nondeterminism", `choice ${this.depth} has no option ${node.chosen}`)
    if (preempts[node.chosen] === true) this.preemptions++
    if (option === goOn && known !== undefined) this.footprint.add(known.family)
    if (this.settings.traced && option !== goOn) this.tell(known, option)
    return option
  }

  private tell(paused: Known | undefined, option: Option): void {
    const pause = paused === undefined || option.label === `!${paused.name}`
      ? []
      : [`${paused.name} pauses at ${paused.place}`]
    const said = option === returnToCaller ? [] : [option.said()]
    this.trace.push(`${String(this.depth).padStart(4)}  ${[...pause, ...said].join("; ")}`)
  }

  private node(
    kind: Node["kind"],
    labels: ReadonlyArray<string>,
    preempts: ReadonlyArray<boolean>,
    continues: boolean
  ): Node {
    const node = this.path[this.depth] ?? this.newNode(kind, labels, preempts, continues)
    this.depth++
    if (node.kind === kind && isSame(node.labels, labels)) return node
    throw new Failed(
      "nondeterminism",
      `at choice ${this.depth} there was [${node.labels.join(", ")}], and in the next run [${labels.join(", ")}]: ` +
        "given the same schedule the program must do the same. It must not read the real clock, Math.random, or anything " +
        "that an earlier run left behind"
    )
  }

  private newNode(
    kind: Node["kind"],
    labels: ReadonlyArray<string>,
    preempts: ReadonlyArray<boolean>,
    continues: boolean
  ): Node {
    const node: Node = {
      kind,
      labels,
      preempts,
      continues,
      chosen: 0,
      asleep: this.settings.sleeps && kind === "schedule" ? this.stillAsleep() : new Map(),
      footprint: new Set(),
      preemptions: this.preemptions,
      interrupts: this.interrupts
    }
    const chosen = this.settings.pick(node)
    if (chosen === undefined) throw asleep
    node.chosen = chosen
    this.path.push(node)
    return node
  }

  /** What was explored before the last step, and does not touch what that step touched, need not be explored after it. */
  private stillAsleep(): Map<string, Footprint> {
    const last = this.path.findLast(({ kind }) => kind === "schedule")
    const taken = last?.labels[last.chosen]
    return new Map(
      [...last?.asleep ?? []].filter(([label, touched]) => label !== taken && isDisjoint(touched, this.footprint))
    )
  }

  // ---- what the program sees of its world -----------------------------------------------------------------------------

  readonly world: World = {
    fork: (name, effect, options) =>
      Effect.suspend(() => {
        if (this.fibers.has(name)) throw new RangeError(`fork: name is "${name}" again; every fiber needs its own`)
        const forking: Run["forking"] = { parent: Fiber.getCurrent(), name }
        this.forking = forking
        return Effect.map(Effect.forkChild(effect), (fiber) => {
          this.forking = undefined
          this.fibers.name(fiber, name)
          if (forking.start !== undefined) forking.start.fiber = fiber
          if (options?.victim !== false) this.victims.push(fiber)
          return fiber
        })
      }),
    await: (...fibers) => Effect.asVoid(Fiber.awaitAll(fibers)),
    at: (what) => {
      const { current } = this.fibers
      if (current !== undefined) current.at = what
    },
    log: (text) => {
      if (this.settings.traced) this.trace.push(`      ${text}`)
    },
    touch: () => this.seen(),
    choose: (question, answers) => this.choose(question, answers),
    fault: (what) => {
      if (this.faults >= this.settings.faults) return false
      // Who asks first may use up what is left.
      this.footprint.add("faults")
      if (this.choose(what, ["no", "yes"]) === 0) return false
      this.faults++
      return true
    }
  }

  private ended({ end, name }: Known, exit: Exit.Exit<unknown, unknown>): void {
    this.footprint.add(end)
    if (this.fibers.has(name) && Exit.isFailure(exit) && Cause.hasDies(exit.cause)) {
      this.stop(new Failed("failure", `${name} died: ${Cause.pretty(exit.cause)}`))
    }
  }

  private choose(question: string, answers: ReadonlyArray<string>): number {
    if (answers.length === 0) {
      throw new RangeError(`choose: answers is empty for "${question}"; it must hold at least one`)
    }
    if (this.stopped !== undefined) return 0
    const labels = answers.map((answer) => `${question}: ${answer}`)
    const node = this.orStop(() => this.node("choice", labels, answers.map(() => false), false))
    const chosen = node?.chosen ?? 0
    this.world.log(labels[chosen] ?? "")
    this.privately(this.runner, labels[chosen] ?? "")
    return chosen
  }

  get isProbed(): boolean {
    return this.explored.probe !== undefined
  }

  private probe(): number {
    return this.explored.probe?.() ?? 0
  }

  /** What moved the probe since the last look was done by whoever asked last. */
  private see(): void {
    const probe = this.probe()
    if (probe === this.lastProbe) return
    this.lastProbe = probe
    this.seen()
  }

  private seen(): void {
    this.footprint.add("shared")
    this.visible.push((this.asker ?? this.current?.by ?? this.rootKnown)?.name ?? "root")
  }

  private privately({ name }: Known, what: string): void {
    this.private.push(`${name} ${what} after ${this.visible.filter((other) => other === name).length}`)
  }

  /** The same for two runs that nobody can tell apart. */
  get equivalence(): string {
    return [...this.visible, "|", ...this.private.toSorted()].join(",")
  }
}

const isDisjoint = (a: Footprint, b: Footprint): boolean => {
  for (const touched of a) if (b.has(touched)) return false
  return true
}

const taskOf = (label: string, by: Known): Task => ({ label, by, run: () => {}, fiber: undefined })

const saidOf = (label: string, by: Known): string => {
  if (label.startsWith("@")) return `${by.name} goes on`
  const name = label.replace(/#1$/, "")
  return name.includes("#") || name === by.name ? `a task of ${by.name} runs` : `${name} starts`
}

const isSame = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): boolean =>
  a.length === b.length && a.every((label, index) => label === b[index])

const judge = (kind: FailureKind, property: (() => string | undefined | void) | undefined): void => {
  let broken: string | undefined | void
  try {
    broken = property?.()
  } catch (error) {
    broken = error instanceof Error ? error.message : String(error)
  }
  if (typeof broken === "string") throw new Failed(kind, broken)
}

const reasonOf = (error: unknown): Failed | typeof asleep => {
  if (error instanceof Failed || error === asleep) return error
  throw error
}

const endless = (maxSteps: number): Failed =>
  new Failed(
    "livelock",
    `a run took more than maxSteps (${maxSteps}) operations: bound the program's loops, or raise maxSteps if it is meant to ` +
      "run that long"
  )

const foreign = (door: string): Failed =>
  new Failed(
    "foreign",
    `the program used ${door}, which the explorer cannot schedule: sleep by Effect.sleep, wait by Effect.callback, Deferred ` +
      "or Latch, and put a stand-in where the program talks to the outside"
  )

/**
 * What the tests of the face share: a scheduler whose every choice is data, a clock moved by hand, logs that are kept, a
 * picture of the laws, and manual worlds in which nothing runs until it is told to.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { BufferPool, type PoolSnapshot } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import type { Criticality } from "headgate/Criticality"
import * as Headgate from "headgate/Headgate"
import type { Stepper } from "headgate/Stepper"
import type { Waiter, Waiting } from "headgate/WaitQueue"

export type Pool = BufferPool["Service"]
export type Services = Headgate.Services | Stepper | Scope.Scope

export const classes: ReadonlyArray<Criticality> = ["tx", "channel", "endpoint", "rx"]

/** The design's margins, written once more. */
export const margin = (criticality: Criticality, reserve: number): number =>
  Math.floor(classes.indexOf(criticality) * reserve / 3)

// ---- worlds -----------------------------------------------------------------------------------------------------------

/** Runs a test in a world of its own: pool and schedulers by hand, every costly check on, limit 4 and reserve 1. */
export const manual = <A, E>(
  options: Headgate.HeadgateOptions,
  test: Effect.Effect<A, E, Services>
): Effect.Effect<A, E> =>
  Effect.scoped(test).pipe(
    Effect.provide(Layer.orDie(Headgate.layerManual({ limit: 4, reserve: 1, bufferSize: 16, debug: true, ...options })))
  )

/** Starts now, and ends with the test. */
export const start = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkScoped(effect, { startImmediately: true })

export const snapshot: Effect.Effect<PoolSnapshot, never, BufferPool> = BufferPool.snapshot

/** `[used, free, queued, granted]`: a row to compare after every step. */
export const row = Effect.gen(function*() {
  const pool = yield* BufferPool
  const { free, used } = yield* pool.snapshot
  const waiting = yield* pool.waitQueue.waiting
  const queued = waiting.filter(({ state }) => state === "queued").length
  return [used, free, queued, waiting.length - queued] as const
})

/** Takes that many at a class, for a test that holds them itself. */
export const hold = (count: number, criticality: Criticality = "tx") =>
  Effect.map(BufferPool, (pool) => Array.from({ length: count }, () => must(pool.tryTakeUnsafe(criticality))))

export const give = (buffer: ByteBuffer | undefined) =>
  Effect.map(BufferPool, (pool) => pool.giveBackUnsafe(must(buffer)))

export const must = <A>(value: A | undefined | null): A => {
  if (value === undefined || value === null) throw new Error("the test expected a value here")
  return value
}

/** A waiter that notes its news and comes to the door only when the test does. */
export const patient = (pool: Pool, criticality: Criticality, target: string, news: Array<string>): Waiter =>
  pool.waitQueue.waiter({
    target,
    criticality,
    wake: (what) => {
      news.push(`${target} ${what}`)
      return true
    }
  })

export const isBuffer = (door: ByteBuffer | string): door is ByteBuffer => typeof door !== "string"

export const causeOf = (exit: Exit.Exit<unknown, unknown> | undefined): string =>
  exit === undefined ? "running" : Exit.isSuccess(exit) ? "success" : String(exit.cause)

// ---- logs -------------------------------------------------------------------------------------------------------------

/** Runs a test whose log lines are kept in `lines` and printed nowhere. */
export const logged = <A, E, R>(
  test: (lines: Array<string>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ cause, logLevel, message }) => {
      const text = (Array.isArray(message) ? message : [message]).map(String).join(" ")
      const reasons = cause.reasons.length === 0 ? "" : ` ${cause.reasons.map(({ _tag }) => _tag).join(",")}`
      lines.push(`${logLevel} ${text}${reasons}`)
    })
    return Effect.provide(test(lines), Logger.layer([logger]))
  })

// ---- a scheduler whose every choice is data ------------------------------------------------------------------------------

/** One task list for all fibers, a yield after every few operations, and the caller picks which task is next. */
export class StepScheduler implements Scheduler.Scheduler {
  readonly executionMode = "async"
  private readonly tasks: Array<() => void> = []
  private readonly dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (task) => void this.tasks.push(task),
    flush: () => this.drain()
  }

  /** 3 is the smallest that makes progress: a yield itself costs two operations. */
  readonly maxOps: number
  constructor(maxOps = 3) {
    this.maxOps = maxOps
  }
  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= this.maxOps
  }
  makeDispatcher(): Scheduler.SchedulerDispatcher {
    return this.dispatcher
  }
  step(pick = 0): boolean {
    const [task] = this.tasks.splice(pick % Math.max(1, this.tasks.length), 1)
    task?.()
    return task !== undefined
  }
  drain(): void {
    let steps = 0
    while (this.step()) if (++steps > 100_000) throw new Error("the scheduler never rests")
  }
}

/** Time that stands until it is moved; whoever sleeps is resumed by a task of the scheduler. */
export class HandClock implements Clock.Clock {
  private now = 0
  private sleepers: Array<{ readonly at: number; readonly resume: () => void }> = []

  currentTimeMillisUnsafe = (): number => this.now
  currentTimeNanosUnsafe = (): bigint => BigInt(Math.round(this.now * 1e6))
  monotonicTimeNanosUnsafe = (): bigint => this.currentTimeNanosUnsafe()
  readonly currentTimeMillis = Effect.sync(this.currentTimeMillisUnsafe)
  readonly currentTimeNanos = Effect.sync(this.currentTimeNanosUnsafe)
  readonly monotonicTimeNanos = Effect.sync(this.monotonicTimeNanosUnsafe)
  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const sleeper = { at: this.now + Duration.toMillis(duration), resume: () => resume(Effect.void) }
      this.sleepers.push(sleeper)
      return Effect.sync(() => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
      })
    })
  }
  /** Wakes whoever's time has come, in the order of their times. */
  advance(milliseconds: number): void {
    const end = this.now + milliseconds
    const due = () => this.sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
    for (let next = due(); next !== undefined; next = due()) {
      const { at, resume } = next
      this.sleepers = this.sleepers.filter((other) => other !== next)
      this.now = Math.max(this.now, at)
      resume()
    }
    this.now = end
  }
  get pending(): number {
    return this.sleepers.length
  }
}

let pools = 0

/** A pool on a scheduler and a clock of the test's own. */
export const stepped = (options: Parameters<typeof BufferPool.make>[0], maxOps = 3) => {
  const scheduler = new StepScheduler(maxOps)
  const clock = new HandClock()
  const scope = Scope.makeUnsafe()
  const fork = <A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> =>
    Effect.runFork(Effect.provideService(effect, Clock.Clock, clock), { scheduler })
  const run = <A, E>(effect: Effect.Effect<A, E>): A => {
    const fiber = fork(effect)
    scheduler.drain()
    const exit = fiber.pollUnsafe()
    if (exit === undefined || Exit.isFailure(exit)) throw new Error(`a set-up did not succeed: ${causeOf(exit)}`)
    return exit.value
  }
  const made = BufferPool.make({ name: `pool ${++pools}`, bufferSize: 8, debug: true, ...options })
  const pool = run(Scope.provide(Effect.orDie(made), scope))
  return { scheduler, clock, scope, fork, run, pool }
}

// ---- the laws in a picture -----------------------------------------------------------------------------------------------

/** What the laws L1, L4, L6 and L7 forbid in a picture of a pool; empty if all hold. */
export const broken = (
  pool: PoolSnapshot,
  waiting: ReadonlyArray<Waiting>,
  capacityBefore = Infinity
): Array<string> => {
  const { allocated, capacity, closed, favoured, free, limit, reserve, used } = pool
  const wrong: Array<string> = []
  const numbers = `used ${used}, allocated ${allocated}, capacity ${capacity}, limit ${limit}`
  if (!(used >= 0 && used <= allocated && allocated <= capacity)) wrong.push(`L1: ${numbers}`)
  if (capacity > Math.max(limit, capacityBefore)) wrong.push(`L1: capacity grew beyond the limit: ${numbers}`)
  if (free !== capacity - used) wrong.push(`free ${free} is not capacity - used: ${numbers}`)
  if (classes.reduce((sum, c) => sum + pool.classes[c].lent, 0) !== used) wrong.push(`lent is not used: ${numbers}`)
  if (pool.holders.length !== used) wrong.push(`L3: ${pool.holders.length} holders: ${numbers}`)
  const at = favoured === undefined ? undefined : classes.indexOf(favoured)
  for (const [level, c] of classes.entries()) {
    const own = margin(c, reserve)
    const inForce = at === undefined || level === 0 || level > at ? own : margin(classes[at] ?? "rx", reserve)
    const queued = pool.classes[c].waiting
    if (queued > 0 && closed) wrong.push(`${c} waits for a pool that is closed`)
    if (queued > 0 && free > inForce) wrong.push(`L4: ${queued} wait at ${c}, free ${free} > margin ${inForce}`)
    const lentFrom = classes.slice(level).reduce((sum, less) => sum + pool.classes[less].lent, 0)
    if (!closed && lentFrom > allocated - own) wrong.push(`L7: ${lentFrom} lent at ${c} or less critical, ${numbers}`)
  }
  const targets = waiting.map(({ target }) => target)
  if (new Set(targets).size !== targets.length) wrong.push(`L6: queued twice: ${targets.join(", ")}`)
  return wrong
}

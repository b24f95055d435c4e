/**
 * Time and order as data: a scheduler whose next task somebody picks, and a clock that stands until it is moved.
 *
 * Invariant: nothing runs but inside `step`, and no timer fires but inside `advance`, which only makes tasks. So a run is a
 * function of the picks and the advances.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scheduler from "effect/Scheduler"

type Task = () => void

/** Each dispatcher keeps its own order, as it would on a machine; which of them is next is the caller's to say. */
export class PickedScheduler implements Scheduler.Scheduler {
  readonly executionMode = "async"
  private readonly yieldEvery: number
  /** Dispatchers that have tasks, the one that has waited longest first. */
  private readonly active: Array<Array<Task>> = []

  constructor(yieldEvery: number) {
    this.yieldEvery = yieldEvery
  }

  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return fiber.currentOpCount >= this.yieldEvery
  }

  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const tasks: Array<Task> = []
    return {
      scheduleTask: (task) => {
        if (tasks.push(task) === 1) this.active.push(tasks)
      },
      flush: () => {
        while (this.step(this.active.indexOf(tasks))) { /* all of its own */ }
      }
    }
  }

  get hasTasks(): boolean {
    return this.active.length > 0
  }

  /** Runs the first task of one dispatcher; false if there is none. */
  step(pick = 0): boolean {
    if (pick < 0 || this.active.length === 0) return false
    const [tasks] = this.active.splice(pick % this.active.length, 1)
    const task = tasks?.shift()
    if (tasks !== undefined && tasks.length > 0) this.active.push(tasks)
    task?.()
    return true
  }
}

interface Sleeper {
  readonly at: number
  readonly resume: () => void
}

export class StandingClock implements Clock.Clock {
  now = 0
  private readonly sleepers: Array<Sleeper> = []

  currentTimeMillisUnsafe = (): number => this.now
  currentTimeNanosUnsafe = (): bigint => BigInt(this.now) * 1_000_000n
  monotonicTimeNanosUnsafe = (): bigint => this.currentTimeNanosUnsafe()
  readonly currentTimeMillis = Effect.sync(this.currentTimeMillisUnsafe)
  readonly currentTimeNanos = Effect.sync(this.currentTimeNanosUnsafe)
  readonly monotonicTimeNanos = Effect.sync(this.monotonicTimeNanosUnsafe)

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.withFiber((fiber) =>
      Effect.callback<void>((resume) => {
        const wake = () => resume(Effect.void)
        const sleeper = {
          at: this.now + Duration.toMillis(duration),
          resume: () => fiber.currentDispatcher.scheduleTask(wake, 0)
        }
        this.insert(sleeper)
        return Effect.sync(() => this.remove(sleeper))
      })
    )
  }

  /** When the next timer is due; Infinity if none is. */
  get nextAt(): number {
    return this.sleepers[0]?.at ?? Infinity
  }

  get pending(): number {
    return this.sleepers.length
  }

  /** Moves to a time that is not past the next timer, and lets those go that are due. */
  advanceTo(time: number): void {
    this.now = time
    while (this.nextAt <= time) this.sleepers.shift()?.resume()
  }

  private insert(sleeper: Sleeper): void {
    const later = this.sleepers.findIndex(({ at }) => at > sleeper.at)
    this.sleepers.splice(later < 0 ? this.sleepers.length : later, 0, sleeper)
  }

  private remove(sleeper: Sleeper): void {
    const at = this.sleepers.indexOf(sleeper)
    if (at >= 0) this.sleepers.splice(at, 1)
  }
}

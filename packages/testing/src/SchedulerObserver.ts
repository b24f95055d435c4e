/**
 * Watches a scheduler and its entities: whether each wake is delivered once, in order, by a run that overlaps no other run of
 * its entity. `observe(scheduler)` returns the same service, watched: give that to what is under test.
 *
 * The laws are those of the pool, read for runs: no wake is lost (L4), runs start in the order of the wakes (L5), an entity is
 * queued once, runs once at a time and never after its end (L6), and a start neither throws nor runs inside a wake (L11).
 *
 * @since 0.1.0
 */
import type { Runnable, Scheduler } from "headgate/TaskScheduler"
import type { WakeReason } from "headgate/WakeReason"
import type * as Laws from "./Laws.ts"
import type { Finding } from "./PoolObserver.ts"

/**
 * A scheduler that is watched.
 *
 * @category models
 * @since 0.1.0
 */
export interface SchedulerObserver {
  /** For whatever is under test. */
  readonly scheduler: Scheduler
  /** To be called when nothing can run any more. */
  readonly rest: () => void
  /** To be called when all have ended. */
  readonly end: () => void
  /** The first thing that was wrong; empty if nothing was. */
  readonly findings: () => ReadonlyArray<Finding>
  readonly starts: () => number
}

/**
 * Watches a scheduler from now on: entities that it had before are not seen.
 *
 * @category constructors
 * @since 0.1.0
 */
export const observe = (scheduler: Scheduler): SchedulerObserver => {
  const observer = new Observer(scheduler)
  return {
    scheduler: {
      runQueueDepth: scheduler.runQueueDepth,
      snapshot: scheduler.snapshot,
      runnable: (start) => observer.runnable(start)
    },
    rest: () => observer.rest(),
    end: () => observer.end(),
    findings: () => observer.findings,
    starts: () => observer.starts
  }
}

interface Entry {
  readonly number: number
  state: "idle" | "queued" | "running" | "ended"
  /** Not delivered yet. */
  reasons: ReadonlySet<WakeReason>
}

class Observer {
  findings: ReadonlyArray<Finding> = []
  starts = 0
  private readonly real: Scheduler
  private readonly entries: Array<Entry> = []
  private queue: ReadonlyArray<Entry> = []
  private wakes = 0

  constructor(real: Scheduler) {
    this.real = real
  }

  runnable(start: (reasons: ReadonlySet<WakeReason>) => void): Runnable {
    const entry: Entry = { number: this.entries.length, state: "idle", reasons: new Set() }
    this.entries.push(entry)
    const real = this.real.runnable((reasons) => {
      this.started(entry, reasons)
      try {
        start(reasons)
      } catch (error) {
        this.unless(false, "L11", "the start of a run does not throw", entry)
        throw error
      }
    })
    return {
      wakeUnsafe: (reason) => {
        this.woken(entry, reason)
        this.wakes++
        real.wakeUnsafe(reason)
        this.wakes--
      },
      finishedUnsafe: () => {
        this.finished(entry)
        real.finishedUnsafe()
      },
      endUnsafe: (outcome) => {
        this.queue = this.queue.filter((other) => other !== entry)
        entry.state = "ended"
        real.endUnsafe(outcome)
      }
    }
  }

  private woken(entry: Entry, reason: WakeReason): void {
    if (entry.state === "ended") return
    entry.reasons = new Set([...entry.reasons, reason])
    if (entry.state === "idle") this.enqueue(entry)
  }

  private enqueue(entry: Entry): void {
    entry.state = "queued"
    this.queue = [...this.queue, entry]
  }

  private started(entry: Entry, reasons: ReadonlySet<WakeReason>): void {
    this.starts++
    const { reasons: expected, state } = entry
    const place = this.queue.indexOf(entry)
    this.unless(this.wakes === 0, "L11", "no run starts inside a wake", entry)
    this.unless(state !== "ended", "L6", "who has ended is never started", entry)
    this.unless(state !== "running", "L6", "runs of one entity do not overlap", entry)
    this.unless(state !== "idle", "L6", "who was not woken is not started", entry)
    this.unless(place <= 0, "L5", "runs start in the order of the wakes", entry, { ahead: place })
    const isWhole = reasons.size === expected.size && [...expected].every((reason) => reasons.has(reason))
    this.unless(isWhole, "L4", "a run is told every reason since the last one, and no other", entry, {
      woken: expected.size,
      told: reasons.size
    })
    this.queue = this.queue.filter((other) => other !== entry)
    entry.state = "running"
    entry.reasons = new Set()
  }

  private finished(entry: Entry): void {
    if (entry.state === "ended") return
    this.unless(entry.state === "running", "L6", "a run is over once, and after it began", entry)
    if (entry.state !== "running") return
    entry.state = "idle"
    if (entry.reasons.size > 0) this.enqueue(entry)
  }

  rest(): void {
    for (const entry of this.queue) {
      this.unless(false, "L4", "who was woken is started before everything comes to rest", entry)
    }
  }

  end(): void {
    for (const entry of this.entries) {
      this.unless(entry.state === "ended", "L6", "when all have ended nobody has a place in the run queue", entry)
    }
  }

  private unless(
    holds: boolean,
    law: Laws.LawName,
    fact: string,
    { number, state }: Entry,
    numbers: { readonly [name: string]: number } = {}
  ): void {
    if (holds || this.findings.length > 0) return
    const step = `entry ${number} was ${state}`
    this.findings = [{ law, fact, numbers: { entry: number, ...numbers }, step, waiter: undefined }]
  }
}

/**
 * A scheduler: one run queue, and when its turns come. Invariant: at most `runQueueDepth` runs are started per turn, and
 * none from inside the wake that asked for it.
 */
import * as Effect from "effect/Effect"
import { type ConfigError } from "../PoolError.ts"
import type { Runnable, SchedulerOptions, SchedulerSnapshot } from "../TaskScheduler.ts"
import { bit, fromBits, type WakeReason } from "../WakeReason.ts"
import { failOn, problemsOf, schedulerRules } from "./options.ts"
import { RunEntry, RunQueue } from "./runQueue.ts"
import * as Turns from "./turns.ts"
import { touch } from "./version.ts"

export class SchedulerImpl {
  readonly runQueueDepth: number
  readonly queue: RunQueue
  private entities = 0
  private failed = 0

  constructor(runQueueDepth: number, turns: Turns.Turns, report: (error: unknown) => void) {
    this.runQueueDepth = runQueueDepth
    this.queue = new RunQueue(
      turns({
        perTurn: runQueueDepth,
        run: (max) => this.queue.run(max),
        pending: () => this.queue.length > 0
      }),
      report
    )
  }

  readonly runnable = (start: (reasons: ReadonlySet<WakeReason>) => void): Runnable => {
    touch()
    const entry = new RunEntry((reasons) => start(fromBits(reasons)))
    this.entities++
    return {
      wakeUnsafe: (reason) => this.queue.wake(entry, bit(reason)),
      finishedUnsafe: () => this.queue.finished(entry),
      endUnsafe: (outcome) => {
        touch()
        if (entry.state === "ended") return
        this.entities--
        if (outcome === "failed") this.failed++
        this.queue.end(entry)
      }
    }
  }

  readonly snapshot: Effect.Effect<SchedulerSnapshot> = Effect.sync(() => ({
    runQueueLength: this.queue.length,
    entities: this.entities,
    starts: this.queue.starts,
    failed: this.failed
  }))
}

export const make = (options: SchedulerOptions): Effect.Effect<SchedulerImpl, ConfigError> =>
  Effect.gen(function*() {
    yield* failOn(problemsOf(options, schedulerRules))
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    return new SchedulerImpl(options.runQueueDepth ?? 200, yield* Turns.current, (error) => {
      fork(Effect.logError("the start of a run threw", error))
    })
  })

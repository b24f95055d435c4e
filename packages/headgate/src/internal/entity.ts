/**
 * What tasks, streams and applets have in common: a fiber that sleeps until its turn, then makes one run.
 *
 * Invariant: runs of one entity never overlap (one fiber makes them all), and an entity that has ended is in no queue, is
 * never started and holds nothing, from the step that ended it; only what its last run has pinned comes back later.
 *
 * The order at an end: leave every queue, give back, then let the fiber go. Other waiters are offered what came back before
 * anything of the dying entity can run again.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { BufferPending } from "../PoolError.ts"
import type { Runnable, Scheduler } from "../TaskScheduler.ts"
import type { WakeReason } from "../WakeReason.ts"
import { Identity } from "./identity.ts"
import { CurrentRun, Run, runOf } from "./run.ts"
import { touch } from "./version.ts"

/** What a kind of entity adds. Both hooks are synchronous and total. */
export interface Kind<E, R> {
  readonly name: string
  readonly scheduler: Scheduler
  readonly run: (reasons: ReadonlySet<WakeReason>) => Effect.Effect<void, E, R>
  /** Called before each run, with what to call at its exit. */
  readonly beforeRun?: () => RunExit | undefined
  /** Leave every queue, give everything back. */
  readonly leave?: () => void
}

type RunExit = () => void

export class Entity<E> extends Identity {
  readonly name: string
  readonly scope: Scope.Closeable
  ended = false
  private readonly runnable: Runnable
  private readonly leave: () => void
  private exit: Exit.Exit<void, E> | undefined = undefined
  /** Who awaits its end now: one who gave up does not see a failure. */
  private readonly awaiting = new Set<(exit: Exit.Exit<void, E>) => void>()
  private fiber: Fiber.Fiber<void, E> | undefined = undefined
  private timer: Fiber.Fiber<void> | undefined = undefined
  private run: Run | undefined = undefined
  private resume: ((effect: Effect.Effect<ReadonlySet<WakeReason>>) => void) | undefined = undefined
  /** A start that came before the fiber first slept: a yield may fall between. */
  private early: ReadonlySet<WakeReason> | undefined = undefined

  constructor(name: string, scheduler: Scheduler, scope: Scope.Closeable, leave: () => void) {
    super()
    this.name = name
    this.scope = scope
    this.leave = leave
    this.runnable = scheduler.runnable((reasons) => {
      touch()
      if (this.resume === undefined) this.early = reasons
      else this.resume(Effect.succeed(reasons))
    })
  }

  toJSON() {
    return { entity: this.name, state: this.ended ? "ended" : this.run === undefined ? "waiting" : "running" }
  }

  readonly wakeUnsafe = (reason: WakeReason): void => this.runnable.wakeUnsafe(reason)

  /** Wakes with `timer` after `duration`; each call replaces the one before. */
  readonly expire = (duration: Duration.Input): Effect.Effect<void> =>
    Effect.suspend(() => {
      touch()
      this.timer?.interruptUnsafe()
      const alarm = Effect.andThen(Effect.sleep(duration), Effect.sync(() => this.wakeUnsafe("timer")))
      return Effect.map(Effect.forkIn(alarm, this.scope), (fiber) => {
        touch()
        this.timer = fiber
      })
    })

  /** Inside its own run, the run goes on to its exit; from elsewhere, a run under way is interrupted, and waited for. */
  readonly end: Effect.Effect<void> = Effect.withFiber((fiber) => {
    this.stop("done")
    const isOwnRun = this.run !== undefined && runOf(fiber) === this.run
    if (isOwnRun || this.fiber === undefined) return Effect.void
    // In this step: whoever ends it may itself be interrupted before its next (an applet that ends its own stream is).
    this.fiber.interruptUnsafe(fiber.id)
    return Effect.asVoid(Fiber.await(this.fiber))
  })

  readonly await: Effect.Effect<void, E> = Effect.callback<void, E>((resume) => {
    touch()
    if (this.exit !== undefined) return resume(this.exit)
    this.awaiting.add(resume)
    return Effect.sync(() => {
      touch()
      this.awaiting.delete(resume)
    })
  })

  /** As `end` from elsewhere, without waiting. */
  readonly endUnsafe = (): void => {
    this.stop("done")
    this.fiber?.interruptUnsafe()
  }

  /** The end as one step. Safe to repeat. */
  private stop(outcome: "done" | "failed"): void {
    touch()
    if (this.ended) return
    this.ended = true
    this.runnable.endUnsafe(outcome)
    this.leave()
  }

  /** Starts the entity's fiber in the scope that it was made in. */
  start<R>(kind: Kind<E, R>, scope: Scope.Scope): Effect.Effect<void, never, Exclude<R, Scope.Scope>> {
    const turn = Effect.flatMap(this.sleep, (reasons) => this.runOnce(kind, reasons))
    const isAlive = () => {
      touch()
      return !this.ended
    }
    const life = Effect.whileLoop({ while: isAlive, body: () => turn, step: () => {} })
    return Effect.map(
      // Its first operation, which installs `finish`, is part of this one: nothing can interrupt it before.
      Effect.forkIn(Effect.onExit(life, (exit) => this.finish(exit)), scope, { startImmediately: true }),
      (fiber) => {
        touch()
        this.fiber = fiber
      }
    )
  }

  /** Between runs. Only now is the run before over for the queue, so a start always finds the fiber asleep. */
  private readonly sleep = Effect.callback<ReadonlySet<WakeReason>>((resume) => {
    touch()
    const isFirst = this.resume === undefined
    this.resume = resume
    if (!isFirst) this.runnable.finishedUnsafe()
    else if (this.early !== undefined) resume(Effect.succeed(this.early))
  })

  private runOnce<R>(
    kind: Kind<E, R>,
    reasons: ReadonlySet<WakeReason>
  ): Effect.Effect<void, E, Exclude<R, Scope.Scope>> {
    return Effect.suspend(() => {
      touch()
      const run = new Run(this)
      this.run = run
      const afterRun = kind.beforeRun?.()
      const process = Effect.scoped(Effect.suspend(() => kind.run(reasons)))
      return Effect.onExitPrimitive(Effect.provideService(process, CurrentRun, run), () => {
        run.exit()
        afterRun?.()
        this.run = undefined
        return undefined
      })
    })
  }

  /** The fiber's last step. A failure reaches whoever awaits; if nobody does, it is logged. */
  private finish(exit: Exit.Exit<void, E>): Effect.Effect<void> {
    const failed = Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)
    touch()
    const wasEnded = this.ended
    const isAwaited = this.awaiting.size > 0
    this.stop(failed ? "failed" : "done")
    this.exit = failed || !wasEnded ? exit : Exit.void
    for (const resume of this.awaiting) resume(this.exit)
    this.awaiting.clear()
    const unseen = failed && !isAwaited
      ? Effect.annotateLogs(Effect.logError("an entity failed, and nobody awaits it", exit.cause), "entity", this.name)
      : Effect.void
    return Effect.andThen(unseen, Scope.close(this.scope, exit))
  }
}

const isOther = <E>(error: E): error is Exclude<E, BufferPending> => !(error instanceof BufferPending)

/** A run that fails with `BufferPending` is simply over: its filler is queued, and it is run again. */
export const forgivePending = <A, E, R>(
  run: Effect.Effect<A, E, R>
): Effect.Effect<A | void, Exclude<E, BufferPending>, R> =>
  Effect.catch(run, (error) => isOther(error) ? Effect.fail(error) : Effect.void)

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
import { Run, runOf } from "./run.ts"
import { touch } from "./version.ts"

/** What a kind of entity adds. Both hooks are synchronous and total. */
export interface Kind<E, R> {
  readonly name: string
  readonly scheduler: Scheduler
  readonly run: (reasons: ReadonlySet<WakeReason>) => Effect.Effect<void, E, R>
  /** Called before each run, with what to call at its exit. */
  readonly beforeRun?: () => RunExit | undefined
  /** Leaves every queue, gives everything back. */
  readonly leave?: () => void
}

type RunExit = () => void

/** What ends an entity: a run that fails with `BufferPending` does not. */
type Final<E> = Exclude<E, BufferPending>

const noReasons: ReadonlySet<WakeReason> = new Set()

export class Entity<E, R> extends Identity {
  readonly name: string
  readonly scope: Scope.Closeable
  ended = false
  readonly wakeUnsafe: (reason: WakeReason) => void
  private readonly runnable: Runnable
  private readonly kind: Kind<E, R>
  private exit: Exit.Exit<void, Final<E>> | undefined = undefined
  /** Who awaits its end now: one who gave up does not see a failure. */
  private readonly awaiting = new Set<(exit: Exit.Exit<void, Final<E>>) => void>()
  private fiber: Fiber.Fiber<void, Final<E>> | undefined = undefined
  private timer: Fiber.Fiber<void> | undefined = undefined
  private run: Run | undefined = undefined
  private afterRun: RunExit | undefined = undefined
  /** Why it runs. */
  private reasons: ReadonlySet<WakeReason> = noReasons
  /** Wakes the fiber; undefined until it first sleeps. */
  private resume: ((turn: Effect.Effect<void, E, Exclude<R, Scope.Scope>>) => void) | undefined = undefined
  /** A start has come: maybe before the fiber first slept, for a yield may fall between. */
  private hasStarted = false

  constructor(kind: Kind<E, R>, scope: Scope.Closeable) {
    super()
    this.name = kind.name
    this.scope = scope
    this.kind = kind
    this.runnable = kind.scheduler.runnable((reasons) => {
      touch()
      this.reasons = reasons
      this.hasStarted = true
      this.resume?.(this.turn)
    })
    this.wakeUnsafe = this.runnable.wakeUnsafe
  }

  toJSON() {
    return { entity: this.name, state: this.ended ? "ended" : this.run === undefined ? "waiting" : "running" }
  }

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

  readonly await: Effect.Effect<void, Final<E>> = Effect.callback<void, Final<E>>((resume) => {
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
    this.kind.leave?.()
  }

  /** Starts the entity's fiber in the scope that it was made in. */
  start(scope: Scope.Scope): Effect.Effect<void, never, Exclude<R, Scope.Scope>> {
    const isAlive = () => {
      touch()
      return !this.ended
    }
    const runs = Effect.whileLoop({ while: isAlive, body: () => this.sleep, step: () => {} })
    // A run that fails with `BufferPending` is simply over: its filler is queued, and it is run again.
    const life: Effect.Effect<void, Final<E>, Exclude<R, Scope.Scope>> = Effect.catch(
      runs,
      (error) => isFinal(error) ? Effect.fail(error) : life
    )
    return Effect.map(
      // Its first operation, which installs `finish`, is part of this one: nothing can interrupt it before.
      Effect.forkIn(Effect.onExit(life, (exit) => this.finish(exit)), scope, { startImmediately: true }),
      (fiber) => {
        touch()
        this.fiber = fiber
      }
    )
  }

  /** One run. Made once, for what differs between runs is the entity's. The frame that ends a run stands before it begins. */
  private readonly turn: Effect.Effect<void, E, Exclude<R, Scope.Scope>> = Effect.onExitPrimitive(
    Effect.withFiber((fiber) => {
      touch()
      this.run = new Run(this, fiber)
      this.afterRun = this.kind.beforeRun?.()
      return scopeProvided(this.kind.run(this.reasons))
    }),
    (exit) => {
      const closing = this.run?.close(exit)
      if (closing !== undefined) return Effect.ensuring(closing, Effect.sync(() => this.afterClosing()))
      this.afterClosing()
      return undefined
    }
  )

  /** Between runs. Only now is the run before over for the queue, so a start always finds the fiber asleep. */
  private readonly sleep = Effect.callback<void, E, Exclude<R, Scope.Scope>>((resume) => {
    touch()
    const isFirst = this.resume === undefined
    this.resume = resume
    if (!isFirst) this.runnable.finishedUnsafe()
    else if (this.hasStarted) resume(this.turn)
  })

  private afterClosing(): void {
    const { afterRun, run } = this
    this.run = this.afterRun = undefined
    run?.exit()
    afterRun?.()
  }

  /** The fiber's last step. A failure reaches whoever awaits; if nobody does, it is logged. */
  private finish(exit: Exit.Exit<void, Final<E>>): Effect.Effect<void> {
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

/** As `Effect.scoped` says it: the scope that a run asks for is in the context that `Run` gave its fiber. */
const scopeProvided = <A, E, R>(run: Effect.Effect<A, E, R>) => run as Effect.Effect<A, E, Exclude<R, Scope.Scope>>

const isFinal = <E>(error: E): error is Final<E> => !(error instanceof BufferPending)

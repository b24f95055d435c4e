/**
 * Five ways to hand a permit to the next in line, four of them wrong: what the explorer must find, and what it must not.
 *
 * All state is behind `touched`, so that the count of accesses is the probe.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import type { Explored, World } from "../../src/Explorer.ts"

interface Waiter {
  granted: boolean
  resume: (() => void) | undefined
}

type Restore = <A>(effect: Effect.Effect<A>) => Effect.Effect<A>

/** `handOff` is right. The others forget one thing each. */
export type Way =
  | "handOff"
  /** Who is interrupted between the grant and its resumption keeps the permit. */
  | "grantForgotten"
  /** The releaser resumes the next one in its own operation, and ownership is masked too late. */
  | "resumedInline"
  /** Looks, and registers itself in another operation. */
  | "registersLate"

export class Gate {
  free: number
  accesses = 0
  inside = 0
  readonly queue: Array<Waiter> = []
  private readonly way: Way
  private readonly dispatcher: Scheduler.SchedulerDispatcher

  constructor(permits: number, way: Way, dispatcher: Scheduler.SchedulerDispatcher) {
    this.free = permits
    this.way = way
    this.dispatcher = dispatcher
  }

  static make(permits: number, way: Way): Effect.Effect<Gate> {
    return Effect.withFiber((fiber) =>
      Effect.succeed(new Gate(permits, way, fiber.getRef(Scheduler.Scheduler).makeDispatcher()))
    )
  }

  private release(): void {
    this.accesses++
    this.free++
    const next = this.queue.shift()
    if (next === undefined) return
    this.free--
    next.granted = true
    const wake = () => {
      this.accesses++
      next.resume?.()
    }
    if (this.way === "resumedInline") wake()
    else this.dispatcher.scheduleTask(wake, 0)
  }

  private leave(waiter: Waiter): void {
    this.accesses++
    if (waiter.granted) {
      if (this.way !== "grantForgotten") this.release()
    } else {
      this.queue.splice(this.queue.indexOf(waiter), 1)
    }
  }

  /** Takes a permit, or a place in the queue. */
  private enter(restore: Restore): Effect.Effect<void> {
    this.accesses++
    if (this.free > 0) {
      this.free--
      return Effect.void
    }
    const waiter: Waiter = { granted: false, resume: undefined }
    if (this.way !== "registersLate") this.queue.push(waiter)
    const told = Effect.callback<void>((resume) => {
      this.accesses++
      if (this.way === "registersLate") this.queue.push(waiter)
      if (waiter.granted) resume(Effect.void)
      else waiter.resume = () => resume(Effect.void)
    })
    return Effect.onExit(
      restore(told),
      (exit) => Exit.isFailure(exit) ? Effect.sync(() => this.leave(waiter)) : Effect.void
    )
  }

  /** Runs `body` with a permit. */
  withPermit<A>(body: Effect.Effect<A>): Effect.Effect<A> {
    const owned = (restore: Restore) => Effect.onExit(restore(body), () => Effect.sync(() => this.release()))
    return this.way === "resumedInline"
      ? Effect.andThen(Effect.suspend(() => this.enter((effect) => effect)), Effect.uninterruptibleMask(owned))
      : Effect.uninterruptibleMask((restore) =>
        Effect.andThen(Effect.suspend(() => this.enter(restore)), owned(restore))
      )
  }
}

/** Some fibers, each of which goes through the gate once. */
export const through =
  (way: Way, { fibers, permits = 1 }: { readonly fibers: number; readonly permits?: number }) =>
  (world: World): Explored => {
    let gate: Gate | undefined
    const visit = (of: Gate) =>
      of.withPermit(Effect.sync(() => {
        world.at("inside")
        of.accesses++
      }))
    const program = Effect.gen(function*() {
      const made = yield* Gate.make(permits, way)
      gate = made
      const forked: Array<Fiber.Fiber<void>> = []
      for (let i = 1; i <= fibers; i++) forked.push(yield* world.fork(`fiber ${i}`, visit(made)))
      yield* world.await(...forked)
    })
    return {
      program,
      atEnd: () =>
        gate?.free === permits && gate.queue.length === 0 ? undefined : `${gate?.free} of ${permits} permits are back`,
      probe: () => gate?.accesses ?? 0
    }
  }

/** Time that moves only when the explorer chooses that a timer fires. */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export interface Timer<Owner> {
  readonly at: number
  readonly owner: Owner
  readonly fire: () => void
}

export class VirtualTime<Owner> implements Clock.Clock {
  private now = 0
  private timers: Array<Timer<Owner>> = []
  private readonly ownerNow: () => Owner
  private readonly touched: () => void

  /** `ownerNow` says who is about to sleep; `touched` is told of every look at the time and every change of the timers. */
  constructor(ownerNow: () => Owner, touched: () => void) {
    this.ownerNow = ownerNow
    this.touched = touched
  }

  readonly currentTimeMillisUnsafe = (): number => {
    this.touched()
    return this.now
  }
  readonly currentTimeNanosUnsafe = (): bigint => BigInt(Math.round(this.currentTimeMillisUnsafe() * 1e6))
  readonly monotonicTimeNanosUnsafe = this.currentTimeNanosUnsafe
  readonly currentTimeMillis = Effect.sync(this.currentTimeMillisUnsafe)
  readonly currentTimeNanos = Effect.sync(this.currentTimeNanosUnsafe)
  readonly monotonicTimeNanos = this.currentTimeNanos

  sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const at = this.currentTimeMillisUnsafe() + Duration.toMillis(duration)
      const timer = { at, owner: this.ownerNow(), fire: () => resume(Effect.void) }
      if (at < Infinity) this.timers.push(timer)
      return Effect.sync(() => this.remove(timer))
    })
  }

  /** The timer that is due first; of several, the oldest. */
  get first(): Timer<Owner> | undefined {
    return this.timers.toSorted((a, b) => a.at - b.at)[0]
  }

  fire(timer: Timer<Owner>): void {
    this.remove(timer)
    this.now = Math.max(this.now, timer.at)
    timer.fire()
  }

  private remove(timer: Timer<Owner>): void {
    this.touched()
    this.timers = this.timers.filter((other) => other !== timer)
  }
}

/**
 * Leases that have been out for too long: each is reported once, and so is its return. Needs the clock to be read at takes,
 * which the gate does only when there is a threshold.
 */
import * as Effect from "effect/Effect"
import { order } from "../Criticality.ts"
import type { Area, Gate } from "./gate.ts"
import { touch } from "./version.ts"

export class Leaks {
  reported = 0
  private readonly gate: Gate
  private readonly pool: string
  private readonly fork: (effect: Effect.Effect<unknown>) => unknown

  constructor(gate: Gate, pool: string, fork: (effect: Effect.Effect<unknown>) => unknown) {
    this.gate = gate
    this.pool = pool
    this.fork = fork
  }

  /** Looks through the holders every half threshold. O(buffers) each time. */
  watch(thresholdMs: number): Effect.Effect<never> {
    return Effect.forever(Effect.andThen(Effect.sleep(thresholdMs / 2), this.report(thresholdMs)))
  }

  /** A lease that was reported ends after all. */
  returned(area: Area): void {
    this.fork(this.line(Effect.logInfo(`a buffer reported as a leak came back after ${this.heldMs(area)} ms`), area))
  }

  private report(thresholdMs: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      touch()
      const old = this.gate.lentAreas().filter((area) => !area.reported && this.heldMs(area) >= thresholdMs)
      return Effect.forEach(old, (area) => {
        area.reported = true
        this.reported++
        return this.line(Effect.logWarning(`a buffer has been out for ${this.heldMs(area)} ms`), area)
      }, { discard: true })
    })
  }

  private heldMs(area: Area): number {
    return this.gate.options.now() - area.lentAt
  }

  private line(text: Effect.Effect<void>, area: Area): Effect.Effect<void> {
    const origin = area.origin === undefined ? {} : { origin: area.origin }
    return Effect.annotateLogs(text, { pool: this.pool, criticality: order[area.level], ...origin })
  }
}

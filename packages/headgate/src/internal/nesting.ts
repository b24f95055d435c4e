/**
 * The order in which one fiber may hold buffers together: strictly decreasing margins, for then no hold-and-wait cycle
 * exists. Checked with `debug: true` only.
 */
import type { Criticality } from "../Criticality.ts"
import { order } from "../Criticality.ts"
import type { Lease } from "./buffer.ts"
import { touch } from "./version.ts"

export class Nesting {
  private readonly held = new WeakMap<object, Set<Lease>>()
  private readonly margins: ReadonlyArray<number>

  constructor(margins: ReadonlyArray<number>) {
    this.margins = margins
  }

  /** Why the fiber may not wait for one more at this level; undefined if it may. */
  refusal(fiber: object, criticality: Criticality, at: number): string | undefined {
    touch()
    for (const lease of this.held.get(fiber) ?? []) {
      if (lease.live && this.margins[lease.area.level]! <= this.margins[at]!) {
        return `a fiber that holds a buffer at "${order[lease.area.level]}" (margin ${
          this.margins[lease.area.level]
        }) asks for ` +
          `one at "${criticality}" (margin ${
            this.margins[at]
          }): buffers needed together are taken in order of strictly ` +
          "decreasing margin"
      }
    }
    return undefined
  }

  add(fiber: object, lease: Lease): void {
    const leases = this.held.get(fiber)
    if (leases === undefined) return void this.held.set(fiber, new Set([lease]))
    for (const old of leases) if (!old.live) leases.delete(old)
    leases.add(lease)
  }
}

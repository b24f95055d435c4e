/**
 * Waiting of which nothing hangs on its length: pauses, slow reading, reading nothing at all.
 *
 * Invariant: who naps is woken by its time or by `hurry`, whichever comes first. So a load comes to its end without any
 * connection being cut: whoever read nothing reads, and all must then end in order.
 */
export class Naps {
  private isHurried = false
  private readonly wakes = new Set<() => void>()

  nap(ms: number): Promise<void> {
    if (this.isHurried || ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer)
        this.wakes.delete(wake)
        resolve()
      }
      const timer = setTimeout(wake, ms)
      this.wakes.add(wake)
    })
  }

  /** Wakes all, and lets nobody nap until `calm`. */
  hurry(): void {
    this.isHurried = true
    for (const wake of this.wakes) wake()
  }

  calm(): void {
    this.isHurried = false
  }
}

/**
 * How late this process is: by how much its timers overshoot, on a machine that has other things to do.
 *
 * Why: bounds on waits are promised in the relay's own time, and a reader is slow or stuck by what it does, not by what
 * the machine lets it do. So lateness is taken off, instead of bounds that are wide enough for any machine and so find nothing.
 */
const tickMs = 100
const leastMs = 1
/** Ten minutes of nothing but late ticks: far longer than anybody waits. */
const mostKept = 6000

export class Lateness {
  /** Each tick that was late, and the sum so far. */
  private readonly late: Array<{ readonly at: number; readonly sumMs: number }> = []
  private sumMs = 0
  private before = performance.now()
  private readonly timer = setInterval(() => this.tick(), tickMs)

  /** In all, since that time of `performance.now()`; the tick that is due counts too. */
  sinceMs(at: number): number {
    const dueMs = Math.max(0, performance.now() - this.before - tickMs)
    return dueMs + this.sumMs - (this.late.findLast((one) => one.at <= at)?.sumMs ?? 0)
  }

  stop(): void {
    clearInterval(this.timer)
  }

  private tick(): void {
    const at = performance.now()
    const lateMs = at - this.before - tickMs
    this.before = at
    if (lateMs < leastMs) return
    this.sumMs += lateMs
    this.late.push({ at, sumMs: this.sumMs })
    if (this.late.length > mostKept) this.late.shift()
  }
}

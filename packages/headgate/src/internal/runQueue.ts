/**
 * The run queue: who runs next, in the order in which they were woken.
 *
 * Invariant: an entry is idle, queued, running or ended; it is in the queue exactly when queued, and a wake is never lost:
 * its reasons are merged into the entry and delivered once, by the run that it starts or, when the entry is running, by
 * one more run. So runs of one entry never overlap, and "woken while running" means "runs once more".
 *
 * Every function is synchronous and bumps the version. All are O(1) but `run`, which is O(entries started). Nothing here
 * knows fibers: `start` is the entry's own, and `schedule` asks whoever owns the queue to call `run` in a later turn,
 * never from inside a wake.
 */
import { assert } from "./assert.ts"
import { type Block, type Linked, List, push, shift, unlink } from "./list.ts"
import { touch } from "./version.ts"

export class RunEntry implements Linked<RunEntry> {
  block: Block<RunEntry> | undefined = undefined
  place = 0
  state: "idle" | "queued" | "running" | "ended" = "idle"
  /** Reasons not yet delivered, as bits. */
  reasons = 0
  /** The pass during which it was queued: what tells later wakes from those that a pass may start. */
  pass = 0
  readonly start: (reasons: number) => void
  constructor(start: (reasons: number) => void) {
    this.start = start
  }
}

export class RunQueue {
  starts = 0
  private readonly entries = new List<RunEntry>()
  private pass = 0
  private readonly schedule: () => void
  private readonly report: (error: unknown) => void

  constructor(schedule: () => void, report: (error: unknown) => void) {
    this.schedule = schedule
    this.report = report
  }

  get length(): number {
    touch()
    return this.entries.length
  }

  wake(entry: RunEntry, reasons: number): void {
    touch()
    if (entry.state === "ended") return
    entry.reasons |= reasons
    if (entry.state === "idle") this.enqueue(entry)
  }

  /** Starts, in wake order, at most `max` of the entries queued now; later wakes wait for the next call. */
  run(max: number): number {
    touch()
    const pass = ++this.pass
    let started = 0
    for (let entry = this.entries.head; entry !== undefined; entry = this.entries.head) {
      if (started === max || entry.pass >= pass) break
      shift(this.entries)
      started++
      this.startOne(entry)
    }
    this.starts += started
    return started
  }

  /** The entry's run is over. */
  finished(entry: RunEntry): void {
    touch()
    if (entry.state === "ended") return
    assert(entry.state === "running", `a run finished of an entry that is ${entry.state}`)
    entry.state = "idle"
    if (entry.reasons !== 0) this.enqueue(entry)
  }

  /** Out of the queue, and never run again. */
  end(entry: RunEntry): void {
    touch()
    unlink(entry)
    entry.state = "ended"
    entry.reasons = 0
  }

  private enqueue(entry: RunEntry): void {
    entry.state = "queued"
    entry.pass = this.pass
    push(this.entries, entry)
    this.schedule()
  }

  private startOne(entry: RunEntry): void {
    const reasons = entry.reasons
    entry.reasons = 0
    entry.state = "running"
    try {
      entry.start(reasons)
    } catch (error) {
      this.report(error)
    }
  }
}

/**
 * Tells slow from stuck, and decides who goes when others wait.
 *
 * A bounded pool needs this: peers that never read would pin every buffer for ever. The rule acts only while the head of
 * some class has waited `stallGrace`; then it resets the connections whose write in flight has made no progress for
 * `stallTimeout`, longest first, as many as there are waiters, in one pass.
 *
 * What no policy mends: a relay that is its own origin behind small kernel buffers, an origin that serves one connection at a
 * time while uploads exceed the kernel's buffers, and clients that write everything before they read.
 *
 * Progress is 64 KiB that the kernel accepted, or that left the kernel's send queue, since the last mark. One byte is not:
 * a reader of a hundred bytes a second would hold a buffer for ever. And what the kernel accepted is not enough by itself,
 * for it hides up to 4 MB: a slow but honest reader of 20 kB/s shows only in the kernel's queue. And there it shows in steps: a
 * receive window that was full opens only when a good part of it is free again, measured after 390 to 590 kB. So with the default
 * of 30 s a reader of 20 kB/s is not taken for stuck (its steps take 20 to 29.5 s); one below 2.2 kB/s is, by definition; between
 * them, and behind windows larger than were measured, it depends on the window.
 *
 * @since 0.1.0
 */

/**
 * Bytes that count as progress.
 *
 * @category constants
 * @since 0.1.0
 */
export const progressBytes = 64 * 1024

/**
 * What is known of the bytes written to one peer: totals since the start, in bytes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sample {
  /** Accepted by the operating system. */
  readonly accepted: number
  /** Accepted by the other host; undefined if that cannot be known. */
  readonly delivered: number | undefined
}

/**
 * The progress of one direction's writes, by marks. All operations are O(1).
 *
 * What was delivered enters by `look` only, with a sample of that very moment. When a write begins the last sample may be
 * old, and what the operating system took since would pass for bytes that the other host has: a mark that a slow reader
 * needs minutes to get past.
 *
 * @category models
 * @since 0.1.0
 */
export class Progress {
  /** Since when the present write has been in flight; undefined between writes. */
  inFlightSince: number | undefined = undefined
  /** When the last mark was made: nothing counts as progress that does not get 64 KiB further than it. */
  markedAt = 0
  private accepted = 0
  private delivered: number | undefined = undefined
  private lastDoneAt = 0
  private lastWasSlow = false
  private readonly graceMs: number

  constructor(graceMs: number) {
    this.graceMs = graceMs
  }

  /**
   * A write begins; `accepted` is the total so far. The old mark goes on behind a write that was itself slow, and while the
   * direction `stillHolds` the buffer of the write before: else a reader could drip for ever, one small write after another.
   */
  begin(now: number, accepted: number, stillHolds: boolean): void {
    this.inFlightSince = now
    const goesOn = stillHolds || (this.lastWasSlow && now - this.lastDoneAt <= this.graceMs)
    if (!goesOn || accepted - this.accepted >= progressBytes) this.mark(now, accepted, undefined)
  }

  done(now: number): void {
    this.lastWasSlow = this.inFlightMs(now) > this.graceMs
    this.inFlightSince = undefined
    this.lastDoneAt = now
  }

  /** A write began and was over in the same moment, and left nothing of its buffer: the next one makes a mark of its own. */
  passed(): void {
    this.lastWasSlow = false
  }

  inFlightMs(now: number): number {
    return this.inFlightSince === undefined ? 0 : now - this.inFlightSince
  }

  /** Looks again; moves the mark if there was progress. */
  look(now: number, { accepted, delivered }: Sample): void {
    const marked = this.delivered ??= delivered
    const further = accepted - this.accepted >= progressBytes ||
      (marked !== undefined && delivered !== undefined && delivered - marked >= progressBytes)
    if (further) this.mark(now, accepted, delivered)
  }

  /** How long a write in flight has made no progress; 0 if none is in flight. */
  stalledMs(now: number): number {
    return this.inFlightSince === undefined ? 0 : now - this.markedAt
  }

  private mark(now: number, accepted: number, delivered: number | undefined): void {
    this.markedAt = now
    this.accepted = accepted
    this.delivered = delivered
  }
}

/**
 * Whom to reset: those stalled for at least `timeoutMs`, longest first, at most `waiting` of them. O(n log n).
 *
 * @category decisions
 * @since 0.1.0
 */
export const victims = <A extends { readonly stalledMs: number }>(
  candidates: ReadonlyArray<A>,
  timeoutMs: number,
  waiting: number
): ReadonlyArray<A> =>
  candidates.filter(({ stalledMs }) => stalledMs >= timeoutMs).sort((a, b) => b.stalledMs - a.stalledMs).slice(
    0,
    waiting
  )

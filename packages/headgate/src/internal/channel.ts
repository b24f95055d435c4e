/**
 * One direction's buffer, and the one waiter that waits for it.
 *
 * Invariant: the channel's buffer goes back in the step in which it is empty and unpinned. It can become so in three ways
 * only, and each ends in `maybeEmpty`: bytes are consumed (`Lease.consume` is the one function that removes any), a pin
 * goes, or its filler says that it fills nothing after all.
 */
import type { BufferPool } from "../BufferPool.ts"
import type { ByteBuffer } from "../ByteBuffer.ts"
import type { Criticality } from "../Criticality.ts"
import { BufferMisuse, BufferPending } from "../PoolError.ts"
import type { Waiter } from "../WaitQueue.ts"
import type { WakeReason } from "../WakeReason.ts"
import { type Holder, Lease } from "./buffer.ts"
import { Identity } from "./identity.ts"
import { currentRun, type RunPin } from "./run.ts"
import { touch } from "./version.ts"

/** Who fills a channel: the entity that is woken when its buffer has come. */
export interface Filler {
  readonly name: string
  readonly wakeUnsafe: (reason: WakeReason) => void
  readonly endUnsafe: () => void
}

export class Channel extends Identity implements Holder, RunPin {
  readonly side: "request" | "response"
  readonly criticality: Criticality
  readonly pool: BufferPool["Service"]
  readonly filledBy: "stream" | "applet"
  private readonly stream: string
  private ownPending: BufferPending | undefined = undefined
  filler: Filler | undefined = undefined
  private readonly waiter: Waiter
  private lease: Lease | undefined = undefined
  /** What the filler's run has pinned. */
  private runLease: Lease | undefined = undefined
  ended = false
  /** The latest grant that the filler was told of. */
  private toldGrant = 0

  constructor(
    pool: BufferPool["Service"],
    side: "request" | "response",
    criticality: Criticality,
    filledBy: "stream" | "applet",
    stream: string
  ) {
    super()
    this.pool = pool
    this.side = side
    this.criticality = criticality
    this.filledBy = filledBy
    this.stream = stream
    this.waiter = pool.waitQueue.waiter({ target: this, criticality, wake: () => this.told() })
  }

  /** An error has a stack, which costs more than all else in a channel: made for the first who asks. */
  get pending(): BufferPending {
    return this.ownPending ??= new BufferPending({ pool: this.pool.name, stream: this.stream, side: this.side })
  }

  /** Who waits, for people: the filler, never the stream for an applet. */
  override toString(): string {
    return this.filler?.name ?? `the applet to come of ${this.stream}`
  }

  toJSON() {
    const { criticality, lease, side, stream, waiter } = this
    return { stream, side, criticality, filler: this.toString(), waiter: waiter.state, buffer: lease }
  }

  get buffer(): ByteBuffer | undefined {
    touch()
    return this.lease
  }

  readonly wakeFillerUnsafe = (reason: WakeReason): void => this.filler?.wakeUnsafe(reason)

  allocUnsafe(): "held" | "queued" | "closed" {
    touch()
    if (this.ended) return "closed"
    if (this.lease === undefined) {
      const door = this.pool.waitQueue.takeOrWaitUnsafe(this.waiter)
      if (door === "queued" || door === "closed") return door
      this.attach(door)
    }
    this.pinForRun()
    return "held"
  }

  /** As `allocUnsafe`, without queueing; false if the pool (or the stream) has closed. */
  tryAllocUnsafe(): boolean {
    touch()
    if (this.ended || this.pool.isClosedUnsafe()) return false
    if (this.lease === undefined && this.waiter.state !== "granted") {
      const buffer = this.pool.tryTakeUnsafe(this.criticality)
      if (buffer === undefined) return true
      this.attach(buffer)
    }
    this.allocUnsafe()
    return true
  }

  releaseUnsafe(): boolean {
    touch()
    const held = this.lease
    if (currentRun()?.entity === this.filler) this.afterRun()
    if (this.lease !== undefined) this.maybeEmpty(this.lease)
    return held !== undefined && this.lease === undefined
  }

  maybeEmpty(lease: Lease): void {
    touch()
    if (lease !== this.lease || lease.length > 0 || lease.pins > 0) return
    this.lease = undefined
    this.pool.giveBackUnsafe(lease)
  }

  gone(lease: Lease): void {
    touch()
    if (this.lease === lease) this.lease = undefined
  }

  /** The end of the run that allocated: its pin goes. */
  afterRun(): void {
    touch()
    const lease = this.runLease
    if (lease === undefined) return
    this.runLease = undefined
    this.pool.unpinUnsafe(lease)
  }

  /** Before a run of the filler; what comes back is for its exit: a grant that it was told of and did not collect goes on. */
  beforeRun(): () => void {
    touch()
    const told = this.toldGrant
    return () => {
      touch()
      if (this.waiter.state === "granted" && this.waiter.grantNumber === told) {
        this.pool.waitQueue.leaveUnsafe(this.waiter)
      }
    }
  }

  /** Nobody fills it any more: its filler ends. What it holds is still to be consumed. */
  detach(): void {
    this.stop()
    if (this.lease !== undefined) this.maybeEmpty(this.lease)
  }

  /** Out of the queue, for good. */
  stop(): void {
    touch()
    this.ended = true
    this.pool.waitQueue.leaveUnsafe(this.waiter)
  }

  /** Its stream ends, and so does its applet. What it holds goes last, in `letGo`. */
  endApplet(): void {
    touch()
    if (this.filledBy === "applet") this.filler?.endUnsafe()
  }

  /** The last part of its stream's end: the buffer goes back, bytes or not; pinned memory follows at its last unpin. */
  letGo(): void {
    touch()
    const lease = this.lease
    this.lease = undefined
    if (lease !== undefined) this.pool.giveBackUnsafe(lease)
  }

  misuse(fact: string): BufferMisuse {
    return new BufferMisuse({ pool: this.pool.name, fact })
  }

  private told(): boolean {
    touch()
    this.toldGrant = this.waiter.grantNumber
    if (this.filler === undefined) return false
    this.filler.wakeUnsafe("resource")
    return true
  }

  private attach(buffer: ByteBuffer | "full"): void {
    if (!(buffer instanceof Lease)) {
      throw new TypeError(`a pool handed out what is not its own buffer: ${String(buffer)}`)
    }
    this.lease = buffer
    buffer.holder = this
  }

  private pinForRun(): void {
    const run = currentRun()
    if (run === undefined || run.entity !== this.filler || this.runLease === this.lease) return
    // The run gave the one before back by hand, and has another now.
    this.afterRun()
    if (this.lease === undefined) return
    this.runLease = this.lease
    this.pool.pinUnsafe(this.lease)
    run.hold(this)
  }
}

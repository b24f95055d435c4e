/**
 * One relayed connection: two directions, each a channel between a source and a sink.
 *
 * Invariant: every byte that a source told is in exactly one place, in order: written, in the channel's buffer, or in the
 * overdraft behind it; and while any is in the overdraft, the source is not being read. So memory is bounded by the pool
 * and the overdraft, and nothing is lost but by a reset, which both sides are told as such: truncated never looks complete.
 *
 * The byte path runs in the peers' callbacks: take, fill, write, give back. Only when a buffer must be waited for does the run
 * queue come in: the grant wakes the connection, whose run calls `pump`. It is an entity of its own kind: as a `ByteStream` it
 * fills two channels and waits for both, but all that it does is synchronous, so it has no fiber and no scope to pay for.
 *
 * A buffer is filled by a copy of what the source told (`onBytes`), or by the source itself (`onReadable`, then `read`). In the
 * second way nothing is ever told that has no place, so there is no overdraft: what waits, waits in the operating system.
 */
import type { BufferPool } from "../BufferPool.ts"
import type { ByteBuffer } from "../ByteBuffer.ts"
import type { Criticality } from "../Criticality.ts"
import type { Peer, PeerEvents } from "../Peer.ts"
import type { RelayEnd, RelayOutcome } from "../Relay.ts"
import { Progress, type Sample } from "../StallPolicy.ts"
import type { Runnable, Scheduler } from "../TaskScheduler.ts"
import type { WakeReason } from "../WakeReason.ts"
import { Channel, type Filler } from "./channel.ts"
import type { Block, Linked } from "./list.ts"

/** What a source may tell beyond what could be placed: one read that could not, and one that was under way. */
export const overdraftLimitBytes = 128 * 1024

/** Of most directions. Never written to. */
const none: Array<Uint8Array> = []

/** What connections share: the turn they are in, the clock, and the totals. */
export interface Shared {
  readonly pool: BufferPool["Service"]
  readonly tasks: Scheduler
  readonly turnBytes: number
  readonly stallGraceMs: number
  readonly now: () => number
  /** The number of the present turn. It changes only if somebody has asked for the next one. */
  readonly turn: () => number
  readonly askForTurn: () => void
  /** Calls `pump` in the next turn. */
  readonly nextTurn: (direction: Direction) => void
  readonly moved: (side: "request" | "response", bytes: number) => void
  readonly overdraft: (bytes: number) => void
  /** Somebody waits for a buffer of the pool. */
  readonly isShort: () => boolean
  /** Something threw that must not. */
  readonly broke: (connection: Connection, error: unknown) => void
  readonly ended: (connection: Connection, end: RelayEnd) => void
}

export class Connection implements Filler, Linked<Connection> {
  /** Its place among the relay's connections. */
  block: Block<Connection> | undefined = undefined
  place = 0
  readonly client: Peer
  readonly target: Peer
  readonly shared: Shared
  readonly request: Direction
  readonly response: Direction
  outcome: RelayOutcome | undefined = undefined
  /** Bytes have moved since the last sweep, which knows the time: a clock costs as much as a buffer. */
  hasMoved = false
  lastActivityAt: number
  /** A place in the run queue, for those that have had to wait. */
  private runnable: Runnable | undefined = undefined
  private tell: (outcome: RelayOutcome) => void = () => {}

  constructor(shared: Shared, client: Peer, target: Peer) {
    this.shared = shared
    this.client = client
    this.target = target
    this.lastActivityAt = shared.now()
    this.request = new Direction(this, "request", "rx", client, target)
    this.response = new Direction(this, "response", "channel", target, client)
  }

  /** Who waits, for people. */
  get name(): string {
    return this.client.label
  }

  wakeUnsafe(reason: WakeReason): void {
    this.runnable ??= this.shared.tasks.runnable(() => this.run())
    this.runnable.wakeUnsafe(reason)
  }

  endUnsafe(): void {
    this.finish("shutdown", undefined)
  }

  start(): void {
    try {
      this.client.attach(this.request)
      this.target.attach(this.response)
    } catch (error) {
      return this.broke(error)
    }
    this.pump()
  }

  private pump(): void {
    this.request.pump()
    this.response.pump()
  }

  /** What waited for a buffer may have one now; what it does not want any more goes on. */
  private run(): void {
    const exits = [this.request.channel.beforeRun(), this.response.channel.beforeRun()]
    this.pump()
    for (const exit of exits) exit()
    this.runnable?.finishedUnsafe()
  }

  /** Out of all queues, then everything goes back: others are offered it before any method of a socket is called. */
  private giveBack(): void {
    this.runnable?.endUnsafe("done")
    this.request.channel.stop()
    this.response.channel.stop()
    this.request.channel.letGo()
    this.response.channel.letGo()
  }

  /** The longest wait for a buffer, by when it began. */
  get waitingSince(): number | undefined {
    const [request, response] = [this.request.waitingSince, this.response.waitingSince]
    if (request === undefined || response === undefined) return request ?? response
    return Math.min(request, response)
  }

  /** One direction has passed its end on. */
  directionClosed(): void {
    if (this.request.closed && this.response.closed) this.finish("completed", undefined)
  }

  /** `tell` is called at the end, or now if that has been: it must only schedule. */
  whenOver(tell: (outcome: RelayOutcome) => void): void {
    this.tell = tell
    if (this.outcome !== undefined) tell(this.outcome)
  }

  /** Something threw inside a callback: that ends this connection, and no other. */
  broke(error: unknown): void {
    this.shared.broke(this, error)
    this.finish("reset", error)
  }

  /**
   * The end, once: both sides are told the truth, and everything comes back in this step. Whoever waits for the outcome is
   * told last, and only by the dispatcher: nothing of the caller's runs in the middle of it.
   */
  finish(end: RelayEnd, cause: unknown): void {
    if (this.outcome !== undefined) return
    const outcome = { end, cause, requestBytes: this.request.written, responseBytes: this.response.written }
    this.outcome = outcome
    this.request.drop()
    this.response.drop()
    this.attempt(() => this.giveBack())
    if (end !== "completed") {
      this.attempt(() => this.client.abort())
      this.attempt(() => this.target.abort())
    }
    this.shared.ended(this, end)
    this.tell(outcome)
  }

  /** A part of the end that throws must not keep the others from happening. */
  private attempt(part: () => void): void {
    try {
      part()
    } catch (error) {
      this.shared.broke(this, error)
    }
  }
}

export class Direction implements PeerEvents {
  readonly connection: Connection
  readonly side: "request" | "response"
  readonly source: Peer
  readonly sink: Peer
  readonly progress: Progress
  /** Bytes that the sink accepted. */
  written = 0
  /** Its end has been passed on. */
  closed = false
  /** Since when it has waited for a buffer. */
  waitingSince: number | undefined = undefined
  readonly channel: Channel
  private overdraft: Array<Uint8Array> = none
  private overdraftBytes = 0
  /** The write in flight: how many bytes of `held`; 0 if there is none. */
  private inFlightBytes = 0
  /** The buffer that is pinned: while a write is in flight, and until the end of the pump that filled or wrote it. */
  private held: ByteBuffer | undefined = undefined
  /** The write before left bytes in the buffer, so that the buffer has not been given back since. */
  private stillHolds = false
  private isReading = false
  /**
   * The source told that there is something to read, and no read has shown since that there is nothing more. Not when its share of
   * a turn is used up either: while reading is on it tells again.
   */
  private isReadable = false
  private sourceEnded = false
  private isEnding = false
  private isPumping = false
  /** The time of this step, once it has been asked for; 0 before. A clock costs as much as a buffer. */
  private at = 0
  private turn = 0
  private movedInTurn = 0
  /** What the last look saw; undefined if bytes were written since. */
  private seen: Sample | undefined = undefined

  constructor(
    connection: Connection,
    side: "request" | "response",
    criticality: Criticality,
    source: Peer,
    sink: Peer
  ) {
    this.connection = connection
    this.side = side
    this.channel = new Channel(connection.shared.pool, side, criticality, "stream", "a relayed connection")
    this.channel.filler = connection
    this.source = source
    this.sink = sink
    this.progress = new Progress(connection.shared.stallGraceMs)
  }

  // ---- what the source tells: a callback of a socket must not throw ----------------------------------------------------

  onBytes(bytes: Uint8Array): void {
    try {
      this.arrived(bytes)
    } catch (error) {
      this.connection.broke(error)
    }
  }

  onReadable(): void {
    this.isReadable = true
    this.pump()
  }

  onEnd(): void {
    this.sourceEnded = true
    this.isReadable = false
    this.pump()
  }

  onReset(cause: unknown): void {
    this.connection.finish("reset", cause)
  }

  // ---- what moves ---------------------------------------------------------------------------------------------------------

  /**
   * Moves what can be moved now: from the source or the overdraft into the buffer, from the buffer into the sink; then turns
   * reading on or off. Called from everywhere, never throws, and never nests: a peer that calls back from inside a method (a write that is
   * `done` at once) changes what the next step finds, however many there are, on a flat stack.
   */
  pump(): void {
    if (this.isPumping) return
    this.isPumping = true
    this.at = 0
    try {
      while (this.step() || this.steer()) { /* steps end: each moves bytes, and a turn moves at most `turnBytes` */ }
    } catch (error) {
      this.connection.broke(error)
    }
    this.isPumping = false
    this.settle()
  }

  /** Looks at the sink's progress; true if bytes have moved since the last look. */
  look(now: number): boolean {
    if (this.isOver) return false
    const before = this.seen
    const sample = this.sample()
    this.seen = sample
    this.progress.look(now, sample)
    if (before === undefined) return false
    return sample.accepted > before.accepted || (sample.delivered ?? 0) > (before.delivered ?? Infinity)
  }

  /** Nothing of it can move unseen: all that was written had left the operating system at the last look, or who knows. */
  get isSettled(): boolean {
    if (this.inFlightBytes > 0 || this.seen === undefined) return false
    return this.seen.delivered === undefined || this.seen.delivered >= this.seen.accepted
  }

  /** The connection is over: what lies in the overdraft goes. */
  drop(): void {
    if (this.overdraftBytes > 0) {
      this.connection.shared.overdraft(-this.overdraftBytes)
      this.overdraft = none
      this.overdraftBytes = 0
    }
    this.waitingSince = undefined
  }

  private get isOver(): boolean {
    return this.connection.outcome !== undefined
  }

  /** Totals that are true at one moment: only just after the peers were sampled. */
  private sample(): Sample {
    const accepted = this.written + this.inFlightBytes - this.sink.unacceptedBytes()
    const unsent = this.sink.unsentBytes()
    return { accepted, delivered: unsent === undefined ? undefined : accepted - unsent }
  }

  private arrived(bytes: Uint8Array): void {
    if (this.isOver || bytes.length === 0) return
    if (this.sourceEnded) throw new Error(`${this.source.label} sent bytes behind its own end`)
    const rest = this.overdraft.length > 0 ? bytes : this.place(bytes)
    if (rest.length > 0) this.stash(rest)
    this.connection.hasMoved = true
    this.pump()
  }

  /** The same for all that happens in one step. */
  private now(): number {
    if (this.at === 0) this.at = this.connection.shared.now()
    return this.at
  }

  /** Copies into the channel's buffer what fits, and returns the rest. */
  private place(bytes: Uint8Array): Uint8Array {
    const buffer = this.alloc()
    if (buffer === undefined || buffer.room === 0) return bytes
    const count = Math.min(buffer.room, bytes.length)
    buffer.write(count === bytes.length ? bytes : bytes.subarray(0, count))
    return bytes.subarray(count)
  }

  private alloc(): ByteBuffer | undefined {
    const door = this.channel.allocUnsafe()
    if (door === "held") this.waitingSince = undefined
    else if (door === "queued") this.waitingSince ??= this.connection.shared.now()
    else this.connection.finish("shutdown", undefined)
    return this.channel.buffer
  }

  private stash(rest: Uint8Array): void {
    if (this.isOver) return
    if (this.overdraftBytes + rest.length > overdraftLimitBytes) {
      return this.connection.finish("reset", new Error(`${this.source.label} sent on after it was asked to pause`))
    }
    if (this.overdraft === none) this.overdraft = []
    // A copy of just these bytes: `slice` would not do, for on Node's Buffer it is a view that keeps the whole chunk.
    this.overdraft.push(new Uint8Array(rest))
    this.overdraftBytes += rest.length
    this.connection.shared.overdraft(rest.length)
  }

  /** One step of `pump`; false when nothing more can be done now. */
  private step(): boolean {
    if (this.isOver || this.inFlightBytes > 0 || this.closed) return false
    if (this.overdraft.length > 0 && this.mayFill) this.unstash()
    if (this.isReadable && isEmpty(this.channel.buffer)) this.land()
    const buffer = this.channel.buffer
    if (buffer === undefined || buffer.length === 0) return this.maybeEnd()
    const allowance = this.allowance()
    if (allowance > 0) return this.write(buffer, allowance)
    this.connection.shared.nextTurn(this)
    return false
  }

  /**
   * Has the source fill an empty buffer, if one is to be had. One that was filled before in this pump is kept in hand, unless
   * others wait for it: then it goes to them, and this direction queues behind them. Who has moved its share does not look whether
   * there is more: the source tells that in the next turn, and an empty socket costs an exception.
   */
  private land(): void {
    if (this.allowance() <= 0) {
      this.isReadable = false
      return
    }
    if (this.held !== undefined && this.connection.shared.isShort()) this.letGo()
    const buffer = this.alloc()
    if (buffer === undefined || this.source.read === undefined) return
    this.hold(buffer)
    const into = buffer.writeView()
    const count = this.source.read(into)
    buffer.commit(count)
    this.isReadable = count === into.length
    if (count > 0) this.connection.hasMoved = true
  }

  private unstash(): void {
    for (let first = this.overdraft[0]; first !== undefined; first = this.overdraft[0]) {
      const rest = this.place(first)
      if (this.isOver || rest.length === first.length) return
      this.overdraftBytes -= first.length - rest.length
      this.connection.shared.overdraft(rest.length - first.length)
      if (rest.length === 0) this.overdraft.shift()
      else this.overdraft[0] = rest
    }
  }

  /** Bytes that this direction may still move in this turn. */
  private allowance(): number {
    const turn = this.connection.shared.turn()
    if (turn !== this.turn) {
      this.turn = turn
      this.movedInTurn = 0
    }
    return this.connection.shared.turnBytes - this.movedInTurn
  }

  /** Turns are asked for only when half an allowance is used up: those who say little need none. */
  private moves(count: number): void {
    this.movedInTurn += count
    if (2 * this.movedInTurn >= this.connection.shared.turnBytes) this.connection.shared.askForTurn()
  }

  /** Until `done` the buffer belongs to the write: it is pinned, and its bytes stay in it. */
  private write(buffer: ByteBuffer, allowance: number): boolean {
    const views = firstBytes(buffer, allowance)
    const count = Math.min(buffer.length, allowance)
    this.moves(count)
    this.hold(buffer)
    this.inFlightBytes = count
    try {
      this.sink.write(views, this.whenWritten)
    } catch (error) {
      this.inFlightBytes = 0
      throw error
    }
    if (this.inFlightBytes === 0) return true
    this.progress.begin(this.now(), this.written, this.stillHolds)
    return false
  }

  /** `done`, one function for all writes: no closure for each. */
  private readonly whenWritten = (accepted: boolean): void => {
    try {
      this.wrote(accepted)
    } catch (error) {
      this.connection.broke(error)
    }
    this.settle()
  }

  private wrote(accepted: boolean): void {
    const count = this.inFlightBytes
    const buffer = this.held
    this.inFlightBytes = 0
    if (this.isOver) return
    if (count === 0 || buffer === undefined) throw new Error(`${this.sink.label} was done twice with a write`)
    if (!accepted) return this.connection.finish("reset", new Error(`${this.sink.label} is gone`))
    if (!this.isPumping) this.at = 0
    if (this.progress.inFlightSince !== undefined) this.progress.done(this.now())
    else this.passed(buffer.length > count)
    this.connection.hasMoved = true
    this.seen = undefined
    this.written += count
    this.connection.shared.moved(this.side, count)
    // Only for a source that has more at hand is it worth keeping; else it goes back in the step that empties it.
    if (!this.isReadable) this.letGo()
    buffer.consume(count)
    this.stillHolds = buffer.length > 0
    this.pump()
  }

  /** A write was over at once. When that was matters only if the next one goes on with the bytes that it left. */
  private passed(leavesBytes: boolean): void {
    if (!leavesBytes) return this.progress.passed()
    const now = this.now()
    this.progress.begin(now, this.written, this.stillHolds)
    this.progress.done(now)
  }

  /** Pinned from now on: what is in hand goes to nobody, and stays when it becomes empty. */
  private hold(buffer: ByteBuffer): void {
    if (this.held === buffer) return
    this.connection.shared.pool.pinUnsafe(buffer)
    this.held = buffer
  }

  private letGo(): void {
    const buffer = this.held
    this.held = undefined
    if (buffer !== undefined) this.connection.shared.pool.unpinUnsafe(buffer)
  }

  /** Nothing uses the memory any more: it is the channel's again, or the pool's if it is empty or the connection has ended. */
  private settle(): void {
    if (!this.isPumping && this.inFlightBytes === 0) this.letGo()
  }

  /** Nothing is left to write: an end that the source told is passed on. */
  private maybeEnd(): boolean {
    if (!this.sourceEnded || this.overdraft.length > 0 || this.isEnding) return false
    this.isEnding = true
    this.sink.end(() => {
      this.closed = true
      this.connection.directionClosed()
    })
    return false
  }

  /**
   * There is room, and no bytes before it while others wait: a buffer that is filled up again before it is empty would never
   * be theirs, however well its reader reads.
   */
  private get mayFill(): boolean {
    const buffer = this.channel.buffer
    if (buffer === undefined || buffer.length === 0) return true
    return buffer.room > 0 && !this.connection.shared.isShort()
  }

  /**
   * Reading is on exactly while what is told can be placed, in this turn; or, of a source that has `read`, while it is not
   * known to have something. True if that has just changed.
   */
  private steer(): boolean {
    if (this.isOver || this.sourceEnded) return false
    const isPlaceable = this.overdraft.length === 0 && this.mayFill
    const wanted = !this.isReadable && isPlaceable && this.allowance() > 0
    // Whatever stopped the reading before, only the next turn can bring it back.
    if (isPlaceable && !wanted && !this.isReadable) this.connection.shared.nextTurn(this)
    if (wanted === this.isReading) return false
    this.isReading = wanted
    if (wanted) this.source.readStart()
    else this.source.readStop()
    return true
  }
}

const isEmpty = (buffer: ByteBuffer | undefined): boolean => buffer === undefined || buffer.length === 0

const firstBytes = (buffer: ByteBuffer, count: number): ReadonlyArray<Uint8Array> => {
  const views = buffer.readViews()
  if (buffer.length <= count) return views
  const [first, second] = views
  if (first === undefined) return []
  if (first.length >= count) return [first.subarray(0, count)]
  return second === undefined ? [first] : [first, second.subarray(0, count - first.length)]
}

/**
 * One relayed connection: two directions, each a channel of one stream between a source and a sink.
 *
 * Invariant: every byte that a source told is in exactly one place, in order: written, in the channel's buffer, or in the
 * overdraft behind it; and while any is in the overdraft, the source is not being read. So memory is bounded by the pool
 * and the overdraft, and nothing is lost but by a reset, which both sides are told as such: truncated never looks complete.
 *
 * The byte path runs in the peers' callbacks: take, copy, write, give back, without a fiber. Only when a buffer must be
 * waited for does the stream's fiber come in: the grant wakes it, and its run calls `pump`.
 */
import type { ByteBuffer } from "../ByteBuffer.ts"
import * as ByteChannel from "../ByteChannel.ts"
import type { ByteStream } from "../ByteStream.ts"
import type { Peer } from "../Peer.ts"
import type { RelayEnd, RelayOutcome } from "../Relay.ts"
import { Progress, type Sample } from "../StallPolicy.ts"

/** What a source may tell beyond what could be placed: one read that could not, and one that was under way. */
export const overdraftLimitBytes = 128 * 1024

/** What connections share: the turn they are in, the clock, and the totals. */
export interface Shared {
  readonly turnBytes: number
  readonly stallGraceMs: number
  readonly now: () => number
  /** The number of the present turn; asks for the next one. */
  readonly turn: () => number
  /** Calls `pump` in the next turn. */
  readonly nextTurn: (direction: Direction) => void
  readonly pin: (buffer: ByteBuffer) => void
  readonly unpin: (buffer: ByteBuffer) => void
  readonly moved: (side: "request" | "response", bytes: number) => void
  readonly overdraft: (bytes: number) => void
  readonly ended: (connection: Connection, end: RelayEnd) => void
}

export class Connection {
  readonly client: Peer
  readonly target: Peer
  readonly shared: Shared
  readonly request: Direction
  readonly response: Direction
  readonly directions: readonly [Direction, Direction]
  outcome: RelayOutcome | undefined = undefined
  lastActivityAt: number
  private readonly stream: ByteStream

  constructor(shared: Shared, stream: ByteStream, client: Peer, target: Peer) {
    this.shared = shared
    this.stream = stream
    this.client = client
    this.target = target
    this.lastActivityAt = shared.now()
    this.request = new Direction(this, "request", stream.request, client, target)
    this.response = new Direction(this, "response", stream.response, target, client)
    this.directions = [this.request, this.response]
  }

  start(): void {
    this.client.attach(this.request.events)
    this.target.attach(this.response.events)
    for (const direction of this.directions) direction.pump()
  }

  /** A run of the stream: what waited for a buffer may have one now. */
  pump(): void {
    for (const direction of this.directions) direction.pump()
  }

  /** One direction has passed its end on. */
  directionClosed(): void {
    if (this.request.closed && this.response.closed) this.finish("completed", undefined)
  }

  /** The end, once: both sides are told the truth, and everything comes back in this step. */
  finish(end: RelayEnd, cause: unknown): void {
    if (this.outcome !== undefined) return
    this.outcome = { end, cause, requestBytes: this.request.written, responseBytes: this.response.written }
    for (const direction of this.directions) direction.drop()
    // Give back before any method of a socket is called.
    this.stream.endUnsafe()
    if (end !== "completed") {
      this.client.abort()
      this.target.abort()
    }
    this.shared.ended(this, end)
  }
}

export class Direction {
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
  private readonly channel: ByteChannel.ByteChannel
  private overdraft: Array<Uint8Array> = []
  private overdraftBytes = 0
  private inFlight = 0
  private isReading = false
  private sourceEnded = false
  private isEnding = false
  private isPumping = false
  private turn = 0
  private movedInTurn = 0
  private lastDelivered = 0

  constructor(
    connection: Connection,
    side: "request" | "response",
    channel: ByteChannel.ByteChannel,
    source: Peer,
    sink: Peer
  ) {
    this.connection = connection
    this.side = side
    this.channel = channel
    this.source = source
    this.sink = sink
    this.progress = new Progress(connection.shared.stallGraceMs)
  }

  readonly events = {
    onBytes: (bytes: Uint8Array): void => this.guarded(() => this.arrived(bytes)),
    onEnd: (): void =>
      this.guarded(() => {
        this.sourceEnded = true
        this.pump()
      }),
    onReset: (cause: unknown): void => this.connection.finish("reset", cause)
  }

  /** Moves what can be moved now: from the overdraft into the buffer, from the buffer into the sink. */
  pump(): void {
    if (this.isPumping) return
    this.isPumping = true
    while (this.step()) { /* each step moves bytes, and a turn moves at most `turnBytes` */ }
    this.isPumping = false
    this.steer()
  }

  /** What is known of the bytes written to the sink. */
  sample(): Sample {
    const accepted = this.written + this.inFlight - this.sink.unacceptedBytes()
    const unsent = this.sink.unsentBytes()
    return { accepted, delivered: unsent === undefined ? undefined : accepted - unsent }
  }

  /** Looks at the sink's progress; true if the other host has taken anything since the last look. */
  look(now: number): boolean {
    const sample = this.sample()
    this.progress.look(now, sample)
    if (sample.delivered === undefined || sample.delivered <= this.lastDelivered) return false
    this.lastDelivered = sample.delivered
    return true
  }

  /** The connection is over: what lies in the overdraft goes. */
  drop(): void {
    this.connection.shared.overdraft(-this.overdraftBytes)
    this.overdraft = []
    this.overdraftBytes = 0
    this.waitingSince = undefined
  }

  private get isOver(): boolean {
    return this.connection.outcome !== undefined
  }

  private arrived(bytes: Uint8Array): void {
    if (this.isOver || bytes.length === 0) return
    this.connection.lastActivityAt = this.connection.shared.now()
    const rest = this.overdraft.length > 0 ? bytes : this.place(bytes)
    if (rest.length > 0) this.stash(rest)
    this.pump()
  }

  /** Copies into the channel's buffer what fits, and returns the rest. */
  private place(bytes: Uint8Array): Uint8Array {
    const buffer = this.alloc()
    if (buffer === undefined || buffer.room === 0) return bytes
    const count = Math.min(buffer.room, bytes.length)
    buffer.write(bytes.subarray(0, count))
    return bytes.subarray(count)
  }

  private alloc(): ByteBuffer | undefined {
    const door = ByteChannel.allocUnsafe(this.channel)
    if (door === "closed") this.connection.finish("shutdown", undefined)
    if (door === "held") this.waitingSince = undefined
    else this.waitingSince ??= this.connection.shared.now()
    return this.channel.buffer
  }

  private stash(rest: Uint8Array): void {
    if (this.isOver) return
    if (this.overdraftBytes + rest.length > overdraftLimitBytes) {
      return this.connection.finish("reset", new Error(`${this.source.label} sent on after it was asked to pause`))
    }
    this.overdraft.push(rest.slice())
    this.overdraftBytes += rest.length
    this.connection.shared.overdraft(rest.length)
  }

  /** One step of `pump`; false when nothing more can be done now. */
  private step(): boolean {
    if (this.isOver || this.inFlight > 0 || this.closed) return false
    if (this.overdraft.length > 0) this.unstash()
    const buffer = this.channel.buffer
    if (buffer === undefined || buffer.length === 0) return this.maybeEnd()
    const allowance = this.allowance()
    if (allowance > 0) return this.write(buffer, allowance)
    this.connection.shared.nextTurn(this)
    return false
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

  /** Until `done` the buffer belongs to the write: it is pinned, and its bytes stay in it. */
  private write(buffer: ByteBuffer, allowance: number): boolean {
    const views = firstBytes(buffer.readViews(), allowance)
    const count = views.reduce((sum, view) => sum + view.length, 0)
    this.movedInTurn += count
    this.progress.begin(this.connection.shared.now(), this.sample())
    this.inFlight = count
    this.connection.shared.pin(buffer)
    this.sink.write(views, (accepted) => this.guarded(() => this.done(buffer, accepted)))
    return this.inFlight === 0
  }

  private done(buffer: ByteBuffer, accepted: boolean): void {
    const { shared } = this.connection
    const count = this.inFlight
    this.inFlight = 0
    shared.unpin(buffer)
    if (this.isOver) return
    if (!accepted) return this.connection.finish("reset", new Error(`${this.sink.label} is gone`))
    const now = shared.now()
    this.progress.done(now)
    this.connection.lastActivityAt = now
    this.written += count
    shared.moved(this.side, count)
    buffer.consume(count)
    this.pump()
  }

  /** Nothing is left to write: an end that the source told is passed on. */
  private maybeEnd(): boolean {
    if (!this.sourceEnded || this.overdraft.length > 0 || this.isEnding) return false
    this.isEnding = true
    this.sink.end(() =>
      this.guarded(() => {
        this.closed = true
        this.connection.directionClosed()
      })
    )
    return false
  }

  /** Reading is on exactly while what is read can be placed, in this turn. */
  private steer(): void {
    if (this.isOver || this.sourceEnded) return
    const room = this.channel.buffer?.room ?? 1
    const wanted = this.overdraft.length === 0 && room > 0 && this.allowance() > 0
    if (wanted === this.isReading) return
    this.isReading = wanted
    if (wanted) this.source.readStart()
    else this.source.readStop()
    if (!wanted && this.allowance() <= 0) this.connection.shared.nextTurn(this)
  }

  /** A callback of a socket must not throw: what broke ends this connection, and no other. */
  private guarded(body: () => void): void {
    try {
      body()
    } catch (error) {
      this.isPumping = false
      this.connection.finish("reset", error)
    }
  }
}

const firstBytes = (views: ReadonlyArray<Uint8Array>, count: number): ReadonlyArray<Uint8Array> => {
  const [first, second] = views
  if (first === undefined || first.length >= count) return first === undefined ? [] : [first.subarray(0, count)]
  return second === undefined ? [first] : [first, second.subarray(0, count - first.length)]
}

/**
 * Both ends of a simulated connection, in memory: the `Peer` that a relay holds, or an entity of yours, the two bounded
 * buffers of its kernel, the wire, and the far host behind it.
 *
 *     yours -> write -> [send buffer] -> transmit -> [host's buffer] -> host.read -> host.received
 *     yours <- onBytes, or read <- deliver <- [receive buffer] <- arrive <- host.write
 *
 * Nothing moves by itself: every movement is a call, so a test or a seed decides every order. `advance` makes all that are
 * possible, `elapse` lets time pass. Both sides of the port's contract are checked: what is done to the peer against it is
 * listed in `violations` (a throw from inside a method would be taken for a broken peer); what a test does against it
 * throws.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Peer, PeerEvents } from "headgate/Peer"

/**
 * The methods of a `Peer` that act.
 *
 * @category models
 * @since 0.1.0
 */
export type Method = "attach" | "readStart" | "readStop" | "read" | "write" | "end" | "abort"

/**
 * What happened at a peer: a method was called, or an event told.
 *
 * @category models
 * @since 0.1.0
 */
export type Told =
  | { readonly asked: Method; readonly bytes?: number }
  | { readonly told: "bytes"; readonly bytes: number }
  | { readonly told: "readable" | "end" | "reset" | "written" | "refused" | "ended" }

/**
 * What a simulated connection is like. All may be left out: then nothing has a bound, and nothing takes time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly label?: string | undefined
  /** Bytes that the kernel takes from a write before the host has room. */
  readonly sendBuffer?: number | undefined
  /** Room that must be free before the kernel takes more of a write that it did not take whole: Linux waits for a third. */
  readonly acceptAbove?: number | undefined
  /** Bytes that arrive before they are read. */
  readonly receiveBuffer?: number | undefined
  /** Bytes that the host's kernel holds before the host reads. */
  readonly hostBuffer?: number | undefined
  /** Bytes that one movement carries at most: 1 makes a one-byte writer. */
  readonly segment?: number | undefined
  /** How long the wire takes, each way, in milliseconds: see `elapse`. */
  readonly delayMs?: number | undefined
  /** How fast the host reads as time passes: 0 never does. Left out: all there is, at once. */
  readonly readsPerSecond?: number | undefined
  /** Whether `write` and `end` may be `done` before they return. Default `"async"`. */
  readonly done?: "sync" | "async" | undefined
  /**
   * How bytes come in: told with memory of the peer's own (`plain`), or left where they are until they are `read`. Default
   * `"plain"`; whoever has no `onReadable` is told bytes in any case.
   */
  readonly landing?: "plain" | "readiness" | undefined
  /** Called with each method that acts, as it begins, and before each event is told. */
  readonly trace?: ((what: Told) => void) | undefined
}

/**
 * The longest read, and what a read under way at `readStop` may still tell, in bytes.
 *
 * @category constants
 * @since 0.1.0
 */
export const readBytes = 64 * 1024

/** Chunks with the time from which they may be taken. Whatever is taken is a copy of its own. */
class Bytes {
  length = 0
  private chunks: Array<{ readonly bytes: Uint8Array; readonly dueAt: number }> = []

  push(bytes: Uint8Array, dueAt = 0): void {
    if (bytes.length === 0) return
    this.chunks.push({ bytes, dueAt })
    this.length += bytes.length
  }

  take(max: number, now = 0): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(Math.min(max, this.dueBytes(now, max)))
    for (let at = 0; at < taken.length;) {
      const first = this.chunks[0] ?? nothing
      const part = first.bytes.subarray(0, taken.length - at)
      taken.set(part, at)
      at += part.length
      if (part.length === first.bytes.length) this.chunks.shift()
      else this.chunks[0] = { bytes: first.bytes.subarray(part.length), dueAt: first.dueAt }
    }
    this.length -= taken.length
    return taken
  }

  clear(): void {
    this.chunks = []
    this.length = 0
  }

  private dueBytes(now: number, enough: number): number {
    let due = 0
    for (const { bytes, dueAt } of this.chunks) {
      if (dueAt > now || due >= enough) break
      due += bytes.length
    }
    return due
  }
}

const nothing = { bytes: new Uint8Array(0), dueAt: 0 }

/** As Node's buffers: `slice` is a view, no copy, so whoever keeps what it was told finds out. */
class Chunk extends Uint8Array<ArrayBuffer> {
  override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
    return this.subarray(start, end)
  }
}

interface Write {
  readonly views: ReadonlyArray<Uint8Array>
  readonly copy: Uint8Array
  readonly done: (accepted: boolean) => void
  taken: number
}

/**
 * Several arrays as one.
 *
 * @category utils
 * @since 0.1.0
 */
export const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/**
 * `count` bytes of a stream, from a place in it on. The place can be told from the bytes, so that neither a loss nor an
 * exchange goes unseen.
 *
 * @category utils
 * @since 0.1.0
 */
export const pattern = (stream: number, from: number, count: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(count)
  for (let at = 0, place = from; at < count; at++, place++) {
    bytes[at] = place * 167 + (place >> 8) * 31 + (place >> 16) * 101 + stream * 59
  }
  return bytes
}

/**
 * The far host: what it has sent and received, and how it saw the connection end.
 *
 * @category models
 * @since 0.1.0
 */
export class Host {
  readonly sent: Array<Uint8Array> = []
  readonly received: Array<Uint8Array> = []
  sentBytes = 0
  receivedBytes = 0
  hasEnded = false
  hasReset = false
  sawEnd = false
  sawReset = false
  /** May change at any time. */
  readsPerSecond = Infinity
  /** Written, and on the wire. @internal */
  readonly outbox = new Bytes()
  /** In its kernel, and not yet read. @internal */
  readonly inbox = new Bytes()
  /** When its end, or its reset, is at the other side. @internal */
  overAt = 0
  private credit = 0
  private readonly arrivesAt: () => number

  constructor(arrivesAt: () => number) {
    this.arrivesAt = arrivesAt
  }

  write(bytes: Uint8Array): void {
    if (this.hasEnded || this.hasReset) throw new Error("a host wrote after its end")
    const own = new Uint8Array(bytes)
    this.sent.push(own)
    this.sentBytes += own.length
    this.outbox.push(own, this.arrivesAt())
  }

  /** Sends no more (FIN); it may still read. */
  end(): void {
    if (!this.hasEnded) this.overAt = this.arrivesAt()
    this.hasEnded = true
  }

  /** Is gone, at once and not orderly (RST). */
  reset(): void {
    if (!this.hasReset) this.overAt = this.arrivesAt()
    this.hasReset = true
  }

  /** Reads what its kernel has; says how many bytes that were. */
  read(max = Infinity): number {
    const bytes = this.inbox.take(max)
    if (bytes.length > 0) this.received.push(bytes)
    this.receivedBytes += bytes.length
    return bytes.length
  }

  /** Bytes that it wrote and that have not arrived. */
  get travellingBytes(): number {
    return this.outbox.length
  }

  /** Bytes in its kernel that it has not read. */
  get unreadBytes(): number {
    return this.inbox.length
  }

  /** It has reset the connection, or has seen it reset: nothing more can be asked of it. */
  get isGone(): boolean {
    return this.hasReset || this.sawReset
  }

  /** @internal */
  elapse(ms: number): void {
    if (this.readsPerSecond !== Infinity) this.credit += this.readsPerSecond * ms / 1000
  }

  /** Reads as its speed allows; who finds nothing to read saves nothing up. @internal */
  readOn(): boolean {
    if (this.readsPerSecond === Infinity) return this.read() > 0
    const count = this.read(Math.floor(this.credit))
    this.credit = this.inbox.length === 0 ? this.credit % 1 : this.credit - count
    return count > 0
  }
}

/**
 * One connection, seen from both ends. `peer.host` is the far one.
 *
 * @category models
 * @since 0.1.0
 */
export class SimulatedPeer implements Peer {
  readonly label: string
  readonly host: Host
  /** What was done to it against the port's contract, in words. */
  readonly violations: Array<string> = []
  isReading = false
  isAborted = false
  /** Writes that were begun, and those that were done; the bytes accepted, and the bytes told. */
  writes = 0
  dones = 0
  acceptedBytes = 0
  toldBytes = 0
  /** Bytes that left the send buffer for the host's. */
  transmittedBytes = 0
  /** The host's end has been told. */
  hasToldEnd = false
  isAttached = false
  /** `end` has been asked for, and `done`. */
  isEnding = false
  isEnded = false
  private readonly options: Options
  private readonly sending = new Bytes()
  private readonly receiving = new Bytes()
  private now = 0
  private events: PeerEvents | undefined = undefined
  private inFlight: Write | undefined = undefined
  private endDone: (() => void) | undefined = undefined
  private finDueAt = 0
  private finSent = false
  private hasToldReset = false
  private lateBytes = 0
  /** A read has found the end, or a reset, and that is still to be told. */
  private hasFoundEnd = false
  private readsAsked = 0
  private sampled: number | undefined = undefined
  private inside: string | undefined = undefined

  constructor(options: Options = {}) {
    this.options = options
    this.label = options.label ?? "a simulated peer"
    this.host = new Host(() => this.now + (options.delayMs ?? 0))
    this.host.readsPerSecond = options.readsPerSecond ?? Infinity
  }

  // ---- the port ---------------------------------------------------------------------------------------------------------

  attach(events: PeerEvents): void {
    if (this.isAttached) this.violations.push("attached twice")
    this.events = events
    this.isAttached = true
    this.act("attach", () => {})
  }

  readStart(): void {
    this.act("readStart", () => {
      this.isReading = true
      this.lateBytes = 0
    })
  }

  readStop(): void {
    this.act("readStop", () => {
      if (this.isReading && !this.tellsReadable) this.lateBytes = readBytes
      this.isReading = false
    })
  }

  /** What fits, of what is there; the rest of `into` is spoilt, for whoever takes it for bytes. */
  read(into: Uint8Array): number {
    let bytes: Uint8Array = nothing.bytes
    this.act("read", () => {
      if (!this.tellsReadable) this.violations.push("read of what is told")
      if (into.length === 0) this.violations.push("read into nothing")
      this.readsAsked++
      if (this.isGone || this.hasToldEnd) return
      bytes = this.receiving.take(Math.min(into.length, this.segment))
      if (bytes.length === 0) this.hasFoundEnd = this.isEndThere
    }, into.length)
    into.fill(0xee)
    into.set(bytes)
    this.toldBytes += bytes.length
    return bytes.length
  }

  write(views: ReadonlyArray<Uint8Array>, done: (accepted: boolean) => void): void {
    const copy = concat(views)
    const write: Write = { views, copy, done, taken: 0 }
    this.act("write", () => {
      if (this.inFlight !== undefined) this.violations.push("a write while one is in flight")
      if (this.isEnding) this.violations.push("a write behind the end")
      if (copy.length === 0) this.violations.push("a write of nothing")
      this.writes++
      this.inFlight = write
      if (!this.isGone) this.takeInto(write)
    }, copy.length)
    if (this.options.done === "sync" && write.taken === copy.length && !this.isGone) this.complete(true)
  }

  end(done: () => void): void {
    this.act("end", () => {
      if (this.isEnding) this.violations.push("ended twice")
      this.isEnding = true
      this.endDone = done
      this.finDueAt = this.now + (this.options.delayMs ?? 0)
    })
    if (this.options.done === "sync") this.acknowledgeEnd()
  }

  abort(): void {
    if (!this.isAttached) this.violations.push("abort before attach")
    this.options.trace?.({ asked: "abort" })
    this.isAborted = true
    this.letGo()
  }

  unacceptedBytes(): number {
    return this.inFlight === undefined ? 0 : this.inFlight.copy.length - this.inFlight.taken
  }

  unsentBytes(): number | undefined {
    return this.sampled
  }

  // ---- what moves, step by step: each says whether it did anything ---------------------------------------------------

  /** The host's bytes, as far as they have travelled, come into the kernel. */
  arrive(max = Infinity): boolean {
    const room = (this.options.receiveBuffer ?? Infinity) - this.receiving.length
    if (this.isGone || this.host.outbox.length === 0) return false
    const bytes = this.host.outbox.take(Math.min(max, room, this.segment), this.now)
    this.receiving.push(bytes)
    return bytes.length > 0
  }

  /**
   * One read: bytes, or the end behind them. Only while it is read: as with Node's sockets, nobody else hears of an end. In the
   * readiness landing, the news that there is something to read; or the end, once a read has found it.
   */
  deliver(max = readBytes): boolean {
    if (this.tellsReadable) return this.hasFoundEnd ? this.tellEnd() : this.isReading && this.tellReadable()
    return this.isReading && this.tell(Math.min(max, readBytes, this.segment))
  }

  /** A read that was under way when reading was stopped: bytes, or the end if no bytes came. */
  deliverLate(max = readBytes): boolean {
    if (this.isReading || this.lateBytes === 0) return false
    const count = Math.min(max, this.lateBytes, this.receiving.length, this.segment)
    if ((count === 0 && this.receiving.length > 0) || !this.tell(count)) return false
    this.lateBytes -= count
    return true
  }

  /** The kernel takes what it has room for of the write in flight, which is done once all is taken, or refused. */
  accept(): boolean {
    const write = this.inFlight
    if (write === undefined) return false
    if (this.isGone) {
      this.complete(false)
      return true
    }
    const isRoomy = this.sendRoom >= (this.options.acceptAbove ?? 0)
    const moved = write.taken < write.copy.length && isRoomy && this.takeInto(write)
    if (write.taken < write.copy.length) return moved
    this.complete(true)
    return true
  }

  /** Bytes, then the end, go from the kernel to the host's. */
  transmit(max = Infinity): boolean {
    if (this.isGone) return false
    const room = (this.options.hostBuffer ?? Infinity) - this.host.inbox.length
    const bytes = this.sending.take(Math.min(max, room, this.segment), this.now)
    this.host.inbox.push(bytes)
    this.transmittedBytes += bytes.length
    if (bytes.length > 0) return true
    if (!this.isEnding || this.finSent || this.finDueAt > this.now) return false
    if (this.sending.length > 0 || this.inFlight !== undefined) return false
    this.finSent = this.host.sawEnd = true
    return true
  }

  /** The kernel says that the end is on its way: so it says of a connection, too, whose reset it was not asked for yet. */
  acknowledgeEnd(): boolean {
    const done = this.endDone
    if (done === undefined || this.isAborted || this.hasToldReset || this.inFlight !== undefined) return false
    this.endDone = undefined
    this.isEnded = true
    this.options.trace?.({ told: "ended" })
    done()
    return true
  }

  /** The host's reset is told, and a write in flight refused: after it, or before it as Node's sockets do. */
  tellReset(order: "write first" | "reset first" = "write first"): boolean {
    if (!this.isReset || this.isSilent || this.events === undefined) return false
    this.receiving.clear()
    if (order === "write first" && this.inFlight !== undefined) this.complete(false)
    if (this.isAborted) return true
    this.hasToldReset = true
    this.isReading = false
    this.options.trace?.({ told: "reset" })
    this.events.onReset(new Error(`${this.label} was reset`))
    return true
  }

  /** The same, if it is noticed: a socket that is neither read (up to its end) nor written to is blind. */
  noticeReset(): boolean {
    const isRead = this.isReading && !this.hasToldEnd
    return (isRead || this.inFlight !== undefined) && this.tellReset()
  }

  /** Each movement once, as far as it goes, and the host reads what it may; says whether anything moved. */
  advance(): boolean {
    const moved = [
      this.noticeReset(),
      this.arrive(),
      this.deliver(),
      this.accept(),
      this.transmit(),
      this.acknowledgeEnd(),
      this.host.readOn()
    ]
    return moved.includes(true)
  }

  /** Time passes at this connection: what is on the wire travels, and the host may read. Moves nothing. */
  elapse(ms: number): void {
    this.now += ms
    this.host.elapse(ms)
  }

  /** What `unsentBytes` says from now on. */
  sample(): void {
    this.sampled = this.sending.length
  }

  /** For its owner, at the end: as a socket's scope closes it, in order if both ends were orderly, else with a reset. */
  close(): void {
    if (this.hasToldEnd && this.isEnded) return
    this.isAborted = true
    this.letGo()
  }

  /** Bytes that the kernel has taken and the host's has not. */
  get sendingBytes(): number {
    return this.sending.length
  }

  /** Bytes that have arrived and were not told. */
  get receivingBytes(): number {
    return this.receiving.length
  }

  get hasWriteInFlight(): boolean {
    return this.inFlight !== undefined
  }

  // ---- inside ---------------------------------------------------------------------------------------------------------

  private get segment(): number {
    return this.options.segment ?? Infinity
  }

  private get sendRoom(): number {
    return (this.options.sendBuffer ?? Infinity) - this.sending.length
  }

  /** The host's reset has arrived. */
  private get isReset(): boolean {
    return this.host.hasReset && this.host.overAt <= this.now
  }

  private get isGone(): boolean {
    return this.isAborted || this.isReset
  }

  /** Nothing is told any more. A connection that ended in order at both ends has no reset to tell. */
  private get isSilent(): boolean {
    return this.isAborted || this.hasToldReset || (this.hasToldEnd && this.isEnded)
  }

  private letGo(): void {
    this.isReading = false
    this.host.sawReset = true
    this.sending.clear()
    this.receiving.clear()
  }

  private act(method: Method, body: () => void, bytes?: number): void {
    if (!this.isAttached) this.violations.push(`${method} before attach`)
    if (this.isAborted) this.violations.push(`${method} after abort`)
    if (this.hasToldReset) this.violations.push(`${method} after the reset was told`)
    this.options.trace?.(bytes === undefined ? { asked: method } : { asked: method, bytes })
    this.inside = method
    body()
    this.inside = undefined
  }

  private takeInto(write: Write): boolean {
    const end = Math.min(write.copy.length, write.taken + Math.min(this.sendRoom, this.segment))
    this.checkMemory(write, write.taken, end)
    this.sending.push(write.copy.subarray(write.taken, end), this.now + (this.options.delayMs ?? 0))
    const taken = end - write.taken
    write.taken = end
    return taken > 0
  }

  private complete(accepted: boolean): void {
    const write = this.inFlight
    if (write === undefined) throw new Error("a write was done that is not in flight")
    this.checkMemory(write, 0, write.copy.length)
    this.inFlight = undefined
    this.dones++
    if (accepted) this.acceptedBytes += write.copy.length
    this.options.trace?.({ told: accepted ? "written" : "refused" })
    write.done(accepted)
  }

  /** What is in flight is still what was to be written. */
  private checkMemory({ copy, views }: Write, from: number, end: number): void {
    let start = 0
    for (const view of views) {
      for (let at = Math.max(0, from - start); at < view.length && start + at < end; at++) {
        if (view[at] !== copy[start + at]) {
          this.violations.push("the memory of a write in flight has changed")
          return
        }
      }
      start += view.length
    }
    if (start !== copy.length) this.violations.push("the memory of a write in flight is gone")
  }

  private tell(max: number): boolean {
    if (this.isSilent || this.hasToldEnd || this.isReset || this.events === undefined) return false
    this.mustBeOutside()
    if (this.receiving.length > 0) {
      const bytes = new Chunk(this.receiving.take(max).buffer)
      this.toldBytes += bytes.length
      this.options.trace?.({ told: "bytes", bytes: bytes.length })
      this.events.onBytes(bytes)
      // The view is valid during the call only.
      bytes.fill(0xee)
      return true
    }
    return this.isEndThere && this.tellEnd()
  }

  private get tellsReadable(): boolean {
    return this.options.landing === "readiness" && this.events?.onReadable !== undefined
  }

  /** The host's end has arrived, behind all its bytes. */
  private get isEndThere(): boolean {
    const { hasEnded, outbox, overAt } = this.host
    return hasEnded && outbox.length === 0 && overAt <= this.now
  }

  private tellEnd(): boolean {
    if (this.isSilent || this.hasToldEnd || this.isReset || this.events === undefined) return false
    this.mustBeOutside()
    this.hasToldEnd = true
    this.options.trace?.({ told: "end" })
    this.events.onEnd()
    return true
  }

  /** Who is told must read, or stop reading: it would be told again and again. */
  private tellReadable(): boolean {
    if (this.isSilent || this.hasToldEnd || this.isReset || this.events === undefined) return false
    if (this.receiving.length === 0 && !this.isEndThere) return false
    this.mustBeOutside()
    const before = this.readsAsked
    this.options.trace?.({ told: "readable" })
    this.events.onReadable?.()
    if (this.readsAsked === before && this.isReading && !this.isGone) {
      this.violations.push("told what can be read, it neither read nor stopped")
    }
    return true
  }

  private mustBeOutside(): void {
    if (this.inside !== undefined) throw new Error(`an event from inside ${this.inside}`)
  }
}

/**
 * A connection that is open.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): SimulatedPeer => new SimulatedPeer(options)

/**
 * The other side refused the connection.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectRefused extends Data.TaggedError("ConnectRefused")<{ readonly label: string }> {
  override get message(): string {
    return `${this.label} refused the connection`
  }
}

/**
 * A connection that takes time to open (by the fiber's clock), or is refused after it. `Infinity` never answers.
 *
 * @category constructors
 * @since 0.1.0
 */
export const connect = (
  options: Options & {
    readonly takes?: Duration.Input | undefined
    readonly refused?: boolean | undefined
  }
): Effect.Effect<SimulatedPeer, ConnectRefused> => {
  const peer = make(options)
  const answer = options.refused === true
    ? Effect.fail(new ConnectRefused({ label: peer.label }))
    : Effect.succeed(peer)
  return options.takes === undefined ? answer : Effect.delay(answer, options.takes)
}

/**
 * Moves all that can be moved, the hosts' reading included, and lets `settle` run between, until nothing is left.
 *
 * @category utils
 * @since 0.1.0
 */
export const drain = <E, R>(
  peers: ReadonlyArray<SimulatedPeer>,
  settle: Effect.Effect<unknown, E, R>
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    for (let quiet = 0; quiet < 3;) {
      const moved = peers.map((peer) => peer.advance())
      quiet = moved.includes(true) ? 0 : quiet + 1
      yield* settle
    }
  })

/**
 * Refreshes what `unsentBytes` says of those peers that are simulated: for `RelayOptions.sampleUnsent`.
 *
 * @category utils
 * @since 0.1.0
 */
export const sampleUnsent = (peers: ReadonlyArray<Peer>): void => {
  for (const peer of peers) if (peer instanceof SimulatedPeer) peer.sample()
}

/**
 * Both ends of a simulated connection, in memory: the `Peer` that the relay holds, its kernel's two bounded buffers, and the
 * far host behind them. Nothing moves by itself: every movement is a call, so a test or a seed decides every order.
 *
 *     relay -> write -> [send buffer] -> transmit -> [host's buffer] -> host.read -> host.received
 *     relay <- onBytes <- deliver <- [receive buffer] <- arrive <- host.write
 *
 * Both sides of the port's contract are checked. What the relay does against it is listed in `violations`, for a throw from
 * inside a method would be taken for a broken peer; what a test does against it throws.
 */
import type { Peer, PeerEvents } from "headgate"

export type Method = "attach" | "readStart" | "readStop" | "write" | "end" | "abort"

export interface PeerOptions {
  readonly label?: string
  /** Bytes that the relay's kernel takes from a write before the host has room. */
  readonly sendBuffer?: number
  /** Room that must be free before the kernel takes more of a write that it did not take whole: Linux waits for a third. */
  readonly acceptAbove?: number
  /** Bytes that arrive before the relay reads. */
  readonly receiveBuffer?: number
  /** Bytes that the host's kernel holds before the host reads. */
  readonly hostBuffer?: number
  /** Whether `write` and `end` may be `done` before they return. */
  readonly done?: "sync" | "async"
  /** Called at the start of each method that acts. */
  readonly onCall?: (method: Method) => void
}

/** The longest read, and what a read under way at `readStop` may still tell. */
export const readBytes = 64 * 1024

class Bytes {
  length = 0
  private chunks: Array<Uint8Array> = []

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.chunks.push(bytes)
    this.length += bytes.length
  }

  take(count: number): Uint8Array {
    const taken = new Uint8Array(Math.min(count, this.length))
    for (let at = 0; at < taken.length;) {
      const first = this.chunks[0] ?? new Uint8Array(0)
      const part = first.subarray(0, taken.length - at)
      taken.set(part, at)
      at += part.length
      if (part.length === first.length) this.chunks.shift()
      else this.chunks[0] = first.subarray(part.length)
    }
    this.length -= taken.length
    return taken
  }

  clear(): void {
    this.chunks = []
    this.length = 0
  }
}

interface Write {
  readonly views: ReadonlyArray<Uint8Array>
  readonly copy: Uint8Array
  readonly done: (accepted: boolean) => void
  taken: number
}

const concat = (parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

/** The far host: what it has sent and received, and how it saw the connection end. */
export class Host {
  /** Written, and not yet in the relay's kernel. */
  readonly outbox = new Bytes()
  /** In its kernel, and not yet read. */
  readonly inbox = new Bytes()
  readonly sent: Array<Uint8Array> = []
  readonly received: Array<Uint8Array> = []
  sentBytes = 0
  receivedBytes = 0
  hasEnded = false
  hasReset = false
  sawEnd = false
  sawReset = false

  write(bytes: Uint8Array): void {
    if (this.hasEnded || this.hasReset) throw new Error("a host wrote after its end")
    const own = bytes.slice()
    this.sent.push(own)
    this.sentBytes += own.length
    this.outbox.push(own)
  }

  end(): void {
    this.hasEnded = true
  }

  reset(): void {
    this.hasReset = true
    this.outbox.clear()
  }

  read(max = Infinity): number {
    const bytes = this.inbox.take(max)
    if (bytes.length > 0) this.received.push(bytes)
    this.receivedBytes += bytes.length
    return bytes.length
  }

  get isGone(): boolean {
    return this.hasReset || this.sawReset
  }
}

export class SimulatedPeer implements Peer {
  readonly label: string
  readonly host = new Host()
  readonly violations: Array<string> = []
  isReading = false
  isAborted = false
  /** Writes that the relay began, and those that were done. */
  writes = 0
  dones = 0
  private readonly options: PeerOptions
  private readonly sending = new Bytes()
  private readonly receiving = new Bytes()
  private events: PeerEvents | undefined = undefined
  private inFlight: Write | undefined = undefined
  private endDone: (() => void) | undefined = undefined
  private hasFin = false
  private finSent = false
  private hasToldEnd = false
  private hasToldReset = false
  private lateBytes = 0
  private sampled: number | undefined = undefined
  private inside: string | undefined = undefined

  constructor(options: PeerOptions = {}) {
    this.options = options
    this.label = options.label ?? "a simulated peer"
  }

  // ---- what the relay calls -------------------------------------------------------------------------------------------

  attach(events: PeerEvents): void {
    if (this.events !== undefined) this.violations.push("attached twice")
    this.events = events
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
      if (this.isReading) this.lateBytes = readBytes
      this.isReading = false
    })
  }

  write(views: ReadonlyArray<Uint8Array>, done: (accepted: boolean) => void): void {
    this.act("write", () => {
      if (this.inFlight !== undefined) this.violations.push("a write while one is in flight")
      if (this.hasFin) this.violations.push("a write behind the end")
      const copy = concat(views)
      if (copy.length === 0) this.violations.push("a write of nothing")
      this.writes++
      this.inFlight = { views, copy, done, taken: 0 }
      if (this.isGone) return
      this.takeInto(this.inFlight)
    })
    if (this.options.done === "sync" && this.inFlight?.taken === this.inFlight?.copy.length) this.complete(true)
  }

  end(done: () => void): void {
    this.act("end", () => {
      if (this.hasFin) this.violations.push("ended twice")
      this.hasFin = true
      this.endDone = done
    })
    if (this.options.done === "sync") this.acknowledgeEnd()
  }

  abort(): void {
    if (this.events === undefined) this.violations.push("abort before attach")
    this.options.onCall?.("abort")
    this.isAborted = true
    this.isReading = false
    this.host.sawReset = true
    this.sending.clear()
    this.receiving.clear()
  }

  unacceptedBytes(): number {
    return this.inFlight === undefined ? 0 : this.inFlight.copy.length - this.inFlight.taken
  }

  unsentBytes(): number | undefined {
    return this.sampled
  }

  // ---- what moves, step by step: each says whether it did anything ---------------------------------------------------

  /** The host's bytes, then its end, come into the relay's kernel. */
  arrive(max = Infinity): boolean {
    const room = (this.options.receiveBuffer ?? Infinity) - this.receiving.length
    if (this.isGone || this.host.outbox.length === 0) return false
    const bytes = this.host.outbox.take(Math.min(max, room))
    this.receiving.push(bytes)
    return bytes.length > 0
  }

  /** One read: bytes, or the end behind them. Only while the relay reads. */
  deliver(max = readBytes): boolean {
    return this.isReading && this.tell(Math.min(max, readBytes))
  }

  /** A read that was under way when the relay stopped reading. */
  deliverLate(max = readBytes): boolean {
    if (this.isReading || this.receiving.length === 0) return false
    const count = Math.min(max, this.lateBytes, this.receiving.length)
    this.lateBytes -= count
    return count > 0 && this.tell(count)
  }

  /** The kernel takes what it has room for of the write in flight, which is done once all is taken. */
  accept(): boolean {
    const write = this.inFlight
    if (write === undefined) return false
    if (this.isGone) {
      this.complete(false)
      return true
    }
    const room = (this.options.sendBuffer ?? Infinity) - this.sending.length
    const isRoomy = room >= (this.options.acceptAbove ?? 0)
    const moved = isRoomy && this.takeInto(write)
    if (write.taken < write.copy.length) return moved
    this.complete(true)
    return true
  }

  /** Bytes, then the end, go from the relay's kernel to the host's. */
  transmit(max = Infinity): boolean {
    if (this.isGone) return false
    const room = (this.options.hostBuffer ?? Infinity) - this.host.inbox.length
    const bytes = this.sending.take(Math.min(max, room))
    this.host.inbox.push(bytes)
    if (bytes.length > 0) return true
    if (!this.hasFin || this.finSent || this.sending.length > 0 || this.inFlight !== undefined) return false
    this.finSent = this.host.sawEnd = true
    return true
  }

  /** The kernel says that the end is on its way. */
  acknowledgeEnd(): boolean {
    const done = this.endDone
    if (done === undefined || this.isGone) return false
    this.endDone = undefined
    this.callBack("end", done)
    return true
  }

  /** The host's reset is told, and a write in flight refused: after it, or before it as Node's sockets do. */
  tellReset(order: "write first" | "reset first" = "write first"): boolean {
    if (!this.host.hasReset || this.isAborted || this.hasToldReset) return false
    this.receiving.clear()
    if (order === "write first") this.refuse()
    if (this.isAborted) return true
    this.hasToldReset = true
    this.isReading = false
    this.events?.onReset(new Error(`${this.label} was reset`))
    return true
  }

  /** What `unsentBytes` says from now on. */
  sample(): void {
    this.sampled = this.sending.length
  }

  /** Bytes that the kernel has and the host's has not. */
  get sendingBytes(): number {
    return this.sending.length
  }

  get hasWriteInFlight(): boolean {
    return this.inFlight !== undefined
  }

  /** Everything once, as far as it goes; `reads` says whether the host reads. */
  advance(reads = true): boolean {
    const moved = [this.arrive(), this.deliver(), this.accept(), this.transmit(), this.acknowledgeEnd()]
    return (reads && this.host.read() > 0) || moved.includes(true)
  }

  // ---- inside ---------------------------------------------------------------------------------------------------------

  private get isGone(): boolean {
    return this.isAborted || this.host.hasReset
  }

  private refuse(): void {
    if (this.inFlight !== undefined) this.complete(false)
  }

  private act(method: Method, body: () => void): void {
    if (this.events === undefined) this.violations.push(`${method} before attach`)
    if (this.isAborted) this.violations.push(`${method} after abort`)
    if (this.hasToldReset) this.violations.push(`${method} after the reset was told`)
    this.options.onCall?.(method)
    this.inside = method
    body()
    this.inside = undefined
  }

  private takeInto(write: Write): boolean {
    const room = (this.options.sendBuffer ?? Infinity) - this.sending.length
    const bytes = concat(write.views).subarray(write.taken, write.taken + room)
    this.checkMemory(write)
    this.sending.push(bytes)
    write.taken += bytes.length
    return bytes.length > 0
  }

  private complete(accepted: boolean): void {
    const write = this.inFlight
    if (write === undefined) throw new Error("a write was done that is not in flight")
    this.checkMemory(write)
    this.inFlight = undefined
    this.dones++
    write.done(accepted)
  }

  private checkMemory(write: Write): void {
    if (!same(concat(write.views), write.copy)) this.violations.push("the memory of a write in flight has changed")
  }

  private tell(max: number): boolean {
    if (this.isAborted || this.hasToldReset || this.hasToldEnd || this.host.hasReset) return false
    if (this.receiving.length > 0) {
      // Node's kind of view, of which `slice` is no copy.
      const bytes = Buffer.from(this.receiving.take(max))
      this.callBack("onBytes", () => this.events?.onBytes(bytes))
      // The view is valid during the call only.
      bytes.fill(0xee)
      return true
    }
    if (!this.host.hasEnded || this.host.outbox.length > 0) return false
    this.hasToldEnd = true
    this.callBack("onEnd", () => this.events?.onEnd())
    return true
  }

  private callBack(event: string, body: () => void): void {
    if (this.inside !== undefined && event !== "end") throw new Error(`${event} from inside ${this.inside}`)
    body()
  }
}

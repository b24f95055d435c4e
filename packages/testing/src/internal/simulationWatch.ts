/** What an observer remembers of a simulated connection: what moved in each direction, who waited, and since when. */
import type { Side } from "../RelaySimulation.ts"
import { pattern, type SimulatedPeer } from "../SimulatedPeer.ts"

interface Mark {
  readonly atMs: number
  readonly accepted: number
  readonly delivered: number
}

interface Wait {
  readonly since: number
  /** Buffers that the pool had lent before. */
  readonly takes: number
  isBounded: boolean
}

/** One direction of a connection. */
export class Flow {
  readonly side: "request" | "response"
  readonly criticality: "rx" | "channel"
  readonly source: SimulatedPeer
  readonly sink: SimulatedPeer
  readonly stream: number
  /** Whether it is in the queue, or granted; and the last time that it was, from when until when. */
  isListed = false
  listedFrom = 0
  listedUntil = 0
  wait: Wait | undefined = undefined
  /** Which write is in flight, and since when. */
  isWriting = false
  private write = 0
  private writeSince = 0
  /** What the sink's kernel had taken, and what had left it, each time that changed. */
  readonly marks: Array<Mark> = []
  private checkedChunks = 0
  private checkedBytes = 0

  constructor(side: "request" | "response", source: SimulatedPeer, sink: SimulatedPeer, stream: number) {
    this.side = side
    this.criticality = side === "request" ? "rx" : "channel"
    this.source = source
    this.sink = sink
    this.stream = stream
  }

  /** Bytes that it has been told and has not passed on. */
  get insideBytes(): number {
    return this.source.toldBytes - this.sink.acceptedBytes
  }

  note(atMs: number): void {
    const { sendingBytes, transmittedBytes: delivered } = this.sink
    const accepted = sendingBytes + delivered
    const last = this.marks.at(-1)
    if (last?.accepted !== accepted || last.delivered !== delivered) this.marks.push({ atMs, accepted, delivered })
    this.isWriting = this.sink.hasWriteInFlight
    if (this.sink.writes === this.write) return
    this.write = this.sink.writes
    this.writeSince = atMs
  }

  /** How long a write has been in flight of which not a byte has moved. */
  stuckMs(atMs: number): number {
    return this.isWriting ? atMs - Math.max(this.writeSince, this.marks.at(-1)?.atMs ?? 0) : 0
  }

  /** What moved between two moments. */
  between(fromMs: number, toMs: number): { readonly accepted: number; readonly delivered: number } {
    const [from, to] = [this.markAt(fromMs), this.markAt(toMs)]
    return { accepted: to.accepted - from.accepted, delivered: to.delivered - from.delivered }
  }

  private markAt(atMs: number): Mark {
    return this.marks.findLast((mark) => mark.atMs <= atMs) ?? { atMs, accepted: 0, delivered: 0 }
  }

  /** The place of the first byte that the sink's host received and the source's did not send there. */
  wrongByte(): number | undefined {
    const { received } = this.sink.host
    for (; this.checkedChunks < received.length; this.checkedChunks++) {
      const chunk = received[this.checkedChunks] ?? new Uint8Array(0)
      const sent = pattern(this.stream, this.checkedBytes, chunk.length)
      const wrong = chunk.findIndex((byte, at) => byte !== sent[at])
      if (wrong >= 0) return this.checkedBytes + wrong
      this.checkedBytes += chunk.length
    }
    return this.checkedBytes > this.source.host.sentBytes ? this.source.host.sentBytes : undefined
  }
}

/** The stream of bytes that a host sends. */
export const streamOf = (link: number, side: Side): number => 2 * link + (side === "client" ? 0 : 1)

/** One connection in the relay. */
export class Watched {
  readonly label: string
  readonly client: SimulatedPeer
  readonly target: SimulatedPeer
  readonly flows: readonly [Flow, Flow]
  /** When a byte was last told or accepted. */
  movedAt: number
  /** Time since the relay last knew of activity, as far as it did not wait, and how often it did. */
  idleMs = 0
  waitedMs = 0
  waits = 0
  private moved = 0
  private fell = 0

  constructor(link: number, client: SimulatedPeer, target: SimulatedPeer, atMs: number) {
    this.label = client.label
    this.client = client
    this.target = target
    this.flows = [
      new Flow("request", client, target, streamOf(link, "client")),
      new Flow("response", target, client, streamOf(link, "target"))
    ]
    this.movedAt = atMs
  }

  get isAborted(): boolean {
    return this.client.isAborted || this.target.isAborted
  }

  get isListed(): boolean {
    return this.flows.some(({ isListed }) => isListed)
  }

  note(atMs: number, sinceMs: number): void {
    const [{ sink: target, source: client }] = this.flows
    const moved = client.toldBytes + client.acceptedBytes + target.toldBytes + target.acceptedBytes
    const fell = client.transmittedBytes + target.transmittedBytes
    this.idleMs += sinceMs
    if (this.isListed) {
      this.waitedMs += sinceMs
      this.idleMs = 0
    }
    if (moved !== this.moved) {
      this.movedAt = atMs
      this.waitedMs = 0
      this.waits = this.flows.filter(({ isListed }) => isListed).length
    }
    if (moved !== this.moved || fell !== this.fell) this.idleMs = 0
    this.moved = moved
    this.fell = fell
  }
}

/**
 * One conversation through the relay: two ends, and what each must see of the other.
 *
 * Invariant: every byte is compared as it comes. An end that looks orderly must stand behind every byte of the other side,
 * by count and by SHA-256; whatever else happens must be a reset, and somebody must have provoked it.
 */
import { createHash } from "node:crypto"
import type * as Net from "node:net"
import { abortSocket } from "../src/NodePeer.ts"
import { pieceOf, wrongByte } from "./content.ts"
import { Dice } from "./dice.ts"
import type { Part, Script } from "./mix.ts"
import type { Naps } from "./naps.ts"

/** The client says first which conversation it is. */
export const nameBytes = 4

export const nameOf = (id: number): Buffer => {
  const name = Buffer.alloc(nameBytes)
  name.writeUInt32BE(id)
  return name
}

/** Longer than any load. */
const forEverMs = 2 ** 31 - 1

/** The next event of that name, or the end of the socket. */
const next = (socket: Net.Socket, name: string): Promise<void> =>
  new Promise((resolve) => {
    const over = (): void => {
      socket.off(name, over).off("close", over)
      resolve()
    }
    socket.on(name, over).on("close", over)
    if (socket.destroyed) over()
  })

interface EndOptions {
  readonly socket: Net.Socket
  readonly seed: number
  readonly part: Part
  /** What it begins to say, in turn, before it has heard anything. */
  readonly headStartBytes: number
  readonly naps: Naps
  readonly events: EndEvents
}

interface EndEvents {
  /** Bytes of the other end came, which are the next ones. */
  readonly heard: (end: End, bytes: Buffer) => void
  /** The other end's end came, in order. */
  readonly heardEnd: (end: End) => void
  readonly resets: () => void
  readonly over: (end: End) => void
}

export class End {
  readonly part: Part
  sentBytes = 0
  receivedBytes = 0
  /** It has sent all it has to say, and then its end. */
  hasEnded = false
  heardEnd = false
  hasFailed = false
  readonly sent = createHash("sha256")
  readonly received = createHash("sha256")
  private readonly options: EndOptions
  private readonly socket: Net.Socket
  private readonly woken = Promise.withResolvers<void>()

  constructor(options: EndOptions) {
    const { events, naps, part, socket } = options
    this.options = options
    this.socket = socket
    this.part = part
    socket.on("error", () => this.hasFailed = true).once("close", () => events.over(this))
    socket.pause().on("data", this.take).on("end", () => {
      this.heardEnd = true
      events.heardEnd(this)
    })
    const mayRead = part.bytesPerSecond === 0
      ? Promise.race([naps.nap(forEverMs), this.woken.promise])
      : Promise.resolve()
    void mayRead.then(() => socket.resume())
    void this.speak()
  }

  get isInOrder(): boolean {
    return this.heardEnd && this.hasEnded && !this.hasFailed
  }

  /** The other end is over: who reads nothing would never see it. */
  wake(): void {
    this.woken.resolve()
  }

  /** Not before it is connected: who goes away then has sent an orderly end. */
  reset(): void {
    this.options.events.resets()
    if (this.socket.connecting) this.socket.once("connect", () => abortSocket(this.socket))
    else abortSocket(this.socket)
  }

  private readonly take = (bytes: Buffer): void => {
    const { events, naps } = this.options
    events.heard(this, bytes)
    this.receivedBytes += bytes.length
    this.received.update(bytes)
    this.resetIfDue()
    if (this.part.bytesPerSecond === 0 || this.part.bytesPerSecond === Infinity) return
    this.socket.pause()
    void naps.nap(bytes.length / this.part.bytesPerSecond * 1000).then(() => this.socket.resume())
  }

  private async speak(): Promise<void> {
    const { naps, part, seed, socket } = this.options
    const dice = new Dice(seed)
    if (part.speaks === "behindEnd" && !this.heardEnd) await next(socket, "end")
    while (this.sentBytes < part.bytes && !socket.destroyed) {
      const mayBytes = Math.min(part.bytes - this.sentBytes, this.turnBytes())
      if (mayBytes <= 0) await next(socket, "data")
      else {
        const bytes = pieceOf(seed, this.sentBytes, Math.min(mayBytes, dice.magnitude(1, part.longestPieceBytes)))
        this.sent.update(bytes)
        this.sentBytes += bytes.length
        if (!socket.write(bytes)) await next(socket, "drain")
        this.resetIfDue()
        await naps.nap(part.pauseMs)
      }
    }
    if (socket.destroyed) return
    this.hasEnded = true
    socket.end()
  }

  /** In turn it says as much as it has heard. */
  private turnBytes(): number {
    return this.part.speaks === "inTurn"
      ? this.receivedBytes + this.options.headStartBytes - this.sentBytes
      : this.part.bytes
  }

  private resetIfDue(): void {
    if (this.sentBytes + this.receivedBytes >= this.part.resetsAfterBytes) this.reset()
  }
}

export interface ConversationEvents {
  /** It, or a part of it, was not as it must be. */
  readonly failed: (what: string) => void
  /** Both ends are over. */
  readonly over: (conversation: Conversation) => void
}

type Side = "client" | "origin"

export class Conversation {
  readonly id: number
  readonly script: Script
  readonly startedAt = performance.now()
  /** Why a reset of it is no fault: who provoked it. */
  provoked: string | undefined = undefined
  readonly client: End
  origin: End | undefined = undefined
  private readonly naps: Naps
  private readonly events: ConversationEvents
  private open = 1
  private isOver = false

  constructor(id: number, script: Script, client: Net.Socket, naps: Naps, events: ConversationEvents) {
    this.id = id
    this.script = script
    this.naps = naps
    this.events = events
    // That is what the stall policy is for.
    if (script.client.bytesPerSecond === 0 || script.origin.bytesPerSecond === 0) this.provoked = "never read"
    client.write(nameOf(id))
    this.client = this.endOf("client", client)
  }

  /** The relay has brought it to the origin, perhaps after the client was killed. Its name has been read. */
  attach(socket: Net.Socket): void {
    this.open++
    this.origin = this.endOf("origin", socket)
  }

  /** The origin is back, and those who came for it meanwhile were refused: who reads nothing would never see it. */
  missedOrigin(): void {
    if (this.origin === undefined) this.client.wake()
  }

  get isInOrder(): boolean {
    return this.client.isInOrder && this.origin !== undefined && this.origin.isInOrder
  }

  get bytes(): number {
    return this.client.receivedBytes + (this.origin?.receivedBytes ?? 0)
  }

  kill(side: Side): void {
    const end = side === "client" ? this.client : this.origin
    end?.reset()
  }

  toString(): string {
    const { client, kind, origin } = this.script
    const side = (name: string, part: Part, end: End | undefined): string =>
      `${name} sent ${end?.sentBytes ?? 0} of ${part.bytes} and got ${end?.receivedBytes ?? 0} bytes`
    return `${kind} ${this.id} (${side("client", client, this.client)}, ${side("origin", origin, this.origin)})`
  }

  private endOf(side: Side, socket: Net.Socket): End {
    const part = this.script[side]
    return new End({
      socket,
      part,
      seed: this.seedOf(side),
      headStartBytes: side === "client" ? part.longestPieceBytes : 0,
      naps: this.naps,
      events: {
        heard: (end, bytes) => this.compare(side, end, bytes),
        heardEnd: (end) => this.judgeEnd(side, end),
        resets: () => this.provoked ??= "was killed",
        over: () => {
          const other = side === "client" ? this.origin : this.client
          other?.wake()
          this.left()
        }
      }
    })
  }

  private seedOf(side: Side): number {
    return this.id * 2 + (side === "client" ? 0 : 1)
  }

  private compare(side: Side, { receivedBytes }: End, bytes: Buffer): void {
    const wrong = wrongByte(this.seedOf(side === "client" ? "origin" : "client"), receivedBytes, bytes)
    if (wrong !== undefined) this.events.failed(`a wrong byte came to the ${side}, at ${wrong}, of ${this}`)
  }

  private judgeEnd(side: Side, { received, receivedBytes }: End): void {
    const other = side === "client" ? this.origin : this.client
    if (other === undefined || !other.hasEnded || other.part.bytes !== receivedBytes) {
      return this.events.failed(`what the ${side} got was cut short and looks complete, of ${this}`)
    }
    const [got, said] = [received.copy().digest("hex"), other.sent.copy().digest("hex")]
    if (got !== said) this.events.failed(`SHA-256 of what the ${side} got differs, of ${this}`)
  }

  private left(): void {
    this.open--
    if (this.open > 0 || this.isOver) return
    this.isOver = true
    this.events.over(this)
  }
}

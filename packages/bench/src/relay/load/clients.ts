/**
 * Clients: who reads a stream, who waits for an answer, who connects for one answer, who never reads.
 *
 * Invariant: every byte that a client gets is compared with what it must be, and what is wrong, broken or missing ends the whole
 * measurement with the client's words. All of them read into one buffer, so the load costs few cycles and little memory.
 */
import * as Net from "node:net"
import { pieceOf, wrongByte } from "../../../../node/soak/content.ts"
import { headerBytes } from "./origin.ts"

const landing = Buffer.allocUnsafeSlow(256 * 1024)

export const messageBytes = 64

type Read = (bytes: Buffer) => void

/** A socket that tells what it reads, and fails the measurement if it breaks. What it told must not be kept. */
const open = (port: number, read: Read, connected: () => void): Net.Socket => {
  const socket = Net.connect({
    host: "127.0.0.1",
    port,
    noDelay: true,
    onread: {
      buffer: landing,
      callback: (count) => {
        read(landing.subarray(0, count))
        return true
      }
    }
  }, connected)
  return socket.on("error", fail)
}

const connected = (port: number, read: Read): Promise<Net.Socket> =>
  new Promise((resolve) => {
    const socket: Net.Socket = open(port, read, () => resolve(socket))
  })

/** Does so many of something, at most 50 at a time: a backlog that overflows costs seconds. */
export const times = async (count: number, each: (at: number) => Promise<unknown>): Promise<void> => {
  const abreast = 50
  for (let from = 0; from < count; from += abreast) {
    await Promise.all(Array.from({ length: Math.min(abreast, count - from) }, (_, at) => each(from + at)))
  }
}

const failedHere = (): { readonly failure: Promise<never>; readonly fail: (error: unknown) => void } => {
  const { promise, reject } = Promise.withResolvers<never>()
  // Whoever runs a work races against it; a failure behind the work's end has nobody to tell.
  promise.catch(() => {})
  return { failure: promise, fail: reject }
}

/** What went wrong with any client of this process. */
export const { fail, failure } = failedHere()

const check = (seed: number, from: number, bytes: Buffer): void => {
  const at = wrongByte(seed, from, bytes)
  if (at !== undefined) fail(new Error(`byte ${at} of stream ${seed} is not what was sent`))
}

/** Reads one stream of a `Source` until its end. */
export class Reader {
  received = 0
  number = -1
  readonly ended: Promise<void>
  private header = Buffer.alloc(0)
  private readonly over = Promise.withResolvers<void>()
  private readonly arrived: (number: number, bytes: number) => void

  /** `arrived` hears what it has got so far, whenever that is more. */
  constructor(arrived: (number: number, bytes: number) => void) {
    this.arrived = arrived
    this.ended = this.over.promise
  }

  async start(port: number): Promise<void> {
    const socket = await connected(port, (bytes) => this.read(bytes))
    socket.on("end", () => this.over.resolve())
  }

  private read(bytes: Buffer): void {
    if (this.number >= 0) return this.take(bytes)
    this.header = Buffer.concat([this.header, bytes])
    if (this.header.length < headerBytes) return
    this.number = this.header.readUInt32LE()
    this.take(this.header.subarray(headerBytes))
  }

  private take(bytes: Buffer): void {
    if (bytes.length === 0) return
    check(this.number, this.received, bytes)
    this.received += bytes.length
    this.arrived(this.number, this.received)
  }
}

/** Sends a message, waits for its echo, sends the next. */
export class Talker {
  /** Echoes that came back whole and right. */
  answers = 0
  private got = 0
  private socket: Net.Socket | undefined
  private greeted: (() => void) | undefined
  private readonly seed: number
  private readonly answered: (talker: Talker) => void

  /** `answered` is called behind each echo but the first: it may `say` the next message. */
  constructor(seed: number, answered: (talker: Talker) => void) {
    this.seed = seed
    this.answered = answered
  }

  /** Connects, and has its first message answered: then the whole way is open. */
  async greet(port: number): Promise<void> {
    this.socket = await connected(port, (bytes) => this.read(bytes))
    this.socket.on("end", () => fail(new Error("an echo connection ended while it was in use")))
    const { promise, resolve } = Promise.withResolvers<void>()
    this.greeted = resolve
    this.say()
    await promise
  }

  say(): void {
    this.socket?.write(pieceOf(this.seed, this.answers * messageBytes, messageBytes))
  }

  private read(bytes: Buffer): void {
    check(this.seed, this.answers * messageBytes + this.got, bytes)
    this.got += bytes.length
    if (this.got < messageBytes) return
    if (this.got > messageBytes) fail(new Error(`${this.got} bytes came back for a message of ${messageBytes}`))
    this.got = 0
    this.answers += 1
    if (this.answers === 1) this.greeted?.()
    else this.answered(this)
  }
}

/** A whole life: connect, one message and its echo, an orderly end both ways. */
export const visit = (port: number, seed: number): Promise<void> =>
  new Promise((resolve) => {
    let got = 0
    const read = (bytes: Buffer): void => {
      check(seed, got, bytes)
      got += bytes.length
      if (got === messageBytes) socket.end()
    }
    const socket: Net.Socket = open(port, read, () => socket.write(pieceOf(seed, 0, messageBytes)))
    socket.on("close", () => {
      if (got !== messageBytes) fail(new Error(`a connection closed with ${got} of ${messageBytes} bytes of its echo`))
      resolve()
    })
  })

/** Connects and never reads. What becomes of it later, an eviction say, is no failure. */
export const stareAt = (port: number): Promise<Net.Socket> =>
  new Promise((resolve) => {
    const socket = Net.connect({ host: "127.0.0.1", port, noDelay: true }, () => resolve(socket))
    // Before it is connected: else Node reads its first 64 KiB.
    socket.pause().on("error", () => {})
  })

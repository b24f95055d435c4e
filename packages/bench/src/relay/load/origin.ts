/**
 * What a relay relays to: a server that sends a stream without end, and one that sends back what it gets.
 *
 * Invariant: the stream names itself, by the number in its first four bytes, and then is what `content.ts` says of that number.
 * So whoever reads it knows each byte, also whether it belongs to this connection.
 */
import * as Net from "node:net"
import { longestPieceBytes, pieceOf } from "../../../../node/soak/content.ts"

export const headerBytes = 4

const listen = (server: Net.Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.on("error", reject)
    server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
      const address = server.address()
      if (typeof address === "object" && address !== null) resolve(address.port)
    })
  })

/** Sends back what it gets, and its end. */
export const listenEcho = (): Promise<number> =>
  listen(Net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("data", (bytes) => socket.write(bytes)).on("end", () => socket.end())
    // A connection that breaks is missed by its client, which judges.
    socket.on("error", () => socket.destroy())
  }))

export interface SourceOptions {
  /** The length of every stream; without it they go on until `stop`. */
  readonly mostBytes?: number
  /** What may be on its way to a reader, who says what has arrived; without it as much as the kernel takes. */
  readonly windowBytes?: number
}

/** A server of streams. */
export class Source {
  private readonly streams: Array<Stream> = []
  private readonly mostBytes: number
  private readonly windowBytes: number

  constructor({ mostBytes = Infinity, windowBytes = Infinity }: SourceOptions) {
    this.mostBytes = mostBytes
    this.windowBytes = windowBytes
  }

  listen(): Promise<number> {
    return listen(Net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.streams.push(new Stream(socket, this.streams.length, this.mostBytes, this.windowBytes))
    }))
  }

  /** How many streams there have been. */
  get count(): number {
    return this.streams.length
  }

  /** How many are open. */
  get open(): number {
    return this.streams.filter(({ isOpen }) => isOpen).length
  }

  /** Bytes behind the headers that all of them were given. */
  get total(): number {
    return this.streams.reduce((sum, { sent }) => sum + sent, 0)
  }

  /** How many have been given to the kernel whole. */
  get whole(): number {
    return this.streams.filter(({ sent }) => sent >= this.mostBytes).length
  }

  /** Bytes behind the header that a stream was given. */
  sent(number: number): number {
    return this.streams[number]?.sent ?? 0
  }

  /** The reader of a stream says what it has got so far. */
  arrived(number: number, bytes: number): void {
    this.streams[number]?.arrived(bytes)
  }

  /** Every stream ends in order, behind the piece that it is at. */
  stop(): void {
    for (const stream of this.streams) stream.stop()
  }
}

class Stream {
  sent = 0
  isOpen = true
  private readonly socket: Net.Socket
  private readonly number: number
  private endsAt: number
  private readonly windowBytes: number
  private mayHaveSent: number

  constructor(socket: Net.Socket, number: number, mostBytes: number, windowBytes: number) {
    this.socket = socket
    this.number = number
    this.endsAt = mostBytes
    this.windowBytes = windowBytes
    this.mayHaveSent = windowBytes
    const header = Buffer.alloc(headerBytes)
    header.writeUInt32LE(number)
    socket.write(header)
    socket.on("drain", () => this.push()).on("error", () => socket.destroy()).resume()
    socket.on("close", () => {
      this.isOpen = false
    })
    this.push()
  }

  arrived(bytes: number): void {
    this.mayHaveSent = bytes + this.windowBytes
    // By pieces: a write costs the same however short it is.
    if (this.mayHaveSent - this.sent >= longestPieceBytes) this.push()
  }

  stop(): void {
    this.endsAt = this.sent
    this.push()
  }

  private push(): void {
    const { socket } = this
    while (!socket.writableNeedDrain && !socket.writableEnded) {
      if (this.sent >= this.endsAt) return void socket.end()
      const length = Math.min(longestPieceBytes, this.endsAt - this.sent, this.mayHaveSent - this.sent)
      if (length <= 0) return
      this.socket.write(pieceOf(this.number, this.sent, length))
      this.sent += length
    }
  }
}

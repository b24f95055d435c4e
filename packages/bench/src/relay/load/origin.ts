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

/** A server of streams, all of the same length; without one they go on until `stop`. */
export class Source {
  /** Bytes behind the header that each stream was given, by its number. */
  readonly sent: Array<number> = []
  /** Streams whose connections are open. */
  open = 0
  private isStopped = false
  private readonly mostBytes: number

  constructor(mostBytes = Infinity) {
    this.mostBytes = mostBytes
  }

  listen(): Promise<number> {
    return listen(Net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.serve(socket)))
  }

  /** Every stream ends in order, behind the piece that it is at. */
  stop(): void {
    this.isStopped = true
  }

  private serve(socket: Net.Socket): void {
    const number = this.sent.push(0) - 1
    this.open += 1
    socket.on("close", () => {
      this.open -= 1
    })
    const header = Buffer.alloc(headerBytes)
    header.writeUInt32LE(number)
    socket.write(header)
    const push = (): void => {
      while (!socket.writableNeedDrain && !socket.writableEnded) {
        const sent = this.sent[number] ?? 0
        const left = this.isStopped ? 0 : Math.min(this.mostBytes - sent, longestPieceBytes)
        if (left === 0) return void socket.end()
        this.sent[number] = sent + left
        socket.write(pieceOf(number, sent, left))
      }
    }
    socket.on("drain", push).on("error", () => socket.destroy()).resume()
    push()
  }
}

/**
 * Both ends of a relayed connection, each sending the other a stream that its seed decides: chunk sizes, pauses, and who ends
 * first. Each end hashes what it sends and what it gets; the origin's view of a connection is found by the id that comes
 * first.
 */
import { createHash, type Hash } from "node:crypto"
import * as Net from "node:net"

/** A small generator that a seed decides (mulberry32). */
export const randomOf = (seed: number): () => number => {
  let state = seed | 0
  return () => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** Bytes to send slices of: random once, so that sending costs little. */
const block = (() => {
  const random = randomOf(1)
  return Buffer.from(Uint8Array.from({ length: 1 << 20 }, () => Math.floor(random() * 256)))
})()

export interface End {
  readonly sent: string
  readonly received: string
  readonly receivedBytes: number
  /** It saw an orderly end, not a reset. */
  readonly orderly: boolean
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** The socket takes more, or is gone. */
const drained = (socket: Net.Socket): Promise<void> =>
  new Promise((resolve) => {
    const over = (): void => {
      socket.off("drain", over).off("close", over)
      resolve()
    }
    socket.on("drain", over).on("close", over)
    if (socket.destroyed) over()
  })

/** Sends `size` bytes in random chunks, with pauses now and then, then ends its side; the hash of what it sent. */
const send = async (socket: Net.Socket, size: number, random: () => number, hash: Hash): Promise<void> => {
  let left = size
  while (left > 0 && !socket.destroyed) {
    const length = Math.min(left, 1 + Math.floor(random() ** 3 * 200_000))
    const from = Math.floor(random() * (block.length - length))
    const chunk = block.subarray(from, from + length)
    hash.update(chunk)
    left -= length
    if (!socket.write(chunk)) await drained(socket)
    if (random() < 0.02) await pause(random() * 20)
  }
  socket.end()
}

/** Both directions of one end at once. Resolves when both are over, however they ended. */
export const converse = async (
  socket: Net.Socket,
  size: number,
  seed: number,
  first: Buffer | undefined
): Promise<End> => {
  const random = randomOf(seed)
  const sent = createHash("sha256")
  const received = createHash("sha256")
  let receivedBytes = 0
  let sawEnd = false
  let failed = false
  const take = (chunk: Buffer): void => {
    receivedBytes += chunk.length
    received.update(chunk)
    if (random() < 0.01) {
      socket.pause()
      setTimeout(() => socket.resume(), random() * 30)
    }
  }
  socket.on("error", () => failed = true)
  const over = new Promise<void>((resolve) => socket.once("close", () => resolve()))
  socket.on("data", take).on("end", () => sawEnd = true)
  if (first !== undefined && first.length > 0) take(first)
  await send(socket, size, random, sent)
  await over
  return { sent: sent.digest("hex"), received: received.digest("hex"), receivedBytes, orderly: sawEnd && !failed }
}

/** An origin whose half of each conversation is decided by the 4-byte id that the client sends first. */
export const startOrigin = async (
  sizeOf: (id: number) => number
): Promise<{
  readonly port: number
  readonly sockets: Set<Net.Socket>
  readonly end: (id: number) => Promise<End>
  readonly close: () => void
}> => {
  const ends = new Map<number, { readonly promise: Promise<End>; readonly resolve: (end: End) => void }>()
  const endOf = (id: number) => {
    const known = ends.get(id)
    if (known !== undefined) return known
    const made = Promise.withResolvers<End>()
    ends.set(id, made)
    return made
  }
  const sockets = new Set<Net.Socket>()
  const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket)).on("error", () => {})
    let head = Buffer.alloc(0)
    const readId = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk])
      if (head.length < 4) return
      socket.off("data", readId)
      const id = head.readUInt32BE(0)
      void converse(socket, sizeOf(id), id * 2 + 1, head.subarray(4)).then(endOf(id).resolve)
    }
    socket.on("data", readId)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the origin has no port")
  return { port: address.port, sockets, end: (id) => endOf(id).promise, close: () => server.close() }
}

/** A client's half, through the relay. */
export const connectAndConverse = async (
  port: number,
  id: number,
  size: number,
  onSocket: (socket: Net.Socket) => void = () => {}
): Promise<End> => {
  const socket = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true })
  onSocket(socket)
  const name = Buffer.alloc(4)
  name.writeUInt32BE(id)
  socket.on("error", () => {})
  socket.write(name)
  return converse(socket, size, id * 2, undefined)
}

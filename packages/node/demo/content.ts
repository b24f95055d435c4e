/**
 * What clients ask for and what the origin answers: bytes that both sides make from a seed.
 *
 * Invariant: the same seed gives the same bytes in every process, and any two seeds give different ones. So a client can check
 * an answer without anybody having stored it, and an answer that belongs to another client does not pass.
 */
import * as Crypto from "node:crypto"

const blockBytes = 64 * 1024

/** A request is always this long: `GET <bytes> <seed>`, padded with spaces, and a line end. */
export const requestBytes = 64

export interface Request {
  /** Bytes of the answer. */
  readonly bytes: number
  readonly seed: number
}

export const requestOf = ({ bytes, seed }: Request): Uint8Array =>
  Buffer.from(`GET ${bytes} ${seed}`.padEnd(requestBytes - 1) + "\n")

/** The request in that text; undefined if it is none. */
export const readRequest = (text: string): Request | undefined => {
  const [, bytes, seed] = /^GET (\d+) (\d+) *\n$/.exec(text) ?? []
  return bytes === undefined || seed === undefined ? undefined : { bytes: Number(bytes), seed: Number(seed) }
}

/** Marsaglia's xorshift: looks random, costs nothing. */
const blockOf = (seed: number): Uint8Array => {
  const words = new Uint32Array(blockBytes / 4)
  let state = Math.imul(seed + 1, 0x9e3779b1) | 1
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[at] = state
  }
  return new Uint8Array(words.buffer)
}

/** The answer in pieces, made while it is sent: a block that repeats. */
export function* answerOf({ bytes, seed }: Request): Generator<Uint8Array> {
  const block = blockOf(seed)
  for (let left = bytes; left > 0; left -= blockBytes) yield left < blockBytes ? block.subarray(0, left) : block
}

/** SHA-256 of the answer, in hexadecimal. */
export const hashOf = (request: Request): string => {
  const hash = Crypto.createHash("sha256")
  for (const piece of answerOf(request)) hash.update(piece)
  return hash.digest("hex")
}

/**
 * The bytes of a stream: any piece of it, by its seed and the place in it, without a copy.
 *
 * Invariant: streams of different seeds differ, and so do pieces of one stream at different places. So it is seen when
 * pieces are lost, repeated or swapped, and when they end up in another stream. That is why the period is a prime: no
 * number of whole buffers makes one.
 */
import { randomOf } from "./dice.ts"

const periodBytes = 1_048_573
export const longestPieceBytes = 256 * 1024

/** The period, and its beginning once more, so that every piece is in one piece. */
const block = (() => {
  const random = randomOf(1)
  const bytes = Buffer.alloc(periodBytes + longestPieceBytes)
  for (let at = 0; at < periodBytes; at++) bytes[at] = random() * 256
  bytes.copy(bytes, periodBytes, 0, longestPieceBytes)
  return bytes
})()

const startOf = (seed: number): number => (Math.imul(seed + 1, 0x9e3779b1) >>> 0) % periodBytes

export const pieceOf = (seed: number, from: number, length: number): Buffer => {
  const at = (startOf(seed) + from) % periodBytes
  return block.subarray(at, at + length)
}

/** The place in the stream of the first byte that is another one; undefined if there is none. */
export const wrongByte = (seed: number, from: number, bytes: Buffer): number | undefined => {
  const right = pieceOf(seed, from, bytes.length)
  return bytes.equals(right) ? undefined : from + bytes.findIndex((byte, at) => byte !== right[at])
}

/**
 * A lease on one fixed-size circular area of bytes.
 *
 * It has one owner, from the step in which the pool lent it to the step in which it is given back. After that it is stale:
 * it reads as length 0, room 0, and writing, consuming or giving it back is a `BufferMisuse` that changes nothing.
 *
 * @since 0.1.0
 */
import type * as Equal from "effect/Equal"

/**
 * A circular buffer lent by a pool. Sizes are in bytes; every operation is O(bytes moved), all others O(1).
 *
 * Equal only to itself; printed as its state, not its bytes. Views (`readViews`, `writeView`) are windows into the pool's
 * memory: use them before the buffer is given back, or pin it.
 *
 * @category models
 * @since 0.1.0
 */
export interface ByteBuffer extends Equal.Equal {
  /** The name of the pool that lent it. */
  readonly pool: string
  /** Bytes held. */
  readonly length: number
  /** Bytes that still fit. */
  readonly room: number
  /** `length + room` while it is lent: the pool's `bufferSize`. */
  readonly size: number
  /** Appends all of `data` (text as UTF-8) and returns how many bytes that were; more than `room` is a `BufferMisuse`. */
  readonly write: (data: Uint8Array | string) => number
  /** Removes `count` bytes from the front; more than `length` is a `BufferMisuse`. */
  readonly consume: (count: number) => void
  /** The bytes held, in order, as at most two views. */
  readonly readViews: () => ReadonlyArray<Uint8Array<ArrayBuffer>>
  /** The contiguous room at the end, to be filled by somebody else; then `commit`. What it shows before is old content. */
  readonly writeView: () => Uint8Array<ArrayBuffer>
  /** Says that the first `count` bytes of `writeView` are filled. */
  readonly commit: (count: number) => void
  /** The bytes held as text (UTF-8), without removing them. */
  readonly toText: () => string
  /** A copy of the bytes held, without removing them. */
  readonly toBytes: () => Uint8Array<ArrayBuffer>
  readonly toJSON: () => { readonly pool: string; readonly length: number; readonly room: number }
}

/**
 * One direction of a stream: at most one buffer at a time.
 *
 * A channel has exactly one filler, fixed when its stream is made: the stream itself, or the one applet attached to that
 * side. Only the filler allocates, and it is the filler that is woken when the buffer comes (HAProxy commit a73e59b69: the
 * entity that waits is the one woken). The buffer goes back in the step in which it is empty and unpinned.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { ByteBuffer } from "./ByteBuffer.ts"
import type { Criticality } from "./Criticality.ts"
import { Channel } from "./internal/channel.ts"
import { runOf } from "./internal/run.ts"
import { type BufferPending, type BufferUnavailable, PoolClosed } from "./PoolError.ts"
import type { WakeReason } from "./WakeReason.ts"

/**
 * One direction of a stream.
 *
 * @category models
 * @since 0.1.0
 */
export interface ByteChannel {
  readonly side: "request" | "response"
  readonly criticality: Criticality
  /** The buffer it holds now. */
  readonly buffer: ByteBuffer | undefined
  /** Wakes whoever fills it: the stream, or the applet attached. O(1), for callbacks. */
  readonly wakeFillerUnsafe: (reason: WakeReason) => void
}

const own = (channel: ByteChannel): Channel => {
  if (channel instanceof Channel) return channel
  throw new TypeError("a channel was used that no stream made")
}

/** The channel, for those who may fill it: a run of another entity may not. */
const toFill = (channel: ByteChannel, fiber: Fiber.Fiber<unknown, unknown>): Channel => {
  const mine = own(channel)
  const run = runOf(fiber)
  if (run === undefined || run.entity === mine.filler) return mine
  throw mine.misuse(`the ${mine.side} channel is filled by ${mine}, and a run of another entity allocates it`)
}

const untilClosed = (channel: Channel, buffer: ByteBuffer): Effect.Effect<ByteBuffer, never, Scope.Scope> => {
  channel.pool.pinUnsafe(buffer)
  return Effect.as(Effect.addFinalizer(() => Effect.sync(() => channel.pool.unpinUnsafe(buffer))), buffer)
}

/**
 * The channel's buffer, to be filled, now; or the filler is queued and this fails with `BufferPending`, in one step. When
 * the scope closes, the buffer is released: it goes back if it is empty. O(1).
 *
 * @category constructors
 * @since 0.1.0
 */
export const alloc = (channel: ByteChannel): Effect.Effect<ByteBuffer, BufferPending | PoolClosed, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.withFiber((fiber): Effect.Effect<ByteBuffer, BufferPending | PoolClosed, Scope.Scope> => {
      const mine = toFill(channel, fiber)
      const door = mine.allocUnsafe()
      if (mine.buffer !== undefined) return untilClosed(mine, mine.buffer)
      return Effect.fail(door === "queued" ? mine.pending : new PoolClosed({ pool: mine.pool.name }))
    })
  )

/**
 * The channel's buffer if one may be had now; never queues. O(1).
 *
 * @category constructors
 * @since 0.1.0
 */
export const tryAlloc = (
  channel: ByteChannel
): Effect.Effect<ByteBuffer, BufferUnavailable | PoolClosed, Scope.Scope> =>
  Effect.uninterruptible(
    Effect.withFiber((fiber): Effect.Effect<ByteBuffer, BufferUnavailable | PoolClosed, Scope.Scope> => {
      const mine = toFill(channel, fiber)
      const isOpen = mine.tryAllocUnsafe()
      if (mine.buffer !== undefined) return untilClosed(mine, mine.buffer)
      return Effect.fail(
        isOpen ? mine.pool.unavailableUnsafe(mine.criticality) : new PoolClosed({ pool: mine.pool.name })
      )
    })
  )

/**
 * Gives the buffer back if it is empty and nothing else pins it, and so offers it to the next; says whether it did. O(1).
 *
 * @category mutations
 * @since 0.1.0
 */
export const release = (channel: ByteChannel): Effect.Effect<boolean> => Effect.sync(() => releaseUnsafe(channel))

/**
 * All bytes of the channel as text (UTF-8), removed from it: so its buffer goes back. O(bytes).
 *
 * @category mutations
 * @since 0.1.0
 */
export const takeText = (channel: ByteChannel): Effect.Effect<string> =>
  Effect.sync(() => drain(channel, (buffer) => buffer.toText()) ?? "")

/**
 * A copy of all bytes of the channel, removed from it: so its buffer goes back. O(bytes).
 *
 * @category mutations
 * @since 0.1.0
 */
export const takeBytes = (channel: ByteChannel): Effect.Effect<Uint8Array<ArrayBuffer>> =>
  Effect.sync(() => drain(channel, (buffer) => buffer.toBytes()) ?? new Uint8Array(0))

const drain = <A>(channel: ByteChannel, read: (buffer: ByteBuffer) => A): A | undefined => {
  const buffer = channel.buffer
  if (buffer === undefined) return undefined
  const content = read(buffer)
  buffer.consume(buffer.length)
  return content
}

/**
 * For callbacks: the buffer is held now, or the filler is queued, or the pool (or the stream) has closed. Outside a run it
 * pins nothing: who then fills nothing calls `releaseUnsafe` before returning. O(1).
 *
 * @category mutations
 * @since 0.1.0
 */
export const allocUnsafe = (channel: ByteChannel): "held" | "queued" | "closed" => own(channel).allocUnsafe()

/**
 * For callbacks: `release`. O(1).
 *
 * @category mutations
 * @since 0.1.0
 */
export const releaseUnsafe = (channel: ByteChannel): boolean => own(channel).releaseUnsafe()

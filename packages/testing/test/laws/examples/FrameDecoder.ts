/**
 * A decoder of frames, each a length and then so many bytes, as somebody would write it on Headgate: a frame is collected in
 * one buffer and unpacked into another, so it needs two at once. The second is asked for at a smaller margin than the first,
 * for decoders that all hold one and wait for one more would wait for ever.
 */
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import type { Criticality } from "headgate/Criticality"
import type { PoolClosed, WaitRefused } from "headgate/PoolError"

export interface FrameDecoder {
  /** Decodes the frames in these bytes, one after the other; a last one that is cut off is left out. */
  readonly decode: (bytes: Uint8Array) => Effect.Effect<ReadonlyArray<string>, PoolClosed | WaitRefused>
}

/** The two classes are options only so that they can be wrong. */
export const make = (
  collects: Criticality = "rx",
  unpacks: Criticality = "channel"
): Effect.Effect<FrameDecoder, never, BufferPool | Scope> =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const unpack = (frame: ByteBuffer) =>
      pool.withBuffer(unpacks, (text) =>
        Effect.gen(function*() {
          for (const view of frame.readViews()) text.write(view)
          frame.consume(frame.length)
          yield* Effect.yieldNow
          return text.toText().toUpperCase()
        }))
    const frame = (bytes: Uint8Array) =>
      pool.withBuffer(collects, (buffer) => {
        buffer.write(bytes)
        return Effect.andThen(Effect.yieldNow, unpack(buffer))
      })
    const decode = (bytes: Uint8Array): Effect.Effect<ReadonlyArray<string>, PoolClosed | WaitRefused> => {
      const [length = 0] = bytes
      if (bytes.length === 0 || bytes.length <= length) return Effect.succeed([])
      return Effect.zipWith(
        frame(bytes.subarray(1, length + 1)),
        Effect.suspend(() => decode(bytes.subarray(length + 1))),
        (first, others) => [first, ...others]
      )
    }
    return { decode }
  })

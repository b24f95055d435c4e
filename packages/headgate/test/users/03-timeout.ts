import { Effect } from "effect"
import { BufferPool, Headgate, WaitQueue } from "headgate"

// Waiting is interruptible, so any timeout works; who gives up leaves the queue.
export const program = Effect.gen(function*() {
  yield* Effect.forEach([1, 2, 3], () => BufferPool.acquire("tx"))
  const acquired = yield* BufferPool.acquire("rx").pipe(
    Effect.map((buffer) => buffer.room),
    Effect.timeout("1 millis"),
    Effect.catchTag("TimeoutError", () => Effect.succeed("timed out"))
  )
  const lent = yield* BufferPool.withBuffer("rx", (buffer) => Effect.succeed(buffer.room)).pipe(
    Effect.timeout("1 millis"),
    Effect.flip
  )
  const waiting = yield* WaitQueue.use((queue) => queue.waiting)
  const { used } = yield* BufferPool.snapshot
  return { acquired, lent: lent._tag, waiting: waiting.length, used }
}).pipe(Effect.scoped, Effect.provide(Headgate.layer({ limit: 3, reserve: 1 })))

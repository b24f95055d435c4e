import { Cause, Effect } from "effect"
import { BufferPool, Headgate } from "headgate"

// Each error says why, in numbers.
export const program = Effect.gen(function*() {
  yield* Effect.all([BufferPool.acquire("tx"), BufferPool.acquire("tx")])
  const tried = yield* BufferPool.tryAcquire("rx").pipe(
    Effect.map((buffer) => `room for ${buffer.room}`),
    Effect.catchTags({
      BufferUnavailable: (error) => Effect.succeed(`${error.used} of ${error.limit} lent, ${error.queued} waiting`),
      PoolClosed: (error) => Effect.succeed(`${error.pool} is closed`)
    })
  )
  const refused = yield* BufferPool.withBuffer("rx", () => Effect.succeed("never")).pipe(
    Effect.catchTag("WaitRefused", (error) => Effect.succeed(error.why)),
    Effect.catchTag("PoolClosed", (error) => Effect.succeed(error.pool))
  )
  const resized = yield* BufferPool.resize(0).pipe(
    Effect.as("resized"),
    Effect.catchTag("ConfigError", (error) => Effect.succeed(error.message))
  )
  return { tried, refused, resized }
}).pipe(Effect.scoped, Effect.provide(Headgate.layer({ limit: 2, reserve: 1, maxWaiting: 0 })))

// Mistakes, uncaught: a bad option fails, a broken promise is a defect.
export const mistakes = Effect.all({
  badOption: BufferPool.snapshot.pipe(
    Effect.provide(BufferPool.layer({ limit: 2, reserve: 2 })),
    Effect.flip,
    Effect.map(String)
  ),
  lateWrite: BufferPool.withBuffer("rx", Effect.succeed).pipe(
    Effect.tap((buffer) => Effect.sync(() => buffer.write("late"))),
    Effect.provide(BufferPool.layer()),
    Effect.sandbox,
    Effect.flip,
    Effect.map(Cause.squash),
    Effect.map(String)
  )
})

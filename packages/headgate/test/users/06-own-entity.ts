import { Effect } from "effect"
import { BufferPool, Headgate, Task } from "headgate"

const takeAllForAWhile = Effect.all([BufferPool.acquire("tx"), BufferPool.acquire("tx")]).pipe(
  Effect.andThen(Effect.sleep("1 millis")),
  Effect.scoped
)

// An entity of one's own waits with a waiter of its own, and takes its buffer at the door.
export const program = Effect.gen(function*() {
  yield* Effect.forkChild(takeAllForAWhile, { startImmediately: true })
  const pool = yield* BufferPool
  const log = new Array<string>()
  const waiter = pool.waitQueue.waiter({
    target: "compressor",
    criticality: "endpoint",
    wake: (news) => {
      compressor.wakeUnsafe("resource")
      return news === "granted"
    }
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => pool.waitQueue.leaveUnsafe(waiter)))
  const compressor = yield* Task.make((self, reasons) =>
    Effect.gen(function*() {
      const buffer = pool.waitQueue.takeOrWaitUnsafe(waiter)
      log.push(`${[...reasons].join(" and ")}: ${buffer}`)
      if (typeof buffer === "string") return
      buffer.write("zip")
      pool.giveBackUnsafe(buffer)
      yield* self.end
    })
  )
  yield* compressor.await
  const { used } = yield* pool.snapshot
  return { log, used }
}).pipe(Effect.scoped, Effect.provide(Headgate.layer({ limit: 2, reserve: 1, bufferSize: 16 })))

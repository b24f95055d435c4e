import { Effect } from "effect"
import { BufferPool, ByteChannel, ByteStream, Headgate } from "headgate"

const takeAllForAWhile = Effect.all([BufferPool.acquire("tx"), BufferPool.acquire("tx")]).pipe(
  Effect.andThen(Effect.sleep("1 millis")),
  Effect.scoped
)

// No buffer: the run is over, the stream is queued, and it runs again once the buffer is its own.
export const program = Effect.gen(function*() {
  yield* Effect.forkChild(takeAllForAWhile, { startImmediately: true })
  const log = new Array<string>()
  const stream = yield* ByteStream.make({
    process: (self, reasons) =>
      Effect.gen(function*() {
        log.push([...reasons].join(" and "))
        const buffer = yield* ByteChannel.alloc(self.response)
        buffer.write("hello")
        log.push(yield* ByteChannel.takeText(self.response))
        yield* self.end
      })
  })
  yield* stream.await
  const { used } = yield* BufferPool.snapshot
  return { log, used }
}).pipe(Effect.scoped, Effect.provide(Headgate.layer({ limit: 2, reserve: 1 })))

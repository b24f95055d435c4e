import { Context, Effect, Layer } from "effect"
import { BufferPool, ByteChannel, ByteStream, Headgate } from "headgate"

// A second pool, under a key of its own.
class Chunks extends Context.Service<Chunks>()("app/Chunks", {
  make: BufferPool.make({ name: "chunks", limit: 4, bufferSize: 16 })
}) {
  static readonly layer = Layer.effect(this, this.make)
}

export const program = Effect.gen(function*() {
  const chunks = yield* Chunks
  const rooms = yield* BufferPool.withBuffer(
    "rx",
    (big) => chunks.withBuffer("rx", (small) => Effect.succeed([big.room, small.room]))
  )
  // A stream takes its buffers from the pool that it is made with.
  const stream = yield* ByteStream.make({
    process: (self) =>
      Effect.gen(function*() {
        const buffer = yield* ByteChannel.alloc(self.response)
        buffer.write("x")
        yield* self.end
      })
  }).pipe(Effect.provideService(BufferPool, chunks))
  yield* stream.await
  const ofChunks = yield* chunks.snapshot
  const ofDefault = yield* BufferPool.snapshot
  return { rooms, takesOfChunks: ofChunks.counters.takes, takesOfDefault: ofDefault.counters.takes }
}).pipe(Effect.scoped, Effect.provide([Headgate.layer({ limit: 8, bufferSize: 1024 }), Chunks.layer]))

// The trap: the same call twice is two pools. Share one constant.
const here = BufferPool.useSync((pool) => pool)
const shared = BufferPool.layer({ name: "shared" })

export const identity = Effect.gen(function*() {
  const called = yield* Effect.all([
    Effect.provide(here, BufferPool.layer({ name: "twice" })),
    Effect.provide(here, BufferPool.layer({ name: "twice" }))
  ])
  const constant = yield* Effect.all([Effect.provide(here, shared), Effect.provide(here, shared)]).pipe(
    Effect.provide(shared)
  )
  return { layerCalledTwice: called[0] === called[1], oneConstant: constant[0] === constant[1] }
})

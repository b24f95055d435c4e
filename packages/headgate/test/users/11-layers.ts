import { Context, Effect, Layer } from "effect"
import { BufferPool, Headgate } from "headgate"

class Uploads extends Context.Service<Uploads>()("app/Uploads", {
  make: Effect.gen(function*() {
    const pool = yield* BufferPool
    return { put: (text: string) => pool.withBufferSync("rx", (buffer) => buffer.write(text)) }
  })
}) {
  static readonly layer = Layer.effect(this, this.make)
}

class Downloads extends Context.Service<Downloads>()("app/Downloads", {
  make: Effect.gen(function*() {
    const pool = yield* BufferPool
    return {
      get: (bytes: number) => pool.withBuffer("channel", (buffer) => Effect.sync(() => buffer.write("x".repeat(bytes))))
    }
  })
}) {
  static readonly layer = Layer.effect(this, this.make)
}

// Both services share one pool, for it is one constant.
const App = Layer.mergeAll(Uploads.layer, Downloads.layer).pipe(Layer.provideMerge(Headgate.layer({ limit: 8 })))

export const program = Effect.gen(function*() {
  const uploads = yield* Uploads
  const downloads = yield* Downloads
  const put = yield* uploads.put("abc")
  const got = yield* downloads.get(5)
  const { counters } = yield* BufferPool.snapshot
  return { put, got, takes: counters.takes }
}).pipe(Effect.provide(App))

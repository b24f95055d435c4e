import { Context, Data, Effect, Layer } from "effect"
import { BufferPool, Headgate } from "headgate"

export class StoreFull extends Data.TaggedError("StoreFull")<{ readonly at: number }> {}

export class Store extends Context.Service<Store>()("app/Store", {
  make: Effect.sync(() => {
    let kept = 0
    return { put: (text: string) => text.length > 5 ? new StoreFull({ at: kept }) : Effect.sync(() => ++kept) }
  })
}) {
  static readonly layer = Layer.effect(this, this.make)
}

// The body's services and errors come through; the pool adds its own.
export const save = (text: string) =>
  BufferPool.withBuffer("rx", (buffer) =>
    Effect.gen(function*() {
      const store = yield* Store
      buffer.write(text)
      return yield* store.put(buffer.toText())
    }))

// Every error handled: only services remain.
export const handled = (text: string) =>
  save(text).pipe(
    Effect.catchTags({
      StoreFull: (error) => Effect.succeed(`full at ${error.at}`),
      WaitRefused: (error) => Effect.succeed(`refused: ${error.why}`),
      PoolClosed: (error) => Effect.succeed(`${error.pool} is closed`)
    })
  )

export const program = Effect.all([handled("short"), handled("longer than five")]).pipe(
  Effect.provide([Headgate.layer({ limit: 8 }), Store.layer])
)

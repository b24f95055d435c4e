import { Effect } from "effect"
import { BufferPool } from "headgate"

// A hundred jobs share eight buffers of 1 KiB, of which three stay in reserve for more critical work.
export const program = Effect.gen(function*() {
  const jobs = Array.from({ length: 100 }, (_, n) =>
    BufferPool.withBuffer("rx", (buffer) =>
      Effect.gen(function*() {
        buffer.write(`job ${n}`)
        yield* Effect.sleep("1 millis")
        return buffer.length
      })))
  const sizes = yield* Effect.all(jobs, { concurrency: "unbounded" })
  const { highWater, used } = yield* BufferPool.snapshot
  return { jobs: sizes.length, bytes: sizes.reduce((sum, size) => sum + size), highWater, used }
}).pipe(Effect.provide(BufferPool.layer({ limit: 8, bufferSize: 1024 })))

console.log(await Effect.runPromise(program)) // { jobs: 100, bytes: 590, highWater: 5, used: 0 }

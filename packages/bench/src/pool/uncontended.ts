/** Take and give back while nobody waits: the core, and each way of the face beside what it would be replaced by. */
import * as Effect from "effect/Effect"
import * as Pool from "effect/Pool"
import * as Semaphore from "effect/Semaphore"
import * as BufferPool from "../../../headgate/src/internal/pool.ts"
import { Counter } from "./counter.ts"
import type { Batch, MakeBatch } from "./measure.ts"

const limit = 8
let pools = 0
const makePool = () => BufferPool.make({ name: `uncontended ${++pools}`, limit })
/** What `rx` is in the core. */
const level = 3

/** The gate of an ordinary pool, with the options that it has by default. */
export const core: MakeBatch = (count) =>
  Effect.map(makePool(), ({ gate }) => {
    const counter = new Counter()
    const run = (): void => {
      for (let n = 0; n < count; n++) {
        const area = gate.take(level)
        if (area === undefined) return
        counter.write(area.bytes)
        gate.giveBack(area)
      }
    }
    return { count, run, done: counter.take }
  })

/** The least that a pool can be. */
class FreeList {
  private readonly free = Array.from({ length: limit }, () => new Uint8Array(64 * 1024))
  take(): Uint8Array<ArrayBuffer> | undefined {
    return this.free.pop()
  }
  giveBack(bytes: Uint8Array<ArrayBuffer>): void {
    this.free.push(bytes)
  }
}

export const freeList: MakeBatch = (count) =>
  Effect.sync(() => {
    const list = new FreeList()
    const counter = new Counter()
    const run = (): void => {
      for (let n = 0; n < count; n++) {
        const bytes = list.take()
        if (bytes === undefined) return
        counter.write(bytes)
        list.giveBack(bytes)
      }
    }
    return { count, run, done: counter.take }
  })

/** One effect after the other, made anew each time as a program would, in the loop that costs least. */
const loop = (count: number, counter: Counter, one: () => Effect.Effect<unknown, unknown>): Batch => ({
  count,
  done: counter.take,
  run: () => {
    let n = 0
    return Effect.runPromise(Effect.whileLoop({ while: () => n < count, body: one, step: () => void n++ }))
  }
})

/** The loop and the function that it calls: what is in all of the others too. */
export const driver: MakeBatch = (count) =>
  Effect.sync(() => {
    const counter = new Counter()
    return loop(count, counter, () => {
      counter.tick()
      return Effect.void
    })
  })

export const withBuffer: MakeBatch = (count) =>
  Effect.map(makePool(), (pool) => {
    const counter = new Counter()
    return loop(count, counter, () => pool.withBuffer("rx", () => counter.tickEffect))
  })

export const withBufferSync: MakeBatch = (count) =>
  Effect.map(makePool(), (pool) => {
    const counter = new Counter()
    return loop(count, counter, () => pool.withBufferSync("rx", counter.tick))
  })

export const withPermit: MakeBatch = (count) =>
  Effect.map(Semaphore.make(limit), (semaphore) => {
    const counter = new Counter()
    return loop(count, counter, () => semaphore.withPermit(counter.tickEffect))
  })

export const scopedAcquire: MakeBatch = (count) =>
  Effect.map(makePool(), (pool) => {
    const counter = new Counter()
    return loop(count, counter, () => Effect.scoped(Effect.map(pool.acquire("rx"), counter.tick)))
  })

export const scopedGet: MakeBatch = (count) =>
  Effect.map(Pool.make({ acquire: Effect.sync(() => new Uint8Array(64 * 1024)), size: limit }), (pool) => {
    const counter = new Counter()
    return loop(count, counter, () => Effect.scoped(Effect.map(Pool.get(pool), counter.tick)))
  })

/** Take and give back while nobody waits: the core, and each way of the face beside what it would be replaced by. */
import * as Effect from "effect/Effect"
import * as Pool from "effect/Pool"
import * as Semaphore from "effect/Semaphore"
import type { Area } from "../../../headgate/src/internal/gate.ts"
import * as BufferPool from "../../../headgate/src/internal/pool.ts"
import { ordinaryProgram } from "./app.ts"
import { Counter } from "./counter.ts"
import type { Batch, MakeBatch } from "./measure.ts"

const limit = 8
let pools = 0
const makePool = () => BufferPool.make({ name: `uncontended ${++pools}`, limit })
/** What `rx` is in the core. */
const level = 3

/**
 * Places in a program where something is taken and used, and places where it is given back. There are five of either, for V8
 * compiles up to four into their caller, and these are to be called: in a program who takes and who gives back are far from
 * each other. Compiled into one loop, both are spared most of their checks, and the list nearly all of what it does.
 */
interface Places<A> {
  readonly take: ReadonlyArray<() => A | undefined>
  readonly giveBack: ReadonlyArray<(it: A) => void>
}

const inPlaces = <A>(count: number, counter: Counter, { giveBack, take }: Places<A>): Batch => ({
  count,
  done: counter.take,
  run: () => {
    for (let n = 0, place = 0; n < count; n++, place = place + 1 === take.length ? 0 : place + 1) {
      const one = take[place]!()
      if (one !== undefined) giveBack[place]!(one)
    }
  }
})

/** The gate of an ordinary pool, with the options that it has by default. */
export const core: MakeBatch = (count) =>
  Effect.map(makePool(), ({ gate }) => {
    const counter = new Counter()
    const used = (area: Area | undefined): Area | undefined => {
      if (area !== undefined) counter.write(area.bytes)
      return area
    }
    return inPlaces<Area>(count, counter, {
      take: [
        () => used(gate.take(level)),
        () => used(gate.take(level)),
        () => used(gate.take(level)),
        () => used(gate.take(level)),
        () => used(gate.take(level))
      ],
      giveBack: [
        (area) => gate.giveBack(area),
        (area) => gate.giveBack(area),
        (area) => gate.giveBack(area),
        (area) => gate.giveBack(area),
        (area) => gate.giveBack(area)
      ]
    })
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
    const used = (bytes: Uint8Array<ArrayBuffer> | undefined): Uint8Array<ArrayBuffer> | undefined => {
      if (bytes !== undefined) counter.write(bytes)
      return bytes
    }
    return inPlaces<Uint8Array<ArrayBuffer>>(count, counter, {
      take: [
        () => used(list.take()),
        () => used(list.take()),
        () => used(list.take()),
        () => used(list.take()),
        () => used(list.take())
      ],
      giveBack: [
        (bytes) => list.giveBack(bytes),
        (bytes) => list.giveBack(bytes),
        (bytes) => list.giveBack(bytes),
        (bytes) => list.giveBack(bytes),
        (bytes) => list.giveBack(bytes)
      ]
    })
  })

/** The same, with everything compiled into one loop. */
export const coreInOneLoop: MakeBatch = (count) =>
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

export const freeListInOneLoop: MakeBatch = (count) =>
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

/** In a process that has run an ordinary program before. */
export const inApp = (make: MakeBatch): MakeBatch => (count) => Effect.andThen(ordinaryProgram, make(count))

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

/**
 * One thing that many wait for: of Headgate, of Effect, and of the two pools that npm knows best. All have one resource, all
 * bodies are the same, and everybody waits before the clock starts.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Pool from "effect/Pool"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import genericPool from "generic-pool"
import * as tarn from "tarn"
import * as BufferPool from "../../../headgate/src/internal/pool.ts"
import { Counter } from "./counter.ts"
import { type Batch, patience } from "./measure.ts"

/** Somebody who waits. */
export interface Waiting {
  /** Gives up. */
  readonly leave: () => void
  readonly isGone: () => boolean
}

/** The resource, in the hands of somebody who holds it, and who else comes for it. */
export interface Shared {
  /** Takes it; what it returns lets the first of those who wait have it. */
  readonly hold: () => Promise<() => void>
  /** One more who waits for it, and then runs the body. */
  readonly enter: () => Waiting
}

/** Whose resource it is, with the body that each who has waited runs. */
export type Contender = (body: Body) => Effect.Effect<Shared, unknown, Scope.Scope>

/** A body in both forms. With a yield, which only fibers make, the event loop turns before it counts. */
export interface Body {
  readonly effect: Effect.Effect<void>
  readonly sync: () => void
}

const bodyOf = (counter: Counter, yields: boolean): Body => ({
  effect: yields ? Effect.andThen(Effect.yieldNow, counter.tickEffect) : counter.tickEffect,
  sync: counter.tick
})

class WaitingFiber implements Waiting {
  private readonly fiber: Fiber.Fiber<unknown, unknown>
  constructor(fiber: Fiber.Fiber<unknown, unknown>) {
    this.fiber = fiber
  }
  leave(): void {
    this.fiber.interruptUnsafe()
  }
  isGone(): boolean {
    return this.fiber.pollUnsafe() !== undefined
  }
}

/** Fibers: the holder is one too, whose body ends when it is told. */
const fibers = ({ effect }: Body, guard: (body: Effect.Effect<void>) => Effect.Effect<void, unknown>): Shared => {
  const guarded = guard(effect)
  return {
    hold: () =>
      new Promise((held) => {
        Effect.runFork(guard(Effect.callback<void>((resume) => held(() => resume(Effect.void)))))
      }),
    enter: () => new WaitingFiber(Effect.runFork(guarded))
  }
}

let pools = 0

export const headgate: Contender = (body) =>
  // Of two buffers one is the reserve, so whoever asks at `rx` waits for the other.
  Effect.map(BufferPool.make({ name: `bench ${++pools}`, limit: 2, reserve: 1 }), (pool) =>
    fibers(body, (inside) => pool.withBuffer("rx", () => inside)))

export const semaphore: Contender = (body) =>
  Effect.map(Semaphore.make(1), (one) => fibers(body, (inside) => one.withPermit(inside)))

export const effectPool: Contender = (body) =>
  Effect.map(
    Pool.make({ acquire: Effect.sync(() => new Uint8Array(64 * 1024)), size: 1 }),
    (pool) => fibers(body, (inside) => Pool.use(pool, () => inside))
  )

/** The floor: fibers that are parked and resumed one after the other, with nothing that they wait for. */
export const bareCallback: Contender = ({ effect }) =>
  Effect.sync(() => {
    const parked: Array<(effect: Effect.Effect<void>) => void> = []
    const park = Effect.flatMap(Effect.callback<void>((resume) => void parked.push(resume)), () => effect)
    return {
      hold: () =>
        Promise.resolve(() => {
          for (const resume of parked) resume(Effect.void)
          parked.length = 0
        }),
      enter: () => new WaitingFiber(Effect.runFork(park))
    }
  })

const cannotLeave: Waiting = {
  leave: () => {
    throw new Error("generic-pool has no way to give up an acquire")
  },
  isGone: () => false
}

export const genericPools: Contender = ({ sync }) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        genericPool.createPool({
          create: () => Promise.resolve(new Uint8Array(64 * 1024)),
          destroy: () => Promise.resolve()
        }, { max: 1 })
      ),
      (pool) => Effect.promise(() => pool.drain())
    ),
    (pool): Shared => ({
      hold: async () => {
        const bytes = await pool.acquire()
        return () => void pool.release(bytes)
      },
      enter: () => {
        const user = async () => {
          const bytes = await pool.acquire()
          sync()
          void pool.release(bytes)
        }
        void user()
        return cannotLeave
      }
    })
  )

class WaitingTarn implements Waiting {
  gone = false
  private readonly asked: { readonly abort: () => void }
  constructor(asked: { readonly abort: () => void }) {
    this.asked = asked
  }
  leave(): void {
    this.asked.abort()
  }
  isGone(): boolean {
    return this.gone
  }
}

export const tarnPool: Contender = ({ sync }) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        new tarn.Pool({
          create: () => Promise.resolve(new Uint8Array(64 * 1024)),
          destroy: () => {},
          min: 0,
          max: 1
        })
      ),
      (pool) => Effect.promise(() => pool.destroy())
    ),
    (pool): Shared => ({
      hold: async () => {
        const bytes = await pool.acquire().promise
        return () => void pool.release(bytes)
      },
      enter: () => {
        const asked = pool.acquire()
        const waiting = new WaitingTarn(asked)
        const user = async () => {
          const bytes = await asked.promise
          sync()
          pool.release(bytes)
        }
        user().catch(() => {
          waiting.gone = true
        })
        return waiting
      }
    })
  )

/** Few waiters make a short chain: so many of them are run one after the other that the clock has something to count. */
const operations = 2000

/** From the moment the holder lets go until all who wait have run. */
export const handOff = (
  contender: Contender,
  waiting: number,
  yields: boolean
): Effect.Effect<Batch, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const counter = new Counter()
    const each = bodyOf(counter, yields)
    const all = yield* Effect.all(Array.from({ length: Math.ceil(operations / waiting) }, () => contender(each)))
    let releases: Array<() => void> = []
    return {
      count: all.length * waiting,
      parts: all.length,
      done: counter.take,
      prepare: async () => {
        const goOn = patience()
        releases = []
        for (const shared of all) {
          releases.push(await shared.hold())
          for (let n = 0; n < waiting; n++) {
            goOn()
            shared.enter()
          }
        }
      },
      run: async () => {
        for (const release of releases) {
          const served = counter.until(waiting)
          release()
          await served
        }
      }
    }
  })

/** Leavers of one batch: at most a tenth of each queue, so that its length is what it is said to be. */
const departures = 200

/** Some of those who wait give up, from the middle of the queue; as many stand behind it before the next time. */
export const leaving = (contender: Contender, waiting: number): Effect.Effect<Batch, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const each = bodyOf(new Counter(), false)
    const leavers = Math.min(departures, Math.ceil(waiting / 10))
    const all = yield* Effect.all(Array.from({ length: Math.ceil(departures / leavers) }, () => contender(each)))
    const queues = all.map((shared) => ({ shared, waiting: new Array<Waiting>() }))
    let left: Array<Waiting> = []
    const prepare = async () => {
      const goOn = patience()
      left = []
      for (const queue of queues) {
        if (queue.waiting.length === 0) await queue.shared.hold()
        while (queue.waiting.length < waiting) {
          goOn()
          queue.waiting.push(queue.shared.enter())
        }
        left.push(...queue.waiting.splice((waiting - leavers) >> 1, leavers))
      }
    }
    return {
      count: queues.length * leavers,
      parts: queues.length,
      prepare,
      run: async () => {
        for (const one of left) one.leave()
        // What they leave to be done later is theirs, too.
        await new Promise((resolve) => setImmediate(resolve))
      },
      done: () => left.filter((one) => one.isGone()).length
    }
  })

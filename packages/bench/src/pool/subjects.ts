/** Everybody whom the pool bench measures, by name. A subject's measures are called like it, or like it, a blank and more. */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { allocated, type Batch, type Effort, type MakeBatch, perOperation, timed } from "./measure.ts"
import { deferredFibers, tasks } from "./tasks.ts"
import * as uncontended from "./uncontended.ts"
import {
  bareCallback,
  type Contender,
  effectPool,
  genericPools,
  handOff,
  headgate,
  leaving,
  semaphore,
  tarnPool
} from "./waiting.ts"

/** What a process reports of one round. */
export interface Report {
  /** Cost per operation: ns of CPU time, or bytes of heap. */
  readonly measures: Readonly<Record<string, number>>
  /** The size that would have taken too long, if there was one. */
  readonly stoppedAt?: number
}

export interface Subject {
  readonly name: string
  /** Options of Node that this measure needs. */
  readonly flags: ReadonlyArray<string>
  readonly measure: (effort: Effort) => Promise<Report>
}

/** A size that would take longer than this is left out, and so are those after it. */
export const longestMs = 20_000

/** The waiters of the rows that are about one number of them. */
export const manyWaiters = 10_000

const exposed = ["--expose-gc"]
/** All that one batch allocates stays in the young generation, uncollected. */
const roomy = [...exposed, "--min-semi-space-size=128", "--max-semi-space-size=128"]

/** In a scope that is left open: what still waits when all is measured ends with the process. */
const scoped = <A>(effect: Effect.Effect<A, unknown, Scope.Scope>): Promise<A> =>
  Effect.runPromise(Effect.flatMap(Scope.make(), (scope) => Scope.provide(effect, scope)))

const single = (name: string, make: MakeBatch, manifold = 1): Subject => ({
  name,
  flags: exposed,
  measure: (effort) =>
    scoped(Effect.flatMap(make(effort.batch * manifold), (batch) =>
      Effect.promise(async () => {
        await timed(batch, effort.warmUpMs)
        const { run } = await timed(batch, effort.measureMs)
        return { measures: { [name]: perOperation(name, run) } }
      })))
})

/** The bytes that it allocates, instead of the time that it takes. */
const heap = (name: string, make: MakeBatch, manifold: number): Subject => ({
  name,
  flags: roomy,
  measure: (effort) =>
    scoped(Effect.flatMap(make(effort.batch * manifold), (batch) =>
      Effect.promise(async () => {
        await timed(batch, effort.warmUpMs)
        const bytes = perOperation(name, await allocated(batch))
        // What the counting itself allocates is shared by all operations: less than half a byte of each is nothing.
        return { measures: { [name]: Math.round(bytes) } }
      })))
})

/**
 * One measure for each size, and one for what was prepared if that is of interest. It stops before a size at which one batch
 * would take more than 20 s, by how the last one grew (and at least as much as the size), and says so.
 */
const growing = (
  name: string,
  make: (size: number) => Effect.Effect<Batch, unknown, Scope.Scope>,
  { only, prepared }: { readonly prepared?: string; readonly only?: number } = {}
): Subject => ({
  name,
  flags: exposed,
  measure: async (effort) => {
    const [smallest = 1] = effort.sizes
    const sizes = only === undefined ? effort.sizes : [Math.min(only, effort.sizes.at(-1) ?? only)]
    await sized(make(smallest), effort.warmUpMs)
    const measures: Record<string, number> = {}
    let before: { readonly size: number; readonly ms: number } | undefined = undefined
    let growth = 1
    for (const size of sizes) {
      const expectedMs: number = before === undefined ? 0 : before.ms * Math.max(growth, size / before.size)
      if (expectedMs > longestMs) return { measures, stoppedAt: size }
      const { ms, prepare, run } = await sized(make(size), effort.measureMs)
      if (ms > longestMs) return { measures, stoppedAt: size }
      measures[`${name} ${size}`] = perOperation(`${name} ${size}`, run)
      if (prepared !== undefined) measures[`${name} ${prepared} ${size}`] = prepare.cost / prepare.count
      if (before !== undefined) growth = ms / before.ms
      before = { size, ms }
    }
    return { measures }
  }
})

/** The costs at one size, and how long one batch took on the clock. */
const sized = (make: Effect.Effect<Batch, unknown, Scope.Scope>, measureMs: number) =>
  scoped(Effect.flatMap(make, (batch) =>
    Effect.promise(async () => {
      const startedAt = performance.now()
      const measured = await timed(batch, measureMs)
      return { ...measured, ms: (performance.now() - startedAt) * batch.count / measured.run.count }
    })))

const contenders: Readonly<Record<string, Contender>> = {
  "headgate": headgate,
  "Semaphore": semaphore,
  "Pool": effectPool,
  "generic-pool": genericPools,
  "tarn": tarnPool
}

/** generic-pool has no way to give up an acquire. */
export const leavers = Object.keys(contenders).filter((name) => name !== "generic-pool")
export const queues = Object.keys(contenders)

export const subjects: ReadonlyArray<Subject> = [
  single("core", uncontended.core, 100),
  single("free list", uncontended.freeList, 100),
  single("driver", uncontended.driver),
  single("withBuffer", uncontended.withBuffer),
  single("withBufferSync", uncontended.withBufferSync),
  single("withPermit", uncontended.withPermit),
  single("acquire", uncontended.scopedAcquire),
  single("Pool.get", uncontended.scopedGet),
  heap("heap of core", uncontended.core, 500),
  heap("heap of free list", uncontended.freeList, 500),
  heap("heap of driver", uncontended.driver, 20),
  heap("heap of withBuffer", uncontended.withBuffer, 20),
  heap("heap of withPermit", uncontended.withPermit, 20),
  ...Object.entries(contenders).flatMap(([name, contender]) => [
    growing(`hand-off of ${name}`, (size) => handOff(contender, size, false), { prepared: "parked" }),
    growing(`yielding of ${name}`, (size) => handOff(contender, size, true), { only: manyWaiters }),
    ...(leavers.includes(name) ? [growing(`leave of ${name}`, (size) => leaving(contender, size))] : [])
  ]),
  growing("bare resume", (size) => handOff(bareCallback, size, false)),
  growing("tasks", tasks),
  growing("deferred fibers", deferredFibers)
]

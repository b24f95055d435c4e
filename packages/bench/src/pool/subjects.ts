/** Everybody whom the pool bench measures, by name. A subject's measures are called like it, or like it, a blank and more. */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { ordinaryProgram } from "./app.ts"
import {
  allocated,
  type Batch,
  type Effort,
  longestMs,
  type MakeBatch,
  perOperation,
  type Timed,
  timed,
  TooLong,
  warmUp
} from "./measure.ts"
import { deferredFibers, deferredFibersWithoutScopes, tasks } from "./tasks.ts"
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
        await warmUp(batch, effort.warmUpMs)
        const { run } = await timed(batch, effort.measureMs)
        return { measures: { [name]: perOperation(name, run) } }
      })))
})

/** In a process that has run an ordinary program before, and in one that has not. */
const inBoth = (name: string, make: MakeBatch): ReadonlyArray<Subject> => [
  single(name, uncontended.inApp(make)),
  single(`${name}, alone`, make)
]

/** The bytes that it allocates, instead of the time that it takes. */
const heap = (name: string, make: MakeBatch, manifold: number): Subject => ({
  name,
  flags: roomy,
  measure: (effort) =>
    scoped(Effect.flatMap(make(effort.batch * manifold), (batch) =>
      Effect.promise(async () => {
        await warmUp(batch, effort.warmUpMs)
        const bytes = perOperation(name, await allocated(batch))
        // What the counting itself allocates is shared by all operations: less than half a byte of each is nothing.
        return { measures: { [name]: Math.round(bytes) } }
      })))
})

/**
 * One measure for each size, and one for what was prepared if that is of interest. It stops before a size whose batch would
 * run for more than 20 s, by how the last one's grew (and at least as much as the size), or at one that is prepared for as
 * long, and says so.
 */
const growing = (
  name: string,
  make: (size: number) => Effect.Effect<Batch, unknown, Scope.Scope>,
  { only, prepared }: { readonly prepared?: string; readonly only?: number } = {}
): Subject => ({
  name,
  flags: exposed,
  measure: async (effort) => {
    await Effect.runPromise(ordinaryProgram)
    const sizes = only === undefined ? effort.sizes : [Math.min(only, effort.sizes.at(-1) ?? only)]
    const warm = make(Math.min(warmUpSize, sizes.at(-1) ?? 1))
    await scoped(Effect.flatMap(warm, (batch) => Effect.promise(() => warmUp(batch, effort.warmUpMs))))
    const measures: Record<string, number> = {}
    let before: { readonly size: number; readonly ms: number } | undefined = undefined
    let growth = 1
    for (const size of sizes) {
      const expectedMs: number = before === undefined ? 0 : before.ms * Math.max(growth, size / before.size)
      const costs: Sized | undefined = expectedMs > longestMs ? undefined : await sized(make(size), effort)
      if (costs === undefined) return { measures, stoppedAt: size }
      measures[`${name} ${size}`] = perOperation(`${name} ${size}`, costs.run)
      if (prepared !== undefined) measures[`${name} ${prepared} ${size}`] = costs.prepare.cost / costs.prepare.count
      if (before !== undefined) growth = costs.partMs / before.ms
      before = { size, ms: costs.partMs }
    }
    return { measures }
  }
})

interface Sized extends Timed {
  /** CPU time of one part's run. */
  readonly partMs: number
}

/** The size at which code is warmed up, if there are larger ones. */
const warmUpSize = 1000

/**
 * The costs at one size, unless preparing takes too long. What is made once and for all (ten thousand tasks) is warmed up
 * first, for V8 is still marking the heap that was made with it, and measured longer, over several collections of the young.
 */
const sized = (
  make: Effect.Effect<Batch, unknown, Scope.Scope>,
  { measureMs, warmUpMs }: Effort
): Promise<Sized | undefined> =>
  scoped(Effect.flatMap(make, (batch) =>
    Effect.promise(async () => {
      try {
        if (batch.prepare === undefined) await warmUp(batch, warmUpMs)
        const measured = await timed(batch, batch.prepare === undefined ? 2 * measureMs : measureMs)
        const parts = (batch.parts ?? 1) * measured.run.count / batch.count
        return { ...measured, partMs: measured.run.cost / 1e6 / parts }
      } catch (error) {
        if (error instanceof TooLong) return undefined
        throw error
      }
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
/** With a yield in each body, only what runs on Effect's scheduler is compared. */
const yielders = ["headgate", "Semaphore", "Pool"]
export const queues = Object.keys(contenders)

export const subjects: ReadonlyArray<Subject> = [
  single("core", uncontended.core, 100),
  single("free list", uncontended.freeList, 100),
  single("core in one loop", uncontended.coreInOneLoop, 100),
  single("free list in one loop", uncontended.freeListInOneLoop, 100),
  ...inBoth("driver", uncontended.driver),
  ...inBoth("withBuffer", uncontended.withBuffer),
  ...inBoth("withBufferSync", uncontended.withBufferSync),
  ...inBoth("withPermit", uncontended.withPermit),
  ...inBoth("acquire", uncontended.scopedAcquire),
  ...inBoth("Pool.get", uncontended.scopedGet),
  heap("heap of core", uncontended.core, 500),
  heap("heap of free list", uncontended.freeList, 500),
  heap("heap of driver", uncontended.driver, 20),
  heap("heap of withBuffer", uncontended.withBuffer, 20),
  heap("heap of withPermit", uncontended.withPermit, 20),
  // Beside what it is the floor of: machines drift.
  growing("bare resume", (size) => handOff(bareCallback, size, false)),
  ...Object.entries(contenders).flatMap(([name, contender]) => [
    growing(`hand-off of ${name}`, (size) => handOff(contender, size, false), { prepared: "parked" }),
    ...(yielders.includes(name)
      ? [growing(`yielding of ${name}`, (size) => handOff(contender, size, true), { only: manyWaiters })]
      : []),
    ...(leavers.includes(name) ? [growing(`leave of ${name}`, (size) => leaving(contender, size))] : [])
  ]),
  growing("tasks", tasks),
  growing("deferred fibers", deferredFibers),
  growing("deferred fibers, no scopes", deferredFibersWithoutScopes, { only: manyWaiters })
]

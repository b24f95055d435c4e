/**
 * How something is measured inside a process: in batches, by tinybench, with the CPU time of the process as its clock.
 *
 * CPU time and not the clock on the wall, because neighbours take turns on the same processors; of the whole process and not
 * of its main thread alone, because the garbage that one leaves is collected by V8's other threads. The operating system
 * counts it (`getrusage`, in microseconds), so a batch must be much longer than that. What counts is the mean over all
 * batches: a median would leave out those in which garbage was collected.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as v8 from "node:v8"
import { Bench } from "tinybench"

/** `run` does `count` operations. */
export interface Batch {
  readonly count: number
  readonly run: () => Promise<void> | void
  /** How many were seen to be done since the last call. */
  readonly done: () => number
  /** Done before each `run`, and not part of it. */
  readonly prepare?: () => Promise<void>
  /** How many equal parts, one after the other, it consists of; 1 unless said. */
  readonly parts?: number
}

export type MakeBatch = (size: number) => Effect.Effect<Batch, unknown, Scope.Scope>

export interface Measured {
  /** Operations that were measured. */
  readonly count: number
  /** What they cost together: CPU time in ns, or bytes of heap. */
  readonly cost: number
  /** Operations that were seen to be done, while measured: `count`, or the measure is worth nothing. */
  readonly done: number
}

export interface Effort {
  /** CPU time to be spent on warming up, and on each measure, at least. */
  readonly warmUpMs: number
  readonly measureMs: number
  /** Operations of a batch of those that are made one at a time. */
  readonly batch: number
  /** Numbers of waiters or tasks, ascending. */
  readonly sizes: ReadonlyArray<number>
}

/** What takes longer than this at one size is left out, and so is what is larger. */
export const longestMs = 20_000

export class TooLong extends Error {}

/** From now on; each call throws once it has been too long. */
export const patience = (): () => void => {
  const startedAt = performance.now()
  return () => {
    if (performance.now() - startedAt > longestMs) throw new TooLong(`it has taken more than ${longestMs} ms`)
  }
}

const cpuMs = (): number => {
  const { system, user } = process.cpuUsage()
  return (user + system) / 1000
}

export interface Timed {
  readonly run: Measured
  readonly prepare: Measured
}

/**
 * The CPU time of `run`, and of `prepare` if there is one: batch after batch until `measureMs` are spent, or five times as
 * long on the clock, which preparing may take, but always one.
 */
export const timed = (batch: Batch, measureMs: number): Promise<Timed> =>
  repeated(batch, settled, { cpuMs: measureMs, clockMs: 5 * measureMs })

/** The same for at most that long on the clock, to no end but that V8 has compiled what it will. */
export const warmUp = async (batch: Batch, warmUpMs: number): Promise<void> =>
  void await repeated(batch, () => Promise.resolve(), { cpuMs: warmUpMs, clockMs: warmUpMs })

type Settle = () => Promise<void>

const repeated = async (
  batch: Batch,
  settle: Settle,
  budget: { readonly cpuMs: number; readonly clockMs: number }
): Promise<Timed> => {
  // What was made once and for all (ten thousand tasks) lives on, as what is prepared for each batch does.
  if (batch.prepare === undefined) await settle()
  const startedAt = performance.now()
  let all = await batches(batch, 1, settle)
  // The first batch is the slowest: what it takes says how many to make next, until the budget is spent.
  for (let spentMs = performance.now() - startedAt; spentMs < budget.clockMs && all.run.cost / 1e6 < budget.cpuMs;) {
    const done = all.run.count / batch.count
    const left = Math.min((budget.cpuMs * 1e6 - all.run.cost) / all.run.cost, (budget.clockMs - spentMs) / spentMs) *
      done
    all = sum(all, await batches(batch, Math.max(1, Math.floor(left)), settle))
    spentMs = performance.now() - startedAt
  }
  return all
}

const batches = async (batch: Batch, iterations: number, settle: Settle): Promise<Timed> => {
  let done = 0
  let prepareMs = 0
  const bench = new Bench({ now: cpuMs, iterations, time: 0, warmup: false, throws: true })
  bench.add("batch", batch.run, {
    async: true,
    beforeEach: async () => {
      const before = cpuMs()
      await batch.prepare?.()
      prepareMs += cpuMs() - before
      if (batch.prepare !== undefined) await settle()
    },
    afterEach: () => {
      done += batch.done()
    }
  })
  const [task] = await bench.run()
  if (task === undefined || task.result.state !== "completed") throw new Error(`tinybench: ${task?.result.state}`)
  const count = iterations * batch.count
  return {
    run: { count, cost: task.result.totalTime * 1e6, done },
    prepare: { count, cost: prepareMs * 1e6, done }
  }
}

const sum = (one: Timed, other: Timed): Timed => ({
  run: added(one.run, other.run),
  prepare: added(one.prepare, other.prepare)
})

const added = (one: Measured, other: Measured): Measured => ({
  count: one.count + other.count,
  cost: one.cost + other.cost,
  done: one.done + other.done
})

/**
 * What was prepared lives on: without two collections of the young, moving it to the old generation would be part of the
 * measure, and so would what V8's threads still have to do then, for which they have at most 100 ms. Not a full collection:
 * it discards compiled code, with every batch anew, and programs seldom have one just before a hand-off.
 */
export const settled = async (): Promise<void> => {
  if (globalThis.gc === undefined) return
  for (let time = 0; time < 2; time++) globalThis.gc({ type: "minor", execution: "sync" })
  for (let look = 0; look < 50; look++) {
    const before = cpuMs()
    await new Promise((resolve) => setTimeout(resolve, 2))
    if (cpuMs() - before < 0.5) return
  }
}

/** Bytes of heap that one `run` allocates. Needs `--expose-gc`, and a young generation that holds them all. */
export const allocated = async (batch: Batch): Promise<Measured> => {
  for (let attempt = 0; attempt < 5; attempt++) {
    globalThis.gc?.()
    const profiler = new v8.GCProfiler()
    profiler.start()
    const before = v8.getHeapStatistics().used_heap_size
    await batch.run()
    const cost = v8.getHeapStatistics().used_heap_size - before
    const collections = profiler.stop()?.statistics.length ?? 0
    const done = batch.done()
    if (collections === 0) return { count: batch.count, cost: Math.max(0, cost), done }
  }
  throw new Error("garbage was collected in each of five attempts to count what is allocated")
}

/** Throws unless all of the work was seen to be done. */
export const perOperation = (name: string, { cost, count, done }: Measured): number => {
  if (count <= 0 || done !== count) throw new Error(`${name}: ${done} operations were done of ${count}`)
  return cost / count
}

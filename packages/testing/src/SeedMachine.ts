/**
 * HAProxy's dynamic buffer management as it was when it learned to let each entity wait for itself (the "seed"), and
 * just before that (its "parent"), as a pure machine: `step(state, operation)` returns the next state and what was seen.
 *
 * Invariant: it decides as HAProxy's own functions did, in every step that was recorded from them, counters included.
 * That is why it shares no code with the library, and why it keeps the seed's faults: it is what the laws are tried on.
 *
 * An operation is written as in the recorded traces: `{ op: "put", args: { e: 0, side: "req", n: 8 } }`, where `e` is the
 * index of an entity, `side` is the request's or the response's channel, `n` counts bytes. Results are integers, yes is 1.
 */
import { bytesOf, callsSince, type Draft, draftOf, stateOf } from "./internal/seed/draft.ts"
import { act } from "./internal/seed/entities.ts"
import type {
  Channels,
  Entity,
  Operation,
  Outcome,
  PoolConfig,
  Refusal,
  Revision,
  State,
  TaskRun
} from "./internal/seed/model.ts"
import { initialCounters, marginOf, mayTake } from "./internal/seed/pool.ts"
import * as schedulers from "./internal/seed/schedulers.ts"

export type * from "./internal/seed/model.ts"
export * from "./internal/seed/operations.ts"
export { initialCounters, marginOf, mayTake }

/** A machine at its start: every entity exists, nothing is lent, all queues are empty. `bufsize` is in bytes. */
export const initial = (
  options: PoolConfig & {
    readonly revision: Revision
    readonly entities: ReadonlyArray<Entity>
    readonly bufsize?: number | undefined
  }
): State => {
  const { minavail, allocated, used } = initialCounters(options.limit, options.reserved)
  return {
    revision: options.revision,
    limit: options.limit,
    reserved: options.reserved,
    minavail,
    bufsize: options.bufsize ?? 64,
    entities: options.entities,
    allocated,
    used,
    failed: 0,
    failing: 0,
    waitQueue: [],
    runQueue: [],
    activeQueue: [],
    miscounted: 0,
    channels: options.entities.map(() => ({ req: null, res: null })),
    callbacks: options.entities.map((entity) => entity.kind === "generic" ? entity.cb : "accept"),
    freed: [],
    refusals: []
  }
}

/** A state and what was seen on the way to it. */
export interface Step {
  readonly state: State
  readonly outcome: Outcome
}

/** Performs one operation on a copy; the state given is unchanged. Costs one copy of the lists, plus the operation. */
export const step = (state: State, operation: Operation): Step => {
  const draft = draftOf(state)
  switch (operation.op) {
    case "runTasks":
      return seen(draft, schedulers.runTasks(draft, operation.ran ?? []))
    case "runApplets":
      return seen(draft, schedulers.runApplets(draft, operation.ran ?? []))
    default:
      return seen(draft, act(draft, operation))
  }
}

const seen = (draft: Draft, result: number | ReadonlyArray<TaskRun>): Step => {
  const shown = typeof result === "number" ? { result } : { result: result.length, ran: result }
  return { state: stateOf(draft), outcome: { ...shown, ...callsSince(draft, 0) } }
}

/** Performs operations one after the other; returns the last state. */
export const run = (state: State, operations: ReadonlyArray<Operation>): State =>
  operations.reduce((state, operation) => step(state, operation).state, state)

/** What an observer of the seed sees: the two counters of runnable things are lengths of its lists, except at the parent. */
export interface Observation {
  readonly allocated: number
  readonly used: number
  readonly failed: number
  readonly waitQueue: ReadonlyArray<number>
  readonly tasksRunQueue: number
  readonly appletsActiveQueue: number
  readonly runQueue: ReadonlyArray<number>
  readonly activeQueue: ReadonlyArray<number>
  /** Who holds a buffer, by id, with the bytes in each; an applet never does, its host does. */
  readonly holding: ReadonlyMap<number, Channels>
}

/** The observable part of a state. */
export const observe = (state: State): Observation => ({
  allocated: state.allocated,
  used: state.used,
  failed: state.failed,
  waitQueue: state.waitQueue,
  tasksRunQueue: state.runQueue.length,
  appletsActiveQueue: state.activeQueue.length + state.miscounted,
  runQueue: state.runQueue,
  activeQueue: state.activeQueue,
  holding: new Map([...state.channels.entries()].filter(([, { req, res }]) => req !== null || res !== null))
})

/** Whether nothing will run any more by itself. */
export const isAtRest = (state: State): boolean => state.runQueue.length === 0 && state.activeQueue.length === 0

/**
 * The law "who waits is not entitled", as its violations: who was refused a buffer, is not about to run, and may take one.
 * At rest, such a waiter sleeps until somebody else happens to give a buffer back, or for ever.
 */
export const lostWakeups = (state: State): ReadonlyArray<Refusal> =>
  state.refusals.filter(({ e, side }) =>
    !state.runQueue.includes(e) && !state.activeQueue.includes(e) &&
    bytesOf(state, e, side) === null && mayTake(state, marginOf(state, side))
  )

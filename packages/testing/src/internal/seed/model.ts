/**
 * The words of the seed's machine: entities, operations, the state between two operations, what an operation shows.
 *
 * Invariant: all of it is plain immutable data, in the form of the recorded traces, so a step of a trace is an operation
 * as it stands, and a search may branch from any state it kept.
 */

/** The two directions of a stream: `req` leaves the reserve behind it, `res` leaves nothing. */
export type Side = "req" | "res"

/** `seed` is the revision that lets each entity wait for itself, `parent` the one just before it. */
export type Revision = "seed" | "parent"

/** What the callback of a generic entity does when a buffer is offered to it. */
export type CallbackMode = "accept" | "refuse" | "allocReq" | "allocRes" | "wakeTask"

export interface Stream {
  readonly kind: "stream"
}

/** Feeds one side of its host stream and owns no channel. */
export interface Applet {
  readonly kind: "applet"
  readonly host: number
  readonly side: Side
}

/** Any other waiter (a filter, say): two channels like a stream, no task, a callback that can be changed. */
export interface Generic {
  readonly kind: "generic"
  readonly cb: CallbackMode
  readonly wakes?: number | undefined
}

/** Its id is its index in the list of entities. */
export type Entity = Stream | Applet | Generic

/** Counts of buffers; a `limit` of 0 means none. */
export interface PoolConfig {
  readonly limit: number
  readonly reserved: number
}

/** Bytes in the buffer of each side; `null`: that side has no buffer. */
export type Channels = Readonly<Record<Side, number | null>>

/** An entity that was refused a buffer for a side and has not had its turn since. */
export interface Refusal {
  readonly e: number
  readonly side: Side
}

/** The machine between two operations. */
export interface State extends PoolConfig {
  readonly revision: Revision
  readonly minavail: number
  readonly bufsize: number
  readonly entities: ReadonlyArray<Entity>
  readonly allocated: number
  readonly used: number
  /** Mallocs that failed, since the start. */
  readonly failed: number
  /** Mallocs that are still to fail, by `failMalloc`. */
  readonly failing: number
  readonly waitQueue: ReadonlyArray<number>
  readonly runQueue: ReadonlyArray<number>
  readonly activeQueue: ReadonlyArray<number>
  /** Applets unlinked from the active queue but still counted in it; only the parent revision forgets them. */
  readonly miscounted: number
  readonly channels: ReadonlyArray<Channels>
  readonly callbacks: ReadonlyArray<CallbackMode>
  readonly freed: ReadonlyArray<number>
  /** Who really waits: the seed keeps no such record and nothing in the machine reads it. It is here for the laws. */
  readonly refusals: ReadonlyArray<Refusal>
}

type Args<A> = { readonly args: Readonly<A> }

/** What can happen outside the schedulers, or inside a run. */
export type Action =
  | { readonly op: "channelAlloc" | "channelRelease" } & Args<{ e: number; side: Side }>
  | { readonly op: "put" | "consume" } & Args<{ e: number; side: Side; n: number }>
  | { readonly op: "allocWork" | "releaseBuffers" | "freeEntity" | "taskWakeup" | "appletWakeup" } & Args<{ e: number }>
  | { readonly op: "offer" } & Args<{ from: number | null; threshold: number }>
  | { readonly op: "setCb" } & Args<{ e: number; mode: CallbackMode }>
  | { readonly op: "failMalloc" } & Args<{ n: number }>
  | { readonly op: "gc" | "flush" } & Args<Record<never, never>>

/** What an entity does when it runs: its nth script in a pass is for its nth run. `stay`: an applet asks to go on. */
export interface Script {
  readonly e: number
  readonly actions: ReadonlyArray<Action>
  readonly stay?: boolean | undefined
}

/** One pass of a scheduler. The machine decides who runs and in which order; the scripts only say what a run does. */
export type Pass =
  | { readonly op: "runTasks" } & Args<Record<never, never>> & Scripts
  | { readonly op: "runApplets" } & Args<Record<never, never>> & Scripts

type Scripts = { readonly ran?: ReadonlyArray<Script> | undefined }

export type Operation = Action | Pass

/** A wake-up callback that was called, and whether it accepted. */
export type Call = readonly [e: number, accepted: 0 | 1]

/** Callbacks in call order: `cbs` all of them, `woken` those that accepted. */
export interface Calls {
  readonly woken: ReadonlyArray<number>
  readonly cbs: ReadonlyArray<Call>
}

/** An action inside a run, with `[allocated, used]` after it. */
export type ActionOutcome = Action & Calls & { readonly result: number; readonly au: readonly [number, number] }

export interface TaskRun {
  readonly e: number
  readonly actions: ReadonlyArray<ActionOutcome>
}

/** `alloc`: whether it got its input buffer (1 or 0), `au`: `[allocated, used]` then, `release`: what its end woke. */
export interface AppletRun extends TaskRun {
  readonly alloc: number
  readonly au: readonly [number, number]
  readonly stay: boolean
  readonly release: Calls
}

/** What an operation shows. `ran` is there for a pass only, in execution order. */
export interface Outcome extends Calls {
  readonly result: number
  readonly ran?: ReadonlyArray<TaskRun | AppletRun> | undefined
}

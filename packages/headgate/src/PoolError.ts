/**
 * What can go wrong between a caller and a pool. Each error carries the numbers that explain it; its message says them.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type { Criticality } from "./Criticality.ts"

/**
 * One option that breaks a rule.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConfigProblem {
  readonly field: string
  readonly value: unknown
  readonly rule: string
}

/** Whatever somebody passed or threw: a message must not throw. */
const show = (value: unknown): string => {
  try {
    return typeof value === "string" ? JSON.stringify(value) : String(value)
  } catch {
    return "a value that cannot be printed"
  }
}

/**
 * Options that break a rule: all problems at once, each with field, value and rule.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigError extends Data.TaggedError("ConfigError")<{ readonly problems: ReadonlyArray<ConfigProblem> }> {
  override get message(): string {
    return this.problems.map(({ field, rule, value }) => `${field} = ${show(value)}: ${rule}`).join("\n")
  }
}

/**
 * The memory of a buffer could not be had. Only while a layer is built: later it is a shortage like any other.
 *
 * @category errors
 * @since 0.1.0
 */
export class AllocationFailed extends Data.TaggedError("AllocationFailed")<{
  readonly pool: string
  /** Bytes of the buffer that could not be created. */
  readonly bufferSize: number
  /** Buffers that existed when it failed. */
  readonly allocated: number
  readonly cause: unknown
}> {
  override get message(): string {
    return `pool "${this.pool}" could not create a buffer of ${this.bufferSize} bytes beside ${this.allocated} others: ${
      show(this.cause)
    }`
  }
}

/**
 * The pool is closed: its layer's scope has ended, or is ending.
 *
 * @category errors
 * @since 0.1.0
 */
export class PoolClosed extends Data.TaggedError("PoolClosed")<{ readonly pool: string }> {
  override get message(): string {
    return `pool "${this.pool}" is closed`
  }
}

/**
 * What every shortage says of the pool at that moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shortage {
  readonly pool: string
  readonly criticality: Criticality
  readonly limit: number
  readonly used: number
  readonly reserve: number
  /** Waiters queued, of all classes. */
  readonly queued: number
  /** The longest of their waits so far, in milliseconds; 0 if nobody waits. */
  readonly oldestWaitMs: number
  /** For how long the oldest lease has been out, in milliseconds; known only with `leakThreshold`. */
  readonly longestHeldMs: number | undefined
}

const describe = (s: Shortage): string =>
  `${s.used} of ${s.limit} buffers lent, ${s.reserve} in reserve, asked at "${s.criticality}", ${s.queued} waiting` +
  (s.queued > 0 ? ` (the oldest for ${Math.round(s.oldestWaitMs)} ms)` : "") +
  (s.longestHeldMs === undefined ? "" : `, the oldest lease out for ${Math.round(s.longestHeldMs)} ms`)

/**
 * No buffer may be taken now, and the caller did not want to wait.
 *
 * @category errors
 * @since 0.1.0
 */
export class BufferUnavailable extends Data.TaggedError("BufferUnavailable")<
  Shortage & { readonly cause?: AllocationFailed | undefined }
> {
  override get message(): string {
    const why = this.cause === undefined ? "" : `; ${this.cause.message}`
    return `pool "${this.pool}" has no buffer to take: ${describe(this)}${why}`
  }
}

/**
 * A fiber may not wait for a buffer: `insideRun`, for an entity's run that slept for a buffer would sit on its grants;
 * or `maxWaiting`, for the queue of its class is full.
 *
 * @category errors
 * @since 0.1.0
 */
export class WaitRefused extends Data.TaggedError("WaitRefused")<
  Shortage & { readonly why: "insideRun" | "maxWaiting" }
> {
  override get message(): string {
    const why = this.why === "insideRun" ? "an entity's run may not wait" : "the queue of its class is full"
    return `pool "${this.pool}" refuses to let a fiber wait, ${why}: ${describe(this)}`
  }
}

/**
 * A channel's buffer is not here yet: its filler is queued in its own name, and is run again when the buffer is its own. A
 * run that fails with it is simply over.
 *
 * @category errors
 * @since 0.1.0
 */
export class BufferPending extends Data.TaggedError("BufferPending")<{
  readonly pool: string
  readonly stream: string
  readonly side: "request" | "response"
}> {
  override get message(): string {
    return `the ${this.side} channel of ${this.stream} waits for a buffer of pool "${this.pool}"`
  }
}

/**
 * A broken promise of the caller, thrown where it is broken (inside an effect: a defect). The pool's state is unchanged.
 *
 * @category errors
 * @since 0.1.0
 */
export class BufferMisuse extends Data.TaggedError("BufferMisuse")<{
  readonly pool: string
  readonly fact: string
}> {
  override get message(): string {
    return `pool "${this.pool}": ${this.fact}`
  }
}

/**
 * An entity's channels are in an order of margins that can freeze: what a consumer needs in order to empty a channel must
 * have a smaller margin than that channel. A defect of `make`, for it is a mistake of the program.
 *
 * @category errors
 * @since 0.1.0
 */
export class CriticalityOrder extends Data.TaggedError("CriticalityOrder")<{
  readonly entity: string
  readonly request: Criticality
  readonly response: Criticality
  readonly reserve: number
  readonly requestMargin: number
  readonly responseMargin: number
}> {
  override get message(): string {
    return `${this.entity}: the response at "${this.response}" (margin ${this.responseMargin}) must have a smaller margin ` +
      `than the request at "${this.request}" (margin ${this.requestMargin}), with a reserve of ${this.reserve}`
  }
}

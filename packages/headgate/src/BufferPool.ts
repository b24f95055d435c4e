/**
 * At most `limit` buffers of `bufferSize` bytes, lent to whoever asks in order of criticality, and never forgotten.
 *
 * `withBuffer` is the form for fibers; `acquire` for buffers that outlive one effect; `tryAcquire` for those who will not
 * wait; `pool.waitQueue` for callbacks and entities of your own.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { ByteBuffer } from "./ByteBuffer.ts"
import type { Criticality } from "./Criticality.ts"
import * as internal from "./internal/pool.ts"
import type { AllocationFailed, BufferUnavailable, ConfigError, PoolClosed, WaitRefused } from "./PoolError.ts"
import { type Waiting, WaitQueue } from "./WaitQueue.ts"

/**
 * The options of a pool. All may be left out.
 *
 * @category models
 * @since 0.1.0
 */
export interface BufferPoolOptions {
  /** For logs, errors and metrics. Default `"default"`; two living pools of one name are logged. */
  readonly name?: string | undefined
  /** Buffers at most. Default 1024. */
  readonly limit?: number | undefined
  /** Buffers that only the more critical classes may use. Default `min(3, limit - 1)`. */
  readonly reserve?: number | undefined
  /** Bytes of one buffer. Default 64 KiB. */
  readonly bufferSize?: number | undefined
  /** Buffers created while the layer is built, if that is more than `reserve + 1`, which always are. Default 0. */
  readonly prealloc?: number | undefined
  /** Fibers that may wait in one class; the next one fails at once. Default Infinity. */
  readonly maxWaiting?: number | undefined
  /** A wait at `endpoint` or `rx` that is favoured from then on, in turns. Default 1 second; `"Infinity"` turns it off. */
  readonly ageAfter?: Duration.Input | undefined
  /** A lease older than this is reported once, and so is its return. Default: off (the clock is not read at takes). */
  readonly leakThreshold?: Duration.Input | undefined
  /** Remember where each lease was taken, for the leak report. Costs a stack trace per take. Default false. */
  readonly trackOrigins?: boolean | undefined
  /** Zero each buffer as it comes back. Default false. */
  readonly wipe?: boolean | undefined
  /** Every costly check: recount after each step, empty old views at give-back, refuse nesting against the order. */
  readonly debug?: boolean | undefined
  /** Makes the memory of a buffer; a throw is a shortage. For tests of yours. Default `new Uint8Array(size)`. */
  readonly allocate?: ((size: number) => Uint8Array<ArrayBuffer>) | undefined
}

/**
 * How many fibers and entities wait in each class, and for how long the oldest of them has.
 *
 * @category models
 * @since 0.1.0
 */
export interface ClassSnapshot {
  readonly waiting: number
  readonly oldestWaitMs: number
  /** Buffers lent at this class. */
  readonly lent: number
}

/**
 * A picture of a pool at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface PoolSnapshot {
  readonly name: string
  readonly limit: number
  readonly reserve: number
  readonly bufferSize: number
  /** Buffers that may exist now: `limit`, less after a failed creation, more while shrinking. */
  readonly capacity: number
  readonly allocated: number
  readonly used: number
  /** `capacity - used`. */
  readonly free: number
  readonly highWater: number
  readonly closed: boolean
  readonly favoured: Criticality | undefined
  readonly classes: { readonly [C in Criticality]: ClassSnapshot }
  /** Who is queued, by class and in order, then grants that were not collected yet, with their age. */
  readonly waiting: ReadonlyArray<Waiting>
  /** Leases that are out, oldest first; their ages are known only with `leakThreshold`. */
  readonly holders: ReadonlyArray<
    {
      readonly criticality: Criticality
      readonly pins: number
      readonly heldMs: number | undefined
      readonly origin: string | undefined
    }
  >
  /** Since the pool was made. */
  readonly counters: {
    readonly takes: number
    readonly handOffs: number
    readonly passedOn: number
    readonly declined: number
    readonly wakesThrown: number
    readonly unavailable: number
    readonly refused: number
    readonly misuse: number
    readonly leaks: number
    readonly created: number
    readonly creationsFailed: number
  }
  /** Waits that ended in a grant: `buckets[i]` were shorter than `2^i` ms (the last: any longer). */
  readonly waits: { readonly count: number; readonly totalMs: number; readonly buckets: ReadonlyArray<number> }
}

/**
 * A body that returns an Effect would be built and never run, and one that returns a promise would go on after its buffer
 * has gone back: neither compiles.
 */
type Synchronous<A> = A extends Effect.Effect<infer _A, infer _E, infer _R> ? "use withBuffer for an Effect"
  : A extends PromiseLike<unknown> ? "use withBuffer and Effect.promise"
  : unknown

/**
 * The pool. Its statics are the effectful operations, on the pool in context.
 *
 * @category services
 * @since 0.1.0
 */
export class BufferPool extends Context.Service<BufferPool, {
  readonly name: string
  /** Bytes of one buffer. */
  readonly bufferSize: number
  /** Buffers that only the more critical classes may use: what margins are computed from. */
  readonly reserve: number
  /** The queue of this pool: two pools in one app never mix. */
  readonly waitQueue: WaitQueue["Service"]
  /**
   * Lends a buffer to an effect: waits its turn, interruptibly, and gives back on any exit. The fast way (no scope), and
   * the form for timeouts. Nested, it must ask at a strictly smaller margin than what is held: fibers that nest against the
   * order can freeze each other without an error (`debug: true` refuses it). O(1).
   */
  readonly withBuffer: <A, E, R>(
    criticality: Criticality,
    use: (buffer: ByteBuffer) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | PoolClosed | WaitRefused, R>
  /** Lends a buffer to a synchronous function: one effect, about a fifth of the cost of `withBuffer`. O(1). */
  readonly withBufferSync: <A>(
    criticality: Criticality,
    use: (buffer: ByteBuffer) => A & Synchronous<A>
  ) => Effect.Effect<A, PoolClosed | WaitRefused>
  /**
   * A buffer for the rest of the scope. Waiting is interruptible, the moment of ownership is not. A timeout around it that
   * fires in that very moment may leave the buffer with the scope until it closes: with timeouts use `withBuffer`. Buffers
   * that one fiber needs together are taken in order of strictly decreasing margin. O(1).
   */
  readonly acquire: (criticality: Criticality) => Effect.Effect<ByteBuffer, PoolClosed | WaitRefused, Scope.Scope>
  /** A buffer for the rest of the scope if one may be taken now; never queues. O(1). */
  readonly tryAcquire: (
    criticality: Criticality
  ) => Effect.Effect<ByteBuffer, BufferUnavailable | PoolClosed, Scope.Scope>
  /** O(buffers). */
  readonly snapshot: Effect.Effect<PoolSnapshot>
  /** Another limit. Growing serves exactly the waiters that now fit; shrinking never takes a buffer away from its holder. */
  readonly resize: (limit: number) => Effect.Effect<void, ConfigError>
  /** Lets unused buffers go, but for the reserve. */
  readonly trim: Effect.Effect<void>
  /** For callbacks: a buffer if one may be taken now. O(1). */
  readonly tryTakeUnsafe: (criticality: Criticality) => ByteBuffer | undefined
  /** Why there is none, with the numbers of this moment; counted as one that was unavailable. */
  readonly unavailableUnsafe: (criticality: Criticality) => BufferUnavailable
  readonly isClosedUnsafe: () => boolean
  /** For callbacks: the lease is over, and the next waiter has the buffer. O(1). */
  readonly giveBackUnsafe: (buffer: ByteBuffer) => void
  /** An operation in flight uses the memory: whatever ends, it is lent to nobody until the last unpin. O(1). */
  readonly pinUnsafe: (buffer: ByteBuffer) => void
  readonly unpinUnsafe: (buffer: ByteBuffer) => void
}>()("headgate/BufferPool") {
  /** A further pool, for a service key of your own. It closes with the scope. */
  static readonly make = (
    options: BufferPoolOptions = {}
  ): Effect.Effect<BufferPool["Service"], ConfigError | AllocationFailed, Scope.Scope> => internal.make(options)

  /** A pool together with its queue. Share one `const`: built twice, it is two pools. */
  static readonly layer = (
    options: BufferPoolOptions = {}
  ): Layer.Layer<BufferPool | WaitQueue, ConfigError | AllocationFailed> =>
    Layer.effectContext(
      Effect.map(internal.make(options), (pool) =>
        Context.make(BufferPool, pool).pipe(Context.add(WaitQueue, pool.waitQueue)))
    )

  static readonly withBuffer = <A, E, R>(
    criticality: Criticality,
    use: (buffer: ByteBuffer) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | PoolClosed | WaitRefused, R | BufferPool> =>
    BufferPool.use((pool) => pool.withBuffer(criticality, use))

  static readonly withBufferSync = <A>(
    criticality: Criticality,
    use: (buffer: ByteBuffer) => A & Synchronous<A>
  ): Effect.Effect<A, PoolClosed | WaitRefused, BufferPool> =>
    BufferPool.use((pool) => pool.withBufferSync(criticality, use))

  static readonly acquire = (
    criticality: Criticality
  ): Effect.Effect<ByteBuffer, PoolClosed | WaitRefused, BufferPool | Scope.Scope> =>
    BufferPool.use((pool) => pool.acquire(criticality))

  static readonly tryAcquire = (
    criticality: Criticality
  ): Effect.Effect<ByteBuffer, BufferUnavailable | PoolClosed, BufferPool | Scope.Scope> =>
    BufferPool.use((pool) => pool.tryAcquire(criticality))

  static readonly snapshot: Effect.Effect<PoolSnapshot, never, BufferPool> = BufferPool.use((pool) => pool.snapshot)

  static readonly resize = (limit: number): Effect.Effect<void, ConfigError, BufferPool> =>
    BufferPool.use((pool) => pool.resize(limit))

  static readonly trim: Effect.Effect<void, never, BufferPool> = BufferPool.use((pool) => pool.trim)
}

/**
 * Moves bytes between two peers within the pool's budget.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { BufferPool } from "./BufferPool.ts"
import * as internal from "./internal/relay.ts"
import type { Peer } from "./Peer.ts"
import type { ConfigError } from "./PoolError.ts"
import type { TaskScheduler } from "./TaskScheduler.ts"

/**
 * The options of a relay. All may be left out.
 *
 * @category models
 * @since 0.1.0
 */
export interface RelayOptions {
  /**
   * No byte moved in either direction for so long: reset, at most half a second later (two sweeps). Its clock stands while a
   * direction waits for a buffer. Default 5 minutes.
   */
  readonly idleTimeout?: Duration.Input | undefined
  /** A direction has waited for a buffer for so long: reset. Default 2 minutes. */
  readonly queueTimeout?: Duration.Input | undefined
  /**
   * A write in flight without 64 KiB of progress for so long makes a connection evictable, while others wait. Default 30 seconds.
   * The operating system shows a slow reader in steps of up to 600 kB: let this be the time in which your slowest reads so much.
   */
  readonly stallTimeout?: Duration.Input | undefined
  /** How long the head of a class must have waited before anybody is evicted. Default 1 second. */
  readonly stallGrace?: Duration.Input | undefined
  /** Bytes that one direction moves per turn of the event loop, at most. Default 256 KiB, which is also the maximum. */
  readonly turnBytes?: number | undefined
  /** Refreshes what `Peer.unsentBytes` says. Asked at most every 250 ms. Default: nothing is known. */
  readonly sampleUnsent?: ((peers: ReadonlyArray<Peer>) => void) | undefined
}

/**
 * How a connection ended: `completed` (both ends orderly), `reset` (a side reset or failed), or why the relay reset it.
 *
 * @category models
 * @since 0.1.0
 */
export type RelayEnd = "completed" | "reset" | "idle" | "queueTimeout" | "stalled" | "shutdown"

/**
 * What a connection was.
 *
 * @category models
 * @since 0.1.0
 */
export interface RelayOutcome {
  readonly end: RelayEnd
  /** Bytes that the target accepted from the client, and the client from the target. */
  readonly requestBytes: number
  readonly responseBytes: number
  readonly cause: unknown
}

/**
 * A relay's state and its counters since it was made.
 *
 * @category models
 * @since 0.1.0
 */
export interface RelaySnapshot {
  /** Connections open now, and the directions among them that wait for a buffer. */
  readonly connections: number
  readonly waitingDirections: number
  /** Bytes held outside the pool, because they arrived when no buffer could be had; now and at most. */
  readonly overdraftBytes: number
  readonly overdraftHighWaterBytes: number
  /** How often a chunk could not be placed. */
  readonly overdrafts: number
  readonly requestBytes: number
  readonly responseBytes: number
  readonly ended: { readonly [End in RelayEnd]: number }
}

/**
 * A relay over the pool and task scheduler in context.
 *
 * @category services
 * @since 0.1.0
 */
export class Relay extends Context.Service<Relay, {
  /**
   * Relays between two open peers until both directions have ended. Interrupting it resets both, and so does the end of the
   * relay's own scope. The peers' sockets belong to the caller's scope.
   */
  readonly run: (client: Peer, target: Peer) => Effect.Effect<RelayOutcome>
  /**
   * The same from a callback, without a fiber: `tell` is called once, later, and not from inside anything that a peer calls.
   * What is returned resets both peers, if the connection has not ended. `tell` must not throw.
   */
  readonly runUnsafe: (client: Peer, target: Peer, tell: (outcome: RelayOutcome) => void) => () => void
  readonly snapshot: Effect.Effect<RelaySnapshot>
}>()("headgate/Relay") {
  /** A relay whose policies run until the scope closes: then all its connections are reset. */
  static readonly make = (
    options: RelayOptions = {}
  ): Effect.Effect<Relay["Service"], ConfigError, BufferPool | TaskScheduler | Scope.Scope> => internal.make(options)

  static readonly layer = (options: RelayOptions = {}): Layer.Layer<Relay, ConfigError, BufferPool | TaskScheduler> =>
    Layer.effect(Relay, internal.make(options))
}

/**
 * A connection to a target: its name is resolved anew each time, and its addresses are tried until one answers.
 *
 * Invariant: a socket that this module opened is closed by its scope, also if the wait for it was interrupted; one limit of
 * time covers everything, the lookup included. What happens to sockets is decided in `internal/dialing.ts`.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Net from "node:net"
import * as Address from "./Address.ts"
import { Dialing } from "./internal/dialing.ts"
import { timersHere } from "./internal/timers.ts"
import { Way } from "./internal/way.ts"

/**
 * Why a connection could not be made.
 *
 * @category models
 * @since 0.1.0
 */
export type ConnectFailure =
  | "refused"
  | "timeout"
  | "nameNotFound"
  | "unreachable"
  | "noPermission"
  | "tooManyOpenFiles"
  | "failed"

/**
 * A target that could not be connected to: which, why, and what was tried.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectFailed extends Data.TaggedError("ConnectFailed")<{
  readonly target: Address.Address
  readonly why: ConnectFailure
  /** In words: each address that was tried, and how it failed. */
  readonly detail: string
}> {
  override get message(): string {
    return `cannot connect to ${Address.format(this.target)}: ${this.detail}`
  }
}

/**
 * One numeric address of a name.
 *
 * @category models
 * @since 0.1.0
 */
export interface ResolvedAddress {
  readonly address: string
  readonly family: number
}

/**
 * How to connect. All may be left out.
 *
 * @category options
 * @since 0.1.0
 */
export interface ConnectOptions {
  /** For the whole attempt, over all addresses. Default 5 seconds. */
  readonly connectTimeout?: Duration.Input | undefined
  /** The addresses of a name; fails with the system's error. Default: the system's lookup, asked each time. */
  readonly resolve?: ((host: string) => Effect.Effect<ReadonlyArray<ResolvedAddress>, unknown>) | undefined
  /** Begins to connect a socket. For tests of yours. Default `net.connect`. */
  readonly dial?: ((options: Net.NetConnectOpts) => Net.Socket) | undefined
}

/**
 * IPv6 and IPv4 by turns, beginning with the family that the resolver put first: a family that is dead costs one attempt.
 *
 * @category utils
 * @since 0.1.0
 */
export const interleave = (addresses: ReadonlyArray<ResolvedAddress>): ReadonlyArray<ResolvedAddress> => {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family)
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family)
  return Array.from({ length: Math.max(first.length, second.length) }, (_, i) => [first[i], second[i]])
    .flat()
    .filter((address) => address !== undefined)
}

/**
 * A socket connected to the target, paused, for the rest of the scope: at its end it is closed if both directions ended in
 * order, and aborted otherwise. A name's addresses are tried in turn, IPv6 and IPv4 alternating. Interrupting it closes what
 * was begun.
 *
 * @category constructors
 * @since 0.1.0
 */
export const connect = (
  target: Address.Address,
  options: ConnectOptions = {}
): Effect.Effect<Net.Socket, ConnectFailed, Scope.Scope> =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.map(timersHere, (timers) => new Dialing(timers, options.dial)),
      (dialing) => Effect.sync(() => dialing.close())
    ),
    (dialing) => reached(new Way(target, options), dialing)
  )

const reached = (way: Way, dialing: Dialing): Effect.Effect<Net.Socket, ConnectFailed> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const run = Effect.runForkWith(context)
    return Effect.callback((resume) => {
      way.begin(
        dialing,
        run,
        (outcome) => resume(outcome instanceof ConnectFailed ? Effect.fail(outcome) : Effect.succeed(outcome))
      )
      return Effect.sync(() => dialing.close())
    })
  })

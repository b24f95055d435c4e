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
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Dns from "node:dns"
import * as Net from "node:net"
import * as Address from "./Address.ts"
import { Attempt, attemptOf, Dialing, noAnswer, timersHere } from "./internal/dialing.ts"
import { socketOptions } from "./NodePeer.ts"

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

const lookup = (host: string): Effect.Effect<ReadonlyArray<ResolvedAddress>, unknown> =>
  Effect.callback((resume) => {
    Dns.lookup(host, { all: true, order: "verbatim" }, (error, addresses) =>
      resume(error === null ? Effect.succeed(addresses) : Effect.fail(error)))
  })

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

const at = (host: string, port: number): Net.NetConnectOpts => ({ ...socketOptions, host, port })

const endpointsOf = (
  host: string,
  port: number,
  options: ConnectOptions
): Effect.Effect<ReadonlyArray<Net.NetConnectOpts>, Attempt> =>
  (options.resolve ?? lookup)(host).pipe(
    Effect.mapError(attemptOf),
    Effect.filterOrFail((found) => found.length > 0, () => new Attempt({ why: "nameNotFound", words: "no address" })),
    Effect.map((found) => interleave(found).map(({ address }) => at(address, port)))
  )

const within = <A, R>(ms: number, effect: Effect.Effect<A, Attempt, R>): Effect.Effect<A, Attempt, R> =>
  Effect.timeoutOrElse(effect, { duration: ms, orElse: () => Effect.fail(noAnswer(ms)) })

/** Where a target is that needs no lookup; undefined for a name. */
const knownEndpoints = (target: Address.Address): ReadonlyArray<Net.NetConnectOpts> | undefined => {
  if (target._tag === "Unix") return [{ ...socketOptions, path: target.path }]
  const { host, port } = target
  return host !== undefined && Net.isIP(host) !== 0 ? [at(host, port)] : undefined
}

/**
 * The way to a target, made once for all of its connections.
 *
 * @internal
 */
export class Way {
  readonly target: Address.Address
  private readonly options: ConnectOptions
  private readonly limitMs: number
  private readonly known: ReadonlyArray<Net.NetConnectOpts> | undefined

  constructor(target: Address.Address, options: ConnectOptions) {
    this.target = target
    this.options = options
    this.limitMs = Duration.toMillis(Duration.fromInputUnsafe(options.connectTimeout ?? "5 seconds"))
    this.known = knownEndpoints(target)
  }

  /**
   * Opens a socket to it, which is the dialing's, whose owner closes it. `tell` is called once, if the dialing is not closed
   * before. `run` is for the lookup of a name.
   */
  begin(
    dialing: Dialing,
    run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>,
    tell: (outcome: Net.Socket | ConnectFailed) => void
  ): void {
    const deadline = dialing.now + this.limitMs
    const told = (outcome: Net.Socket | Attempt) => tell(outcome instanceof Attempt ? this.failed(outcome) : outcome)
    if (this.known !== undefined) return dialing.begin(this.known, deadline, told)
    const lookup = run(Effect.match(within(this.limitMs, this.lookedUp), {
      onSuccess: (endpoints) => dialing.begin(endpoints, deadline, told),
      onFailure: told
    }))
    dialing.isPreparedBy(() => lookup.interruptUnsafe())
  }

  private failed({ why, words }: Attempt): ConnectFailed {
    return new ConnectFailed({ target: this.target, why, detail: words })
  }

  private get lookedUp(): Effect.Effect<ReadonlyArray<Net.NetConnectOpts>, Attempt> {
    const { options, target } = this
    return target._tag === "Unix" ? Effect.succeed([]) : endpointsOf(target.host ?? "localhost", target.port, options)
  }
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
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.callback((resume) => {
      way.begin(dialing, Effect.runForkWith(context), (outcome) =>
        resume(outcome instanceof ConnectFailed ? Effect.fail(outcome) : Effect.succeed(outcome)))
      return Effect.sync(() =>
        dialing.close()
      )
    })
  )

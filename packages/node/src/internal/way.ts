/**
 * The way to a target: from its address, or by its name, to a socket.
 *
 * Invariant: it keeps nothing of a connection, so one serves them all. A name is looked up anew for each, and that takes of the one
 * limit of time that covers everything.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Dns from "node:dns"
import * as Net from "node:net"
import type * as Address from "../Address.ts"
import { ConnectFailed, type ConnectOptions, interleave, type ResolvedAddress } from "../Connect.ts"
import { socketOptions } from "../NodePeer.ts"
import { Attempt, attemptOf, type Dialing, noAnswer } from "./dialing.ts"

const lookup = (host: string): Effect.Effect<ReadonlyArray<ResolvedAddress>, unknown> =>
  Effect.callback((resume) => {
    Dns.lookup(host, { all: true, order: "verbatim" }, (error, addresses) =>
      resume(error === null ? Effect.succeed(addresses) : Effect.fail(error)))
  })

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

type Endpoints = ReadonlyArray<Net.NetConnectOpts>

/** Where a target is, or how to find that out. */
const placeOf = (
  target: Address.Address,
  options: ConnectOptions
): { readonly known: Endpoints } | { readonly lookup: Effect.Effect<Endpoints, Attempt> } => {
  if (target._tag === "Unix") return { known: [{ ...socketOptions, path: target.path }] }
  const { host = "localhost", port } = target
  return Net.isIP(host) === 0 ? { lookup: endpointsOf(host, port, options) } : { known: [at(host, port)] }
}

export class Way {
  readonly target: Address.Address
  private readonly limitMs: number
  private readonly place: ReturnType<typeof placeOf>

  constructor(target: Address.Address, options: ConnectOptions) {
    this.target = target
    this.limitMs = Duration.toMillis(Duration.fromInputUnsafe(options.connectTimeout ?? "5 seconds"))
    this.place = placeOf(target, options)
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
    if ("known" in this.place) return dialing.begin(this.place.known, deadline, told)
    const lookup = run(Effect.match(within(this.limitMs, this.place.lookup), {
      onSuccess: (endpoints) => dialing.begin(endpoints, deadline, told),
      onFailure: (attempt) => dialing.isClosed ? undefined : told(attempt)
    }))
    dialing.isPreparedBy(() => lookup.interruptUnsafe())
  }

  private failed({ why, words }: Attempt): ConnectFailed {
    return new ConnectFailed({ target: this.target, why, detail: words })
  }
}

/**
 * A connection to a target: its name is resolved anew each time, and its addresses are tried until one answers.
 *
 * Invariant: a socket that this module opened is closed by its scope, also if the wait for it was interrupted; one limit of
 * time covers everything, the lookup included.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Dns from "node:dns"
import * as Net from "node:net"
import * as Address from "./Address.ts"
import { abortSocket, closeSocket, socketOptions } from "./NodePeer.ts"

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

const failures: { readonly [code: string]: readonly [ConnectFailure, string] } = {
  ECONNREFUSED: ["refused", "connection refused"],
  ECONNRESET: ["refused", "connection reset"],
  ENOENT: ["refused", "no such socket"],
  ENOTSOCK: ["refused", "not a socket"],
  EAGAIN: ["refused", "its queue is full"],
  ETIMEDOUT: ["timeout", "no answer"],
  ENOTFOUND: ["nameNotFound", "name not found"],
  EAI_AGAIN: ["nameNotFound", "the name server does not answer"],
  EHOSTUNREACH: ["unreachable", "host unreachable"],
  ENETUNREACH: ["unreachable", "network unreachable"],
  EADDRNOTAVAIL: ["unreachable", "no local address or port for it"],
  EAFNOSUPPORT: ["unreachable", "this machine does not have that kind of address"],
  EACCES: ["noPermission", "permission denied"],
  EPERM: ["noPermission", "permission denied"],
  EMFILE: ["tooManyOpenFiles", "too many open files"],
  ENFILE: ["tooManyOpenFiles", "too many open files in the system"]
}

/** How one address, or the lookup, failed. */
class Attempt extends Data.TaggedError("Attempt")<{ readonly why: ConnectFailure; readonly words: string }> {}

const attemptOf = (error: unknown): Attempt => {
  const code: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "code") : undefined
  const known = typeof code === "string" ? failures[code] : undefined
  return known === undefined
    ? new Attempt({ why: "failed", words: String(error) })
    : new Attempt({ why: known[0], words: `${known[1]} (${String(code)})` })
}

const noAnswer = (ms: number): Attempt =>
  new Attempt({ why: "timeout", words: `no answer within ${Duration.format(Duration.millis(Math.round(ms)))}` })

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

const dialNode = (options: Net.NetConnectOpts): Net.Socket => Net.connect(options)

/** Begins to connect a socket, and sees to it that it is closed. */
type Open<R> = (options: Net.NetConnectOpts) => Effect.Effect<Net.Socket, never, R>

const ignored = (): void => {}

/** A socket that reads nothing, and whose errors are heard. */
const begun = (options: Net.NetConnectOpts, dial: ConnectOptions["dial"] = dialNode): Net.Socket =>
  dial(options).pause().on("error", ignored)

/** `ms` is Infinity if somebody else looks after the time. */
const connected = (socket: Net.Socket, ms: number): Effect.Effect<void, Attempt> =>
  Effect.callback((resume) => {
    const timer = ms === Infinity ? undefined : setTimeout(() => over(Effect.fail(noAnswer(ms))), ms)
    const onConnect = (): void => over(Effect.void)
    const onError = (error: unknown): void => over(Effect.fail(attemptOf(error)))
    const forget = (): void => {
      clearTimeout(timer)
      socket.off("connect", onConnect)
      socket.off("error", onError)
    }
    const over = (result: Effect.Effect<void, Attempt>): void => {
      forget()
      resume(result)
    }
    socket.once("connect", onConnect)
    socket.once("error", onError)
    return Effect.sync(forget)
  })

const within = <A, R>(ms: number, effect: Effect.Effect<A, Attempt, R>): Effect.Effect<A, Attempt, R> =>
  Effect.timeoutOrElse(effect, { duration: ms, orElse: () => Effect.fail(noAnswer(ms)) })

/** The clock of a program that was given none: its sleeps are Node's timers, which can be had without two fibers that race. */
const usualClock = Context.get(Context.empty(), Clock.Clock)

const connectedWithin = (socket: Net.Socket, ms: number): Effect.Effect<void, Attempt> =>
  Effect.withFiber((fiber) =>
    fiber.getRef(Clock.Clock) === usualClock ? connected(socket, ms) : within(ms, connected(socket, Infinity))
  )

const attempt = <R>(options: Net.NetConnectOpts, open: Open<R>, ms: number): Effect.Effect<Net.Socket, Attempt, R> =>
  Effect.flatMap(open(options), (socket) =>
    Effect.as(
      Effect.onError(connectedWithin(socket, ms), () => Effect.sync(() => abortSocket(socket))),
      socket
    ))

const nameOf = (options: Net.NetConnectOpts): string =>
  "host" in options && options.host !== undefined ? `${options.host} ` : ""

/** Each address in turn; one that does not answer gets an even share of the time that is left. */
const firstThatAnswers = <R>(
  endpoints: ReadonlyArray<Net.NetConnectOpts>,
  open: Open<R>,
  deadline: number
): Effect.Effect<Net.Socket, Attempt, R> =>
  Effect.gen(function*() {
    const failed: Array<string> = []
    let why: ConnectFailure = "timeout"
    for (const [i, endpoint] of endpoints.entries()) {
      const left = deadline - (yield* Clock.currentTimeMillis)
      const share = left / (endpoints.length - i)
      const result = yield* Effect.result(attempt(endpoint, open, share))
      if (result._tag === "Success") return result.success
      why = result.failure.why
      failed.push(`${endpoints.length > 1 ? nameOf(endpoint) : ""}${result.failure.words}`)
    }
    return yield* new Attempt({ why, words: failed.join(", ") })
  })

const named = <R>(
  host: string,
  port: number,
  options: ConnectOptions,
  open: Open<R>,
  ms: number
): Effect.Effect<Net.Socket, Attempt, R> =>
  Effect.gen(function*() {
    const deadline = (yield* Clock.currentTimeMillis) + ms
    const endpoints = yield* within(ms, endpointsOf(host, port, options))
    return yield* firstThatAnswers(endpoints, open, deadline)
  })

const reached = <R>(
  target: Address.Address,
  options: ConnectOptions,
  open: Open<R>
): Effect.Effect<Net.Socket, ConnectFailed, R> =>
  Effect.suspend(() => {
    const ms = Duration.toMillis(Duration.fromInputUnsafe(options.connectTimeout ?? "5 seconds"))
    if (target._tag === "Unix") return attempt({ ...socketOptions, path: target.path }, open, ms)
    const { host = "localhost", port } = target
    return Net.isIP(host) === 0 ? named(host, port, options, open, ms) : attempt(at(host, port), open, ms)
  }).pipe(
    Effect.mapError(({ why, words }) => new ConnectFailed({ target, why, detail: words }))
  )

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
  reached(target, options, (endpoint) =>
    Effect.acquireRelease(
      Effect.sync(() => begun(endpoint, options.dial)),
      (socket) => Effect.sync(() => closeSocket(socket))
    ))

/**
 * The same without a scope, which costs as much as a fiber: each socket that is opened is handed over at once, and is the
 * caller's to close. One that does not answer is aborted before the next is opened.
 *
 * @internal
 */
export const connectHeld = (
  target: Address.Address,
  options: ConnectOptions,
  hold: (socket: Net.Socket) => void
): Effect.Effect<Net.Socket, ConnectFailed> =>
  reached(target, options, (endpoint) =>
    Effect.sync(() => {
      const socket = begun(endpoint, options.dial)
      hold(socket)
      return socket
    }))

/**
 * The flags of `headgate relay`: what they are called, what the environment may say instead, and what they must be.
 *
 * Invariant: flags arrive as raw texts and one function, `settingsOf`, judges them all, so that every problem is reported at
 * once. (`effect/cli` would stop at the first, print the whole help and exit with 1.)
 *
 * @since 0.1.0
 */
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Runtime from "effect/Runtime"
import { parseDuration, parseSize } from "headgate/HeadgateConfig"
import { ConfigError, type ConfigProblem } from "headgate/PoolError"
import * as Address from "./Address.ts"
import type { Landing } from "./Landing.ts"

/**
 * What a relay is told to do.
 *
 * @category models
 * @since 0.1.0
 */
export interface RelaySettings {
  readonly routes: ReadonlyArray<Address.Route>
  readonly limit: number
  readonly reserve: number
  /** Bytes. */
  readonly bufferSize: number
  /** Undefined: as many as the open files allow. */
  readonly maxConnections: number | undefined
  readonly connectTimeout: Duration.Duration
  readonly idleTimeout: Duration.Duration
  readonly queueTimeout: Duration.Duration
  readonly stallTimeout: Duration.Duration
  readonly stallGrace: Duration.Duration
  readonly drainTimeout: Duration.Duration
  readonly proxyProtocol: "v2" | undefined
  readonly stats: Address.Address | undefined
  /** What is asked for: it is used only where it is known to be right. */
  readonly landing: Landing
}

/**
 * The same as somebody typed it: undefined where nothing was said.
 *
 * @category models
 * @since 0.1.0
 */
export interface RawSettings {
  readonly listen?: ReadonlyArray<string> | undefined
  readonly target?: string | undefined
  readonly limit?: string | undefined
  readonly reserve?: string | undefined
  readonly bufferSize?: string | undefined
  readonly maxConnections?: string | undefined
  readonly connectTimeout?: string | undefined
  readonly idleTimeout?: string | undefined
  readonly queueTimeout?: string | undefined
  readonly stallTimeout?: string | undefined
  readonly stallGrace?: string | undefined
  readonly drainTimeout?: string | undefined
  readonly proxyProtocol?: string | undefined
  readonly stats?: string | undefined
  readonly landing?: string | undefined
}

type Read<A> = (text: string) => Result.Result<A, string>

const satisfying = <A>(read: Read<A>, holds: (value: A) => boolean, rule: string): Read<A> => (text) =>
  Result.flatMap(read(text), (value) => holds(value) ? Result.succeed(value) : Result.fail(rule))

const integer = (minimum: number): Read<number> => (text) => {
  const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN
  return Number.isSafeInteger(value) && value >= minimum
    ? Result.succeed(value)
    : Result.fail(`must be an integer of at least ${minimum}`)
}

const oneOf = <const A extends string>(values: ReadonlyArray<A>, rule: string): Read<A> => (text) => {
  const value = values.find((one) => one === text)
  return value === undefined ? Result.fail(rule) : Result.succeed(value)
}

const address: Read<Address.Address> = (text) => Result.mapError(Address.parse(text), ({ rule }) => rule)

const GiB = 1024 ** 3

const bufferSize = satisfying(parseSize, (bytes) => bytes >= 1 && bytes <= GiB, "must be from 1 byte to 1 GiB")

const positive = satisfying(
  parseDuration,
  (duration) => Duration.toMillis(duration) > 0,
  "must be a duration above zero"
)

const notNegative = satisfying(
  parseDuration,
  (duration) => Duration.toMillis(duration) >= 0 && Duration.isFinite(duration),
  "must be a finite duration of zero or more"
)

/** What a relay does when it is told nothing else. */
const defaults = {
  limit: 1024,
  bufferSize: 64 * 1024,
  connectTimeout: Duration.seconds(5),
  idleTimeout: Duration.minutes(5),
  queueTimeout: Duration.minutes(2),
  stallTimeout: Duration.seconds(30),
  stallGrace: Duration.seconds(1),
  drainTimeout: Duration.seconds(30)
}

/** Reads fields and remembers every problem; what could not be read is the fallback, and is never used. */
class Judge {
  readonly problems: Array<ConfigProblem> = []

  note(field: string, value: unknown, rule: string): void {
    this.problems.push({ field, value, rule })
  }

  read<A, B>(field: string, text: string | undefined, read: Read<A>, fallback: B): A | B {
    if (text === undefined) return fallback
    const result = read(text)
    if (Result.isSuccess(result)) return result.success
    this.note(field, text, result.failure)
    return fallback
  }
}

const readListen = (judge: Judge, text: string, target: Address.Address | undefined): ReadonlyArray<Address.Route> => {
  const isPair = text.includes("=")
  const listen: Result.Result<Address.Address | Address.Route, Address.AddressError> = isPair
    ? Address.parseRoute(text)
    : Address.parse(text)
  if (Result.isFailure(listen)) {
    judge.note("listen", text, listen.failure.text === text ? listen.failure.rule : listen.failure.message)
    return []
  }
  if ("listen" in listen.success) return [listen.success]
  return target === undefined ? [] : [{ listen: listen.success, target }]
}

const readRoutes = (judge: Judge, raw: RawSettings): ReadonlyArray<Address.Route> => {
  const listen = raw.listen ?? []
  const bare = listen.filter((text) => !text.includes("="))
  const readTarget: Read<Address.Address> = (text) => Result.mapError(Address.parseTarget(text), ({ rule }) => rule)
  const target = judge.read("target", raw.target, readTarget, undefined)
  if (listen.length === 0) {
    judge.note("listen", undefined, "is required: an address beside a target, or pairs listen=target")
  }
  if (raw.target === undefined && bare.length > 0) {
    judge.note(
      "target",
      undefined,
      `is required: ${bare.join(", ")} ${bare.length > 1 ? "have" : "has"} none of its own`
    )
  }
  if (raw.target !== undefined && bare.length === 0 && listen.length > 0) {
    judge.note("target", raw.target, "is not used: every listen names its own")
  }
  const routes = listen.flatMap((text) => readListen(judge, text, target))
  noteLoops(judge, routes)
  return routes
}

/** A relay that is its own target would make of one client as many connections as it may have. */
const noteLoops = (judge: Judge, routes: ReadonlyArray<Address.Route>): void => {
  const own = new Set(routes.map((route) => Address.format(route.listen)))
  for (const target of new Set(routes.map((route) => Address.format(route.target)))) {
    if (own.has(target)) judge.note("target", target, "is an address that this relay listens on itself")
  }
}

const readReserve = (judge: Judge, raw: RawSettings, limit: number): number => {
  const reserve = judge.read("reserve", raw.reserve, integer(1), Math.min(3, limit - 1))
  if (reserve >= limit) judge.note("reserve", reserve, `must be below limit (${limit})`)
  return reserve
}

const readTimes = (judge: Judge, raw: RawSettings) => ({
  connectTimeout: judge.read("connectTimeout", raw.connectTimeout, positive, defaults.connectTimeout),
  idleTimeout: judge.read("idleTimeout", raw.idleTimeout, positive, defaults.idleTimeout),
  queueTimeout: judge.read("queueTimeout", raw.queueTimeout, positive, defaults.queueTimeout),
  stallTimeout: judge.read("stallTimeout", raw.stallTimeout, positive, defaults.stallTimeout),
  stallGrace: judge.read("stallGrace", raw.stallGrace, positive, defaults.stallGrace),
  drainTimeout: judge.read("drainTimeout", raw.drainTimeout, notNegative, defaults.drainTimeout)
})

/**
 * Raw texts to settings, or every problem among them at once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settingsOf = (raw: RawSettings): Result.Result<RelaySettings, ConfigError> => {
  const judge = new Judge()
  const routes = readRoutes(judge, raw)
  const limit = judge.read("limit", raw.limit ?? String(defaults.limit), integer(2), Number.NaN)
  const settings: RelaySettings = {
    routes,
    limit,
    reserve: readReserve(judge, raw, limit),
    bufferSize: judge.read("bufferSize", raw.bufferSize, bufferSize, defaults.bufferSize),
    maxConnections: judge.read("maxConnections", raw.maxConnections, integer(1), undefined),
    ...readTimes(judge, raw),
    proxyProtocol: judge.read("proxyProtocol", raw.proxyProtocol, oneOf(["v2"], "must be v2, or left out"), undefined),
    stats: judge.read("stats", raw.stats, address, undefined),
    landing: judge.read("landing", raw.landing, oneOf(["plain", "readiness"], "must be plain or readiness"), "plain")
  }
  return judge.problems.length === 0
    ? Result.succeed(settings)
    : Result.fail(new ConfigError({ problems: judge.problems }))
}

const environmentName = (name: string): string => `HEADGATE_${name.toUpperCase().replaceAll("-", "_")}`

const describe = (name: string, text: string): string => `${text} [${environmentName(name)}]`

const text = (name: string, metavar: string, description: string): Flag.Flag<Option.Option<string>> =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(describe(name, description)),
    Flag.withFallbackConfig(Config.String(environmentName(name))),
    Flag.optional
  )

const commaSeparated = (texts: string): ReadonlyArray<string> => texts.split(",").map((part) => part.trim())

const listenFlag: Flag.Flag<Option.Option<ReadonlyArray<string>>> = Flag.String("listen").pipe(
  Flag.withMetavar("address"),
  Flag.withDescription(describe(
    "listen",
    "Where clients come in: host:port, [ipv6]:port, :port or unix:/path; or a pair listen=target. May be repeated: all " +
      "share one pool. Required; separated by commas in the environment"
  )),
  Flag.atLeast(1),
  Flag.withFallbackConfig(Config.map(Config.String(environmentName("listen")), commaSeparated)),
  Flag.optional
)

/**
 * The flags for `Command.make("relay", flags, ...)`. Each falls back on `HEADGATE_<FLAG>`; an empty variable says nothing.
 *
 * @category flags
 * @since 0.1.0
 */
export const flags = {
  listen: listenFlag,
  target: text(
    "target",
    "address",
    "Where they are relayed to. A name is resolved anew for each connection. Required unless every --listen is a pair"
  ),
  limit: text("limit", "count", "Buffers at most. Default 1024"),
  reserve: text("reserve", "count", "Buffers that only the more critical side may use, below the limit. Default 3"),
  bufferSize: text(
    "buffer-size",
    "size",
    "Bytes of one buffer, 1 to 1 GiB, with a unit (B, kB, MB, GB, KiB, MiB, GiB) or without. Default \"64 KiB\""
  ),
  maxConnections: text(
    "max-connections",
    "count",
    "Connections at a time, over all listeners; more wait to be accepted. Default: as many as the open files allow"
  ),
  connectTimeout: text(
    "connect-timeout",
    "duration",
    "To connect to a target, name lookup included. Default \"5 seconds\""
  ),
  idleTimeout: text("idle-timeout", "duration", "Without a byte in either direction: reset. Default \"5 minutes\""),
  queueTimeout: text("queue-timeout", "duration", "Waiting for a buffer: reset. Default \"2 minutes\""),
  stallTimeout: text(
    "stall-timeout",
    "duration",
    "A peer that takes less than 64 KiB in this time, while others wait for buffers, counts as stuck and is reset: with the " +
      "default, one slower than 2.2 kB/s; one of 20 kB/s is spared, though the kernel shows it in steps. Default \"30 seconds\""
  ),
  stallGrace: text(
    "stall-grace",
    "duration",
    "How long somebody must have waited for a buffer before a stuck peer is reset. Default \"1 second\""
  ),
  drainTimeout: text(
    "drain-timeout",
    "duration",
    "How long connections may finish after SIGTERM or SIGINT; a second signal resets them at once. Default \"30 seconds\""
  ),
  proxyProtocol: text("proxy-protocol", "version", "Tells targets who the client is: v2. Default: not told"),
  stats: text(
    "stats",
    "address",
    "Where to serve the status page, which has no authentication; without a host, on loopback only. Default: nowhere"
  ),
  landing: text(
    "landing",
    "kind",
    "How bytes come in: plain (Node reads them, a buffer gets a copy) or readiness (they stay in the kernel until there is a " +
      "buffer, and are read into it; Linux, Node 24). Where readiness does not work, plain is used, and said. Default plain"
  )
}

/**
 * What the command hands to its handler.
 *
 * @category models
 * @since 0.1.0
 */
export type FlagInput = {
  readonly [Field in keyof typeof flags]: (typeof flags)[Field] extends Flag.Flag<infer A> ? A : never
}

const rawOf = ({ listen, ...input }: FlagInput): RawSettings => ({
  listen: Option.getOrUndefined(listen),
  target: Option.getOrUndefined(input.target),
  limit: Option.getOrUndefined(input.limit),
  reserve: Option.getOrUndefined(input.reserve),
  bufferSize: Option.getOrUndefined(input.bufferSize),
  maxConnections: Option.getOrUndefined(input.maxConnections),
  connectTimeout: Option.getOrUndefined(input.connectTimeout),
  idleTimeout: Option.getOrUndefined(input.idleTimeout),
  queueTimeout: Option.getOrUndefined(input.queueTimeout),
  stallTimeout: Option.getOrUndefined(input.stallTimeout),
  stallGrace: Option.getOrUndefined(input.stallGrace),
  drainTimeout: Option.getOrUndefined(input.drainTimeout),
  proxyProtocol: Option.getOrUndefined(input.proxyProtocol),
  stats: Option.getOrUndefined(input.stats),
  landing: Option.getOrUndefined(input.landing)
})

/**
 * The settings that the flags and the environment ask for, or every problem among them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: FlagInput): Effect.Effect<RelaySettings, ConfigError> =>
  Effect.fromResult(settingsOf(rawOf(input)))

/**
 * A command that has told its user what is wrong, and ends: `runMain` exits with `exitCode` and prints nothing.
 *
 * @category errors
 * @since 0.1.0
 */
export class Told extends Data.TaggedError("Told")<{ readonly exitCode: number; readonly message: string }> {
  override readonly [Runtime.errorExitCode] = this.exitCode
  override readonly [Runtime.errorReported] = false
}

/**
 * Prints a message to standard error, one line per problem, without a stack, and fails with that exit code: 64 for bad input,
 * 1 for an address that cannot be listened on.
 *
 * @category utils
 * @since 0.1.0
 */
export const tell = (exitCode: number) => (error: { readonly message: string }): Effect.Effect<never, Told> =>
  Effect.andThen(Console.error(error.message), Effect.fail(new Told({ exitCode, message: error.message })))

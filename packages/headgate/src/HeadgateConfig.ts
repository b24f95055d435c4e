/**
 * Headgate's options from the environment, and from texts: one flat variable each, so that `fromEnv` finds them.
 *
 * | variable | what | default |
 * |---|---|---|
 * | `HEADGATE_LIMIT` | buffers at most | 1024 |
 * | `HEADGATE_RESERVE` | buffers only for the more critical classes | 3, or `limit - 1` if that is less |
 * | `HEADGATE_BUFFER_SIZE` | size of one, such as `64 KiB` | 64 KiB |
 * | `HEADGATE_PREALLOC` | buffers created at the start | 0 |
 * | `HEADGATE_MAX_WAITING` | fibers that may wait, per class | no limit |
 * | `HEADGATE_AGE_AFTER` | wait from which a class is favoured | 1 second |
 * | `HEADGATE_RUN_QUEUE_DEPTH` | runs started per turn | 200 |
 * | `HEADGATE_LEAK_THRESHOLD` | age of a lease that is reported | off |
 * | `HEADGATE_TRACK_ORIGINS`, `HEADGATE_WIPE`, `HEADGATE_DEBUG` | `true` or `false` | false |
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { HeadgateOptions } from "./Headgate.ts"
import { poolRules, problemsBetween, type Rule, schedulerRules, withDefaults } from "./internal/options.ts"
import { ConfigError, type ConfigProblem } from "./PoolError.ts"

/**
 * Options as texts, each absent or as it was written.
 *
 * @category models
 * @since 0.1.0
 */
export type RawOptions = { readonly [Field in keyof typeof variables]: Option.Option<string> }

const variables = {
  limit: "HEADGATE_LIMIT",
  reserve: "HEADGATE_RESERVE",
  bufferSize: "HEADGATE_BUFFER_SIZE",
  prealloc: "HEADGATE_PREALLOC",
  maxWaiting: "HEADGATE_MAX_WAITING",
  ageAfter: "HEADGATE_AGE_AFTER",
  runQueueDepth: "HEADGATE_RUN_QUEUE_DEPTH",
  leakThreshold: "HEADGATE_LEAK_THRESHOLD",
  trackOrigins: "HEADGATE_TRACK_ORIGINS",
  wipe: "HEADGATE_WIPE",
  debug: "HEADGATE_DEBUG"
} as const

const text = (name: string): Config.Config<Option.Option<string>> => Config.option(Config.String(name))

/**
 * The variables, unread: `Config.nested(HeadgateConfig.config, "APP")` looks for `APP_HEADGATE_LIMIT` and so on. What they
 * say is checked by `parse`, all of it at once.
 *
 * @category configs
 * @since 0.1.0
 */
export const config: Config.Config<RawOptions> = Config.all({
  limit: text(variables.limit),
  reserve: text(variables.reserve),
  bufferSize: text(variables.bufferSize),
  prealloc: text(variables.prealloc),
  maxWaiting: text(variables.maxWaiting),
  ageAfter: text(variables.ageAfter),
  runQueueDepth: text(variables.runQueueDepth),
  leakThreshold: text(variables.leakThreshold),
  trackOrigins: text(variables.trackOrigins),
  wipe: text(variables.wipe),
  debug: text(variables.debug)
})

const units: { readonly [unit: string]: number } = { "": 1, B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/**
 * Bytes of a text such as `"64 KiB"`, `"1 MiB"` or `"16384"`; undefined if it is none. Units are powers of 1024: `KB` and
 * the like mean different things to different people, and are refused.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseSize = (size: string): number | undefined => {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*$/.exec(size)
  const unit = Object.hasOwn(units, match?.[2] ?? "") ? units[match?.[2] ?? ""] : undefined
  if (match === null || unit === undefined) return undefined
  const bytes = Number(match[1]) * unit
  return Number.isInteger(bytes) ? bytes : undefined
}

const parseNumber = (value: string): number | undefined =>
  /^\s*-?\d+(\.\d+)?\s*$/.test(value) ? Number(value) : undefined
const parseBoolean = (value: string): boolean | undefined =>
  value === "true" ? true : value === "false" ? false : undefined

/**
 * A duration as people write it: `"30 seconds"`, `"2 min"`, or milliseconds; undefined if it is none.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseDuration = (value: string): Duration.Duration | undefined => {
  const millis = parseNumber(value)
  if (millis !== undefined) return Duration.millis(millis)
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(value)
  const unit = Object.hasOwn(durations, match?.[2] ?? "") ? durations[match?.[2] ?? ""] : undefined
  return match === null || unit === undefined ? undefined : Duration.millis(Number(match[1]) * unit)
}

const durations: { readonly [unit: string]: number } = {
  ms: 1,
  milli: 1,
  millis: 1,
  millisecond: 1,
  milliseconds: 1,
  s: 1000,
  sec: 1000,
  second: 1000,
  seconds: 1000,
  m: 60_000,
  min: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000
}

interface Field<A> {
  readonly parse: (value: string) => A | undefined
  readonly says: string
}
const number: Field<number> = { parse: parseNumber, says: "must be a number" }
const boolean: Field<boolean> = { parse: parseBoolean, says: "must be true or false" }
const duration: Field<Duration.Duration> = { parse: parseDuration, says: "must be a duration, such as \"30 seconds\"" }
const size: Field<number> = {
  parse: parseSize,
  says: "must be a size, such as \"64 KiB\", \"1 MiB\" or a number of bytes"
}

/**
 * The options that the texts say; all problems at once, each with the variable, the value and the rule.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (raw: RawOptions): Effect.Effect<HeadgateOptions, ConfigError> => {
  const problems: Array<ConfigProblem> = []
  const read = <F extends keyof RawOptions, A>(name: F, field: Field<A>): A | undefined => {
    const value = Option.getOrUndefined(raw[name])
    if (value === undefined) return undefined
    const parsed = field.parse(value)
    const rule: Rule | undefined = poolRules[name] ?? schedulerRules[name]
    if (parsed === undefined) problems.push({ field: variables[name], value, rule: field.says })
    else if (rule !== undefined && !rule.holds(parsed)) {
      problems.push({ field: variables[name], value, rule: rule.rule })
    }
    return parsed
  }
  const options = {
    limit: read("limit", number),
    reserve: read("reserve", number),
    bufferSize: read("bufferSize", size),
    prealloc: read("prealloc", number),
    maxWaiting: read("maxWaiting", number),
    ageAfter: read("ageAfter", duration),
    runQueueDepth: read("runQueueDepth", number),
    leakThreshold: read("leakThreshold", duration),
    trackOrigins: read("trackOrigins", boolean),
    wipe: read("wipe", boolean),
    debug: read("debug", boolean)
  }
  if (problems.length === 0) problems.push(...between(options))
  return problems.length > 0 ? Effect.fail(new ConfigError({ problems })) : Effect.succeed(options)
}

/** Numbers that contradict each other, under the names of their variables. */
const between = (options: HeadgateOptions): ReadonlyArray<ConfigProblem> => {
  const { limit, prealloc, reserve } = withDefaults(options)
  return problemsBetween(limit, reserve, prealloc).map((problem) => ({
    ...problem,
    field: problem.field === "reserve" ? variables.reserve : variables.prealloc
  }))
}

/**
 * What the environment (the `ConfigProvider` in context) says.
 *
 * @category configs
 * @since 0.1.0
 */
export const load: Effect.Effect<HeadgateOptions, ConfigError> = Effect.flatMap(
  Effect.mapError(
    config,
    (error) => new ConfigError({ problems: [{ field: "HEADGATE_*", value: "?", rule: error.message }] })
  ),
  parse
)

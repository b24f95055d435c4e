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
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { HeadgateOptions } from "./Headgate.ts"
import { poolRules, problemsBetween, type Rule, schedulerRules } from "./internal/options.ts"
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

/** A text to what it says, or the rule that it breaks. */
type Read<A> = (text: string) => Result.Result<A, string>

const sizeUnits: { readonly [unit: string]: number } = {
  "": 1,
  B: 1,
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3
}

const sizeRule = "must be a number of bytes, alone or with a unit (B, kB, MB, GB, KiB, MiB, GiB), such as \"64 KiB\""

/**
 * Bytes of a size such as `64 KiB`, `1.5 MiB` or `65536`; fails with the rule that the text breaks. `KB` means different
 * things to different people, and is refused.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseSize: Read<number> = (text) => {
  const [, digits, unit] = /^(-?\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim()) ?? []
  const factor = unit !== undefined && Object.hasOwn(sizeUnits, unit) ? sizeUnits[unit] : undefined
  if (digits === undefined || factor === undefined) return Result.fail(sizeRule)
  const bytes = Number(digits) * factor
  return Number.isSafeInteger(bytes) ? Result.succeed(bytes) : Result.fail("must be a whole number of bytes")
}

const shortUnits: { readonly [unit: string]: string } = {
  ms: "millis",
  s: "seconds",
  m: "minutes",
  min: "minutes",
  h: "hours",
  d: "days"
}

const decodeDuration = Schema.decodeUnknownResult(Schema.DurationFromString)

/**
 * A duration such as `5 seconds`, `250 millis`, `2m` or `Infinity`; fails with the rule that the text breaks.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parseDuration: Read<Duration.Duration> = (text) => {
  const [, digits = "", unit = ""] = /^(-?\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(text.trim()) ?? []
  const long = digits === "" ? text : `${digits} ${Object.hasOwn(shortUnits, unit) ? shortUnits[unit] : unit}`
  return Result.mapError(
    decodeDuration(long),
    () => "must be a duration with its unit, such as \"5 seconds\", \"250 millis\", \"2 minutes\""
  )
}

const parseNumber: Read<number> = (text) =>
  /^\s*-?\d+(\.\d+)?\s*$/.test(text) ? Result.succeed(Number(text)) : Result.fail("must be a number")

const parseBoolean: Read<boolean> = (text) =>
  text === "true" || text === "false" ? Result.succeed(text === "true") : Result.fail("must be true or false")

/**
 * The options that the texts say; all problems at once, each with the variable, the value and the rule.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (raw: RawOptions): Effect.Effect<HeadgateOptions, ConfigError> => {
  const problems: Array<ConfigProblem> = []
  const read = <A>(name: keyof RawOptions, parseText: Read<A>): A | undefined => {
    const value = Option.getOrUndefined(raw[name])
    if (value === undefined) return undefined
    const parsed = parseText(value)
    const rule: Rule | undefined = poolRules[name] ?? schedulerRules[name]
    if (Result.isFailure(parsed)) problems.push({ field: variables[name], value, rule: parsed.failure })
    else if (rule !== undefined && !rule.holds(parsed.success)) {
      problems.push({ field: variables[name], value, rule: rule.rule })
    }
    return Result.getOrUndefined(parsed)
  }
  const options = {
    limit: read("limit", parseNumber),
    reserve: read("reserve", parseNumber),
    bufferSize: read("bufferSize", parseSize),
    prealloc: read("prealloc", parseNumber),
    maxWaiting: read("maxWaiting", parseNumber),
    ageAfter: read("ageAfter", parseDuration),
    runQueueDepth: read("runQueueDepth", parseNumber),
    leakThreshold: read("leakThreshold", parseDuration),
    trackOrigins: read("trackOrigins", parseBoolean),
    wipe: read("wipe", parseBoolean),
    debug: read("debug", parseBoolean)
  }
  const isWrong = (field: string) =>
    problems.some((problem) =>
      Object.entries(variables).some(([name, variable]) => name === field && variable === problem.field)
    )
  for (const problem of problemsBetween(options, isWrong)) {
    problems.push({ ...problem, field: problem.field === "reserve" ? variables.reserve : variables.prealloc })
  }
  return problems.length > 0 ? Effect.fail(new ConfigError({ problems })) : Effect.succeed(options)
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

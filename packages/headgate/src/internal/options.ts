/**
 * The rules of the options, in one table: what each must be, and what it is when left out. Nothing is clamped; all
 * problems are found at once; a name that is not in the table is a problem too.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { ConfigError, type ConfigProblem } from "../PoolError.ts"

export interface Rule {
  readonly rule: string
  readonly holds: (value: unknown) => boolean
}

const integer = (minimum: number, maximum: number, text: string): Rule => ({
  rule: `must be ${text}`,
  holds: (value) => typeof value === "number" && Number.isInteger(value) && value >= minimum && value <= maximum
})
const boolean: Rule = { rule: "must be true or false", holds: (value) => typeof value === "boolean" }
const positiveDuration: Rule = {
  rule: "must be a duration above zero, such as \"1 second\" or a number of milliseconds",
  holds: (value) => durationMs(value) > 0
}

const isDurationInput = (value: unknown): value is Duration.Input =>
  typeof value === "number" || typeof value === "string" || typeof value === "bigint" || Duration.isDuration(value)

/** Milliseconds of a duration, NaN if it is none. */
export const durationMs = (value: unknown): number =>
  isDurationInput(value)
    ? Option.match(Duration.fromInput(value), { onNone: () => Number.NaN, onSome: Duration.toMillis })
    : Number.NaN

export const GiB = 1 << 30

export const poolRules: { readonly [field: string]: Rule } = {
  name: { rule: "must be a text that is not empty", holds: (value) => typeof value === "string" && value !== "" },
  limit: integer(2, Number.MAX_SAFE_INTEGER, "an integer of at least 2"),
  reserve: integer(1, Number.MAX_SAFE_INTEGER, "an integer of at least 1"),
  bufferSize: integer(1, GiB, "an integer of bytes from 1 to 1 GiB"),
  prealloc: integer(0, Number.MAX_SAFE_INTEGER, "an integer of at least 0"),
  maxWaiting: {
    rule: "must be an integer of at least 0, or Infinity",
    holds: (value) => typeof value === "number" && value >= 0 && (Number.isInteger(value) || value === Infinity)
  },
  ageAfter: positiveDuration,
  leakThreshold: positiveDuration,
  trackOrigins: boolean,
  wipe: boolean,
  debug: {
    rule: "must be true or false, and true needs ArrayBuffer.prototype.transfer (Node 22 or later)",
    holds: (value) => value === false || (value === true && "transfer" in ArrayBuffer.prototype)
  },
  allocate: { rule: "must be a function of a size in bytes", holds: (value) => typeof value === "function" }
}

export const schedulerRules: { readonly [field: string]: Rule } = {
  runQueueDepth: integer(1, Number.MAX_SAFE_INTEGER, "an integer of at least 1")
}

export const relayRules: { readonly [field: string]: Rule } = {
  idleTimeout: positiveDuration,
  queueTimeout: positiveDuration,
  stallTimeout: positiveDuration,
  stallGrace: positiveDuration,
  turnBytes: integer(1, 256 * 1024, "an integer of bytes from 1 to 256 KiB"),
  sampleUnsent: { rule: "must be a function of peers", holds: (value) => typeof value === "function" }
}

export const problemsOf = (
  options: object,
  rules: { readonly [field: string]: Rule }
): Array<ConfigProblem> =>
  Object.entries(options).flatMap(([field, value]) => {
    const rule = Object.hasOwn(rules, field) ? rules[field] : undefined
    if (rule === undefined) {
      return [{ field, value, rule: `is not an option; those are ${Object.keys(rules).join(", ")}` }]
    }
    return value === undefined || rule.holds(value) ? [] : [{ field, value, rule: rule.rule }]
  })

/** The numbers that rules between fields are about. */
export interface Numbers {
  readonly limit?: number | undefined
  readonly reserve?: number | undefined
  readonly prealloc?: number | undefined
}

export const withDefaults = (options: Numbers) => {
  const limit = options.limit ?? 1024
  return { limit, reserve: options.reserve ?? Math.min(3, limit - 1), prealloc: options.prealloc ?? 0 }
}

/** `reserve < limit` and `prealloc <= limit`, for those numbers that are right by themselves. */
export const problemsBetween = (options: Numbers, isWrong: (field: string) => boolean): Array<ConfigProblem> => {
  const { limit, prealloc, reserve } = withDefaults(options)
  if (isWrong("limit")) return []
  const problems: Array<ConfigProblem> = []
  if (!isWrong("reserve") && reserve >= limit) {
    problems.push({ field: "reserve", value: reserve, rule: `must be below limit (${limit})` })
  }
  if (!isWrong("prealloc") && prealloc > limit) {
    problems.push({ field: "prealloc", value: prealloc, rule: `must not exceed limit (${limit})` })
  }
  return problems
}

/** All problems of a pool's options, and of others beside them. */
export const problemsOfPool = (
  options: Numbers,
  rules: { readonly [field: string]: Rule }
): ReadonlyArray<ConfigProblem> => {
  const problems = problemsOf(options, rules)
  return [...problems, ...problemsBetween(options, (field) => problems.some((problem) => problem.field === field))]
}

export const failOn = (problems: ReadonlyArray<ConfigProblem>): Effect.Effect<void, ConfigError> =>
  problems.length === 0 ? Effect.void : Effect.fail(new ConfigError({ problems }))

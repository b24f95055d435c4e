/**
 * How a relay's bytes come in, and which way is used on this machine.
 *
 * `plain` works everywhere: Node reads, and what it read is copied into a buffer at once. `readiness` leaves bytes in the kernel
 * until there is a buffer, and reads them straight into it. It leans on Node's internals, so it is used only where it is known
 * to be right: on Linux, with a libuv that does not lose an end (1.52, Node 24), and after it has shown on sockets of this very
 * process that it is.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { failingCheck } from "./internal/landingProbe.ts"
import { land } from "./internal/readinessLanding.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type Landing = "plain" | "readiness"

/**
 * The landing that is used, and in words why, if it is not the one that was asked for.
 *
 * @category models
 * @since 0.1.0
 */
export interface Choice {
  readonly landing: Landing
  readonly why: string | undefined
}

/**
 * What a choice depends on. All may be left out; for tests.
 *
 * @category options
 * @since 0.1.0
 */
export interface ChooseOptions {
  /** Default: this process's. */
  readonly platform?: string | undefined
  readonly libuv?: string | undefined
  /** What is not right with the landing, in words; undefined if all is. Default: a trial over loopback, of 2 seconds at most. */
  readonly trial?: Effect.Effect<string | undefined> | undefined
}

const isBefore = (version: string, major: number, minor: number): boolean => {
  const [one = 0, two = 0] = version.split(".").map(Number)
  return one < major || (one === major && two < minor)
}

/**
 * The landing that was asked for where it is known to be right, else `plain`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const choose = (wanted: Landing, options: ChooseOptions = {}): Effect.Effect<Choice> => {
  if (wanted === "plain") return Effect.succeed({ landing: wanted, why: undefined })
  const { libuv = process.versions.uv, platform = process.platform } = options
  const plain = (why: string): Choice => ({ landing: "plain", why })
  if (platform !== "linux") return Effect.succeed(plain(`readiness needs Linux, and this is ${platform}`))
  if (isBefore(libuv, 1, 52)) return Effect.succeed(plain(`readiness needs libuv 1.52, and this is ${libuv}`))
  return Effect.map(
    options.trial ?? failingCheck(land),
    (failed) =>
      failed === undefined ? { landing: wanted, why: undefined } : plain(`readiness failed its trial: ${failed}`)
  )
}

/**
 * Why an entity is run: HAProxy's `TASK_WOKEN_*`. Reasons are merged while the entity is queued or running, and delivered
 * once.
 *
 * @since 0.1.0
 */

/**
 * `init` (just made), `timer` (`expire`), `io` (bytes moved), `signal`, `message` (another entity says so), `resource` (a
 * buffer is its own), `other`.
 *
 * @category models
 * @since 0.1.0
 */
export type WakeReason = "init" | "timer" | "io" | "signal" | "message" | "resource" | "other"

const all: ReadonlyArray<WakeReason> = ["init", "timer", "io", "signal", "message", "resource", "other"]

const bits: { readonly [R in WakeReason]: number } = {
  init: 1,
  timer: 2,
  io: 4,
  signal: 8,
  message: 16,
  resource: 32,
  other: 64
}

/** @internal */
export const bit = (reason: WakeReason): number => bits[reason]

/** Every combination once, so that a run allocates none. @internal */
const sets: ReadonlyArray<ReadonlySet<WakeReason>> = Array.from(
  { length: 1 << all.length },
  (_, combination) => new Set(all.filter((_, at) => (combination & (1 << at)) !== 0))
)

/** @internal */
export const fromBits = (combination: number): ReadonlySet<WakeReason> => sets[combination] ?? new Set(all)

/**
 * Says the same thing once per interval, and how often it would have been said.
 *
 * Invariant: every event is either logged or counted in a later line of its cause. A cause is remembered for one interval only,
 * so that memory is bounded by the causes of that time.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export interface LogOnceOptions {
  /** Default 10 seconds. */
  readonly interval?: Duration.Input | undefined
  /** Default `Effect.logWarning`. */
  readonly log?: ((message: string) => Effect.Effect<void>) | undefined
}

export interface LogOnce {
  /** Logs the message, unless one of that cause was logged within the interval; then it is counted. */
  readonly note: (cause: string, message: string) => Effect.Effect<void>
}

/** Its timers live in the scope; at its end what was counted is said. */
export const make = (options: LogOnceOptions = {}): Effect.Effect<LogOnce, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const interval = Duration.fromInputUnsafe(options.interval ?? "10 seconds")
    const log = options.log ?? ((message) => Effect.logWarning(message))
    const suppressed = new Map<string, { count: number; last: string }>()

    const sayHowMany = (cause: string) =>
      Effect.suspend(() => {
        const { count = 0, last = "" } = suppressed.get(cause) ?? {}
        suppressed.delete(cause)
        return count === 0 ? Effect.void : log(`${last} (${count} more within ${Duration.format(interval)})`)
      })

    const note = (cause: string, message: string) =>
      Effect.suspend(() => {
        const known = suppressed.get(cause)
        if (known !== undefined) {
          known.count += 1
          known.last = message
          return Effect.void
        }
        suppressed.set(cause, { count: 0, last: message })
        const window = Effect.ensuring(Effect.sleep(interval), sayHowMany(cause))
        return Effect.andThen(log(message), Effect.forkIn(window, scope, { startImmediately: true }))
      })

    return { note: (cause, message) => Effect.asVoid(note(cause, message)) }
  })

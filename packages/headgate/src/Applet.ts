/**
 * An entity that produces bytes inside the process (a status page, a command line): before each run it is asked for its
 * buffer, and it runs all the same without one and decides for itself.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { AppletScheduler } from "./AppletScheduler.ts"
import type { ByteBuffer } from "./ByteBuffer.ts"
import type { ByteChannel } from "./ByteChannel.ts"
import { Channel } from "./internal/channel.ts"
import { Entity } from "./internal/entity.ts"
import { touch } from "./internal/version.ts"
import { BufferMisuse, type BufferPending } from "./PoolError.ts"
import type { Task } from "./Task.ts"

/**
 * What a run decides: `again` (run once more; without a buffer it means `wait`, so an applet never spins), `wait` (sleep
 * until woken, or until its buffer comes), `done` (end). Nothing means `wait`.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict = "again" | "wait" | "done"

/**
 * The verdicts by name, for where TypeScript would widen a literal to `string`.
 *
 * @category constants
 * @since 0.1.0
 */
export const again = "again" as const
/**
 * @category constants
 * @since 0.1.0
 */
export const wait = "wait" as const
/**
 * @category constants
 * @since 0.1.0
 */
export const done = "done" as const

/**
 * @category models
 * @since 0.1.0
 */
export interface Applet<out E = never> extends Task<E> {
  /** The channel that it fills. */
  readonly channel: ByteChannel
}

/**
 * @category models
 * @since 0.1.0
 */
export interface AppletOptions<E, R> {
  readonly name?: string | undefined
  /** The side of a stream that was made to be filled by an applet. */
  readonly channel: ByteChannel
  /** One run, with the buffer to fill if there is one: whatever it holds already is not yet consumed. */
  readonly run: (input: Option.Option<ByteBuffer>) => Effect.Effect<Verdict | void, E, R>
}

/**
 * Makes an applet, attaches it to its channel, and wakes it with `init`. It ends with its stream.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <E, R>(
  options: AppletOptions<E, R>
): Effect.Effect<
  Applet<Exclude<E, BufferPending>>,
  never,
  Exclude<R, Scope.Scope> | Scope.Scope | AppletScheduler
> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const scheduler = yield* AppletScheduler
    const channel = yield* toAttach(options.channel)
    const name = options.name ?? "applet"
    const run = (): Effect.Effect<void, E, R> =>
      Effect.suspend(() => {
        const input = channel.allocUnsafe() === "held" ? Option.fromNullishOr(channel.buffer) : Option.none()
        return Effect.flatMap(options.run(input), (verdict) => decide(verdict, input))
      })
    const decide = (verdict: Verdict | void, input: Option.Option<ByteBuffer>): Effect.Effect<void> => {
      if (verdict === "done") {
        return entity.end
      }
      if (verdict === "again" && Option.isSome(input)) {
        entity.wakeUnsafe("other")
      }
      return Effect.void
    }
    // Nothing to do before a run: it collects its grant at once, so none is left to pass on.
    const entity = new Entity({ name, scheduler, run, leave: () => channel.detach() }, yield* Scope.make())
    channel.filler = entity
    yield* entity.start(yield* Effect.scope)
    entity.wakeUnsafe("init")
    if (channel.ended) {
      entity.endUnsafe()
    }
    return Object.assign(entity, { channel })
  }))

const toAttach = (channel: ByteChannel): Effect.Effect<Channel> => {
  touch()
  if (channel instanceof Channel && channel.filledBy === "applet" && channel.filler === undefined) {
    return Effect.succeed(channel)
  }
  const pool = channel instanceof Channel ? channel.pool.name : "?"
  const fact = channel instanceof Channel && channel.filledBy === "applet"
    ? `a second applet was attached to the ${channel.side} channel that ${channel} fills`
    : `an applet was attached to a ${channel.side} channel that its stream fills`
  return Effect.die(new BufferMisuse({ pool, fact }))
}

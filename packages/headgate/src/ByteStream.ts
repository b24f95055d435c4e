/**
 * A task with two channels: what a client asks (`request`), and what it is answered (`response`).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { BufferPool } from "./BufferPool.ts"
import type { ByteChannel } from "./ByteChannel.ts"
import * as Criticality from "./Criticality.ts"
import { Channel } from "./internal/channel.ts"
import { Entity } from "./internal/entity.ts"
import { type BufferPending, CriticalityOrder } from "./PoolError.ts"
import type { Self as TaskSelf, Task } from "./Task.ts"
import { TaskScheduler } from "./TaskScheduler.ts"
import type { WakeReason } from "./WakeReason.ts"

/**
 * A stream as its own runs see it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Self extends TaskSelf {
  readonly request: ByteChannel
  readonly response: ByteChannel
}

/**
 * @category models
 * @since 0.1.0
 */
export interface ByteStream<out E = never> extends Self, Task<E> {}

/**
 * @category models
 * @since 0.1.0
 */
export interface ByteStreamOptions<E, R> {
  readonly name?: string | undefined
  /** One run. `ByteChannel.alloc` in it may fail with `BufferPending`: then the run is over, and comes again. */
  readonly process: (self: Self, reasons: ReadonlySet<WakeReason>) => Effect.Effect<void, E, R>
  /** The class at which the request channel is filled. Default `rx`. */
  readonly request?: Criticality.Criticality | undefined
  /** The class at which the response channel is filled. Default `channel`, or `endpoint` if an applet fills it. */
  readonly response?: Criticality.Criticality | undefined
  /** Sides that the one applet to be attached there fills, and not the stream. */
  readonly fillers?: { readonly request?: "applet" | undefined; readonly response?: "applet" | undefined } | undefined
}

/**
 * Makes a stream, and wakes it with `init`. Dies with `CriticalityOrder` if its channels' margins could freeze it: the
 * response must have a smaller margin than the request.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <E, R>(
  options: ByteStreamOptions<E, R>
): Effect.Effect<
  ByteStream<Exclude<E, BufferPending>>,
  never,
  Exclude<R, Scope.Scope> | Scope.Scope | TaskScheduler | BufferPool
> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const scheduler = yield* TaskScheduler
    const pool = yield* BufferPool
    const name = options.name ?? "stream"
    const request = new Channel(pool, "request", options.request ?? "rx", options.fillers?.request ?? "stream", name)
    const filledBy = options.fillers?.response ?? "stream"
    const criticality = options.response ?? (filledBy === "applet" ? "endpoint" : "channel")
    const response = new Channel(pool, "response", criticality, filledBy, name)
    yield* inOrder(name, request, response, pool.reserve)
    const channels = [request, response]
    const filled = channels.filter((channel) => channel.filledBy === "stream")
    const entity = new Entity(
      {
        name,
        scheduler,
        run: (reasons): Effect.Effect<void, E, R> => options.process(stream, reasons),
        beforeRun: () => beforeRun(filled),
        leave: () => {
          for (const channel of channels) channel.stop()
          for (const channel of channels) channel.endApplet()
          for (const channel of channels) channel.letGo()
        }
      },
      yield* Scope.make()
    )
    for (const channel of filled) channel.filler = entity
    const stream = Object.assign(entity, { request, response })
    yield* entity.start(yield* Effect.scope)
    entity.wakeUnsafe("init")
    return stream
  }))

const beforeRun = (channels: ReadonlyArray<Channel>): () => void => {
  const exits = channels.map((channel) => channel.beforeRun())
  return () => {
    for (const exit of exits) exit()
  }
}

const inOrder = (entity: string, request: Channel, response: Channel, reserve: number): Effect.Effect<void> => {
  const requestMargin = Criticality.margin(request.criticality, reserve)
  const responseMargin = Criticality.margin(response.criticality, reserve)
  if (responseMargin < requestMargin) return Effect.void
  return Effect.die(
    new CriticalityOrder({
      entity,
      request: request.criticality,
      response: response.criticality,
      reserve,
      requestMargin,
      responseMargin
    })
  )
}

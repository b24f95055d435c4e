/**
 * The relay's own status page, asked again and again: what the demo knows of buffers, it knows from there.
 *
 * Invariant: every request counts: it is answered within the bound, or it is in `unanswered`. The slowest is remembered.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Http from "node:http"
import { DemoFailed } from "./children.ts"
import { Watch } from "./watch.ts"

/** Generous, for machines that do other things as well; the figure that counts is the slowest answer, which is shown. */
export const boundSeconds = 5

const Class = Schema.Struct({ waiting: Schema.Number })

/** What the demo reads of `/stats.json`. */
const Stats = Schema.Struct({
  pool: Schema.Struct({
    limit: Schema.Number,
    bufferSize: Schema.Number,
    used: Schema.Number,
    highWater: Schema.Number,
    classes: Schema.Struct({ tx: Class, channel: Class, endpoint: Class, rx: Class }),
    counters: Schema.Struct({ handOffs: Schema.Number })
  }),
  relay: Schema.Struct({
    connections: Schema.Number,
    overdraftHighWaterBytes: Schema.Number,
    ended: Schema.Record(Schema.String, Schema.Number)
  }),
  server: Schema.Struct({ rssBytes: Schema.Number })
})

export type Stats = typeof Stats.Type

export const waiting = ({ pool }: Stats): number =>
  Object.values(pool.classes).reduce((sum, { waiting }) => sum + waiting, 0)

/** A connection of its own for each request: the page must be reachable, not only a socket that was opened in time. */
const get = (port: number): Effect.Effect<string, DemoFailed> =>
  Effect.callback((resume) => {
    const fail = (error: unknown): void => resume(Effect.fail(new DemoFailed({ message: `status page: ${error}` })))
    const request = Http.get({ host: "127.0.0.1", port, path: "/stats.json", agent: false }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (piece) => text += piece)
      response.on("error", fail).on("end", () => resume(Effect.succeed(text)))
    }).on("error", fail)
    return Effect.sync(() => request.destroy())
  })

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Stats))

/** One look at the page, within the bound. */
export const look = (port: number): Effect.Effect<Stats, DemoFailed> =>
  get(port).pipe(
    Effect.timeoutOrElse({
      duration: `${boundSeconds} seconds`,
      orElse: () => new DemoFailed({ message: `status page: no answer within ${boundSeconds} s` })
    }),
    Effect.flatMap((text) =>
      Effect.mapError(decode(text), ({ message }) =>
        new DemoFailed({ message: `status page: ${message.replace(/\s+/g, " ")}` }))
    )
  )

export class PageWatch extends Watch<Stats> {
  answered = 0
  slowestMs = 0
  mostWaiting = 0
  readonly unanswered: Array<string> = []
}

/** Looks at the page until the scope closes, with a pause between an answer and the next request. */
export const watchPage = (port: number, pauseMs: number): Effect.Effect<PageWatch, never, Scope.Scope> =>
  Effect.gen(function*() {
    const watch = new PageWatch()
    const once = Effect.gen(function*() {
      const askedAt = yield* Clock.currentTimeMillis
      const stats = yield* look(port)
      watch.answered++
      watch.slowestMs = Math.max(watch.slowestMs, (yield* Clock.currentTimeMillis) - askedAt)
      watch.mostWaiting = Math.max(watch.mostWaiting, waiting(stats))
      watch.note(stats)
    }).pipe(Effect.catch(({ message }) => Effect.sync(() => watch.unanswered.push(message))))
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(once, Effect.sleep(pauseMs))))
    return watch
  })

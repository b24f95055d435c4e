import { Effect, Option } from "effect"
import { Applet, BufferPool, ByteChannel, ByteStream, Headgate } from "headgate"

const takeAllForAWhile = Effect.all([BufferPool.acquire("tx"), BufferPool.acquire("tx")]).pipe(
  Effect.andThen(Effect.sleep("1 millis")),
  Effect.scoped
)

// The applet runs even without a buffer, and decides for itself.
export const program = Effect.gen(function*() {
  yield* Effect.forkChild(takeAllForAWhile, { startImmediately: true })
  const log = new Array<string>()
  const stream = yield* ByteStream.make({
    fillers: { response: "applet" },
    process: (self) =>
      Effect.gen(function*() {
        const text = yield* ByteChannel.takeText(self.response)
        log.push(`stream: "${text}"`)
        if (text !== "") yield* self.end
      })
  })
  yield* Applet.make({
    channel: stream.response,
    run: Option.match({
      onNone: () =>
        Effect.sync(() => {
          log.push("applet: no buffer yet")
          return "wait"
        }),
      onSome: (buffer) =>
        Effect.sync(() => {
          log.push("applet: here is one")
          buffer.write("stats: ok")
          stream.wakeUnsafe("message")
          return "wait"
        })
    })
  })
  yield* stream.await
  const { used } = yield* BufferPool.snapshot
  return { log, used }
}).pipe(Effect.scoped, Effect.provide(Headgate.layer({ limit: 2, reserve: 1 })))

const drain = ByteStream.make({
  fillers: { response: "applet" },
  process: (self) => Effect.asVoid(ByteChannel.takeText(self.response))
})

// However a run is written, its verdict keeps its literal type and its error comes through.
export const styles = Effect.gen(function*() {
  const ternary = yield* Applet.make({
    channel: (yield* drain).response,
    run: (input) => Effect.succeed(Option.isSome(input) ? "done" : "wait")
  })
  const generator = yield* Applet.make({
    channel: (yield* drain).response,
    run: Effect.fnUntraced(function*(input) {
      if (Option.isNone(input)) return "wait"
      yield* Effect.fail("boom")
      return "done"
    })
  })
  const failed = yield* generator.await.pipe(Effect.as("no failure"), Effect.catch(Effect.succeed))
  let runs = 0
  const again = yield* Applet.make({
    channel: (yield* drain).response,
    run: () => Effect.yieldNow.pipe(Effect.map(() => ++runs < 3 ? "again" : "done"))
  })
  const silent = yield* Applet.make({ channel: (yield* drain).response, run: () => Effect.void })
  yield* silent.end
  yield* Effect.all([ternary.await, again.await, silent.await])
  return { failed, runs }
}).pipe(Effect.scoped, Effect.provide(Headgate.layer({ limit: 8 })))

import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Applet, BufferPool, ByteChannel, ByteStream, Headgate, Stepper, Task } from "headgate"

const byHand = Headgate.layerManual({ limit: 2, reserve: 1 })

describe("by hand", () => {
  it.effect("a stream and an applet run step by step, in wake order, and only when told to", () =>
    Effect.gen(function*() {
      const log = new Array<string>()
      const stream = yield* ByteStream.make({
        fillers: { response: "applet" },
        process: (self, reasons) =>
          Effect.gen(function*() {
            log.push(`stream ${[...reasons].join("+")}`)
            const text = yield* ByteChannel.takeText(self.response)
            if (text === "") self.response.wakeFillerUnsafe("message")
            else log.push(text)
          })
      })
      yield* Applet.make({
        channel: stream.response,
        run: (input) =>
          Effect.sync(() => {
            log.push(`applet ${Option.isSome(input)}`)
            if (Option.isNone(input)) return "wait"
            input.value.write("ok")
            stream.wakeUnsafe("message")
            return "wait"
          })
      })
      assert.deepStrictEqual(log, [])
      assert.strictEqual(yield* Stepper.runTasks, 1)
      assert.strictEqual(yield* Stepper.runTasks, 0)
      assert.strictEqual(yield* Stepper.runApplets, 1)
      stream.wakeUnsafe("io")
      assert.strictEqual(yield* Stepper.runTasks, 1)
      assert.deepStrictEqual(log, ["stream init", "applet true", "stream io+message", "ok"])
      assert.strictEqual((yield* BufferPool.snapshot).used, 0)
    }).pipe(Effect.provide(byHand)))

  it.effect("a waiting fiber owns its buffer at once, and moves only with flush", () =>
    Effect.gen(function*() {
      const holder = yield* Effect.all([BufferPool.acquire("tx"), BufferPool.acquire("tx")]).pipe(
        Effect.andThen(Effect.sleep("1 second")),
        Effect.scoped,
        Effect.forkChild({ startImmediately: true })
      )
      const waiting = yield* BufferPool.withBuffer("rx", () => Effect.succeed("served")).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(holder)
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual((yield* BufferPool.snapshot).used, 1)
      assert.strictEqual(yield* Stepper.flush, 1)
      assert.strictEqual(yield* Fiber.join(waiting), "served")
    }).pipe(Effect.provide(byHand)))

  it.effect("runTasks counts the runs that it started, and returns before a run that yields is over", () =>
    Effect.gen(function*() {
      let done = 0
      yield* Task.make(() => Effect.andThen(Effect.yieldNow, Effect.sync(() => done++)).pipe(Effect.asVoid))
      assert.strictEqual(yield* Stepper.runTasks, 1)
      assert.strictEqual(done, 0)
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      assert.strictEqual(done, 1)
    }).pipe(Effect.provide(byHand)))

  it.effect("settle goes on until nothing is left, and says how many steps that took", () =>
    Effect.gen(function*() {
      let left = 3
      yield* Task.make((self) => left-- > 1 ? Effect.sync(() => self.wakeUnsafe("other")) : self.end)
      assert.strictEqual(yield* Stepper.settle, 3)
      assert.strictEqual(yield* Stepper.settle, 0)
    }).pipe(Effect.provide(byHand)))
})

layer(byHand)("one layer for several tests", (it) => {
  it.effect("the pool is one: a buffer is taken here", () =>
    BufferPool.withBuffer("rx", (buffer) => Effect.sync(() => buffer.write("x"))))
  it.effect("and its counters are seen here", () =>
    Effect.map(BufferPool.snapshot, ({ counters }) => assert.strictEqual(counters.takes, 1)))
})

/**
 * Rules of the design that earlier wordings lost something without, as far as runs, streams and entities are concerned, each
 * with the shortest history that showed it. Rows are `[used, free, queued, granted]`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Applet from "headgate/Applet"
import { BufferPool } from "headgate/BufferPool"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import * as Headgate from "headgate/Headgate"
import { Stepper } from "headgate/Stepper"
import { hold, isBuffer, manual, must, patient, row } from "./harness.ts"

describe("a run may not wait for a buffer", () => {
  it.effect("two runs queue their channels, then want one more: both grants are used, and nobody is frozen", () =>
    manual(
      { limit: 2, reserve: 1 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(2)
        const outcomes: Array<string> = []
        const stream = () =>
          ByteStream.make({
            process: (self) =>
              Effect.gen(function*() {
                const own = yield* Effect.exit(ByteChannel.alloc(self.response))
                const more = yield* Effect.exit(pool.withBuffer("tx", () => Effect.void))
                outcomes.push(`${own._tag} ${more._tag}`)
              })
          })
        yield* stream()
        yield* stream()
        expect([yield* Stepper.runTasks, yield* row]).toEqual([2, [2, 0, 2, 0]])
        pool.giveBackUnsafe(must(held[0]))
        expect(yield* row).toEqual([2, 0, 1, 1])
        pool.giveBackUnsafe(must(held[1]))
        expect(yield* row).toEqual([2, 0, 0, 2])
        expect([yield* Stepper.runTasks, yield* row]).toEqual([2, [0, 2, 0, 0]])
        expect(outcomes).toEqual(["Failure Failure", "Failure Failure", "Success Failure", "Success Success"])
        expect([yield* Stepper.settle, (yield* pool.snapshot).counters.refused]).toEqual([0, 3])
      })
    ))
})

describe("margin(endpoint) at reserve 1 is below margin(rx), by rounding down", () => {
  it.effect("a request with bytes holds the only buffer for rx, and its applet has the one it answers with", () =>
    manual(
      { limit: 2, reserve: 1 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const stream = yield* ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } })
        yield* Stepper.runTasks
        expect(ByteChannel.allocUnsafe(stream.request)).toBe("held")
        must(stream.request.buffer).write("GET")
        expect([yield* row, pool.tryTakeUnsafe("rx")]).toEqual([[1, 1, 0, 0], undefined])
        yield* Applet.make({
          channel: stream.response,
          run: (input) =>
            Effect.gen(function*() {
              if (Option.isNone(input)) return "wait"
              input.value.write(yield* ByteChannel.takeText(stream.request))
              return "done"
            })
        })
        expect([yield* Stepper.runApplets, yield* row]).toEqual([1, [1, 1, 0, 0]])
        expect([stream.request.buffer, yield* ByteChannel.takeText(stream.response)]).toEqual([undefined, "GET"])
        expect(yield* row).toEqual([0, 2, 0, 0])
      })
    ))
})

describe("what empties a channel asks at a smaller margin than the channel", () => {
  it.effect("a filter that asks at rx to empty an rx channel waits for itself; at endpoint it is served at once", () =>
    manual(
      { limit: 2, reserve: 1 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const stream = yield* ByteStream.make({ process: () => Effect.void })
        yield* Stepper.runTasks
        expect(ByteChannel.allocUnsafe(stream.request)).toBe("held")
        must(stream.request.buffer).write("abc")
        const asRx = patient(pool, "rx", "filter", [])
        expect([pool.waitQueue.takeOrWaitUnsafe(asRx), yield* Stepper.settle, yield* row]).toEqual(["queued", 0, [
          1,
          1,
          1,
          0
        ]])
        pool.waitQueue.leaveUnsafe(asRx)
        const door = pool.waitQueue.takeOrWaitUnsafe(patient(pool, "endpoint", "filter", []))
        expect([isBuffer(door), yield* row]).toEqual([true, [2, 0, 0, 0]])
        expect([yield* ByteChannel.takeText(stream.request), yield* row]).toEqual(["abc", [1, 1, 0, 0]])
      })
    ))
})

describe("between a grant and its wake the buffer is its waiter's", () => {
  /** 64 waiters before it, so that a stream's grant is made and its wake is still to come. */
  const granted = Effect.gen(function*() {
    const pool = yield* BufferPool
    yield* hold(70)
    for (let i = 0; i < 64; i++) pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", `waiter ${i}`, []))
    const runs: Array<string> = []
    const stream = yield* ByteStream.make({
      process: (self, reasons) => {
        runs.push([...reasons].join("+"))
        return Effect.map(ByteChannel.alloc(self.response), (buffer) => void buffer.write("x"))
      }
    })
    yield* Stepper.settle
    yield* Effect.orDie(pool.resize(135))
    expect([runs, yield* row]).toEqual([["init"], [135, 0, 0, 65]])
    return { runs, stream }
  })

  it.effect("a run that asks again before its wake has that buffer, not a second, and no wake is left over", () =>
    manual(
      { limit: 70 },
      Effect.gen(function*() {
        const { runs, stream } = yield* granted
        stream.wakeUnsafe("io")
        expect([yield* Stepper.runTasks, runs, yield* row]).toEqual([1, ["init", "io"], [135, 0, 0, 64]])
        expect(stream.response.buffer?.toText()).toBe("x")
        expect([yield* Stepper.settle, runs.length]).toEqual([0, 2])
      })
    ))

  it.effect("a callback that asks before the wake has it too", () =>
    manual(
      { limit: 70 },
      Effect.gen(function*() {
        const { stream } = yield* granted
        expect([ByteChannel.allocUnsafe(stream.response), yield* row]).toEqual(["held", [135, 0, 0, 64]])
        expect([ByteChannel.releaseUnsafe(stream.response), yield* row]).toEqual([true, [134, 1, 0, 64]])
        expect(yield* Stepper.settle).toBe(0)
      })
    ))

  it.effect("an end leaks nothing: the buffer goes to the next in that step", () =>
    manual(
      { limit: 70 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const { stream } = yield* granted
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "channel", "next", news))
        expect(yield* row).toEqual([135, 0, 1, 65])
        yield* stream.end
        expect([yield* row, news]).toEqual([[135, 0, 0, 65], ["next granted"]])
        expect([yield* Stepper.settle, (yield* pool.snapshot).counters.passedOn]).toEqual([0, 1])
      })
    ))

  it.effect("closing the pool takes it from nobody, and its give-back destroys it", () =>
    Effect.scoped(Effect.gen(function*() {
      const scope = yield* Scope.make()
      const layer = Headgate.layerManual({ limit: 70, reserve: 1, bufferSize: 16, debug: true })
      const context = yield* Layer.buildWithScope(Layer.orDie(layer), scope)
      yield* Effect.provideContext(
        Effect.gen(function*() {
          const pool = yield* BufferPool
          const { runs, stream } = yield* granted
          yield* Scope.close(scope, Exit.void)
          expect(yield* row).toEqual([135, 0, 0, 65])
          expect([yield* Stepper.settle, runs, yield* row]).toEqual([1, ["init", "resource"], [135, 0, 0, 64]])
          expect(yield* ByteChannel.takeText(stream.response)).toBe("x")
          expect(yield* pool.snapshot).toMatchObject({ used: 134, allocated: 134 })
        }),
        context
      )
    })))
})

/**
 * The regression that the seed brought: a response that has been sent stays allocated until its stream happens to run again,
 * and beside it others wait until they time out. Here a channel drained from outside a run gives back and offers at once.
 * Limit 3, reserve 2, as it was measured. Rows are `[used, free, queued, granted]`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { BufferPool } from "headgate/BufferPool"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import { Stepper } from "headgate/Stepper"
import { TaskScheduler } from "headgate/TaskScheduler"
import { manual, must, row } from "./harness.ts"

/** A stream that answers in its first run, and whenever its buffer comes; then it sleeps. */
const answering = (side: "request" | "response", runs: Array<string>, name: string) =>
  ByteStream.make({
    name,
    process: (self, reasons) =>
      Effect.map(ByteChannel.alloc(self[side]), (buffer) => {
        runs.push(`${name} ${[...reasons].join("+")}`)
        buffer.write("answer")
      })
  })

const saturated = Effect.gen(function*() {
  const runs: Array<string> = []
  const holders = yield* Effect.forEach(["a", "b", "c"], (name) => answering("response", runs, name))
  expect([yield* Stepper.settle, yield* row]).toEqual([3, [3, 0, 0, 0]])
  const response = yield* answering("response", runs, "response")
  const request = yield* answering("request", runs, "request")
  expect([yield* Stepper.settle, runs.splice(0), yield* row]).toEqual([
    2,
    ["a init", "b init", "c init"],
    [3, 0, 2, 0]
  ])
  return { holders, request, response, runs }
})

describe("a channel that is drained from outside a run gives back and offers at once", () => {
  it.effect("to the response, which may use the reserve, and to the request when enough is free; no holder runs", () =>
    manual(
      { limit: 3, reserve: 2 },
      Effect.gen(function*() {
        const { holders, request, response, runs } = yield* saturated
        const tasks = yield* TaskScheduler
        const [a, b, c] = holders.map((stream) => must(stream.response.buffer))
        must(a).consume(6)
        expect([yield* row, (yield* tasks.snapshot).runQueueLength]).toEqual([[3, 0, 1, 1], 1])
        expect([yield* Stepper.runTasks, runs, yield* row]).toEqual([1, ["response resource"], [3, 0, 1, 0]])
        must(b).consume(6)
        expect([yield* Stepper.settle, yield* row]).toEqual([0, [2, 1, 1, 0]])
        must(c).consume(6)
        expect([yield* Stepper.settle, yield* row]).toEqual([0, [1, 2, 1, 0]])
        must(response.response.buffer).consume(6)
        expect(yield* row).toEqual([1, 2, 0, 1])
        expect([yield* Stepper.settle, runs, yield* row]).toEqual([
          1,
          ["response resource", "request resource"],
          [1, 2, 0, 0]
        ])
        expect(request.request.buffer?.toText()).toBe("answer")
        expect((yield* tasks.snapshot).starts, "nobody who had sent ran again").toBe(7)
      })
    ))

  it.effect("when its write completes: emptied while the kernel reads it, it goes at the unpin", () =>
    manual(
      { limit: 3, reserve: 2 },
      Effect.gen(function*() {
        const { holders, runs } = yield* saturated
        const pool = yield* BufferPool
        const sent = must(must(holders[1]).response.buffer)
        pool.pinUnsafe(sent)
        sent.consume(6)
        expect(yield* row).toEqual([3, 0, 2, 0])
        pool.unpinUnsafe(sent)
        expect([yield* row, yield* Stepper.settle, runs]).toEqual([[3, 0, 1, 1], 1, ["response resource"]])
      })
    ))

  it.effect("in every order of three drains, to the same two, and in the step of the last", () =>
    Effect.gen(function*() {
      for (const order of [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]) {
        yield* manual(
          { limit: 3, reserve: 2, name: order.join() },
          Effect.gen(function*() {
            const { holders, response, runs } = yield* saturated
            for (const at of order) {
              yield* ByteChannel.takeText(must(holders[at]).response)
              yield* Stepper.settle
            }
            yield* ByteChannel.takeText(response.response)
            yield* Stepper.settle
            expect([runs, yield* row]).toEqual([["response resource", "request resource"], [1, 2, 0, 0]])
          })
        )
      }
    }))
})

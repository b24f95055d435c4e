/**
 * A stream's channels: at most one buffer each, one waiter each, and one rule: the buffer goes back in the step in which it
 * is empty and unpinned. Rows are `[used, free, queued, granted]`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import { BufferMisuse, BufferPending, BufferUnavailable, CriticalityOrder, PoolClosed } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { causeOf, classes, give, hold, isBuffer, manual, margin, must, patient, row, start } from "./harness.ts"

const defectOf = (exit: Exit.Exit<unknown, unknown>): unknown => {
  const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
  return reason?._tag === "Die" ? reason.defect : undefined
}

/** A stream that does `first` in its first run, and nothing later. */
const once = <E, R>(first: (self: ByteStream.Self) => Effect.Effect<void, E, R>) =>
  ByteStream.make({
    process: (self, reasons): Effect.Effect<void, E, R> => reasons.has("init") ? first(self) : Effect.void
  })

type Door = (
  channel: ByteChannel.ByteChannel
) => Effect.Effect<ByteBuffer, BufferPending | BufferUnavailable | PoolClosed, Scope.Scope>
const doors: ReadonlyArray<Door> = [ByteChannel.alloc, ByteChannel.tryAlloc]

/** A stream whose response holds the bytes "abc", and which sleeps. */
const filled = Effect.gen(function*() {
  const stream = yield* once((self) =>
    Effect.map(ByteChannel.alloc(self.response), (buffer) => void buffer.write("abc"))
  )
  expect(yield* Stepper.runTasks).toBe(1)
  expect(yield* row).toEqual([1, 3, 0, 0])
  return stream
})

describe("a run that finds no buffer", () => {
  it.effect("ends with BufferPending, sleeps, and is run again once, with resource, when the buffer is its own", () =>
    manual(
      {},
      Effect.gen(function*() {
        const held = yield* hold(4)
        const runs: Array<string> = []
        const stream = yield* ByteStream.make({
          name: "upload",
          process: (self, reasons) => {
            runs.push([...reasons].join("+"))
            return Effect.map(ByteChannel.alloc(self.response), (buffer) => void buffer.write("x"))
          }
        })
        expect(yield* Stepper.settle).toBe(1)
        expect([runs, yield* row]).toEqual([["init"], [4, 0, 1, 0]])
        expect(
          (yield* (yield* BufferPool).waitQueue.waiting).map(({ criticality, target }) => [String(target), criticality])
        )
          .toEqual([["upload", "channel"]])
        yield* give(held[0])
        expect([runs, yield* row]).toEqual([["init"], [4, 0, 0, 1]])
        expect(yield* Stepper.settle).toBe(1)
        expect([runs, yield* row]).toEqual([["init", "resource"], [4, 0, 0, 0]])
        expect(stream.response.buffer?.toText()).toBe("x")
        yield* give(held[1])
        expect([yield* Stepper.settle, yield* row]).toEqual([0, [3, 1, 0, 0]])
      })
    ))

  it.effect("and asks for both channels waits once for each, and each grant is its own", () =>
    manual(
      {},
      Effect.gen(function*() {
        const held = yield* hold(4)
        const outcomes: Array<string> = []
        const stream = yield* ByteStream.make({
          process: (self) =>
            Effect.gen(function*() {
              const both = [
                yield* Effect.exit(ByteChannel.alloc(self.request)),
                yield* Effect.exit(ByteChannel.alloc(self.response))
              ]
              outcomes.push(both.map((exit) => exit._tag).join(" "))
              for (const exit of both) if (Exit.isSuccess(exit)) exit.value.write("x")
            })
        })
        yield* Stepper.runTasks
        stream.wakeUnsafe("io")
        yield* Stepper.runTasks
        expect([outcomes, yield* row]).toEqual([["Failure Failure", "Failure Failure"], [4, 0, 2, 0]])
        yield* give(held[0])
        expect([yield* Stepper.settle, yield* row]).toEqual([1, [4, 0, 1, 0]])
        yield* give(held[1])
        expect([yield* Stepper.settle, yield* row]).toEqual([0, [3, 1, 1, 0]])
        yield* give(held[2])
        expect([yield* Stepper.settle, yield* row]).toEqual([1, [3, 1, 0, 0]])
        expect(outcomes).toEqual(["Failure Failure", "Failure Failure", "Failure Success", "Success Success"])
      })
    ))

  it.effect("at its class leaves the margin behind: a request the whole reserve, a response none at reserve 1", () =>
    manual(
      {},
      Effect.gen(function*() {
        yield* hold(3)
        const outcomes: Array<unknown> = []
        yield* once((self) =>
          Effect.gen(function*() {
            outcomes.push(yield* Effect.flip(ByteChannel.alloc(self.request)))
            outcomes.push((yield* ByteChannel.alloc(self.response)).size)
          })
        )
        yield* Stepper.runTasks
        expect(outcomes).toEqual([expect.any(BufferPending), 16])
        expect(outcomes[0]).toMatchObject({ pool: "default", stream: "stream", side: "request" })
      })
    ))

  it.effect("with tryAlloc never queues, and says with which numbers", () =>
    manual(
      {},
      Effect.gen(function*() {
        yield* hold(4)
        const outcomes: Array<unknown> = []
        yield* once((self) =>
          Effect.map(Effect.flip(ByteChannel.tryAlloc(self.request)), (error) => void outcomes.push(error))
        )
        yield* Stepper.settle
        expect(outcomes).toEqual([expect.any(BufferUnavailable)])
        expect(outcomes[0]).toMatchObject({
          criticality: "rx",
          limit: 4,
          used: 4,
          reserve: 1,
          queued: 0,
          cause: undefined
        })
        expect(yield* row).toEqual([4, 0, 0, 0])
      })
    ))

  it.effect("with tryAlloc has one buffer at most: asked again, it is the same", () =>
    manual(
      {},
      Effect.gen(function*() {
        const outcomes: Array<unknown> = []
        yield* once((self) =>
          Effect.gen(function*() {
            const [first, second] = [
              yield* ByteChannel.tryAlloc(self.request),
              yield* ByteChannel.tryAlloc(self.request)
            ]
            outcomes.push(first === second, yield* row)
          })
        )
        yield* Stepper.settle
        expect([outcomes, yield* row]).toEqual([[true, [1, 3, 0, 0]], [0, 4, 0, 0]])
      })
    ))

  it.effect("collects its grant with tryAlloc too: the very buffer, and no wake is left over", () =>
    manual(
      {},
      Effect.gen(function*() {
        const held = yield* hold(4)
        const stream = yield* once(() => Effect.void)
        yield* Stepper.settle
        expect(ByteChannel.allocUnsafe(stream.response)).toBe("queued")
        yield* give(held[0])
        expect(yield* row).toEqual([4, 0, 0, 1])
        const buffer = yield* Effect.scoped(ByteChannel.tryAlloc(stream.response))
        expect(buffer.room).toBe(0)
        expect(yield* row).toEqual([3, 1, 0, 0])
        expect([yield* Stepper.settle, yield* row]).toEqual([1, [3, 1, 0, 0]])
      })
    ))
})

describe("the buffer of a channel goes back in the step in which it is empty", () => {
  it.effect("consumed outside a run", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* filled
        const buffer = must(stream.response.buffer)
        buffer.consume(2)
        expect(yield* row).toEqual([1, 3, 0, 0])
        buffer.consume(1)
        expect(yield* row).toEqual([0, 4, 0, 0])
        expect(stream.response.buffer).toBeUndefined()
        expect(() => buffer.consume(0)).toThrow(BufferMisuse)
      })
    ))

  it.effect("consumed inside a run of another entity", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* filled
        const seen: Array<unknown> = []
        yield* Task.make(() =>
          Effect.gen(function*() {
            must(stream.response.buffer).consume(3)
            seen.push(yield* row)
          })
        )
        yield* Stepper.runTasks
        expect(seen).toEqual([[0, 4, 0, 0]])
      })
    ))

  it.effect("consumed inside a later run of its own filler, that did not allocate", () =>
    manual(
      {},
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        const stream = yield* ByteStream.make({
          process: (self, reasons) =>
            Effect.gen(function*() {
              if (reasons.has("init")) return void (yield* ByteChannel.alloc(self.response)).write("abc")
              must(self.response.buffer).consume(3)
              seen.push(yield* row)
            })
        })
        yield* Stepper.runTasks
        stream.wakeUnsafe("io")
        yield* Stepper.runTasks
        expect(seen).toEqual([[0, 4, 0, 0]])
      })
    ))

  it.effect("by takeText and by takeBytes, which return what there was", () =>
    manual(
      {},
      Effect.gen(function*() {
        const text = yield* filled
        expect(yield* ByteChannel.takeText(text.response)).toBe("abc")
        expect(yield* row).toEqual([0, 4, 0, 0])
        expect(yield* ByteChannel.takeText(text.response)).toBe("")
        const bytes = yield* filled
        expect(yield* ByteChannel.takeBytes(bytes.response)).toEqual(Uint8Array.of(97, 98, 99))
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("at the unpin of the last operation in flight, if it was emptied meanwhile", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* filled
        const pool = yield* BufferPool
        const buffer = must(stream.response.buffer)
        pool.pinUnsafe(buffer)
        pool.pinUnsafe(buffer)
        buffer.consume(3)
        expect(yield* row).toEqual([1, 3, 0, 0])
        pool.unpinUnsafe(buffer)
        expect(yield* row).toEqual([1, 3, 0, 0])
        pool.unpinUnsafe(buffer)
        expect(yield* row).toEqual([0, 4, 0, 0])
        expect(() => pool.unpinUnsafe(buffer)).toThrow(BufferMisuse)
      })
    ))

  it.effect("and not at an unpin while there are bytes in it", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* filled
        const pool = yield* BufferPool
        const buffer = must(stream.response.buffer)
        pool.pinUnsafe(buffer)
        pool.unpinUnsafe(buffer)
        expect([yield* row, stream.response.buffer]).toEqual([[1, 3, 0, 0], buffer])
      })
    ))

  it.effect("by release, which says whether it did", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* once(() => Effect.void)
        yield* Stepper.runTasks
        expect(yield* ByteChannel.release(stream.response)).toBe(false)
        expect(ByteChannel.allocUnsafe(stream.response)).toBe("held")
        expect(ByteChannel.allocUnsafe(stream.response)).toBe("held")
        expect(yield* row).toEqual([1, 3, 0, 0])
        expect(ByteChannel.releaseUnsafe(stream.response)).toBe(true)
        expect(yield* row).toEqual([0, 4, 0, 0])
        expect(ByteChannel.allocUnsafe(stream.response)).toBe("held")
        must(stream.response.buffer).write("x")
        expect([yield* ByteChannel.release(stream.response), yield* row]).toEqual([false, [1, 3, 0, 0]])
      })
    ))
})

describe("what pins the buffer of a channel", () => {
  it.effect("an open alloc scope: it goes back when that closes, and not while it is open", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* once(() => Effect.void)
        yield* Stepper.runTasks
        const [first, second] = [yield* Scope.make(), yield* Scope.make()]
        const buffer = yield* Scope.provide(ByteChannel.alloc(stream.response), first)
        expect(yield* Scope.provide(ByteChannel.alloc(stream.response), second)).toBe(buffer)
        buffer.write("abc")
        buffer.consume(3)
        expect([yield* row, yield* ByteChannel.release(stream.response)]).toEqual([[1, 3, 0, 0], false])
        yield* Scope.close(first, Exit.void)
        expect(yield* row).toEqual([1, 3, 0, 0])
        yield* Scope.close(second, Exit.void)
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("an alloc scope that closes over bytes leaves them for the consumer", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* once(() => Effect.void)
        yield* Stepper.runTasks
        yield* Effect.scoped(Effect.map(ByteChannel.alloc(stream.response), (buffer) => buffer.write("abc")))
        expect(yield* row).toEqual([1, 3, 0, 0])
        expect(yield* ByteChannel.takeText(stream.response)).toBe("abc")
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("the run that allocated it, even emptied, even through a nested scope: until its exit", () =>
    manual(
      {},
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const seen: Array<unknown> = []
        yield* once((self) =>
          Effect.gen(function*() {
            const buffer = yield* Effect.scoped(ByteChannel.alloc(self.response))
            buffer.write("abc")
            buffer.consume(3)
            seen.push(yield* row)
            yield* Deferred.await(gate)
          })
        )
        yield* Stepper.runTasks
        expect([seen, yield* row]).toEqual([[[1, 3, 0, 0]], [1, 3, 0, 0]])
        yield* Deferred.succeed(gate, undefined)
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("the run that allocated it, unless it says release: then in that step, and it may allocate again", () =>
    manual(
      {},
      Effect.gen(function*() {
        const seen: Array<unknown> = []
        yield* once((self) =>
          Effect.gen(function*() {
            yield* Effect.scoped(ByteChannel.alloc(self.response))
            seen.push(yield* row, yield* ByteChannel.release(self.response), yield* row)
            yield* Effect.scoped(ByteChannel.alloc(self.response))
            seen.push(yield* row)
          })
        )
        yield* Stepper.runTasks
        expect([...seen, yield* row]).toEqual([[1, 3, 0, 0], true, [0, 4, 0, 0], [1, 3, 0, 0], [0, 4, 0, 0]])
      })
    ))

  it.effect("the run that allocated it: nobody else's release gives it back, and asking for it again does not either", () =>
    manual(
      {},
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const stream = yield* once((self) =>
          Effect.suspend(() => {
            const doors = [ByteChannel.allocUnsafe(self.response), ByteChannel.allocUnsafe(self.response)]
            expect([doors, self.response.buffer?.room]).toEqual([["held", "held"], 16])
            return Deferred.await(gate)
          })
        )
        yield* Stepper.runTasks
        expect([ByteChannel.releaseUnsafe(stream.response), yield* row]).toEqual([false, [1, 3, 0, 0]])
        yield* Deferred.succeed(gate, undefined)
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("not the run of another entity that called allocUnsafe: what it releases goes back at once", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* once(() => Effect.void)
        const seen: Array<unknown> = []
        yield* Task.make(() =>
          Effect.sync(() => {
            seen.push(ByteChannel.allocUnsafe(stream.response), ByteChannel.releaseUnsafe(stream.response))
          })
        )
        yield* Stepper.runTasks
        expect([seen, yield* row]).toEqual([["held", true], [0, 4, 0, 0]])
      })
    ))

  it.effect("nothing, when it was allocated without a scope in a run that has ended, however it ended", () =>
    manual(
      {},
      Effect.gen(function*() {
        yield* once((self) => Effect.asVoid(ByteChannel.alloc(self.response)))
        expect([yield* Stepper.runTasks, yield* row]).toEqual([1, [0, 4, 0, 0]])
        const failing = yield* once((self) => Effect.andThen(ByteChannel.alloc(self.response), Effect.fail("broken")))
        yield* start(Effect.exit(failing.await))
        expect([yield* Stepper.runTasks, yield* row]).toEqual([1, [0, 4, 0, 0]])
        const dying = yield* once((self) => Effect.andThen(ByteChannel.alloc(self.response), Effect.die("broken")))
        yield* start(Effect.exit(dying.await))
        expect([yield* Stepper.runTasks, yield* row]).toEqual([1, [0, 4, 0, 0]])
      })
    ))
})

describe("a grant", () => {
  it.effect("that the run it woke does not collect goes to the next at that run's exit", () =>
    manual(
      {},
      Effect.gen(function*() {
        const held = yield* hold(4)
        const gate = yield* Deferred.make<void>()
        yield* ByteStream.make({
          process: (self, reasons) =>
            reasons.has("init") ? Effect.asVoid(ByteChannel.alloc(self.response)) : Deferred.await(gate)
        })
        yield* Stepper.settle
        const pool = yield* BufferPool
        const news: Array<string> = []
        const behind = patient(pool, "rx", "behind", news)
        expect([pool.waitQueue.takeOrWaitUnsafe(behind), yield* row]).toEqual(["queued", [4, 0, 2, 0]])
        yield* give(held[0])
        expect(yield* row).toEqual([4, 0, 1, 1])
        yield* give(held[1])
        expect([yield* row, news]).toEqual([[3, 1, 1, 1], []])
        expect([yield* Stepper.runTasks, yield* row]).toEqual([1, [3, 1, 1, 1]])
        yield* Deferred.succeed(gate, undefined)
        expect([yield* row, news, behind.state]).toEqual([[3, 1, 0, 1], ["behind granted"], "granted"])
        expect((yield* pool.snapshot).counters).toMatchObject({ handOffs: 2, passedOn: 1, declined: 0 })
      })
    ))

  it.effect("that came during a run is not passed on at that run's exit: the run it woke is still to come", () =>
    manual(
      {},
      Effect.gen(function*() {
        const held = yield* hold(4)
        const gate = yield* Deferred.make<void>()
        const runs: Array<string> = []
        yield* ByteStream.make({
          process: (self, reasons) => {
            runs.push([...reasons].join("+"))
            return reasons.has("init")
              ? Effect.andThen(Effect.exit(ByteChannel.alloc(self.response)), Deferred.await(gate))
              : Effect.void
          }
        })
        yield* Stepper.runTasks
        yield* give(held[0])
        expect(yield* row).toEqual([4, 0, 0, 1])
        yield* Deferred.succeed(gate, undefined)
        expect([yield* row, runs]).toEqual([[4, 0, 0, 1], ["init"]])
        expect([yield* Stepper.runTasks, runs, yield* row]).toEqual([1, ["init", "resource"], [3, 1, 0, 0]])
      })
    ))

  it.effect("whose wake is still to come (the 65th of one step) outlives a run that something else woke", () =>
    manual(
      { limit: 70 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* hold(70)
        const news: Array<string> = []
        for (let i = 0; i < 64; i++) pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", `waiter ${i}`, news))
        const runs: Array<string> = []
        const stream = yield* ByteStream.make({
          process: (self, reasons) => {
            runs.push([...reasons].join("+"))
            return reasons.has("init") ? Effect.asVoid(ByteChannel.alloc(self.response)) : Effect.void
          }
        })
        yield* Stepper.settle
        expect(yield* row).toEqual([70, 0, 65, 0])
        yield* pool.resize(200)
        expect([news.length, yield* row]).toEqual([64, [135, 65, 0, 65]])
        stream.wakeUnsafe("io")
        expect([yield* Stepper.runTasks, runs, yield* row]).toEqual([1, ["init", "io"], [135, 65, 0, 65]])
        expect([yield* Stepper.flush, yield* Stepper.runTasks]).toEqual([1, 1])
        expect([runs, yield* row]).toEqual([["init", "io", "resource"], [134, 66, 0, 64]])
      })
    ))
})

describe("the end of a stream", () => {
  it.effect("leaves its queues, gives back what it holds, and serves the next waiter, in one step", () =>
    manual(
      { limit: 4 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const stream = yield* filled
        yield* hold(3)
        expect(ByteChannel.allocUnsafe(stream.request)).toBe("queued")
        const [next, last] = [patient(pool, "tx", "next", news), patient(pool, "rx", "last", news)]
        expect([next, last].map(pool.waitQueue.takeOrWaitUnsafe)).toEqual(["queued", "queued"])
        expect(yield* row).toEqual([4, 0, 3, 0])
        yield* stream.end
        expect([yield* row, news]).toEqual([[4, 0, 1, 1], ["next granted"]])
        expect((yield* pool.snapshot).counters).toMatchObject({ handOffs: 1, passedOn: 0 })
        expect(yield* Effect.exit(stream.await)).toEqual(Exit.void)
        expect([yield* Stepper.settle, yield* row]).toEqual([0, [4, 0, 1, 1]])
      })
    ))

  it.effect("leaves all its queues before it gives anything back: its own other side is offered nothing", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const stream = yield* once(() => Effect.void)
        yield* Stepper.settle
        expect(ByteChannel.allocUnsafe(stream.request)).toBe("held")
        yield* hold(3)
        expect(ByteChannel.allocUnsafe(stream.response)).toBe("queued")
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "endpoint", "next", news))
        expect(yield* row).toEqual([4, 0, 2, 0])
        yield* stream.end
        expect([yield* row, news]).toEqual([[4, 0, 0, 1], ["next granted"]])
        expect((yield* pool.snapshot).counters).toMatchObject({ handOffs: 1, passedOn: 0 })
      })
    ))

  it.effect("passes on a grant that it has not collected", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(4)
        const stream = yield* once((self) => Effect.asVoid(ByteChannel.alloc(self.response)))
        yield* Stepper.settle
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "channel", "next", news))
        yield* give(held[0])
        expect([yield* row, news]).toEqual([[4, 0, 1, 1], []])
        yield* stream.end
        expect([yield* row, news]).toEqual([[4, 0, 0, 1], ["next granted"]])
        expect(yield* Stepper.settle).toBe(0)
      })
    ))

  it.effect("while a buffer is pinned: the area goes back at the last unpin, and the next is served then", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const stream = yield* filled
        yield* hold(3)
        const buffer = must(stream.response.buffer)
        pool.pinUnsafe(buffer)
        pool.pinUnsafe(buffer)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", "next", news))
        yield* stream.end
        expect([yield* row, news, buffer.length, buffer.room]).toEqual([[4, 0, 1, 0], [], 0, 0])
        pool.unpinUnsafe(buffer)
        expect([yield* row, news]).toEqual([[4, 0, 1, 0], []])
        pool.unpinUnsafe(buffer)
        expect([yield* row, news]).toEqual([[4, 0, 0, 1], ["next granted"]])
      })
    ))

  it.effect("inside its own run: what the run has pinned goes back at its exit, all else at once", () =>
    manual(
      {},
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const stream = yield* ByteStream.make({
          process: (self, reasons) =>
            Effect.gen(function*() {
              if (reasons.has("init")) return void (yield* ByteChannel.alloc(self.request)).write("abc")
              yield* ByteChannel.alloc(self.response)
              yield* self.end
              yield* Deferred.await(gate)
            })
        })
        yield* Stepper.runTasks
        stream.wakeUnsafe("io")
        expect([yield* row, yield* Stepper.runTasks, yield* row]).toEqual([[1, 3, 0, 0], 1, [1, 3, 0, 0]])
        expect([stream.request.buffer, stream.response.buffer]).toEqual([undefined, undefined])
        yield* Deferred.succeed(gate, undefined)
        expect([yield* row, yield* Effect.exit(stream.await)]).toEqual([[0, 4, 0, 0], Exit.void])
      })
    ))

  it.effect("by a failure, a defect or its scope gives back as well", () =>
    manual(
      {},
      Effect.gen(function*() {
        const badly: ReadonlyArray<Effect.Effect<void, string>> = [Effect.fail("broken"), Effect.die("broken")]
        const filling = (self: ByteStream.Self) =>
          Effect.map(ByteChannel.alloc(self.request), (buffer) => void buffer.write("x"))
        for (const bad of badly) {
          const stream = yield* ByteStream.make({
            process: (self, reasons) =>
              Effect.gen(function*() {
                yield* reasons.has("io") ? bad : filling(self)
              })
          })
          yield* start(Effect.exit(stream.await))
          yield* Stepper.runTasks
          stream.wakeUnsafe("io")
          expect([yield* row, yield* Stepper.runTasks, yield* row]).toEqual([[1, 3, 0, 0], 1, [0, 4, 0, 0]])
        }
        const scope = yield* Scope.make()
        yield* Scope.provide(filled, scope)
        yield* Scope.close(scope, Exit.void)
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("never dies of a buffer that somebody gave back by hand: the rest still goes back, and who awaits is told", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* once((self) =>
          Effect.gen(function*() {
            for (const channel of [self.request, self.response]) (yield* ByteChannel.alloc(channel)).write("abc")
          })
        )
        const waiting = yield* start(stream.await)
        expect([yield* Stepper.runTasks, yield* row]).toEqual([1, [2, 2, 0, 0]])
        yield* give(stream.request.buffer)
        expect(yield* row).toEqual([1, 3, 0, 0])
        expect(causeOf(yield* Effect.exit(stream.end))).toBe("success")
        expect([yield* row, causeOf(waiting.pollUnsafe())]).toEqual([[0, 4, 0, 0], "success"])
      })
    ))

  it.effect("is final: nobody allocates its channels any more", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* filled
        yield* stream.end
        expect(ByteChannel.allocUnsafe(stream.request)).toBe("closed")
        for (const door of doors) {
          expect(yield* Effect.flip(Effect.scoped(door(stream.response)))).toEqual(new PoolClosed({ pool: "default" }))
        }
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))
})

describe("only the filler", () => {
  it.effect("may allocate: a run of another entity that does is a defect that names both, and takes nothing", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* once(() => Effect.void)
        for (const door of doors) {
          const other = yield* Task.make(() => Effect.asVoid(Effect.orDie(door(stream.request))))
          const waiting = yield* start(other.await)
          yield* Stepper.settle
          const defect = defectOf(must(waiting.pollUnsafe()))
          expect(defect).toBeInstanceOf(BufferMisuse)
          expect(String(defect)).toContain("the request channel is filled by stream")
          expect(yield* row).toEqual([0, 4, 0, 0])
        }
      })
    ))
})

describe("a stream whose response would need as much margin as its request", () => {
  it.effect.each([1, 2, 3, 4, 7])(
    "is refused with CriticalityOrder, and no other is, at reserve %s",
    (reserve) =>
      manual(
        { limit: reserve + 1, reserve },
        Effect.gen(function*() {
          let refused = 0
          for (const request of classes) {
            for (const response of classes) {
              const exit = yield* Effect.exit(ByteStream.make({
                request,
                response,
                process: () => Effect.void
              }))
              const margins = { requestMargin: margin(request, reserve), responseMargin: margin(response, reserve) }
              if (margins.responseMargin < margins.requestMargin) {
                expect(exit._tag).toBe("Success")
                continue
              }
              refused++
              expect(defectOf(exit)).toBeInstanceOf(CriticalityOrder)
              expect(defectOf(exit)).toMatchObject({ entity: "stream", request, response, reserve, ...margins })
            }
          }
          expect(refused).toBe(reserve === 1 ? 13 : reserve === 2 ? 11 : 10)
          expect(yield* row).toEqual([0, reserve + 1, 0, 0])
        })
      )
  )

  it.effect("never by the defaults: a stream's response, and an applet's, at every reserve", () =>
    Effect.gen(function*() {
      for (let reserve = 1; reserve <= 6; reserve++) {
        yield* manual(
          { limit: 8, reserve, name: `reserve ${reserve}` },
          Effect.gen(function*() {
            const own = yield* ByteStream.make({ process: () => Effect.void })
            const applet = yield* ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } })
            expect([own.request.criticality, own.response.criticality]).toEqual(["rx", "channel"])
            expect([applet.request.criticality, applet.response.criticality]).toEqual(["rx", "endpoint"])
          })
        )
      }
    }))
})

describe("in a run nothing waits, so a run", () => {
  it.effect("that cannot have its buffer never blocks: every door answers in the step", () =>
    manual(
      {},
      Effect.gen(function*() {
        yield* hold(4)
        const stream = yield* once((self) =>
          Effect.gen(function*() {
            expect(yield* Effect.flip(ByteChannel.alloc(self.request))).toBeInstanceOf(BufferPending)
            expect(isBuffer(ByteChannel.allocUnsafe(self.request))).toBe(false)
            expect(yield* Effect.flip(ByteChannel.tryAlloc(self.request))).toBeInstanceOf(BufferUnavailable)
          })
        )
        const waiting = yield* start(stream.await)
        yield* Stepper.settle
        expect(causeOf(waiting.pollUnsafe())).toBe("running")
        expect(yield* row).toEqual([4, 0, 1, 0])
      })
    ))
})

describe("a pool of somebody else's", () => {
  it.effect("that hands out what is no buffer of its own is refused in words", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const waitQueue = { ...pool.waitQueue, takeOrWaitUnsafe: () => "full" as const }
        const stream = yield* Effect.provideService(once(() => Effect.void), BufferPool, { ...pool, waitQueue })
        expect(() => ByteChannel.allocUnsafe(stream.response)).toThrow(
          new TypeError("a pool handed out what is not its own buffer: full")
        )
      })
    ))
})

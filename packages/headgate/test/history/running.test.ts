/**
 * What went wrong in HAProxy with those who run: spinning, running after the end, counted wrong, favoured for ever. One group
 * per class of its history's bugs; the numbers are rows of `catalogue.ts`. Everything is stepped by hand, and rows are
 * `[used, free, queued, granted]`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as Applet from "headgate/Applet"
import { AppletScheduler } from "headgate/AppletScheduler"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import { BufferMisuse } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"
import { causeOf, give, hold, isBuffer, manual, must, patient, row, start } from "../face/harness.ts"

/** A stream that does nothing, and whose response an applet fills. */
const host = ByteStream.make({ name: "host", process: () => Effect.void, fillers: { response: "applet" } })

/** Starts what is queued in both run queues, twice: what spins is seen in the second pass. */
const twoPasses = Effect.all([Stepper.runTasks, Stepper.runApplets, Stepper.runTasks, Stepper.runApplets])

const schedulers = Effect.gen(function*() {
  const [tasks, applets] = [yield* (yield* TaskScheduler).snapshot, yield* (yield* AppletScheduler).snapshot]
  return [tasks.runQueueLength, tasks.entities, applets.runQueueLength, applets.entities] as const
})

describe("spin (rows 23, 38, 39, 49, 64, 65, 67, 68, 69)", () => {
  it.effect("an applet that could not have its buffer was woken for other reasons, and rang until it was killed", () =>
    manual(
      {},
      Effect.gen(function*() {
        const inputs: Array<boolean> = []
        const held = yield* hold(4)
        const stream = yield* host
        const applet = yield* Applet.make({
          channel: stream.response,
          run: (input) => Effect.as(Effect.sync(() => void inputs.push(Option.isSome(input))), "again" as const)
        })
        expect([yield* twoPasses, inputs.length]).toEqual([[1, 1, 0, 0], 1])
        for (let wakes = 2; wakes <= 6; wakes++) {
          applet.wakeUnsafe("message")
          expect([yield* twoPasses, inputs.length, yield* row]).toEqual([[0, 1, 0, 0], wakes, [4, 0, 1, 0]])
        }
        yield* applet.end
        for (const buffer of held) yield* give(buffer)
        expect([yield* twoPasses, inputs.some(Boolean), yield* row]).toEqual([[0, 0, 0, 0], false, [0, 4, 0, 0]])
      })
    ))

  it.effect("a stream without its buffer left with an expiry in the past, and was woken again and again", () =>
    manual(
      { ageAfter: "Infinity" },
      Effect.gen(function*() {
        const runs: Array<string> = []
        const held = yield* hold(4)
        yield* ByteStream.make({
          process: (self, reasons) =>
            Effect.gen(function*() {
              runs.push([...reasons].join("+"))
              if (reasons.has("init")) yield* self.expire("10 millis")
              ;(yield* ByteChannel.alloc(self.response)).write("answer")
            })
        })
        expect([yield* twoPasses, yield* row]).toEqual([[1, 0, 0, 0], [4, 0, 1, 0]])
        yield* TestClock.adjust("10 millis")
        expect([yield* twoPasses, yield* row]).toEqual([[1, 0, 0, 0], [4, 0, 1, 0]])
        yield* TestClock.adjust("1 hour")
        expect([yield* twoPasses, runs]).toEqual([[0, 0, 0, 0], ["init", "timer"]])
        yield* give(held[0])
        expect([yield* twoPasses, runs, yield* row]).toEqual([
          [1, 0, 0, 0],
          ["init", "timer", "resource"],
          [4, 0, 0, 0]
        ])
      })
    ))

  it.effect("any spare byte ran an applet that wanted more room, and it and its stream woke each other for ever", () =>
    manual(
      {},
      Effect.gen(function*() {
        const rooms: Array<number> = []
        const stream = yield* host
        const applet = yield* Applet.make({
          channel: stream.response,
          run: (input) =>
            Effect.sync(() => {
              const buffer = Option.getOrThrow(input)
              rooms.push(buffer.room)
              buffer.write(new Uint8Array(buffer.room))
              stream.wakeUnsafe("message")
            })
        })
        expect([yield* twoPasses, rooms, yield* row]).toEqual([[1, 1, 1, 0], [16], [1, 3, 0, 0]])
        const buffer = must(stream.response.buffer)
        for (let i = 0; i < 15; i++) {
          buffer.consume(1)
          stream.wakeUnsafe("io")
          expect(yield* twoPasses).toEqual([1, 0, 0, 0])
        }
        expect(rooms).toEqual([16])
        applet.wakeUnsafe("io")
        expect([yield* twoPasses, rooms]).toEqual([[0, 1, 1, 0], [16, 15]])
      })
    ))
})

describe("use after free (rows 17, 45, 46, 78, 83)", () => {
  it.effect("who had been released was still in the wait list, or in the run queue, and was woken there", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const news: Array<string> = []
        const pool = yield* BufferPool
        const held = yield* hold(4)
        const stream = (name: string) =>
          ByteStream.make({
            name,
            process: (self) => {
              runs.push(name)
              return Effect.asVoid(ByteChannel.alloc(self.response))
            }
          })
        const [queued, granted] = [yield* stream("queued"), yield* stream("granted")]
        const parent = yield* host
        const applet = yield* Applet.make({
          channel: parent.response,
          run: () => Effect.sync(() => void runs.push("applet"))
        })
        const task = yield* Task.make(() => Effect.sync(() => void runs.push("task")))
        expect([yield* Stepper.settle, runs.splice(0).length, yield* row]).toEqual([5, 4, [4, 0, 3, 0]])
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "rx", "next", news))
        yield* queued.end
        yield* give(held[0])
        task.wakeUnsafe("io")
        applet.wakeUnsafe("io")
        expect([yield* schedulers, yield* row]).toEqual([[2, 3, 1, 1], [4, 0, 2, 1]])
        for (const entity of [granted, task, parent]) yield* entity.end
        expect([yield* schedulers, yield* row]).toEqual([[0, 0, 0, 0], [3, 1, 1, 0]])
        for (const entity of [queued, granted, task, applet]) entity.wakeUnsafe("io")
        yield* give(held[1])
        expect([yield* Stepper.settle, runs, news, yield* row]).toEqual([0, [], ["next granted"], [3, 1, 0, 1]])
      })
    ))

  it.effect("a timeout freed the buffer that an applet was still about to use, and another had it by then", () =>
    manual(
      { limit: 2 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const gate = yield* Deferred.make<void>()
        let kept: ByteBuffer | undefined
        const stream = yield* host
        const applet = yield* Applet.make({
          channel: stream.response,
          run: (input) => {
            kept = Option.getOrThrow(input)
            return Effect.andThen(Deferred.await(gate), Effect.sync(() => void must(kept).write("late")))
          }
        })
        yield* hold(1)
        expect([yield* Stepper.settle, yield* row]).toEqual([2, [2, 0, 0, 0]])
        const next = pool.waitQueue.waiter({ target: "next", criticality: "tx", wake: () => true })
        pool.waitQueue.takeOrWaitUnsafe(next)
        pool.giveBackUnsafe(must(kept))
        // The applet's run has it pinned: nobody else owns that memory yet, and the channel does not show it any more.
        expect([stream.response.buffer, next.state, yield* row]).toEqual([undefined, "queued", [2, 0, 1, 0]])
        const failed = yield* start(applet.await)
        yield* Deferred.succeed(gate, undefined)
        expect(causeOf(failed.pollUnsafe())).toContain("write on a buffer that was given back")
        const owned = pool.waitQueue.takeOrWaitUnsafe(next)
        expect([isBuffer(owned) && owned.length, must(kept).length, yield* row]).toEqual([0, 0, [2, 0, 0, 0]])
        if (isBuffer(owned)) owned.write("mine")
        expect(() => must(kept).write("x")).toThrow(BufferMisuse)
        expect(isBuffer(owned) && owned.toText()).toBe("mine")
      })
    ))
})

describe("lifecycle (rows 2, 62, 74)", () => {
  it.effect("the handler ran once more after its end, and what had been released was released again", () =>
    manual(
      {},
      Effect.gen(function*() {
        const events: Array<string> = []
        const stream = yield* ByteStream.make({
          process: (self) =>
            Effect.gen(function*() {
              ;(yield* ByteChannel.alloc(self.response)).write("unread")
              yield* Effect.addFinalizer(() => Effect.sync(() => events.push("run's end")))
              yield* Effect.andThen(self.end, self.end)
              self.endUnsafe()
              self.wakeUnsafe("io")
              events.push("after its end")
            })
        })
        const awaiting = yield* start(Effect.andThen(stream.await, Effect.sync(() => events.push("told"))))
        expect([yield* Stepper.settle, events, yield* row]).toEqual([
          1,
          ["after its end", "run's end", "told"],
          [0, 4, 0, 0]
        ])
        stream.wakeUnsafe("io")
        yield* stream.end
        stream.endUnsafe()
        expect([yield* Stepper.settle, causeOf(awaiting.pollUnsafe()), yield* schedulers, yield* row]).toEqual([
          0,
          "success",
          [0, 0, 0, 0],
          [0, 4, 0, 0]
        ])
      })
    ))

  it.effect("who was woken, or freed, while it ran was not run again, or freed under its own feet", () =>
    manual(
      {},
      Effect.gen(function*() {
        const events: Array<string> = []
        const gate = yield* Deferred.make<void>()
        const stream = yield* host
        const applet = yield* Applet.make({
          channel: stream.response,
          run: (input) =>
            Effect.gen(function*() {
              events.push(`room ${Option.getOrThrow(input).room}`)
              yield* Deferred.await(gate)
              Option.getOrThrow(input).write("x")
            })
        })
        expect(yield* Stepper.settle).toBe(2)
        applet.wakeUnsafe("io")
        applet.wakeUnsafe("message")
        expect([yield* Stepper.settle, events]).toEqual([0, ["room 16"]])
        yield* Deferred.succeed(gate, undefined)
        expect([yield* Stepper.settle, events, yield* row]).toEqual([1, ["room 16", "room 15"], [1, 3, 0, 0]])
      })
    ))

  it.effect("what could not be set up stayed in a list of the living", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host
        expect([yield* Stepper.settle, yield* schedulers]).toEqual([1, [0, 1, 0, 0]])
        const exits = [
          yield* Effect.exit(ByteStream.make({ process: () => Effect.void, request: "tx", response: "rx" })),
          yield* Effect.exit(Applet.make({ channel: stream.request, run: () => Effect.void }))
        ]
        expect(exits.map(({ _tag }) => _tag)).toEqual(["Failure", "Failure"])
        expect([yield* schedulers, yield* Stepper.settle, yield* row]).toEqual([[0, 1, 0, 0], 0, [0, 4, 0, 0]])
      })
    ))
})

describe("priority inversion (rows 84, U8)", () => {
  it.effect("a wake gave the right to pass the queue, and it was never taken away", () =>
    manual(
      {},
      Effect.gen(function*() {
        const { giveBackUnsafe, waitQueue } = yield* BufferPool
        const served: Array<string> = []
        const waiters = ["a", "b", "c"].map((target) =>
          waitQueue.waiter({ target, criticality: "rx", wake: () => true })
        )
        const [free, ...held] = yield* hold(4)
        for (const waiter of waiters) waitQueue.takeOrWaitUnsafe(waiter)
        yield* give(held.pop())
        yield* give(free)
        for (let round = 0; round < 9; round++) {
          const granted = waiters.filter(({ state }) => state === "granted")
          const [waiter] = granted
          const door = waitQueue.takeOrWaitUnsafe(must(waiter))
          served.push(`${String(waiter?.target)}${granted.length}`)
          // Served a moment ago, it asks again, even before it has given back.
          expect([isBuffer(door), waitQueue.takeOrWaitUnsafe(must(waiter))]).toEqual([true, "queued"])
          if (isBuffer(door)) giveBackUnsafe(door)
        }
        expect(served).toEqual(["a1", "b1", "c1", "a1", "b1", "c1", "a1", "b1", "c1"])
      })
    ))

  it.effect("the mark of a class that runs apart was never removed", () =>
    manual(
      { limit: 2, ageAfter: "1 second" },
      Effect.gen(function*() {
        const { waitQueue } = yield* BufferPool
        const pool = yield* BufferPool
        const news: Array<string> = []
        yield* TestClock.adjust(0)
        const held = yield* hold(2)
        for (const at of ["rx", "channel"] as const) waitQueue.takeOrWaitUnsafe(patient(pool, at, at, news))
        const favoured = Effect.map(pool.snapshot, ({ favoured }) => favoured)
        yield* TestClock.adjust("1 second")
        expect(yield* favoured).toBe("rx")
        yield* TestClock.adjust("250 millis")
        expect(yield* favoured).toBeUndefined()
        yield* give(held[0])
        expect([news, yield* row]).toEqual([["channel granted"], [2, 0, 1, 1]])
      })
    ))
})

/**
 * What went wrong in HAProxy between a buffer that came back and who waited for it. One group per class of its history's
 * bugs, each test named after what happened there; the numbers are rows of `catalogue.ts`. Everything is stepped by hand, and
 * rows are `[used, free, queued, granted]`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Applet from "headgate/Applet"
import { AppletScheduler } from "headgate/AppletScheduler"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"
import type { Waiter } from "headgate/WaitQueue"
import { causeOf, give, hold, isBuffer, manual, must, patient, row, start } from "../face/harness.ts"

/** A stream that answers whenever it has the buffer, and notes the reasons of each of its runs. */
const answering = (name: string, runs: Array<string>) =>
  ByteStream.make({
    name,
    process: (self, reasons) => {
      runs.push(`${name}: ${[...reasons].join("+")}`)
      return Effect.map(ByteChannel.alloc(self.response), (buffer) => void buffer.write("answer"))
    }
  })

const runQueues = Effect.gen(function*() {
  const [tasks, applets] = [yield* (yield* TaskScheduler).snapshot, yield* (yield* AppletScheduler).snapshot]
  return [tasks.runQueueLength, applets.runQueueLength] as const
})

const queueOf = Effect.map(
  Effect.flatMap(BufferPool, ({ waitQueue }) => waitQueue.waiting),
  (waiting) => waiting.map(({ state, target }) => `${String(target)} ${state}`)
)

describe("lost wakeup (rows 13, 19, 25, 34, 43, 56, 60, 63, 66, 76, 77, 85, U4, U5, U6, U7, U9, U11, U14)", () => {
  it.effect("a waiter was destroyed after its wake, and those behind it slept on beside the free buffer", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const held = yield* hold(4)
        const [first] = [yield* answering("first", runs), yield* answering("second", runs)]
        expect([yield* Stepper.runTasks, yield* row]).toEqual([2, [4, 0, 2, 0]])
        yield* give(held[0])
        expect([yield* row, yield* runQueues, yield* queueOf]).toEqual([
          [4, 0, 1, 1],
          [1, 0],
          ["second queued", "first granted"]
        ])
        yield* first.end
        expect([yield* row, yield* queueOf]).toEqual([[4, 0, 0, 1], ["second granted"]])
        expect([yield* Stepper.runTasks, runs.slice(2), yield* row]).toEqual([1, ["second: resource"], [4, 0, 0, 0]])
      })
    ))

  it.effect("an applet left for good with the buffer that it was woken for, and nobody else was woken", () =>
    manual(
      {},
      Effect.gen(function*() {
        const news: Array<string> = []
        const pool = yield* BufferPool
        const stream = yield* ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } })
        const held = yield* hold(4)
        yield* Applet.make({
          channel: stream.response,
          run: (input) => Effect.succeed(Option.isSome(input) ? "done" : "wait")
        })
        expect([yield* Stepper.runApplets, yield* row]).toEqual([1, [4, 0, 1, 0]])
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "rx", "next", news))
        yield* give(held[0])
        yield* give(held[1])
        expect([yield* row, news]).toEqual([[3, 1, 1, 1], []])
        expect([yield* Stepper.runApplets, yield* row, news]).toEqual([1, [3, 1, 0, 1], ["next granted"]])
      })
    ))

  it.effect("one free buffer was offered to nobody, or withheld because much else was about to run", () =>
    manual(
      { limit: 5, reserve: 4 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(5)
        yield* Effect.replicateEffect(Task.make(() => Effect.void), 100)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", "critical", news))
        yield* give(held[0])
        expect([yield* runQueues, news, yield* row]).toEqual([[100, 0], ["critical granted"], [5, 0, 0, 1]])
      })
    ))

  it.effect("the last waiter was alone with all buffers free, for offers come only with a release", () =>
    manual(
      { limit: 5, reserve: 4 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(5)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "rx", "last", news))
        const rows: Array<unknown> = []
        for (const buffer of held) {
          yield* give(buffer)
          rows.push([yield* row, news.length])
        }
        expect(rows).toEqual([
          [[4, 1, 1, 0], 0],
          [[3, 2, 1, 0], 0],
          [[2, 3, 1, 0], 0],
          [[1, 4, 1, 0], 0],
          [[1, 4, 0, 1], 1]
        ])
      })
    ))

  it.effect("that it was for the buffer was forgotten when the task had been woken for input already", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const held = yield* hold(4)
        const stream = yield* answering("stream", runs)
        yield* Stepper.runTasks
        stream.wakeUnsafe("io")
        yield* give(held[0])
        stream.wakeUnsafe("timer")
        expect([yield* Stepper.settle, runs, yield* row]).toEqual([
          1,
          ["stream: init", "stream: timer+io+resource"],
          [4, 0, 0, 0]
        ])
        expect(stream.response.buffer?.toText()).toBe("answer")
      })
    ))

  it.effect("a wake was skipped, or its reason cleared, because the task was running", () =>
    manual(
      {},
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const runs: Array<string> = []
        const held = yield* hold(4)
        const stream = yield* ByteStream.make({
          process: (self, reasons) =>
            Effect.gen(function*() {
              runs.push([...reasons].join("+"))
              const now = yield* Effect.exit(ByteChannel.alloc(self.response))
              if (now._tag === "Failure") yield* Deferred.await(gate)
              else now.value.write("answer")
            })
        })
        expect([yield* Stepper.runTasks, yield* row]).toEqual([1, [4, 0, 1, 0]])
        yield* give(held[0])
        stream.wakeUnsafe("io")
        expect([yield* Stepper.runTasks, yield* row]).toEqual([0, [4, 0, 0, 1]])
        yield* Deferred.succeed(gate, undefined)
        expect([yield* row, yield* Stepper.settle, runs, yield* row]).toEqual([
          [4, 0, 0, 1],
          1,
          ["init", "io+resource"],
          [4, 0, 0, 0]
        ])
      })
    ))

  it.effect("one side was queued and the other forgotten, and a release never served the other side of its own", () =>
    manual(
      { limit: 3 },
      Effect.gen(function*() {
        const runs: Array<string> = []
        const stream = yield* ByteStream.make({
          name: "both",
          process: (self, reasons) =>
            Effect.gen(function*() {
              runs.push([...reasons].join("+"))
              for (const channel of [self.request, self.response]) {
                const door = yield* Effect.exit(ByteChannel.alloc(channel))
                if (door._tag === "Success" && door.value.length === 0) door.value.write(channel.side)
              }
            })
        })
        const held = yield* hold(3)
        expect([yield* Stepper.runTasks, yield* row, yield* queueOf]).toEqual([
          1,
          [3, 0, 2, 0],
          ["both queued", "both queued"]
        ])
        yield* give(held[0])
        expect([yield* Stepper.settle, yield* row, stream.response.buffer?.toText()]).toEqual([
          1,
          [3, 0, 1, 0],
          "response"
        ])
        yield* give(held[1])
        expect([yield* Stepper.settle, yield* row]).toEqual([0, [2, 1, 1, 0]])
        must(stream.response.buffer).consume(8)
        expect(yield* row).toEqual([2, 1, 0, 1])
        expect([yield* Stepper.settle, runs, yield* row]).toEqual([
          1,
          ["init", "resource", "resource"],
          [3, 0, 0, 0]
        ])
        expect([stream.request.buffer?.toText(), stream.response.buffer?.toText()]).toEqual(["request", "response"])
      })
    ))

  it.effect("an applet waited for ever to write into what had been closed", () =>
    manual(
      {},
      Effect.gen(function*() {
        yield* hold(4)
        const stream = yield* ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } })
        const applet = yield* Applet.make({ channel: stream.response, run: () => Effect.succeed("wait") })
        const ends = [yield* start(applet.await), yield* start(stream.await)]
        expect([yield* Stepper.settle, yield* row]).toEqual([2, [4, 0, 1, 0]])
        yield* stream.end
        expect([yield* row, ends.map((fiber) => causeOf(fiber.pollUnsafe()))]).toEqual([
          [4, 0, 0, 0],
          ["success", "success"]
        ])
      })
    ))

  it.effect("a callback that asked for the buffer was refused it, for the sake of its own place in the queue", () =>
    manual(
      {},
      Effect.gen(function*() {
        const { waitQueue } = yield* BufferPool
        const doors: Array<ByteBuffer | string> = []
        const held = yield* hold(4)
        const eager: Waiter = waitQueue.waiter({
          target: "eager",
          criticality: "rx",
          wake: () => {
            doors.push(waitQueue.takeOrWaitUnsafe(eager))
            return true
          }
        })
        waitQueue.takeOrWaitUnsafe(eager)
        yield* give(held[0])
        yield* give(held[1])
        expect([doors.map(isBuffer), eager.state, yield* row]).toEqual([[true], "idle", [3, 1, 0, 0]])
      })
    ))
})

describe("wrong target (rows 9, 12, 16, 58)", () => {
  it.effect("an applet waited for the buffer, and its stream was queued and woken instead", () =>
    manual(
      {},
      Effect.gen(function*() {
        const streamRuns: Array<string> = []
        const inputs: Array<boolean> = []
        const held = yield* hold(4)
        const stream = yield* ByteStream.make({
          name: "the stream",
          process: (_, reasons) => Effect.sync(() => void streamRuns.push([...reasons].join("+"))),
          fillers: { response: "applet" }
        })
        yield* Applet.make({
          name: "the applet",
          channel: stream.response,
          run: (input) => Effect.sync(() => void inputs.push(Option.isSome(input)))
        })
        expect([yield* Stepper.runTasks, yield* Stepper.runApplets, yield* row]).toEqual([1, 1, [4, 0, 1, 0]])
        expect(yield* queueOf).toEqual(["the applet queued"])
        yield* give(held[0])
        expect([yield* runQueues, yield* queueOf]).toEqual([[0, 1], ["the applet granted"]])
        expect([yield* Stepper.settle, streamRuns, inputs, yield* row]).toEqual([
          1,
          ["init"],
          [false, true],
          [3, 1, 0, 0]
        ])
      })
    ))
})

describe("thundering herd (rows 1, 34, 42, U1, U9)", () => {
  it.effect("a release woke everybody, or more than it had buffers for, when less than half of the reserve was free", () =>
    manual(
      { limit: 12, reserve: 6 },
      Effect.gen(function*() {
        const { waitQueue } = yield* BufferPool
        let wakes = 0
        const held = yield* hold(12)
        for (let i = 0; i < 200; i++) {
          const waiter = waitQueue.waiter({
            target: i,
            criticality: i % 2 === 0 ? "channel" : "rx",
            wake: () => {
              wakes++
              return true
            }
          })
          waitQueue.takeOrWaitUnsafe(waiter)
        }
        const perRelease: Array<number> = []
        for (const buffer of held) {
          const before = wakes
          yield* give(buffer)
          perRelease.push(wakes - before)
        }
        expect([perRelease, yield* row]).toEqual([[0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], [10, 2, 190, 10]])
      })
    ))

  it.effect("each small drain of a full buffer woke all who waited", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        yield* hold(3)
        const full = yield* answering("full", runs)
        for (let i = 0; i < 20; i++) yield* answering(`waiting ${i}`, runs)
        expect([yield* Stepper.settle, yield* row]).toEqual([21, [4, 0, 20, 0]])
        const buffer = must(full.response.buffer)
        for (let i = 0; i < 5; i++) buffer.consume(1)
        expect([yield* Stepper.settle, yield* row]).toEqual([0, [4, 0, 20, 0]])
        buffer.consume(1)
        expect([yield* runQueues, yield* Stepper.settle, yield* row]).toEqual([[1, 0], 1, [4, 0, 19, 0]])
      })
    ))
})

describe("queue membership (rows 18, 31, 53, 59, U13)", () => {
  it.effect("who asked again while it waited was queued twice, or told that this never happens", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const held = yield* hold(4)
        const [first] = [yield* answering("first", runs), yield* answering("second", runs)]
        expect([yield* Stepper.settle, yield* row]).toEqual([2, [4, 0, 2, 0]])
        for (let i = 0; i < 3; i++) {
          first.wakeUnsafe("io")
          expect([yield* Stepper.settle, ByteChannel.allocUnsafe(first.response)]).toEqual([1, "queued"])
        }
        expect(yield* queueOf).toEqual(["first queued", "second queued"])
        yield* give(held[0])
        expect([yield* Stepper.settle, first.response.buffer?.length, yield* row]).toEqual([1, 6, [4, 0, 1, 0]])
      })
    ))

  it.effect("who was told that it is blocked was in no list, so that nothing could end its waiting", () =>
    manual(
      { limit: 6, reserve: 3 },
      Effect.gen(function*() {
        const { waitQueue } = yield* BufferPool
        yield* hold(2)
        const waiters = (["rx", "endpoint", "channel", "tx", "rx", "channel"] as const).map((criticality, i) =>
          waitQueue.waiter({ target: `${i}`, criticality, wake: () => true })
        )
        const doors = waiters.map((waiter) => waitQueue.takeOrWaitUnsafe(waiter))
        expect(doors.map((door) => isBuffer(door) ? "buffer" : door)).toEqual([
          ...Array.from({ length: 4 }, () => "buffer"),
          "queued",
          "queued"
        ])
        expect(yield* queueOf).toEqual(["5 queued", "4 queued"])
        expect(waiters.map(({ state }) => state)).toEqual(["idle", "idle", "idle", "idle", "queued", "queued"])
      })
    ))

  it.effect("a callback that took itself and others out, or came back in, broke the walk through the list", () =>
    manual(
      {},
      Effect.gen(function*() {
        const { waitQueue } = yield* BufferPool
        const told: Array<string> = []
        const waiters: Array<Waiter> = []
        const [a, b, c, d] = ["a", "b", "c", "d"].map((target, at) =>
          waitQueue.waiter({
            target,
            criticality: "channel",
            wake: () => {
              told.push(target)
              if (at > 0 || told.length > 1) return true
              // The first, once: out, and so is the next; then in again, at the end.
              waitQueue.leaveUnsafe(must(waiters[0]))
              waitQueue.leaveUnsafe(must(waiters[1]))
              waitQueue.takeOrWaitUnsafe(must(waiters[0]))
              return true
            }
          })
        )
        waiters.push(must(a), must(b), must(c), must(d))
        const held = yield* hold(4)
        for (const waiter of waiters) waitQueue.takeOrWaitUnsafe(waiter)
        yield* give(held[0])
        // What `a` let go went to `b`, and what `b` let go to `c`: each once, and nobody else is told.
        expect([told, yield* queueOf]).toEqual([["a", "c"], ["d queued", "a queued", "c granted"]])
        yield* give(held[1])
        yield* give(held[2])
        expect([told, yield* queueOf, yield* row]).toEqual([
          ["a", "c", "d", "a"],
          ["c granted", "d granted", "a granted"],
          [4, 0, 0, 3]
        ])
      })
    ))

  it.effect("a callback that took its buffer, asked for another and gave the first back was in two lists", () =>
    manual(
      {},
      Effect.gen(function*() {
        const { giveBackUnsafe, waitQueue } = yield* BufferPool
        const told: Array<string> = []
        const again: Waiter = waitQueue.waiter({
          target: "again",
          criticality: "rx",
          wake: (news) => {
            told.push(news)
            const first = waitQueue.takeOrWaitUnsafe(again)
            if (told.length > 2 || !isBuffer(first)) return true
            told.push(String(waitQueue.takeOrWaitUnsafe(again)))
            giveBackUnsafe(first)
            return true
          }
        })
        const held = yield* hold(4)
        waitQueue.takeOrWaitUnsafe(again)
        yield* give(held[0])
        yield* give(held[1])
        expect([told, again.state, yield* queueOf, yield* row]).toEqual([
          ["granted", "queued", "granted"],
          "idle",
          [],
          [3, 1, 0, 0]
        ])
        for (const buffer of held.slice(2)) yield* give(buffer)
        expect(yield* row).toEqual([1, 3, 0, 0])
      })
    ))

  it.effect("who woke itself in its run and stopped the next left the run queue broken, and it never ended", () =>
    manual(
      {},
      Effect.gen(function*() {
        const order: Array<string> = []
        const tasks: Array<Task.Task> = []
        const noting = (name: string, and: (self: Task.Self) => void = () => {}) =>
          Task.make((self) =>
            Effect.sync(() => {
              order.push(name)
              and(self)
            })
          )
        tasks.push(
          yield* noting("a", (self) => {
            if (order.length > 1) return
            self.wakeUnsafe("other")
            must(tasks[1]).endUnsafe()
            must(tasks[2]).wakeUnsafe("message")
          }),
          yield* noting("b"),
          yield* noting("c"),
          yield* noting("d")
        )
        expect([yield* Stepper.runTasks, order.splice(0), yield* runQueues]).toEqual([3, ["a", "c", "d"], [1, 0]])
        order.push("second pass")
        expect([yield* Stepper.runTasks, order, yield* runQueues]).toEqual([1, ["second pass", "a"], [0, 0]])
        expect((yield* (yield* TaskScheduler).snapshot).entities).toBe(3)
      })
    ))
})

describe("needless wake (rows 19, 40, 72, U2, U12)", () => {
  it.effect("who had been served kept its place in the queue, and later ate a buffer that others waited for", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(4)
        const stream = yield* answering("served", runs)
        expect([yield* Stepper.settle, yield* row]).toEqual([1, [4, 0, 1, 0]])
        yield* give(held[0])
        // Another path comes first: a callback, before the run that the grant woke.
        expect([ByteChannel.allocUnsafe(stream.response), yield* queueOf]).toEqual(["held", []])
        must(stream.response.buffer).write("answer")
        expect([yield* Stepper.settle, yield* row]).toEqual([1, [4, 0, 0, 0]])
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "channel", "next", news))
        yield* give(held[1])
        expect([yield* runQueues, news, yield* row]).toEqual([[0, 0], ["next granted"], [4, 0, 0, 1]])
      })
    ))

  it.effect("who needed nothing any more said yes to its wake, and sat on the buffer", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const held = yield* hold(4)
        yield* ByteStream.make({
          process: (self, reasons) =>
            reasons.has("init") ? Effect.asVoid(ByteChannel.alloc(self.response)) : Effect.void
        })
        yield* answering("next", runs)
        expect([yield* Stepper.settle, yield* row]).toEqual([2, [4, 0, 2, 0]])
        yield* give(held[0])
        expect([yield* row, runs]).toEqual([[4, 0, 1, 1], ["next: init"]])
        expect([yield* Stepper.runTasks, yield* row]).toEqual([1, [4, 0, 0, 1]])
        expect([yield* Stepper.runTasks, runs.slice(1), yield* row]).toEqual([1, ["next: resource"], [4, 0, 0, 0]])
        expect((yield* BufferPool.snapshot).counters).toMatchObject({ handOffs: 2, passedOn: 1, declined: 0 })
      })
    ))

  it.effect("an applet was woken for data that it would not consume", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } })
        yield* Applet.make({
          channel: stream.response,
          run: (input) =>
            Effect.sync(() => Option.map(input, (buffer) => buffer.room > 6 ? buffer.write("answer") : 0)).pipe(
              Effect.as("wait" as const)
            )
        })
        expect([yield* Stepper.runTasks, yield* Stepper.runApplets, yield* runQueues]).toEqual([1, 1, [0, 0]])
        expect(ByteChannel.allocUnsafe(stream.request)).toBe("held")
        must(stream.request.buffer).write("more")
        must(stream.response.buffer).consume(2)
        expect([yield* ByteChannel.takeText(stream.request), yield* runQueues]).toEqual(["more", [0, 0]])
      })
    ))
})

describe("forgotten release (rows 11, 26, 47, 57, 70)", () => {
  it.effect("a response that had been sent stayed allocated until its stream happened to run again", () =>
    manual(
      { limit: 3, reserve: 2 },
      Effect.gen(function*() {
        const runs: Array<string> = []
        const sent = yield* Effect.forEach(["a", "b", "c"], (name) => answering(name, runs))
        expect([yield* Stepper.settle, yield* row]).toEqual([3, [3, 0, 0, 0]])
        yield* answering("waiting", runs)
        expect([yield* Stepper.settle, yield* row]).toEqual([1, [3, 0, 1, 0]])
        must(must(sent[1]).response.buffer).consume(6)
        expect([must(sent[1]).response.buffer, yield* row, yield* runQueues]).toEqual([undefined, [3, 0, 0, 1], [1, 0]])
        expect([yield* Stepper.settle, runs.slice(4)]).toEqual([1, ["waiting: resource"]])
      })
    ))

  it.effect("an applet's data was consumed in the run of its stream, and nobody released or offered", () =>
    manual(
      { limit: 3, reserve: 2 },
      Effect.gen(function*() {
        const news: Array<string> = []
        const pool = yield* BufferPool
        const stream = yield* ByteStream.make({
          process: (self, reasons) =>
            reasons.has("io") ? Effect.asVoid(ByteChannel.takeText(self.response)) : Effect.void,
          fillers: { response: "applet" }
        })
        yield* Applet.make({
          channel: stream.response,
          run: (input) => Effect.sync(() => void Option.map(input, (buffer) => buffer.write("answer")))
        })
        expect([yield* Stepper.settle, yield* row]).toEqual([2, [1, 2, 0, 0]])
        yield* hold(2)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", "next", news))
        stream.wakeUnsafe("io")
        expect([yield* Stepper.settle, yield* row, news]).toEqual([1, [3, 0, 0, 1], ["next granted"]])
      })
    ))

  it.effect("an applet kept the empty buffer into which it had put nothing", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const gate = yield* Deferred.make<void>()
        const stream = yield* ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } })
        yield* Applet.make({ channel: stream.response, run: () => Effect.as(Deferred.await(gate), "wait") })
        yield* hold(3)
        expect([yield* Stepper.settle, yield* row]).toEqual([2, [4, 0, 0, 0]])
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", "next", news))
        yield* Deferred.succeed(gate, undefined)
        expect([stream.response.buffer, news, yield* row]).toEqual([undefined, ["next granted"], [4, 0, 0, 1]])
      })
    ))

  it.effect("a stream was freed together with its full buffers: leaked, and offered to nobody", () =>
    manual(
      { limit: 3 },
      Effect.gen(function*() {
        const runs: Array<string> = []
        const stream = yield* ByteStream.make({
          process: (self) =>
            Effect.gen(function*() {
              for (const channel of [self.request, self.response]) (yield* ByteChannel.alloc(channel)).write("unread")
            })
        })
        yield* hold(1)
        expect([yield* Stepper.settle, yield* row]).toEqual([1, [3, 0, 0, 0]])
        yield* answering("a", runs)
        yield* answering("b", runs)
        expect([yield* Stepper.settle, yield* row]).toEqual([2, [3, 0, 2, 0]])
        yield* stream.end
        expect([yield* row, yield* runQueues]).toEqual([[3, 0, 0, 2], [2, 0]])
        expect([yield* Stepper.settle, runs.slice(2), yield* row]).toEqual([
          2,
          ["a: resource", "b: resource"],
          [3, 0, 0, 0]
        ])
      })
    ))
})

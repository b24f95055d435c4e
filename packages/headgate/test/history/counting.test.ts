/**
 * What went wrong in HAProxy with the numbers: a reserve that nobody kept, failed allocations that were counted or used, those
 * who starve, and an operator who sees nothing when it matters. One group per class of its history's bugs; the numbers are
 * rows of `catalogue.ts`. Everything is stepped by hand, and rows are `[used, free, queued, granted]`.
 */
import { describe, expect, it } from "@effect/vitest"
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
import { causeOf, classes, give, hold, isBuffer, manual, must, patient, row, start } from "../face/harness.ts"

/** Takes at a class until there is none to take. */
const takeAll = (criticality: (typeof classes)[number]) =>
  Effect.map(BufferPool, ({ tryTakeUnsafe }) => {
    const taken: Array<ByteBuffer> = []
    for (let next = tryTakeUnsafe(criticality); next !== undefined; next = tryTakeUnsafe(criticality)) taken.push(next)
    return taken
  })

/** `[allocated, used, capacity]` */
const areas = Effect.map(BufferPool.snapshot, ({ allocated, capacity, used }) => [allocated, used, capacity])

const memoryFor = (count: number) => {
  let left = count
  return {
    more: () => void (left = Infinity),
    allocate: (size: number) => {
      if (--left < 0) throw new Error("no memory")
      return new Uint8Array(size)
    }
  }
}

describe("reserve (rows 3, 15, 35, 36, 44)", () => {
  it.effect("it had had no effect for years, and nobody noticed", () =>
    manual(
      { limit: 9, reserve: 6 },
      Effect.gen(function*() {
        const counts: Array<number> = []
        for (const at of classes.toReversed()) counts.push((yield* takeAll(at)).length)
        expect([counts, yield* row]).toEqual([[3, 2, 2, 2], [9, 0, 0, 0]])
      })
    ))

  it.effect("it was not there at the start, or given away to make memory free, or a number without memory behind it", () => {
    const { allocate } = memoryFor(7)
    return manual(
      { limit: 9, reserve: 6, allocate },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        expect(yield* areas).toEqual([7, 0, 9])
        yield* pool.trim
        expect(yield* areas).toEqual([7, 0, 9])
        // The first at rx has the reserve behind it; for a second one there would have to be eight.
        const [first] = yield* takeAll("rx")
        expect(yield* areas).toEqual([7, 1, 9])
        yield* pool.trim
        const counts: Array<number> = []
        for (const at of ["endpoint", "channel", "tx"] as const) counts.push((yield* takeAll(at)).length)
        expect([counts, yield* areas, first?.room]).toEqual([[2, 2, 2], [7, 7, 9], 16])
      })
    )
  })

  it.effect("what had been counted as free was trimmed before it was taken, and the taker slept for ever", () =>
    manual(
      { limit: 6, reserve: 3, prealloc: 6 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(4)
        const waiter = patient(pool, "endpoint", "waiting", news)
        expect([pool.waitQueue.takeOrWaitUnsafe(waiter), yield* areas]).toEqual(["queued", [6, 4, 6]])
        yield* pool.trim
        expect([yield* areas, yield* row]).toEqual([[6, 4, 6], [4, 2, 1, 0]])
        yield* give(held[0])
        expect([news, yield* areas, yield* row]).toEqual([["waiting granted"], [6, 4, 6], [4, 2, 0, 1]])
        for (const buffer of held.slice(1)) yield* give(buffer)
        yield* pool.trim
        expect(yield* areas).toEqual([4, 1, 6])
        const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
        if (isBuffer(door)) pool.giveBackUnsafe(door)
        yield* pool.trim
        expect([isBuffer(door), yield* areas, (yield* takeAll("tx")).length]).toEqual([true, [4, 0, 6], 6])
      })
    ))
})

describe("state on failed allocation (rows 4, 14, 21, 22, 27, 48, 55)", () => {
  it.effect.each([4, 5, 6, 7, 8])(
    "a failed allocation was taken for a success, or killed whose buffer it was (allocation %s fails)",
    (k) => {
      let creations = 0
      const allocate = (size: number) => {
        if (++creations === k) throw new Error("no memory")
        return new Uint8Array(size)
      }
      return manual(
        { limit: 8, reserve: 2, allocate },
        Effect.gen(function*() {
          const streams = yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6, 7], (i) =>
            ByteStream.make({
              name: `stream ${i}`,
              process: (self) =>
                Effect.gen(function*() {
                  if (self.response.buffer === undefined) (yield* ByteChannel.alloc(self.response)).write(`answer ${i}`)
                })
            }))
          yield* Stepper.settle
          // Each has its answer in its buffer, or is in the queue by its name.
          const waiting = Effect.map(BufferPool.snapshot, (pool) => pool.waiting.map(({ target }) => String(target)))
          expect(yield* waiting).toEqual(streams.slice(k - 1).map(({ name }) => name))
          expect([yield* areas, yield* row]).toEqual([[k - 1, k - 1, k - 1], [k - 1, 0, 9 - k, 0]])
          const texts: Array<string> = []
          for (const { response } of streams) {
            texts.push(yield* ByteChannel.takeText(response))
            yield* Stepper.settle
          }
          expect(texts).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((i) => `answer ${i}`))
          expect((yield* BufferPool.snapshot).counters).toMatchObject({ creationsFailed: 1, takes: 8 })
          expect([(yield* (yield* TaskScheduler).snapshot).entities, yield* row]).toEqual([8, [0, 8, 0, 0]])
        })
      )
    }
  )
})

describe("starvation (rows 1, 50, U3, U5)", () => {
  it.effect("the few buffers were with those who still had to run, and who each needed a second one", () =>
    manual(
      {},
      Effect.gen(function*() {
        const answered: Array<string> = []
        const streams = yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6, 7], (i) =>
          ByteStream.make({
            name: `${i}`,
            process: (self, reasons) =>
              Effect.gen(function*() {
                if (self.request.buffer === undefined) (yield* ByteChannel.alloc(self.request)).write("request")
                if (!reasons.has("message")) return
                ;(yield* ByteChannel.alloc(self.response)).write("response")
                yield* ByteChannel.takeText(self.request)
                answered.push(self.name)
              })
          }))
        // As many as may have taken in a request, and wait for nothing but a second buffer; the others wait for the first.
        expect([yield* Stepper.settle, yield* row]).toEqual([8, [3, 1, 5, 0]])
        const rounds: Array<unknown> = []
        const gone = new Set<object>()
        let left = streams
        for (let round = 0; round < 3; round++) {
          for (const stream of left) stream.wakeUnsafe("message")
          yield* Stepper.settle
          rounds.push([answered.splice(0).join(), ...(yield* row)])
          for (const stream of left) {
            if ((yield* ByteChannel.takeText(stream.response)) === "") continue
            yield* stream.end
            gone.add(stream)
          }
          yield* Stepper.settle
          left = left.filter((stream) => !gone.has(stream))
        }
        expect([rounds, left.length, yield* row]).toEqual([
          [["0,1,2", 3, 1, 5, 0], ["3,4,5", 3, 1, 2, 0], ["6,7", 2, 2, 0, 0]],
          0,
          [0, 4, 0, 0]
        ])
      })
    ))

  it.effect("who was woken for a buffer that it may not have went to the end of the queue, and lost its age", () =>
    manual(
      { limit: 4, reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const [held, ...others] = yield* hold(4)
        const waiters = ["first", "second"].map((target) => patient(pool, "rx", target, news))
        for (const waiter of waiters) pool.waitQueue.takeOrWaitUnsafe(waiter)
        let last = must(held)
        for (let i = 0; i < 20; i++) {
          yield* give(last)
          last = must(pool.tryTakeUnsafe("tx"))
        }
        expect([news, waiters.map(({ state }) => state)]).toEqual([[], ["queued", "queued"]])
        for (const buffer of [...others, last]) yield* give(buffer)
        expect([news, yield* row]).toEqual([["first granted"], [1, 3, 1, 1]])
      })
    ))

  it.effect("all buffers were requests whose answers needed one more", () =>
    manual(
      { limit: 4, reserve: 1 },
      Effect.gen(function*() {
        const runs: Array<string> = []
        for (let i = 0; i < 6; i++) {
          yield* ByteStream.make({
            name: `${i}`,
            process: (self) =>
              Effect.gen(function*() {
                runs.push(self.name)
                if (self.request.buffer === undefined) (yield* ByteChannel.alloc(self.request)).write("request")
              })
          })
        }
        expect([yield* Stepper.settle, runs.splice(0).length, yield* row]).toEqual([6, 6, [3, 1, 3, 0]])
        const pool = yield* BufferPool
        expect([pool.tryTakeUnsafe("rx"), pool.tryTakeUnsafe("channel")?.room, yield* row]).toEqual([
          undefined,
          16,
          [4, 0, 3, 0]
        ])
      })
    ))
})

describe("accounting (rows 10, 37, 41, 79)", () => {
  it.effect("failed allocations were counted as allocated, until the limit was reached for ever", () => {
    const memory = memoryFor(2)
    return manual(
      { limit: 6, reserve: 1, allocate: memory.allocate },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(2)
        for (let i = 0; i < 100; i++) expect(pool.tryTakeUnsafe("tx")).toBeUndefined()
        expect([yield* areas, (yield* pool.snapshot).counters.creationsFailed]).toEqual([[2, 2, 6], 100])
        memory.more()
        expect([(yield* takeAll("tx")).length, yield* areas]).toEqual([4, [6, 6, 6]])
        yield* give(held[0])
        expect([yield* areas, yield* row]).toEqual([[6, 5, 6], [5, 1, 0, 0]])
      })
    )
  })

  it.effect("the counter of a run queue did not move with what was taken out of it", () =>
    manual(
      {},
      Effect.gen(function*() {
        const tasks = yield* TaskScheduler
        const applets = yield* AppletScheduler
        const lengths = Effect.map(
          Effect.all([tasks.snapshot, applets.snapshot]),
          (all) => all.flatMap(({ entities, runQueueLength }) => [runQueueLength, entities])
        )
        yield* hold(4)
        const stream = yield* ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } })
        const ended = yield* Task.make(() => Effect.void)
        const failing = yield* start((yield* Task.make(() => Effect.fail("broken"))).await)
        const applet = yield* Applet.make({ channel: stream.response, run: () => Effect.void })
        expect(yield* lengths).toEqual([3, 3, 1, 1])
        yield* ended.end
        expect(yield* lengths).toEqual([2, 2, 1, 1])
        // An applet that cannot have its buffer runs, and is in its run queue no more.
        expect([yield* Stepper.runApplets, yield* lengths, yield* row]).toEqual([1, [2, 2, 0, 1], [4, 0, 1, 0]])
        for (const entity of [applet, applet, stream]) entity.wakeUnsafe("io")
        expect(yield* lengths).toEqual([2, 2, 1, 1])
        expect([yield* Stepper.runTasks, causeOf(failing.pollUnsafe()), yield* lengths]).toEqual([
          2,
          expect.stringContaining("broken"),
          [0, 1, 1, 1]
        ])
        yield* stream.end
        expect([yield* lengths, yield* row]).toEqual([[0, 0, 0, 0], [4, 0, 0, 0]])
      })
    ))
})

describe("observability at zero buffers (row 52)", () => {
  it.effect("the operator's own view needed a buffer and died first, or lost what did not fit into one", () =>
    manual(
      { limit: 5, reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const stuck = yield* takeAll("channel")
        for (let i = 0; i < 300; i++) pool.waitQueue.takeOrWaitUnsafe(patient(pool, "channel", `download ${i}`, []))
        expect([stuck.length, yield* row]).toEqual([4, [4, 1, 300, 0]])
        const listing = (yield* pool.waitQueue.waiting).map(({ target }) => `${String(target)}\n`).join("")
        let rest = listing
        let read = ""
        const stream = yield* ByteStream.make({
          name: "page",
          response: "tx",
          fillers: { response: "applet" },
          process: (self) =>
            Effect.gen(function*() {
              read += yield* ByteChannel.takeText(self.response)
              self.response.wakeFillerUnsafe("io")
            })
        })
        yield* Applet.make({
          channel: stream.response,
          run: (input) =>
            Effect.sync(() => {
              const room = Option.getOrThrow(input).room
              Option.getOrThrow(input).write(rest.slice(0, room))
              rest = rest.slice(room)
              stream.wakeUnsafe("message")
              return rest === "" ? "done" : "wait"
            })
        })
        const pieces = Math.ceil(listing.length / 16)
        expect([yield* Stepper.settle, read === listing, pieces]).toEqual([2 * pieces + 1, true, 237])
        expect([yield* row, (yield* pool.snapshot).highWater]).toEqual([[4, 1, 300, 0], 5])
      })
    ))
})

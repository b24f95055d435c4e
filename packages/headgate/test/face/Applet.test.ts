/**
 * An applet is asked for its buffer before each run and runs all the same. Rows are `[used, free, queued, granted]`; inputs
 * are the room of the buffer that a run was given, or "none".
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Applet from "headgate/Applet"
import { AppletScheduler } from "headgate/AppletScheduler"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import { BufferMisuse } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import { TaskScheduler } from "headgate/TaskScheduler"
import { causeOf, give, hold, manual, must, patient, row, start, stepped } from "./harness.ts"

/** A stream whose response an applet fills; it counts its own runs, and does nothing. */
const host = (runs: Array<string> = []) =>
  ByteStream.make({
    name: "host",
    process: (_, reasons) => Effect.sync(() => void runs.push([...reasons].join("+"))),
    fillers: { response: "applet" }
  })

const inputOf = (input: Option.Option<ByteBuffer>): string =>
  Option.match(input, { onNone: () => "none", onSome: ({ room }) => String(room) })

/** An applet that notes its inputs, and does what `decide` says in its n-th run. */
const scripted = (
  channel: ByteChannel.ByteChannel,
  inputs: Array<string>,
  decide: (run: number, input: Option.Option<ByteBuffer>) => Applet.Verdict | void = () => {}
) =>
  Applet.make({
    name: "stats",
    channel,
    run: (input) =>
      Effect.sync(() => {
        inputs.push(inputOf(input))
        return decide(inputs.length, input)
      })
  })

const fill = (input: Option.Option<ByteBuffer>, text: string): void =>
  Option.match(input, { onNone: () => {}, onSome: (buffer) => void buffer.write(text) })

describe("an applet is given its buffer before each run", () => {
  it.effect("if it may have one: the same again while bytes are in it, and it goes back if nothing was put", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const inputs: Array<string> = []
        const applet = yield* scripted(stream.response, inputs, (run, input) => fill(input, run === 2 ? "abcd" : ""))
        expect([yield* Stepper.runApplets, inputs, yield* row]).toEqual([1, ["16"], [0, 4, 0, 0]])
        applet.wakeUnsafe("io")
        expect([yield* Stepper.runApplets, yield* row]).toEqual([1, [1, 3, 0, 0]])
        const buffer = must(stream.response.buffer)
        applet.wakeUnsafe("io")
        expect([yield* Stepper.runApplets, yield* row]).toEqual([1, [1, 3, 0, 0]])
        expect(stream.response.buffer).toBe(buffer)
        expect(inputs).toEqual(["16", "16", "12"])
        expect(yield* ByteChannel.takeText(stream.response)).toBe("abcd")
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("and runs all the same with none, queued in its own name and at its own class, not its stream's", () =>
    manual(
      { reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const streamRuns: Array<string> = []
        const stream = yield* host(streamRuns)
        yield* Stepper.runTasks
        const inputs: Array<string> = []
        const held = yield* hold(2)
        yield* scripted(stream.response, inputs, (_, input) => fill(input, "x"))
        expect([yield* Stepper.runApplets, inputs, yield* row]).toEqual([1, ["none"], [2, 2, 1, 0]])
        expect((yield* pool.waitQueue.waiting).map(({ criticality, target }) => [String(target), criticality])).toEqual(
          [
            ["stats", "endpoint"]
          ]
        )
        yield* give(held[0])
        expect(yield* row).toEqual([2, 2, 0, 1])
        expect([yield* Stepper.runTasks, yield* Stepper.runApplets]).toEqual([0, 1])
        expect([inputs, streamRuns, yield* row]).toEqual([["none", "16"], ["init"], [2, 2, 0, 0]])
      })
    ))

  it.effect("again in a run that something else woke before its grant's wake: the same buffer, and once", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const held = yield* hold(4)
        const inputs: Array<string> = []
        const applet = yield* scripted(stream.response, inputs)
        yield* Stepper.settle
        applet.wakeUnsafe("io")
        yield* give(held[0])
        expect([yield* Stepper.runApplets, inputs, yield* row]).toEqual([1, ["none", "16"], [3, 1, 0, 0]])
        expect(yield* Stepper.settle).toBe(0)
      })
    ))
})

describe("an applet that says", () => {
  it.effect("again without a buffer waits and never spins: one run, then one per wake", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        yield* Stepper.runTasks
        const held = yield* hold(4)
        const inputs: Array<string> = []
        const applet = yield* scripted(stream.response, inputs, (run) => run < 6 ? "again" : "wait")
        expect([yield* Stepper.settle, inputs.length]).toEqual([1, 1])
        expect([yield* Stepper.settle, inputs.length]).toEqual([0, 1])
        applet.wakeUnsafe("io")
        expect([yield* Stepper.settle, inputs.length]).toEqual([1, 2])
        yield* give(held[0])
        expect([yield* Stepper.settle, inputs]).toEqual([4, ["none", "none", "16", "16", "16", "16"]])
        expect(yield* row).toEqual([3, 1, 0, 0])
      })
    ))

  it.effect("again with a buffer is run once more, in the next turn", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const inputs: Array<string> = []
        yield* scripted(stream.response, inputs, (run, input) => {
          fill(input, "ab")
          return run < 3 ? "again" : "wait"
        })
        expect([yield* Stepper.runApplets, yield* Stepper.runApplets, yield* Stepper.runApplets]).toEqual([1, 1, 1])
        expect([yield* Stepper.runApplets, inputs, yield* row]).toEqual([0, ["16", "14", "12"], [1, 3, 0, 0]])
      })
    ))

  it.effect("wait, or nothing, sleeps until it is woken", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const inputs: Array<string> = []
        const applet = yield* scripted(stream.response, inputs, (run) => run === 1 ? "wait" : undefined)
        for (const expected of [1, 2, 3]) {
          expect([yield* Stepper.runApplets, yield* Stepper.runApplets, inputs.length]).toEqual([1, 0, expected])
          applet.wakeUnsafe("message")
        }
        expect([yield* Stepper.runApplets, inputs.length]).toEqual([1, 4])
      })
    ))

  it.effect("done ends: what it has put stays for the consumer, and then goes to who waits, in that step", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const stream = yield* host()
        const inputs: Array<string> = []
        const applet = yield* scripted(stream.response, inputs, (_, input) => {
          fill(input, "bye")
          return "done"
        })
        const waiting = yield* start(applet.await)
        expect(yield* Stepper.runApplets).toBe(1)
        expect([causeOf(waiting.pollUnsafe()), yield* row]).toEqual(["success", [1, 3, 0, 0]])
        expect(yield* (yield* AppletScheduler).snapshot).toMatchObject({ entities: 0, starts: 1, failed: 0 })
        applet.wakeUnsafe("io")
        stream.response.wakeFillerUnsafe("io")
        expect(yield* Stepper.runApplets).toBe(0)
        yield* hold(3)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", "next", news))
        expect(yield* ByteChannel.takeText(stream.response)).toBe("bye")
        expect([yield* row, news]).toEqual([[4, 0, 0, 1], ["next granted"]])
        expect(ByteChannel.allocUnsafe(stream.response)).toBe("closed")
      })
    ))

  it.effect("nothing any more, for it was ended, gives back what somebody else allocated for it and left empty", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const applet = yield* scripted(stream.response, [])
        expect(applet.channel).toBe(stream.response)
        yield* Stepper.settle
        expect([ByteChannel.allocUnsafe(stream.response), yield* row]).toEqual(["held", [1, 3, 0, 0]])
        yield* applet.end
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("done while queued for a buffer leaves the queue", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const held = yield* hold(4)
        yield* scripted(stream.response, [], () => "done")
        expect([yield* Stepper.runApplets, yield* row]).toEqual([1, [4, 0, 0, 0]])
        yield* give(held[0])
        expect([yield* Stepper.settle, yield* row]).toEqual([1, [3, 1, 0, 0]])
      })
    ))
})

describe("attaching", () => {
  const misuse = (exit: Exit.Exit<unknown, unknown>) => {
    const [reason] = Exit.isFailure(exit) ? exit.cause.reasons : []
    expect(reason?._tag).toBe("Die")
    if (reason?._tag !== "Die") return ""
    expect(reason.defect).toBeInstanceOf(BufferMisuse)
    return String(reason.defect)
  }

  it.effect("a second applet to a channel is a defect that names the first, which goes on", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const inputs: Array<string> = []
        yield* scripted(stream.response, inputs)
        expect(misuse(yield* Effect.exit(scripted(stream.response, [])))).toContain(
          "a second applet was attached to the response channel that stats fills"
        )
        expect([yield* Stepper.runApplets, inputs]).toEqual([1, ["16"]])
      })
    ))

  it.effect("to a side that the stream fills is a defect", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        expect(misuse(yield* Effect.exit(scripted(stream.request, [])))).toContain(
          "an applet was attached to a request channel that its stream fills"
        )
        expect(yield* Stepper.runApplets).toBe(0)
      })
    ))

  it.effect("to the request side works likewise: the applet fills, the stream may not", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* ByteStream.make({
          process: (self) => Effect.asVoid(ByteChannel.alloc(self.request)),
          fillers: { request: "applet" }
        })
        const waiting = yield* start(stream.await)
        const inputs: Array<string> = []
        yield* scripted(stream.request, inputs)
        expect([yield* Stepper.runApplets, inputs, yield* Stepper.runTasks]).toEqual([1, ["16"], 1])
        expect(causeOf(waiting.pollUnsafe())).toContain("a run of another entity allocates it")
      })
    ))

  it.effect("before there is an applet, a grant for it is declined and goes on", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const held = yield* hold(4)
        expect(ByteChannel.allocUnsafe(stream.response)).toBe("queued")
        yield* give(held[0])
        expect(yield* row).toEqual([3, 1, 0, 0])
        expect((yield* (yield* BufferPool).snapshot).counters).toMatchObject({
          declined: 1,
          passedOn: 1,
          wakesThrown: 0
        })
      })
    ))

  it.effect("before there is an applet, its channel is printed, and wakes nobody", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        yield* Stepper.settle
        stream.response.wakeFillerUnsafe("io")
        expect(yield* Stepper.settle).toBe(0)
        expect(String(stream.response)).toBe("the applet to come of host")
        expect(JSON.parse(JSON.stringify(stream.response))).toEqual({
          stream: "host",
          side: "response",
          criticality: "endpoint",
          filler: "the applet to come of host",
          waiter: "idle"
        })
      })
    ))

  it("and a stream that ends between any two operations of its applet's making ends the applet", () => {
    for (let steps = 0; steps < 30; steps++) {
      const { fork, pool, run, scheduler, scope } = stepped({ limit: 2, reserve: 1 })
      const services = Layer.mergeAll(TaskScheduler.layer(), AppletScheduler.layer(), Layer.succeed(BufferPool, pool))
      const context = run(Scope.provide(Effect.orDie(Layer.build(services)), scope))
      const here = <A, E>(effect: Effect.Effect<A, E, BufferPool | TaskScheduler | AppletScheduler | Scope.Scope>) =>
        Scope.provide(Effect.provideContext(effect, context), scope)
      const stream = run(here(host()))
      const applet = fork(here(Applet.make({ channel: stream.response, run: () => Effect.void })))
      for (let step = 0; step < steps; step++) scheduler.step()
      stream.endUnsafe()
      scheduler.drain()
      const made = applet.pollUnsafe()
      expect(causeOf(made), `after ${steps} steps`).toBe("success")
      if (made !== undefined && Exit.isSuccess(made)) {
        const end = fork(made.value.await)
        scheduler.drain()
        expect(causeOf(end.pollUnsafe()), `after ${steps} steps`).toBe("success")
      }
      expect(run(pool.snapshot).used).toBe(0)
    }
  })

  it.effect("to a stream that has already ended ends the applet: it ends with its stream", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        yield* Stepper.settle
        yield* stream.end
        const applet = yield* scripted(stream.response, [], () => "again")
        const waiting = yield* start(applet.await)
        yield* Stepper.settle
        expect(causeOf(waiting.pollUnsafe())).toBe("success")
      })
    ))
})

describe("an applet ends with its stream", () => {
  it.effect("idle, queued or running; and a run under way is interrupted", () =>
    manual(
      {},
      Effect.gen(function*() {
        for (const state of ["idle", "queued", "running"]) {
          const events: Array<string> = []
          const stream = yield* host()
          const applet = yield* Applet.make({
            channel: stream.response,
            run: () =>
              state === "running"
                ? Effect.onInterrupt(Effect.never, () => Effect.sync(() => void events.push("interrupted")))
                : Effect.void
          })
          const waiting = yield* start(applet.await)
          yield* Stepper.settle
          if (state === "queued") applet.wakeUnsafe("io")
          expect(yield* row).toEqual(state === "running" ? [1, 3, 0, 0] : [0, 4, 0, 0])
          yield* stream.end
          expect([causeOf(waiting.pollUnsafe()), yield* Stepper.settle, yield* row]).toEqual(["success", 0, [
            0,
            4,
            0,
            0
          ]])
          expect(events).toEqual(state === "running" ? ["interrupted"] : [])
        }
        expect((yield* (yield* AppletScheduler).snapshot).entities).toBe(0)
      })
    ))

  it.effect("from inside the applet's own run: both end, and nobody who awaits either is left", () =>
    manual(
      {},
      Effect.gen(function*() {
        const stream = yield* host()
        const applet = yield* Applet.make({ channel: stream.response, run: () => stream.end })
        const waiting = [yield* start(applet.await), yield* start(stream.await)]
        yield* Stepper.settle
        expect(waiting.map((fiber) => causeOf(fiber.pollUnsafe()))).toEqual(["success", "success"])
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))

  it.effect("when the scope of the stream closes", () =>
    manual(
      {},
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const stream = yield* Scope.provide(host(), scope)
        const applet = yield* scripted(stream.response, [], (_, input) => fill(input, "x"))
        const waiting = yield* start(applet.await)
        yield* Stepper.settle
        expect(yield* row).toEqual([1, 3, 0, 0])
        yield* Scope.close(scope, Exit.void)
        expect([causeOf(waiting.pollUnsafe()), yield* row]).toEqual(["success", [0, 4, 0, 0]])
      })
    ))

  it.effect("but not the stream with its applet: a failing applet fails alone", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const stream = yield* host(runs)
        const applet = yield* Applet.make({ channel: stream.response, run: () => Effect.fail("broken") })
        const waiting = yield* start(applet.await)
        yield* Stepper.settle
        expect(waiting.pollUnsafe()).toEqual(Exit.fail("broken"))
        stream.wakeUnsafe("io")
        expect([yield* Stepper.runTasks, runs]).toEqual([1, ["init", "io"]])
        expect(yield* (yield* AppletScheduler).snapshot).toMatchObject({ entities: 0, failed: 1 })
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))
})

describe("a buffer for an applet's channel wakes", () => {
  it.effect("the applet, and never its stream: the rule that the seed brought", () =>
    manual(
      {},
      Effect.gen(function*() {
        const tasks = yield* TaskScheduler
        const applets = yield* AppletScheduler
        const streams = yield* Effect.forEach([0, 1, 2], () => host())
        const held = yield* hold(4)
        const inputs: Array<string> = []
        for (const stream of streams) yield* scripted(stream.response, inputs, (_, input) => fill(input, "x"))
        expect(yield* Stepper.settle).toBe(6)
        expect([(yield* tasks.snapshot).starts, (yield* applets.snapshot).starts, yield* row]).toEqual([3, 3, [
          4,
          0,
          3,
          0
        ]])
        for (const [i, lease] of held.slice(0, 3).entries()) {
          yield* give(lease)
          expect(yield* row).toEqual([4, 0, 2 - i, 1])
          expect([(yield* tasks.snapshot).runQueueLength, (yield* applets.snapshot).runQueueLength]).toEqual([0, 1])
          expect([yield* Stepper.runTasks, yield* Stepper.runApplets]).toEqual([0, 1])
          expect(streams.map(({ response }) => response.buffer?.length ?? 0).filter((length) => length === 1).length)
            .toBe(i + 1)
        }
        expect([(yield* tasks.snapshot).starts, (yield* applets.snapshot).starts]).toEqual([3, 6])
      })
    ))

  it.effect("it pins for its run, and while it is suspended nothing empties it", () =>
    manual(
      {},
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const stream = yield* host()
        yield* Applet.make({
          channel: stream.response,
          run: (input) => {
            fill(input, "abc")
            return Deferred.await(gate)
          }
        })
        yield* Stepper.runApplets
        expect(yield* ByteChannel.takeText(stream.response)).toBe("abc")
        expect(yield* row).toEqual([1, 3, 0, 0])
        yield* Deferred.succeed(gate, undefined)
        expect(yield* row).toEqual([0, 4, 0, 0])
      })
    ))
})

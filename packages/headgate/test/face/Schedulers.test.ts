/** Who runs when: wake order, the depth of a turn, and the two queues beside each other. */
import { describe, expect, it, vi } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Applet from "headgate/Applet"
import { AppletScheduler } from "headgate/AppletScheduler"
import * as ByteStream from "headgate/ByteStream"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"
import { causeOf, manual, must, StepScheduler } from "./harness.ts"

const named = (order: Array<string>, name: string, body: (self: Task.Self) => void = () => {}) =>
  Task.make((self) =>
    Effect.sync(() => {
      order.push(name)
      body(self)
    })
  )

describe("the stepper", () => {
  it.effect("starts runs in the order of their wakes, whatever the order in which they were made", () =>
    manual(
      {},
      Effect.gen(function*() {
        const order: Array<string> = []
        const tasks = yield* Effect.forEach(["a", "b", "c", "d"], (name) => named(order, name))
        expect([yield* Stepper.runTasks, order.splice(0)]).toEqual([4, ["a", "b", "c", "d"]])
        for (const at of [2, 0, 3, 0, 2, 1]) must(tasks[at]).wakeUnsafe("io")
        expect([yield* Stepper.runTasks, order]).toEqual([4, ["c", "a", "d", "b"]])
      })
    ))

  it.effect("starts only what was queued when it was called: later wakes wait for the next call", () =>
    manual(
      {},
      Effect.gen(function*() {
        const order: Array<string> = []
        const tasks: Array<Task.Task> = []
        const wakeAll = () => tasks.forEach((task) => task.wakeUnsafe("message"))
        tasks.push(yield* named(order, "a", wakeAll), yield* named(order, "b"), yield* named(order, "c"))
        expect([yield* Stepper.runTasks, order.splice(0)]).toEqual([3, ["a", "b", "c"]])
        expect((yield* (yield* TaskScheduler).snapshot).runQueueLength).toBe(1)
        expect([yield* Stepper.runTasks, order.splice(0)]).toEqual([1, ["a"]])
        expect((yield* (yield* TaskScheduler).snapshot).runQueueLength).toBe(3)
        expect([yield* Stepper.runTasks, order.splice(0)]).toEqual([3, ["b", "c", "a"]])
      })
    ))

  it.effect("counts runs that suspend as started, and says how many it started", () =>
    manual(
      {},
      Effect.gen(function*() {
        yield* Task.make(() => Effect.never)
        yield* Task.make(() => Effect.void)
        expect(yield* Stepper.runTasks).toBe(2)
        expect(yield* (yield* TaskScheduler).snapshot).toEqual({ runQueueLength: 0, entities: 2, starts: 2, failed: 0 })
      })
    ))

  it.effect("runs tasks and applets from two queues: neither delays nor starts the other's", () =>
    manual(
      {},
      Effect.gen(function*() {
        const order: Array<string> = []
        const stream = yield* ByteStream.make({
          process: () => Effect.sync(() => void order.push("stream")),
          fillers: { response: "applet" }
        })
        yield* Applet.make({ channel: stream.response, run: () => Effect.sync(() => void order.push("applet")) })
        expect([yield* Stepper.runApplets, order]).toEqual([1, ["applet"]])
        expect([yield* Stepper.runTasks, order]).toEqual([1, ["applet", "stream"]])
        const [tasks, applets] = [yield* TaskScheduler, yield* AppletScheduler]
        expect([yield* tasks.snapshot, yield* applets.snapshot]).toEqual([
          { runQueueLength: 0, entities: 1, starts: 1, failed: 0 },
          { runQueueLength: 0, entities: 1, starts: 1, failed: 0 }
        ])
      })
    ))

  it.effect("settles: repeats all until nothing is left, and counts every step", () =>
    manual(
      {},
      Effect.gen(function*() {
        const order: Array<string> = []
        yield* named(order, "a", (self) => order.length < 5 ? self.wakeUnsafe("io") : undefined)
        expect([yield* Stepper.settle, order.length, yield* Stepper.settle]).toEqual([5, 5, 0])
      })
    ))
})

describe("a program that never rests", () => {
  it.effect.each(
    [[1_000_000, "rests after 1000000"], [
      Infinity,
      "settle took more than 1000000 steps: something never rests"
    ]] as const
  )(
    "is given up after a million steps: here it takes %s",
    ([steps, outcome]) =>
      manual(
        {},
        Effect.gen(function*() {
          let started = 0
          const place = (yield* TaskScheduler).runnable(() => {
            place.finishedUnsafe()
            if (++started < steps) place.wakeUnsafe("other")
          })
          place.wakeUnsafe("init")
          const exit = yield* Effect.exit(Stepper.settle)
          expect(Exit.isSuccess(exit) ? `rests after ${exit.value}` : causeOf(exit)).toContain(outcome)
        })
      )
  )
})

describe("a place of one's own in a run queue", () => {
  it.effect("is started with its reasons, once per wake, and not again before it says that it has finished", () =>
    manual(
      {},
      Effect.gen(function*() {
        const starts: Array<string> = []
        const { endUnsafe, finishedUnsafe, wakeUnsafe } = (yield* TaskScheduler).runnable((reasons) => {
          starts.push([...reasons].join("+"))
        })
        wakeUnsafe("io")
        wakeUnsafe("timer")
        expect([yield* Stepper.runTasks, starts]).toEqual([1, ["timer+io"]])
        wakeUnsafe("message")
        expect(yield* Stepper.runTasks).toBe(0)
        finishedUnsafe()
        expect([yield* Stepper.runTasks, starts]).toEqual([1, ["timer+io", "message"]])
        finishedUnsafe()
        wakeUnsafe("io")
        endUnsafe("failed")
        endUnsafe("done")
        wakeUnsafe("io")
        finishedUnsafe()
        expect(yield* Stepper.settle).toBe(0)
        expect(yield* (yield* TaskScheduler).snapshot).toEqual({ runQueueLength: 0, entities: 0, starts: 2, failed: 1 })
      })
    ))

  it.effect("whose start throws does not stop those behind it", () =>
    manual(
      {},
      Effect.gen(function*() {
        const order: Array<string> = []
        const bad = (yield* TaskScheduler).runnable(() => {
          throw new Error("a start must not throw")
        })
        bad.wakeUnsafe("io")
        yield* named(order, "behind")
        expect([yield* Stepper.runTasks, order]).toEqual([2, ["behind"]])
      })
    ))
})

describe("a turn", () => {
  it("of the app's own scheduler starts at most runQueueDepth runs, and lets others in before the next", () => {
    const scheduler = new StepScheduler(2048)
    const scope = Scope.makeUnsafe()
    const order: Array<string> = []
    const world = Effect.gen(function*() {
      const context = yield* Layer.buildWithScope(Layer.orDie(TaskScheduler.layer({ runQueueDepth: 2 })), scope)
      yield* Effect.forEach(["a", "b", "c", "d", "e"], (name) => named(order, name)).pipe(
        Effect.provideContext(context),
        Scope.provide(scope)
      )
    })
    Effect.runFork(world, { scheduler })
    scheduler.makeDispatcher().scheduleTask(() => void order.push("input and output"), 0)
    const rows: Array<string> = []
    while (scheduler.step()) rows.push(order.join(" "))
    expect(rows).toEqual([
      "a b",
      "a b input and output",
      "a b input and output c d",
      "a b input and output c d e"
    ])
    Effect.runFork(Scope.close(scope, Exit.void), { scheduler })
  })

  it("of the default scheduler is in microtasks up to runQueueDepth runs, then waits for a macrotask", async () => {
    const scope = Scope.makeUnsafe()
    const order: Array<string> = []
    const context = await Effect.runPromise(
      Layer.buildWithScope(Layer.orDie(TaskScheduler.layer({ runQueueDepth: 2 })), scope)
    )
    const microtasks = async () => {
      for (let i = 0; i < 10; i++) await Promise.resolve()
    }
    const macrotask = () => new Promise<void>((resolve) => setImmediate(resolve))
    const { runnable } = Context.get(context, TaskScheduler)
    for (const name of ["a", "b", "c", "d", "e"]) {
      const { finishedUnsafe, wakeUnsafe } = runnable(() => {
        order.push(name)
        finishedUnsafe()
      })
      wakeUnsafe("io")
    }
    expect(order).toEqual([])
    await microtasks()
    expect(order).toEqual(["a", "b"])
    await macrotask()
    expect(order).toEqual(["a", "b", "c", "d"])
    await macrotask()
    expect(order).toEqual(["a", "b", "c", "d", "e"])
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  it("of the default scheduler counts what earlier microtasks of it have started", async () => {
    const scope = Scope.makeUnsafe()
    const order: Array<string> = []
    const context = await Effect.runPromise(
      Layer.buildWithScope(Layer.orDie(TaskScheduler.layer({ runQueueDepth: 2 })), scope)
    )
    const wake = (name: string) => {
      const place = Context.get(context, TaskScheduler).runnable(() => {
        order.push(name)
        place.finishedUnsafe()
      })
      place.wakeUnsafe("io")
    }
    const microtasks = async () => {
      for (let i = 0; i < 10; i++) await Promise.resolve()
    }
    wake("a")
    await microtasks()
    for (const name of ["b", "c", "d"]) wake(name)
    await microtasks()
    expect(order).toEqual(["a", "b"])
    await new Promise<void>((resolve) => setImmediate(resolve))
    expect(order).toEqual(["a", "b", "c", "d"])
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })

  it("where there is no setImmediate is the scheduler's own", async () => {
    const scope = Scope.makeUnsafe()
    const order: Array<string> = []
    vi.stubGlobal("setImmediate", undefined)
    try {
      const context = await Effect.runPromise(
        Layer.buildWithScope(Layer.orDie(TaskScheduler.layer({ runQueueDepth: 1 })), scope)
      )
      const all = ["a", "b", "c"].map((name) =>
        new Promise<void>((resolve) => {
          const place = Context.get(context, TaskScheduler).runnable(() => {
            order.push(name)
            place.finishedUnsafe()
            resolve()
          })
          place.wakeUnsafe("io")
        })
      )
      await Promise.all(all)
    } finally {
      vi.unstubAllGlobals()
    }
    expect(order).toEqual(["a", "b", "c"])
    await Effect.runPromise(Scope.close(scope, Exit.void))
  })
})

/** A task: idle, queued, running, ended. Nothing runs but what a test starts, and every row of counts is exact. */
import { describe, expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"
import type { WakeReason } from "headgate/WakeReason"
import { causeOf, logged, manual, must, start, stepped } from "./harness.ts"

/** `[queued, entities, starts, failed]` */
const counts = Effect.gen(function*() {
  const { entities, failed, runQueueLength, starts } = yield* (yield* TaskScheduler).snapshot
  return [runQueueLength, entities, starts, failed] as const
})

/** A task whose every run is noted, and waits for `next` if told to. */
const noting = (runs: Array<string>, body: Effect.Effect<void> = Effect.void) =>
  Task.make((_, reasons: ReadonlySet<WakeReason>) => {
    runs.push([...reasons].join("+"))
    return body
  })

describe("a task is woken", () => {
  it.effect("with init when it is made, and runs in the turn that follows, not before", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        yield* noting(runs)
        expect(runs).toEqual([])
        expect(yield* counts).toEqual([1, 1, 0, 0])
        expect(yield* Stepper.runTasks).toBe(1)
        expect(runs).toEqual(["init"])
        expect(yield* counts).toEqual([0, 1, 1, 0])
        expect(yield* Stepper.runTasks).toBe(0)
      })
    ))

  it.effect("while queued: the reasons are merged, and delivered once", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const task = yield* noting(runs)
        for (const reason of ["message", "io", "message", "other", "signal", "timer", "resource"] as const) {
          task.wakeUnsafe(reason)
          expect(yield* counts).toEqual([1, 1, 0, 0])
        }
        expect(yield* Stepper.runTasks).toBe(1)
        expect(runs).toEqual(["init+timer+io+signal+message+resource+other"])
        task.wakeUnsafe("io")
        expect(yield* Stepper.runTasks).toBe(1)
        expect(runs.slice(1)).toEqual(["io"])
      })
    ))

  it.effect("while running: it runs once more, with all reasons that came meanwhile", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const gate = yield* Deferred.make<void>()
        const task = yield* noting(runs, Deferred.await(gate))
        expect(yield* Stepper.runTasks).toBe(1)
        task.wakeUnsafe("signal")
        task.wakeUnsafe("io")
        task.wakeUnsafe("signal")
        expect(yield* counts).toEqual([0, 1, 1, 0])
        expect(yield* Stepper.runTasks).toBe(0)
        yield* Deferred.succeed(gate, undefined)
        expect(yield* counts).toEqual([1, 1, 1, 0])
        expect(runs).toEqual(["init"])
        expect(yield* Stepper.runTasks).toBe(1)
        expect(runs).toEqual(["init", "io+signal"])
        expect(yield* Stepper.settle).toBe(0)
      })
    ))

  it.effect("by itself, inside its run: it runs once more, in the next turn", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        yield* Task.make((self, reasons) =>
          Effect.sync(() => {
            runs.push([...reasons].join("+"))
            if (runs.length < 3) self.wakeUnsafe("other")
          })
        )
        expect([yield* Stepper.runTasks, yield* Stepper.runTasks, yield* Stepper.runTasks]).toEqual([1, 1, 1])
        expect(yield* Stepper.runTasks).toBe(0)
        expect(runs).toEqual(["init", "other", "other"])
      })
    ))

  it.effect("a hundred times while it runs: its runs never overlap", () =>
    manual(
      {},
      Effect.gen(function*() {
        let inside = 0
        let most = 0
        let runs = 0
        const task = yield* Task.make(() =>
          Effect.gen(function*() {
            most = Math.max(most, ++inside)
            runs++
            yield* Effect.yieldNow
            inside--
          })
        )
        for (let i = 0; i < 100; i++) {
          task.wakeUnsafe("io")
          yield* Stepper.runTasks
          if (i % 3 === 0) yield* Effect.yieldNow
        }
        yield* Effect.yieldNow
        yield* Stepper.settle
        yield* Effect.yieldNow
        expect([inside, most]).toEqual([0, 1])
        expect(runs).toBeGreaterThan(20)
      })
    ))
})

it("a task started before its fiber first slept runs once, with the reason, wherever the yields fall", () => {
  for (let maxOps = 3; maxOps < 20; maxOps++) {
    for (const pick of [0, 1, 2, 3, 5, 7]) {
      const { fork, run, scheduler, scope } = stepped({ limit: 2, reserve: 1 }, maxOps)
      const runs: Array<string> = []
      const tasks = run(Scope.provide(Effect.orDie(Layer.build(TaskScheduler.layer())), scope))
      fork(Scope.provide(Effect.provideContext(noting(runs), tasks), scope))
      while (scheduler.step(pick)) { /* the picked task, until none is left */ }
      expect(runs, `at ${maxOps} operations, pick ${pick}`).toEqual(["init"])
    }
  }
})

describe("a task ends", () => {
  it.effect("as its process failed: who awaits it fails the same, others go on, and it never runs again", () =>
    manual(
      {},
      Effect.gen(function*() {
        const others: Array<string> = []
        const other = yield* noting(others)
        const task = yield* Task.make((_, reasons) => reasons.has("io") ? Effect.fail("broken" as const) : Effect.void)
        const waiting = yield* start(task.await)
        expect(yield* Stepper.runTasks).toBe(2)
        expect(waiting.pollUnsafe()).toBeUndefined()
        task.wakeUnsafe("io")
        other.wakeUnsafe("io")
        expect(yield* Stepper.runTasks).toBe(2)
        expect(waiting.pollUnsafe()).toEqual(Exit.fail("broken"))
        expect(others).toEqual(["init", "io"])
        expect(yield* counts).toEqual([0, 1, 4, 1])
        task.wakeUnsafe("io")
        other.wakeUnsafe("message")
        expect(yield* Stepper.runTasks).toBe(1)
        expect(others).toEqual(["init", "io", "message"])
        expect(yield* Effect.flip(task.await)).toBe("broken")
      })
    ))

  it.effect("with a defect of its process: who awaits it dies of it, and others go on", () =>
    manual(
      {},
      Effect.gen(function*() {
        const others: Array<string> = []
        const task = yield* Task.make((): Effect.Effect<void> => {
          throw new RangeError("a mistake")
        })
        yield* noting(others)
        const waiting = yield* start(task.await)
        expect(yield* Stepper.runTasks).toBe(2)
        const exit = must(waiting.pollUnsafe())
        expect(Exit.isFailure(exit) && exit.cause.reasons.map((reason) => reason._tag)).toEqual(["Die"])
        expect(others).toEqual(["init"])
        expect(yield* counts).toEqual([0, 1, 2, 1])
      })
    ))

  it.effect("never, if its process never returns, and that stops nobody else", () =>
    manual(
      {},
      Effect.gen(function*() {
        const others: Array<string> = []
        const stuck = yield* Task.make(() => Effect.never)
        const other = yield* noting(others)
        expect(yield* Stepper.runTasks).toBe(2)
        for (let i = 0; i < 3; i++) {
          stuck.wakeUnsafe("io")
          other.wakeUnsafe("io")
          expect(yield* Stepper.runTasks).toBe(1)
        }
        expect(others).toEqual(["init", "io", "io", "io"])
        expect(yield* counts).toEqual([0, 2, 5, 0])
      })
    ))

  it.effect("from inside its own run: the run goes on to its exit, and is the last", () =>
    manual(
      {},
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const events: Array<string> = []
        const task = yield* Task.make((self) =>
          Effect.gen(function*() {
            yield* self.end
            events.push("ended itself")
            yield* Deferred.await(gate)
            events.push("came to its exit")
          })
        )
        const waiting = yield* start(task.await)
        expect(yield* Stepper.runTasks).toBe(1)
        expect(events).toEqual(["ended itself"])
        expect(yield* counts).toEqual([0, 0, 1, 0])
        expect(waiting.pollUnsafe()).toBeUndefined()
        task.wakeUnsafe("io")
        yield* Deferred.succeed(gate, undefined)
        expect(events).toEqual(["ended itself", "came to its exit"])
        expect(waiting.pollUnsafe()).toEqual(Exit.void)
        expect(yield* Stepper.settle).toBe(0)
      })
    ))

  it.effect("from a fiber that its own run forked: that too is inside", () =>
    manual(
      {},
      Effect.gen(function*() {
        const events: Array<string> = []
        const task = yield* Task.make((self) =>
          Effect.gen(function*() {
            const child = yield* Effect.forkChild(
              Effect.andThen(
                self.end,
                Effect.sync(() => events.push("child"))
              ),
              {
                startImmediately: true
              }
            )
            expect(child.pollUnsafe()).toBeDefined()
            events.push("parent")
          })
        )
        expect(yield* Stepper.runTasks).toBe(1)
        expect(events).toEqual(["child", "parent"])
        expect(causeOf((yield* start(task.await)).pollUnsafe())).toBe("success")
        expect(yield* counts).toEqual([0, 0, 1, 0])
      })
    ))

  it.effect("from elsewhere: a run under way is interrupted, and whoever ends it waits for the run's own ends", () =>
    manual(
      {},
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const events: Array<string> = []
        const task = yield* Task.make(() =>
          Effect.onInterrupt(Effect.never, () => {
            events.push("interrupted")
            return Deferred.await(gate)
          })
        )
        const waiting = yield* start(task.await)
        expect(yield* Stepper.runTasks).toBe(1)
        const ender = yield* start(Effect.andThen(task.end, Effect.sync(() => events.push("waited for"))))
        expect(events).toEqual(["interrupted"])
        expect([ender.pollUnsafe(), waiting.pollUnsafe()]).toEqual([undefined, undefined])
        yield* Deferred.succeed(gate, undefined)
        expect(events).toEqual(["interrupted", "waited for"])
        expect([causeOf(ender.pollUnsafe()), causeOf(waiting.pollUnsafe())]).toEqual(["success", "success"])
        expect(yield* counts).toEqual([0, 0, 1, 0])
      })
    ))

  it.effect("by endUnsafe, from a callback: in that step, and a run under way is interrupted but not waited for", () =>
    manual(
      {},
      Effect.gen(function*() {
        const gate = yield* Deferred.make<void>()
        const events: Array<string> = []
        const running = yield* Task.make(() =>
          Effect.onInterrupt(Effect.never, () => {
            events.push("interrupted")
            return Deferred.await(gate)
          })
        )
        const idle = yield* Task.make(() => Effect.void)
        const waiting = [yield* start(running.await), yield* start(idle.await)]
        expect(yield* Stepper.runTasks).toBe(2)
        idle.wakeUnsafe("io")
        for (const task of [running, idle, running]) task.endUnsafe()
        expect([events, yield* counts]).toEqual([["interrupted"], [0, 0, 2, 0]])
        expect(waiting.map((fiber) => causeOf(fiber.pollUnsafe()))).toEqual(["running", "success"])
        yield* Deferred.succeed(gate, undefined)
        expect([causeOf(must(waiting[0]).pollUnsafe()), yield* Stepper.settle]).toEqual(["success", 0])
      })
    ))

  it.effect("while queued, or idle: it leaves the queue, and nothing of it runs", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const queued = yield* noting(runs)
        const idle = yield* noting(runs)
        expect(yield* Stepper.runTasks).toBe(2)
        queued.wakeUnsafe("io")
        expect(yield* counts).toEqual([1, 2, 2, 0])
        yield* queued.end
        expect(yield* counts).toEqual([0, 1, 2, 0])
        yield* idle.end
        yield* idle.end
        expect(yield* counts).toEqual([0, 0, 2, 0])
        expect([yield* Effect.exit(queued.await), yield* Effect.exit(idle.await)]).toEqual([Exit.void, Exit.void])
        expect([yield* Stepper.runTasks, runs]).toEqual([0, ["init", "init"]])
      })
    ))

  it.effect("in order although its last run fails, if it had ended itself: the failure still reaches who awaits", () =>
    manual(
      {},
      Effect.gen(function*() {
        const task = yield* Task.make((self) => Effect.andThen(self.end, Effect.fail("too late")))
        const waiting = yield* start(task.await)
        expect(yield* Stepper.runTasks).toBe(1)
        expect(waiting.pollUnsafe()).toEqual(Exit.fail("too late"))
        expect((yield* counts)[1]).toBe(0)
      })
    ))

  it.effect("when its scope closes first: who awaits it is interrupted, and a run under way too", () =>
    manual(
      {},
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const events: Array<string> = []
        const idle = yield* Scope.provide(Task.make(() => Effect.void), scope)
        const running = yield* Scope.provide(
          Task.make(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => events.push("interrupted")))),
          scope
        )
        expect(yield* Stepper.runTasks).toBe(2)
        const waiting = [yield* start(idle.await), yield* start(running.await)]
        yield* Scope.close(scope, Exit.void)
        const exits = waiting.map((fiber) => must(fiber.pollUnsafe()))
        expect(exits.map((exit) => Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))).toEqual([true, true])
        expect(events).toEqual(["interrupted"])
        expect(yield* counts).toEqual([0, 0, 2, 0])
      })
    ))
})

describe("expire", () => {
  it.effect("wakes with timer when the time has come, not before, and each call replaces the one before", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const task = yield* noting(runs)
        yield* Stepper.runTasks
        yield* task.expire("100 millis")
        yield* TestClock.adjust("99 millis")
        expect(yield* Stepper.runTasks).toBe(0)
        yield* TestClock.adjust("1 millis")
        expect(yield* Stepper.runTasks).toBe(1)
        yield* task.expire("100 millis")
        yield* TestClock.adjust("60 millis")
        yield* task.expire("100 millis")
        yield* TestClock.adjust("99 millis")
        expect(yield* Stepper.runTasks).toBe(0)
        yield* TestClock.adjust("1 millis")
        expect(yield* Stepper.runTasks).toBe(1)
        yield* task.expire("100 millis")
        yield* TestClock.adjust("10 millis")
        yield* task.expire("20 millis")
        yield* TestClock.adjust("20 millis")
        expect(yield* Stepper.runTasks).toBe(1)
        yield* TestClock.adjust("1 day")
        expect(yield* Stepper.runTasks).toBe(0)
        expect(runs).toEqual(["init", "timer", "timer", "timer"])
      })
    ))

  it.effect("from inside a run lives on after it, and ends with the task", () =>
    manual(
      {},
      Effect.gen(function*() {
        const runs: Array<string> = []
        const task = yield* Task.make((self, reasons) => {
          runs.push([...reasons].join("+"))
          return self.expire("1 second")
        })
        yield* Stepper.runTasks
        yield* TestClock.adjust("1 second")
        expect(yield* Stepper.runTasks).toBe(1)
        yield* task.end
        yield* TestClock.adjust("1 second")
        expect(yield* Stepper.runTasks).toBe(0)
        expect(runs).toEqual(["init", "timer"])
      })
    ))
})

describe("a failure", () => {
  it.effect("that nobody awaits is logged exactly once", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const task = yield* Task.make(() => Effect.fail("unseen"), { name: "worker" })
        yield* Stepper.settle
        expect(lines).toEqual(["Error an entity failed, and nobody awaits it Fail"])
        yield* Effect.exit(task.await)
        yield* task.end
        yield* Stepper.settle
        expect(lines.length).toBe(1)
      }).pipe((test) => manual({}, test))
    ))

  it.effect("that somebody awaits is not logged, nor is an orderly end, nor an interruption", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const awaited = yield* Task.make(() => Effect.fail("seen"))
        yield* start(Effect.exit(awaited.await))
        yield* Task.make((self) => self.end)
        const interrupted = yield* Task.make(() => Effect.never)
        yield* Stepper.settle
        yield* interrupted.end
        expect(lines).toEqual([])
      }).pipe((test) => manual({}, test))
    ))
})

describe("what a run adds", () => {
  it.effect("to its own scope ends with the run; to the task's, with the task; each once", () =>
    manual(
      {},
      Effect.gen(function*() {
        const events: Array<string> = []
        const note = (event: string) => Effect.addFinalizer(() => Effect.sync(() => events.push(event)))
        let runs = 0
        const task = yield* Task.make((self) =>
          Effect.gen(function*() {
            runs++
            yield* note(`run ${runs}`)
            yield* Scope.provide(note(`task, by run ${runs}`), self.scope)
          })
        )
        yield* Stepper.runTasks
        expect(events).toEqual(["run 1"])
        task.wakeUnsafe("io")
        yield* Stepper.runTasks
        expect(events).toEqual(["run 1", "run 2"])
        yield* task.end
        expect(events).toEqual(["run 1", "run 2", "task, by run 2", "task, by run 1"])
      })
    ))

  it.effect("to its own scope behind its exit is over at once: whether it is used within the run or not, each run has its own", () =>
    manual(
      {},
      Effect.gen(function*() {
        const events: Array<string> = []
        const scopes: Array<Scope.Scope> = []
        const task = yield* Task.make(() =>
          Effect.gen(function*() {
            scopes.push(yield* Effect.scope)
            if (scopes.length === 3) yield* Effect.fail("the third")
          })
        )
        const ended = yield* start(Effect.exit(task.await))
        for (const run of [0, 1, 2]) {
          task.wakeUnsafe("io")
          yield* Stepper.runTasks
          const scope = must(scopes[run])
          expect([scope.state._tag, scopes.indexOf(scope)]).toEqual(["Closed", run])
          yield* Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => events.push(`${run} ${exit._tag}`)))
        }
        expect(events).toEqual(["0 Success", "1 Success", "2 Failure"])
        yield* Fiber.await(ended)
      })
    ))
})

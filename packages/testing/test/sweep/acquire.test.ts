/**
 * What a sweep of a whole program does not show: what `acquire` leaves to a scope that goes on, and the moment in which two
 * things happen to a fiber at once.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import * as Headgate from "headgate/Headgate"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { causeOf, must, stepped, StepScheduler } from "../../../headgate/test/face/harness.ts"
import { sweep } from "../../src/Sweep.ts"
import { options, takeAll } from "./stage.ts"

/** Sweeps `acquire` for a scope that goes on; a failure is a buffer that it kept, and that its caller never saw. */
const keptBy = (isQueued: boolean) =>
  sweep((world) => {
    const pool = world.run(BufferPool.make(options))
    const scope = Scope.makeUnsafe()
    const state = { isSeen: false }
    if (isQueued) {
      const held = takeAll(pool)
      const give = Effect.sync(() => held.forEach((buffer) => pool.giveBackUnsafe(buffer)))
      world.fork("holder", Effect.andThen(Effect.sleep(10), give))
    }
    const acquired = Effect.map(pool.acquire("channel"), () => {
      state.isSeen = true
    })
    return { program: Scope.provide(acquired, scope), pool, scope, state, world }
  }, ({ pool, scope, state, world }) => {
    const { used } = Effect.runSync(pool.snapshot)
    world.run(Scope.close(scope, Exit.void))
    const { used: left, waiting } = Effect.runSync(pool.snapshot)
    return [
      ...left + waiting.length === 0 ? [] : [`${left} lent, ${waiting.length} waiting when the scope has closed`],
      ...state.isSeen || used === 0 ? [] : ["kept unseen"]
    ]
  }, { during: true })

describe("acquire in a scope that goes on", () => {
  // What is free is taken and bound to the scope in one step: to interrupt in its course takes a callback of that step itself.
  it.each(
    [
      ["uncontended", false, 4, [{ before: 4 }, { during: 3 }, { during: 4 }]],
      ["queued", true, 9, [{ before: 9 }, { during: 9 }]]
    ] as const
  )("%s: keeps nothing there when it is interrupted, but between its end and its caller", (_, isQueued, last, kept) => {
    const { failures, operations } = keptBy(isQueued)
    // The caller's `map`, and its end.
    expect(operations).toBe(last + 2)
    const points = failures.flatMap(({ point }) => point.step === undefined ? [point] : [])
    expect(points).toEqual(kept)
    const operationsOf = new Set<number | undefined>(kept.map((point) => Object.values(point)[0]))
    const others = failures.filter(({ broken, operation }) =>
      broken.join() !== "kept unseen" || !operationsOf.has(operation)
    )
    expect(others).toEqual([])
  })

  it("keeps nothing there when its timeout comes in the step of its grant; all else goes back with the scope", () => {
    // With 3, a slice ends just before its caller's step.
    for (const maxOps of [4, 5, 7, 12, 64]) {
      for (let slice = 0; slice < 24; slice++) {
        for (let gap = -6; gap <= 12; gap++) {
          const { clock, fork, pool, scheduler } = stepped({ limit: 2, reserve: 1, ageAfter: Infinity }, maxOps)
          const held = takeAll(pool)
          const scope = Scope.makeUnsafe()
          const raced = fork(Effect.timeout(Scope.provide(pool.acquire("channel"), scope), 10))
          for (let steps = 0; steps < 60; steps++) {
            if (steps === slice) { for (const lease of held.splice(0)) pool.giveBackUnsafe(lease) }
            if (steps === slice + gap) clock.advance(10)
            scheduler.step()
          }
          clock.advance(10)
          scheduler.drain()
          const { used } = Effect.runSync(pool.snapshot)
          const label = `${maxOps} operations per slice, buffer at ${slice}, time ${gap} later`
          const exit = must(raced.pollUnsafe())
          if (Exit.isSuccess(exit)) expect(used, label).toBe(1)
          else if (gap <= 0) expect(used, label).toBe(0)
          fork(Scope.close(scope, Exit.void))
          scheduler.drain()
          expect(Effect.runSync(pool.snapshot).used, label).toBe(0)
        }
      }
    }
  })
})

describe("a scheduler's turn between any two slices of a task's making", () => {
  it("loses no wake, at every yield budget from 3 to 64", () => {
    for (let maxOps = 3; maxOps <= 64; maxOps++) {
      const scheduler = new StepScheduler(maxOps)
      const scope = Scope.makeUnsafe()
      const fork = <A, E>(effect: Effect.Effect<A, E>) => Effect.runFork(effect, { scheduler })
      const built = fork(Layer.buildWithScope(Layer.orDie(Headgate.layerManual(options)), scope))
      scheduler.drain()
      const context = Effect.runSync(must(built.pollUnsafe()))
      let runs = 0
      const task = Task.make(() => Effect.sync(() => runs++))
      const made = fork(Effect.provideContext(Scope.provide(task, scope), context))
      const turn = Context.get(context, Stepper).runTasks
      do Effect.runSync(turn)
      while (scheduler.step())
      while (Effect.runSync(turn) > 0) scheduler.drain()
      expect(causeOf(made.pollUnsafe())).toBe("success")
      expect(runs, `${maxOps} operations per slice`).toBe(1)
      fork(Scope.close(scope, Exit.void))
      scheduler.drain()
    }
  })
})

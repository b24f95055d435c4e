/** Somebody who sleeps until woken, runs, and sleeps again: a task, and a fiber that awaits one deferred after the other. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { Task, TaskScheduler } from "headgate"
import { Counter } from "./counter.ts"
import type { Batch, MakeBatch } from "./measure.ts"

/** Few sleepers are woken several times, so that the clock has something to count. */
const operations = 1000

/** All are woken, and all have run; then again. */
const waves = (sleepers: number, counter: Counter, wake: (index: number) => void): Batch => {
  const times = Math.ceil(operations / sleepers)
  return {
    count: times * sleepers,
    done: counter.take,
    run: async () => {
      for (let time = 0; time < times; time++) {
        const all = counter.until(sleepers)
        for (let index = 0; index < sleepers; index++) wake(index)
        await all
      }
    }
  }
}

export const tasks: MakeBatch = (count) =>
  Effect.gen(function*() {
    const counter = new Counter()
    const context = yield* Layer.build(TaskScheduler.layer())
    const born = counter.until(count)
    const made: Array<Task.Task> = []
    for (let n = 0; n < count; n++) {
      made.push(yield* Effect.provideContext(Task.make(() => counter.tickEffect), context))
    }
    // The run that each begins its life with.
    yield* Effect.promise(() => born)
    counter.take()
    return waves(count, counter, (index) => made[index]?.wakeUnsafe("io"))
  })

/**
 * What one would write with a deferred: a fresh one for each sleep, and a wake that comes during a run is not lost. It is run by
 * whoever wakes it, while a task is run in a turn to come; and a task's run has a scope of its own, so one kind of these has, too.
 */
class Sleeper {
  private woken = false
  private bed = Deferred.makeUnsafe<void>()

  wake(): void {
    if (this.woken) return
    this.woken = true
    Deferred.doneUnsafe(this.bed, Exit.void)
  }

  readonly life = (run: Effect.Effect<void>): Effect.Effect<never> =>
    Effect.gen({ self: this }, function*() {
      while (true) {
        yield* Deferred.await(this.bed)
        this.bed = Deferred.makeUnsafe()
        this.woken = false
        yield* run
      }
    })
}

const fibersThatRun = (count: number, run: (counter: Counter) => Effect.Effect<void>) =>
  Effect.gen(function*() {
    const counter = new Counter()
    const sleepers = Array.from({ length: count }, () => new Sleeper())
    for (const sleeper of sleepers) {
      yield* Effect.forkScoped(sleeper.life(run(counter)), { startImmediately: true })
    }
    return waves(count, counter, (index) => sleepers[index]?.wake())
  })

export const deferredFibers: MakeBatch = (count) => fibersThatRun(count, ({ tickEffect }) => Effect.scoped(tickEffect))

export const deferredFibersWithoutScopes: MakeBatch = (count) => fibersThatRun(count, ({ tickEffect }) => tickEffect)

/** What is measured is what was done: batches, checks of the work, and what a heap measure counts. */
import * as Effect from "effect/Effect"
import { expect, test } from "vitest"
import { Counter } from "../src/pool/counter.ts"
import { type Batch, perOperation, timed } from "../src/pool/measure.ts"
import { handOff, headgate, leaving, type Shared } from "../src/pool/waiting.ts"

/** A batch of ten that writes down what is called. */
const logged = (spinMs: number) => {
  const log: Array<string> = []
  const batch: Batch = {
    count: 10,
    prepare: async () => void log.push("prepare"),
    run: () => {
      log.push("run")
      const end = performance.now() + spinMs
      while (performance.now() < end);
    },
    done: () => {
      log.push("done")
      return 10
    }
  }
  return { batch, log }
}

test("each batch is prepared, run and checked, in this order, and at least one is", async () => {
  const { batch, log } = logged(2)
  const { prepare, run } = await timed(batch, 0)
  expect(log).toEqual(["prepare", "run", "done"])
  expect([run.count, run.done, prepare.count]).toEqual([10, 10, 10])
  expect(run.cost).toBeGreaterThan(0)
})

test("batches go on while the budget lasts, and all of them count", async () => {
  const { batch, log } = logged(1)
  const { run } = await timed(batch, 20)
  const runs = log.filter((line) => line === "run").length
  expect(runs).toBeGreaterThan(1)
  expect([run.count, run.done]).toEqual([10 * runs, 10 * runs])
})

test("work that was not done, or was done twice, is no measure", () => {
  expect(perOperation("x", { count: 4, cost: 100, done: 4 })).toBe(25)
  expect(() => perOperation("x", { count: 4, cost: 100, done: 3 })).toThrow("x: 3 operations were done of 4")
  expect(() => perOperation("x", { count: 4, cost: 100, done: 5 })).toThrow("x: 5 operations were done of 4")
  expect(() => perOperation("x", { count: 0, cost: 100, done: 0 })).toThrow("x: 0 operations were done of 0")
})

test("a counter tells when the last one ticked, and counts anew once asked", async () => {
  const counter = new Counter()
  const two = counter.until(2)
  counter.tick()
  counter.tick()
  await two
  counter.tick()
  expect([counter.take(), counter.take()]).toEqual([3, 0])
})

test("a hand-off measures only those who waited, and all of them", async () => {
  const batch = await Effect.runPromise(
    Effect.scoped(Effect.flatMap(handOff(headgate, 500, false), (batch) =>
      Effect.promise(async () => {
        await batch.prepare?.()
        const parked = batch.done()
        await batch.run()
        return { count: batch.count, parked, served: batch.done() }
      })))
  )
  expect(batch).toEqual({ count: 2000, parked: 0, served: 2000 })
})

test("those who leave leave from the middle, and the queue is as long again for the next time", async () => {
  const log: Array<string> = []
  const recorded = (): Effect.Effect<Shared> =>
    Effect.sync(() => {
      let entered = 0
      return {
        hold: () => Promise.resolve(() => {}),
        enter: () => {
          const number = ++entered
          let gone = false
          return {
            leave: () => {
              gone = true
              log.push(`${number}`)
            },
            isGone: () => gone
          }
        }
      }
    })
  const batch = await Effect.runPromise(Effect.scoped(leaving(recorded, 10_000)))
  const done: Array<number> = []
  for (let time = 0; time < 2; time++) {
    await batch.prepare?.()
    await batch.run()
    done.push(batch.done())
  }
  expect(done).toEqual([batch.count, batch.count])
  expect([log[0], log[199], log[200], log[399]]).toEqual(["4901", "5100", "5101", "5300"])
})

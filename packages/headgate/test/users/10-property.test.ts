import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { BufferPool, Headgate, Stepper } from "headgate"

const jobs = fc.array(
  fc.record({ criticality: fc.constantFrom("tx", "channel", "endpoint", "rx"), cancel: fc.boolean() }),
  { maxLength: 30 }
)

it("whatever is taken comes back, and nobody stays queued, whoever is interrupted and when", () => {
  fc.assert(
    fc.property(fc.integer({ min: 4, max: 9 }), jobs, (limit, jobs) => {
      const left = Effect.runSync(
        Effect.gen(function*() {
          const fibers = yield* Effect.forEach(jobs, ({ criticality }) =>
            BufferPool.acquire(criticality).pipe(
              Effect.andThen(Effect.never),
              Effect.scoped,
              Effect.forkChild({ startImmediately: true })
            ))
          fibers.forEach((fiber, at) => jobs[at]?.cancel && fiber.interruptUnsafe())
          yield* Stepper.settle
          for (const fiber of fibers) fiber.interruptUnsafe()
          yield* Stepper.settle
          const { classes, used } = yield* BufferPool.snapshot
          return { used, waiting: Object.values(classes).map((one) => one.waiting) }
        }).pipe(Effect.provide(Headgate.layerManual({ limit, bufferSize: 16, debug: true })))
      )
      assert.deepStrictEqual(left, { used: 0, waiting: [0, 0, 0, 0] })
    }),
    { numRuns: 200 }
  )
})

/** What is left of an entity whose scope closes at once. */
import * as Effect from "effect/Effect"
import { accesses } from "headgate/Probe"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"
import { describe } from "vitest"
import { it } from "../../src/vitest.ts"
import type { Make } from "../explorer/programs.ts"

const madeAndClosed: Make = (world) => {
  let entities = 0
  return {
    program: Effect.gen(function*() {
      const maker = yield* world.fork("maker", Effect.scoped(Task.make(() => Effect.void)))
      yield* world.await(maker)
      entities = (yield* TaskScheduler.use(({ snapshot }) => snapshot)).entities
    }).pipe(Effect.provide(TaskScheduler.layer())),
    probe: accesses,
    atEnd: () => entities === 0 ? undefined : `${entities} entities have not ended`
  }
}

describe("an entity", () => {
  it.explore("whose scope closes before its first step has ended", madeAndClosed, { preemptions: 1 })
})

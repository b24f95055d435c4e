/** What a fiber may rely on while its pool is open. */
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import { it } from "../../src/vitest.ts"
import { visited, type Visitor } from "../explorer/programs.ts"

/** No failure is forgiven, not even that of a closed pool. */
const certain = (name: string): Visitor => ({
  name,
  does: (pool) => Effect.orDie(pool.withBuffer("rx", () => Effect.yieldNow))
})

describe("an open pool", () => {
  it.explore(
    "gives a buffer to each of 3 fibers that ask for one, whenever they are woken",
    visited({ limit: 2, reserve: 1 }, ["a", "b", "c"].map(certain)),
    { preemptions: 1 }
  )
})

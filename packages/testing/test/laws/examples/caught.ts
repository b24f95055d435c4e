/** Which law a wrong entity breaks, after how many histories, and by what shortest one. */
import type { History, LawBroken } from "@headgate/testing/EntityLaws"
import * as PoolCommands from "@headgate/testing/PoolCommands"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"

export const caught = <A, E>(check: (history: History) => Effect.Effect<A, LawBroken | E>): unknown => {
  const property = fc.property(PoolCommands.histories(), (history) => void Effect.runSync(check(history)))
  return fc.check(property, { numRuns: 500, seed: 1 }).errorInstance
}

/** What its author writes to have a filter tried by the laws, and what becomes of filters that break one. */
import { expect, it } from "@effect/vitest"
import { laws } from "@headgate/testing/EntityLaws"
import * as PoolCommands from "@headgate/testing/PoolCommands"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { caught } from "./caught.ts"
import * as Filter from "./Filter.ts"

const check = laws({
  make: Filter.make(),
  does: { feed: (filter) => filter.feed("a b") }
})

it("a filter keeps the laws, whatever others do", () => {
  fc.assert(fc.property(PoolCommands.histories(), (history) => void Effect.runSync(check(history))))
})

it("a filter that promises to come and does not wake its task is caught by L4", () => {
  const wrong = laws({ make: Filter.make(() => true), does: { feed: (filter) => filter.feed("a b") } })
  expect(caught(wrong)).toMatchObject({
    _tag: "LawBroken",
    law: "L4",
    fact: "who answers true to a grant comes to the door or leaves",
    waiter: "the filter at channel (entity 0)"
  })
})

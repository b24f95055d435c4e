/** A program that starts one child of the demo, says which, and goes on until it is stopped. */
import { runMain } from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Children from "../../demo/children.ts"

runMain(Effect.scoped(Effect.gen(function*() {
  const child = yield* Children.start("origin", new URL("../../demo/origin.ts", import.meta.url))
  yield* Children.portOf(child)
  console.log(`pid ${child.pid}`)
  yield* Effect.never
})))

/** A finalizer put into a scope in one step does what one added by `Scope.addFinalizer` does, in every order of the two. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { describe, expect, test } from "vitest"
import { addFinalizer } from "../src/internal/finalizer.ts"

/** What a scope's closing runs, in order, when its finalizers are added by hand (`true`) or by Effect (`false`). */
const closing = (ways: ReadonlyArray<boolean>, strategy: "sequential" | "parallel") => {
  const scope = Scope.makeUnsafe(strategy)
  const ran = new Array<string>()
  ways.forEach((byHand, n) => {
    const finalizer = (exit: Exit.Exit<unknown, unknown>) => Effect.sync(() => void ran.push(`${n} ${exit._tag}`))
    if (byHand) expect(addFinalizer(scope, {}, finalizer)).toBe(true)
    else Effect.runSync(Scope.addFinalizerExit(scope, finalizer))
  })
  Effect.runSync(Scope.close(scope, Exit.fail("why")))
  return ran
}

describe("a finalizer added in one step", () => {
  test.each(["sequential", "parallel"] as const)("runs once, in the order of all, in a %s scope", (strategy) => {
    for (let count = 0; count <= 4; count++) {
      for (let bits = 0; bits < 2 ** count; bits++) {
        const ways = Array.from({ length: count }, (_, n) => (bits & 2 ** n) !== 0)
        expect(closing(ways, strategy), ways.join()).toEqual(closing(ways.map(() => false), strategy))
      }
    }
  })

  test("is refused by a scope that has closed, and has not run then", () => {
    const scope = Scope.makeUnsafe()
    Effect.runSync(Scope.close(scope, Exit.void))
    expect(addFinalizer(scope, {}, () => expect.unreachable("it ran"))).toBe(false)
  })

  test("goes with a child's scope, and leaves the parent's alone", () => {
    const parent = Scope.makeUnsafe()
    const child = Scope.forkUnsafe(parent)
    const ran = new Array<string>()
    const note = (name: string) => () => Effect.sync(() => void ran.push(name))
    addFinalizer(parent, {}, note("parent"))
    addFinalizer(child, {}, note("child"))
    Effect.runSync(Scope.close(child, Exit.void))
    expect(ran).toEqual(["child"])
    Effect.runSync(Scope.close(parent, Exit.void))
    expect(ran).toEqual(["child", "parent"])
  })
})

import { assert, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import { describe } from "vitest"
import * as logOnce from "../src/internal/logOnce.js"

const setup = Effect.gen(function*() {
  const lines: Array<string> = []
  const scope = yield* Scope.make()
  const log = yield* Scope.provide(
    logOnce.make({ interval: "10 seconds", log: (line) => Effect.sync(() => void lines.push(line)) }),
    scope
  )
  return { lines, log, scope }
})

describe("logOnce", () => {
  it.effect("says a cause once per interval, and then how often it was", () =>
    Effect.gen(function*() {
      const { lines, log } = yield* setup
      for (const n of [1, 2, 3]) yield* log.note("refused", `refused ${n}`)
      yield* log.note("timeout", "no answer")
      assert.deepStrictEqual(lines, ["refused 1", "no answer"])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(lines.slice(2), ["refused 3 (2 more within 10s)"])
      yield* log.note("refused", "refused 4")
      assert.deepStrictEqual(lines.slice(3), ["refused 4"])
    }))

  it.effect("says what it counted when its scope ends", () =>
    Effect.gen(function*() {
      const { lines, log, scope } = yield* setup
      yield* log.note("refused", "refused")
      yield* log.note("refused", "refused")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(lines, ["refused", "refused (1 more within 10s)"])
    }))
})

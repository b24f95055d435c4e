/**
 * Histories as strangers use them: from Effect's arbitraries and from fast-check, on a pool and a run queue beside their
 * specifications; and on wrong ones, which are found and shrunk.
 */
import { describe, expect, it } from "@effect/vitest"
import * as EntityLaws from "@headgate/testing/EntityLaws"
import type * as Laws from "@headgate/testing/Laws"
import * as PoolArbitrary from "@headgate/testing/PoolArbitrary"
import * as PoolCommands from "@headgate/testing/PoolCommands"
import * as PoolModel from "@headgate/testing/PoolModel"
import * as RunQueueModel from "@headgate/testing/RunQueueModel"
import type * as RunQueueSpec from "@headgate/testing/RunQueueSpec"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import { GateSystem } from "./gateSystem.ts"
import { RunQueueSystem } from "./runQueueSystem.ts"

const makeGate: PoolModel.MakeSystem = (options) => new GateSystem(options)

const makeRunQueue: RunQueueModel.MakeSystem = (options) => new RunQueueSystem(options)

describe("the core agrees with its specification", () => {
  it.prop("in any history of a pool", [PoolArbitrary.setups, PoolArbitrary.actions], ([setup, history]) => {
    expect(PoolModel.play(setup, history, makeGate)).toEqual([])
  })

  it.prop(
    "in any history of a run queue",
    [PoolArbitrary.runScripts, PoolArbitrary.runActions],
    ([scripts, history]) => {
      expect(RunQueueModel.play(scripts, history, makeRunQueue)).toEqual([])
    }
  )
})

describe("what is generated", () => {
  const seed = 7
  const sample = <A>(arbitrary: Arbitrary.Arbitrary<A>) =>
    Effect.runSync(Arbitrary.sampleEffect(arbitrary, { count: 500, seed }))

  /** Which kinds come less than half as often as their weights say. */
  const rare = <K extends string>(
    weights: { readonly [Kind in K]: number },
    kinds: ReadonlyArray<K>,
    histories: ReadonlyArray<ReadonlyArray<{ readonly kind: string }>>
  ): ReadonlyArray<K> => {
    const events = histories.flat()
    const sum = kinds.reduce((all, kind) => all + weights[kind], 0)
    return kinds.filter((kind) =>
      events.filter((event) => event.kind === kind).length < events.length * weights[kind] / sum / 2
    )
  }

  it("by Effect: every kind as often as it should be, in histories of every length", () => {
    const histories = sample(PoolArbitrary.histories)
    expect(rare(EntityLaws.weights, EntityLaws.kinds, histories)).toEqual([])
    expect(rare(PoolModel.weights, PoolModel.kinds, sample(PoolArbitrary.actions))).toEqual([])
    expect(rare(RunQueueModel.weights, RunQueueModel.kinds, sample(PoolArbitrary.runActions))).toEqual([])
    const lengths = histories.map(({ length }) => length)
    expect([Math.min(...lengths) < 15, Math.max(...lengths) > 50]).toEqual([true, true])
  })

  it("by fast-check: the same", () => {
    const histories = fc.sample(PoolCommands.histories(80), { numRuns: 500, seed })
    expect(rare(EntityLaws.weights, EntityLaws.kinds, histories)).toEqual([])
    expect(rare(PoolModel.weights, PoolModel.kinds, [fc.sample(PoolCommands.actions, { numRuns: 5000, seed })]))
      .toEqual([])
    const lengths = histories.map(({ length }) => length)
    expect([Math.min(...lengths) < 15, Math.max(...lengths) > 65]).toEqual([true, true])
  })
})

// ---- wrong ones -----------------------------------------------------------------------------------------------------------

/** Plays random histories until one is wrong, and returns the shortest of its kind: the commands, and what they show. */
const foundIn = (make: PoolModel.MakeSystem) => {
  const property = fc.property(
    PoolCommands.setups,
    PoolCommands.commands(),
    (setup, commands) => PoolCommands.run(setup, commands, make)
  )
  const { counterexample, errorInstance } = fc.check(property, { numRuns: 500, seed: 1 })
  const commands = counterexample === null ? [] : String(counterexample[1]).split(",{").length
  return { commands, error: errorInstance instanceof Error ? errorInstance.message : "" }
}

class Deaf extends GateSystem {
  override act(operation: Laws.Operation) {
    return operation.does === "resize" ? "done" : super.act(operation)
  }
}

class Silent extends GateSystem {
  override isFlushAsked() {
    return false
  }
}

class Upside extends GateSystem {
  override observe() {
    const picture = super.observe()
    return { ...picture, queues: { ...picture.queues, rx: picture.queues.rx.toReversed() } }
  }
}

describe("a wrong pool is found, and its history shrunk to a few commands", () => {
  it.each(
    [
      ["that ignores a new limit", Deaf, /limit: \d, and by the specification \d/],
      ["that does not ask for a flush", Silent, /^L4: wakes are due, and no flush was asked for$/],
      ["that shows its queue upside down", Upside, /^L5: not true that the queue at rx keeps its order, newcomers last/]
    ] as const
  )("%s", (_, Wrong, what) => {
    const { commands, error } = foundIn((options) => new Wrong(options))
    expect(error).toMatch(new RegExp(what.source, "m"))
    expect(commands).toBeLessThanOrEqual(8)
  })
})

class Sloppy extends RunQueueSystem {
  override act(operation: RunQueueSpec.Operation) {
    if (operation.does === "wake" && this.observe().entries[operation.entry]?.state === "running") return
    super.act(operation)
  }
}

class Careless extends RunQueueSystem {
  override isTurnAsked() {
    return false
  }
}

class Greedy extends RunQueueSystem {
  override run(max: number) {
    return super.run(max + 1)
  }
}

describe("a wrong run queue is found", () => {
  it.each(
    [
      ["that loses a wake while it runs", Sloppy, /reasons: 0, and by the specification \d/],
      ["that asks for no turn", Careless, /^L4: somebody is queued, and no turn was asked for$/],
      ["that starts one more", Greedy, /^2 runs were started, and by the specification 1$/]
    ] as const
  )("%s", (_, Wrong, what) => {
    const property = fc.property(
      PoolCommands.runScripts,
      PoolCommands.runCommands(),
      (scripts, commands) => PoolCommands.runRuns(scripts, commands, (options) => new Wrong(options))
    )
    const { errorInstance } = fc.check(property, { numRuns: 500, seed: 1 })
    expect(errorInstance instanceof Error ? errorInstance.message : "").toMatch(new RegExp(what.source, "m"))
  })

  it("and by an array of actions, with the first after which something is wrong", () => {
    const history: ReadonlyArray<RunQueueModel.Action> = [
      { kind: "wake", pick: 0 },
      { kind: "wake", pick: 1 },
      { kind: "pass", max: 1 }
    ]
    const [first, ...problems] = RunQueueModel.play(
      [{ does: [], throws: false }],
      history,
      (options) => new Greedy(options)
    )
    expect(first).toBe("after action 2, {\"kind\":\"pass\",\"max\":1}:")
    expect(problems).toContain("2 runs were started, and by the specification 1")
    const setup: PoolModel.Setup = {
      limit: 3,
      reserve: 1,
      prealloc: 0,
      maxWaiting: Infinity,
      scripts: PoolModel.cast.map(() => [{ does: [], answer: "accept" }])
    }
    const wrong = PoolModel.play(
      setup,
      [{ kind: "trim", self: 0, pick: 0 }, { kind: "resize", self: 0, pick: 3 }],
      (options) => new Deaf(options)
    )
    expect(wrong).toEqual([
      "after action 1, {\"does\":\"resize\",\"limit\":5}:",
      "events.1.state.limit: 3, and by the specification 5"
    ])
  })
})

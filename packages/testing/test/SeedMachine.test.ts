import * as SeedMachine from "@headgate/testing/SeedMachine"
import * as SeedScenarios from "@headgate/testing/SeedScenarios"
import { describe, expect, test } from "vitest"
import { machineOf, replay, type Unrecorded } from "./traces/replay.ts"
import { readFolder, readPacked, type Trace } from "./traces/traces.ts"

const folder = process.env["CONFORMANCE_DIR"]
const conformance = folder === undefined ? readPacked() : readFolder(folder)

const sum = <A>(items: ReadonlyArray<A>, count: (item: A) => number): number =>
  items.reduce((total, item) => total + count(item), 0)

const size = (traces: ReadonlyArray<Trace>): string =>
  `${traces.length} traces, ${sum(traces, ({ steps }) => steps.length)} steps`

/** Replays traces to their ends and returns how many steps and nested actions were compared. */
const replayAll = (traces: ReadonlyArray<Trace>, unrecorded?: Unrecorded) => {
  const replayed = traces.map((trace) => replay(trace, unrecorded))
  const differences = replayed.flatMap(({ difference }) => difference ?? [])
  if (differences.length > 0) {
    const shown = differences.slice(0, 5).join("\n")
    expect.fail(`${differences.length} of ${traces.length} traces differ\n${shown}`)
  }
  return { steps: sum(replayed, ({ steps }) => steps), nested: sum(replayed, ({ nested }) => nested) }
}

const deeplyFrozen = <A>(value: A): A => {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value
  for (const part of Object.values(value)) deeplyFrozen(part)
  return Object.freeze(value)
}

/**
 * What the runs did that the two `real` traces do not spell out, as the states before and after them show it.
 *
 * `process_stream()` of stream 3, which never has anything to forward: it asks for its work buffer (its response side),
 * and on its way out gives back what is empty.
 * - Seed, step 12: all three buffers are lent, so it is refused, queues itself (`[3]`) and has nothing empty to give back.
 * - Seed, step 22: two are free, so it takes one and gives it back at once; its request keeps the applet's 8 bytes.
 * - Parent, step 10: it was woken in its applet's place; it takes the free buffer, gives it back, and wakes no applet.
 *
 * Applet 4 "only wants to put data": as soon as it has its buffer (seed, step 11) it puts 8 bytes and then notifies its
 * stream, whose task is in the run queue after the pass.
 */
const whatReallyRan: Unrecorded = ({ alloc, e, real }, { entities }) => {
  if (real) return SeedMachine.idleRun(e).actions
  const entity = entities[e]
  return entity?.kind === "applet" && alloc === 1
    ? [SeedMachine.put(e, entity.side, 8), SeedMachine.taskWakeup(entity.host)]
    : []
}

describe("the machine decides as HAProxy did", () => {
  test(`in every step at the seed's revision: ${size(conformance.fix)}`, () => {
    const { nested, steps } = replayAll(conformance.fix)
    expect(steps).toBeGreaterThan(0)
    expect(steps).toBe(sum(conformance.fix, (trace) => trace.steps.length))
    expect(nested).toBeGreaterThan(0)
    console.info(`replayed ${size(conformance.fix)}, ${nested} actions inside runs`)
  })

  test(`in every step at the parent revision: ${size(conformance.pre)}`, () => {
    const { nested, steps } = replayAll(conformance.pre)
    expect(steps).toBeGreaterThan(0)
    expect(steps).toBe(sum(conformance.pre, (trace) => trace.steps.length))
    expect(nested).toBeGreaterThan(0)
  })

  test(`with the real stream processing written as its operations, at both revisions: ${size(conformance.real)}`, () => {
    expect(new Set(conformance.real.map(({ revision }) => revision))).toEqual(new Set(["fix", "pre"]))
    const real = sum(
      conformance.real,
      ({ steps }) => sum(steps, ({ ran }) => ran?.filter(({ real }) => real).length ?? 0)
    )
    expect(real).toBeGreaterThan(0)
    const { steps } = replayAll(conformance.real, whatReallyRan)
    expect(steps).toBe(sum(conformance.real, (trace) => trace.steps.length))
  })

  test(`in what initialisation leaves in the pool: ${conformance.init.length} configurations`, () => {
    expect(conformance.init.length).toBeGreaterThan(0)
    for (const { limit, reserved, ...counters } of conformance.init) {
      expect(SeedMachine.initialCounters(limit, reserved), `limit ${limit}, reserved ${reserved}`).toEqual(counters)
    }
  })

  test("in whether a buffer may be taken, by one comparison, wherever no malloc fails", () => {
    let taken = 0
    let refused = 0
    for (const trace of conformance.fix) {
      let state = machineOf(trace)
      for (const step of trace.steps) {
        if (state.failing === 0 && (step.op === "channelAlloc" || step.op === "allocWork")) {
          const entity = trace.entities[step.args.e]
          const owner = entity?.kind === "applet" ? entity.host : step.args.e
          const side = "side" in step.args ? step.args.side : "res"
          const holds = (state.channels[owner]?.[side] ?? null) !== null
          const may = SeedMachine.mayTake(state, SeedMachine.marginOf(state, side))
          expect(holds || may, `${trace.file}: ${JSON.stringify(step.args)}`).toBe(step.result === 1)
          if (!holds && may) taken++
          if (!holds && !may) refused++
        }
        state = SeedMachine.step(state, step).state
      }
    }
    expect(taken).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  })

  test("without changing any earlier state", () => {
    for (const trace of conformance.fix.filter(({ file }) => file.startsWith("hand"))) {
      let state = deeplyFrozen(machineOf(trace))
      for (const step of trace.steps) state = deeplyFrozen(SeedMachine.step(state, step).state)
      expect(state.used).toBeLessThanOrEqual(state.allocated)
    }
  })
})

describe("what no trace reaches, as the seed's rules describe it", () => {
  const stream: SeedMachine.Stream = { kind: "stream" }
  const { channelAlloc, channelRelease, freeEntity, taskWakeup } = SeedMachine
  const waiting = (revision: SeedMachine.Revision) =>
    SeedMachine.run(
      SeedMachine.initial({ revision, limit: 3, reserved: 0, entities: [0, 1, 2, 3, 4, 5].map(() => stream) }),
      [0, 1, 2, 3, 4, 5].map((e) => channelAlloc(e, "req"))
    )

  test("at the parent an offer spends no credit, but counts the tasks that it wakes", () => {
    const one = SeedMachine.step(waiting("parent"), channelRelease(0, "req"))
    const two = SeedMachine.step(one.state, channelRelease(1, "req"))
    expect([one.outcome.woken, two.outcome.woken]).toEqual([[3], [4]])
  })

  test("at the parent an offer takes a waiter whose task is queued already, and is free to wake one more", () => {
    const start = SeedMachine.run(waiting("parent"), [taskWakeup(3), channelRelease(0, "req")])
    expect(SeedMachine.step(start, channelRelease(1, "req")).outcome.woken).toEqual([3, 4])
    const atSeed = SeedMachine.run(waiting("seed"), [taskWakeup(3), channelRelease(0, "req")])
    expect(SeedMachine.step(atSeed, channelRelease(1, "req")).outcome.cbs).toEqual([[3, 0], [4, 1]])
  })

  test("at the parent a release gives back both sides of the stream", () => {
    const both = [channelAlloc(0, "req"), channelAlloc(0, "res"), channelRelease(0, "req")]
    const used = (revision: SeedMachine.Revision) =>
      SeedMachine.run(SeedMachine.initial({ revision, limit: 3, reserved: 0, entities: [stream] }), both).used
    expect([used("parent"), used("seed")]).toEqual([0, 1])
  })

  test("an operation on a freed entity does nothing", () => {
    const { state } = SeedMachine.step(waiting("seed"), freeEntity(3))
    for (const operation of [channelAlloc(3, "req"), taskWakeup(3), freeEntity(3)]) {
      expect(SeedMachine.step(state, operation)).toEqual({ state, outcome: { result: 0, woken: [], cbs: [] } })
    }
  })
})

describe("a waiter that waits while the pool is free is woken itself", () => {
  const ends = (revision: SeedMachine.Revision) =>
    SeedMachine.run(SeedMachine.initial({ ...SeedScenarios.bug, revision }), SeedScenarios.bug.operations)

  test("at the seed: the applet is woken, runs, and puts its data", () => {
    const end = ends("seed")
    expect(SeedMachine.lostWakeups(end)).toEqual([])
    expect(SeedMachine.observe(end)).toMatchObject({ used: 1, waitQueue: [], appletsActiveQueue: 0 })
    expect(SeedMachine.observe(end).holding).toEqual(new Map([[3, { req: 8, res: null }]]))
    expect(SeedScenarios.tellBug("seed")).toEqual([
      { event: "takes", who: "stream 0" },
      { event: "takes", who: "stream 1" },
      { event: "takes", who: "stream 2" },
      { event: "has data", who: "applet 4" },
      { event: "is refused", who: "applet 4" },
      { event: "waits in the queue", who: "applet 4" },
      { event: "runs", who: "applet 4", withBuffer: false },
      { event: "gives back", who: "stream 0", free: 1 },
      { event: "is woken", who: "applet 4" },
      { event: "runs", who: "applet 4", withBuffer: true },
      { event: "puts", who: "applet 4", bytes: 8 },
      { event: "gives back", who: "stream 1", free: 1 },
      { event: "gives back", who: "stream 2", free: 2 },
      { event: "end", free: 2, asleep: [] }
    ])
  })

  test("and fails at the parent: its stream is woken instead, and the applet sleeps beside a free pool", () => {
    const end = ends("parent")
    expect(SeedMachine.isAtRest(end)).toBe(true)
    expect(SeedMachine.lostWakeups(end)).toEqual([{ e: 4, side: "req" }])
    expect(SeedMachine.observe(end)).toMatchObject({ allocated: 3, used: 0, waitQueue: [], appletsActiveQueue: 1 })
    expect(SeedScenarios.tellBug("parent")).toEqual([
      { event: "takes", who: "stream 0" },
      { event: "takes", who: "stream 1" },
      { event: "takes", who: "stream 2" },
      { event: "has data", who: "applet 4" },
      { event: "is refused", who: "applet 4" },
      { event: "waits in the queue", who: "stream 3" },
      { event: "gives back", who: "stream 0", free: 1 },
      { event: "is woken", who: "stream 3" },
      { event: "runs", who: "stream 3", withBuffer: true },
      { event: "gives back", who: "stream 1", free: 2 },
      { event: "gives back", who: "stream 2", free: 3 },
      { event: "end", free: 3, asleep: ["applet 4"] }
    ])
  })
})

describe("the seed leaves a waiter asleep, at rest, beside a buffer that it may take", () => {
  test("in six short scenarios, four of them by its estimate", () => {
    expect(SeedScenarios.estimate.map(({ name }) => name)).toEqual([
      "busy run queue",
      "half the reserve",
      "mixed sides",
      "killed before it ran"
    ])
    expect(new Set(SeedScenarios.lostWakeups.map(({ name }) => name)).size).toBe(6)
  })

  test.for(SeedScenarios.lostWakeups)("$name", (scenario) => {
    const end = SeedMachine.run(SeedScenarios.machineOf(scenario), scenario.operations)
    expect(SeedMachine.isAtRest(end)).toBe(true)
    expect(end.waitQueue[0]).toBe(scenario.asleep.e)
    expect(end.allocated - end.used).toBe(scenario.free)
    expect(SeedMachine.lostWakeups(end)).toEqual([scenario.asleep])
    const retry = SeedMachine.channelAlloc(scenario.asleep.e, scenario.asleep.side)
    expect(SeedMachine.step(end, retry).outcome.result, "it would have had a buffer, had it been woken").toBe(1)
  })
})

type Moves = (state: SeedMachine.State) => ReadonlyArray<SeedMachine.Operation>

interface Path {
  readonly state: SeedMachine.State
  readonly operations: ReadonlyArray<SeedMachine.Operation>
}

/** Breadth first, so the first sequence that breaks the law at rest is one of the shortest. */
const search = (
  start: SeedMachine.State,
  moves: Moves,
  depth: number
): { readonly states: number; readonly loss?: Path } => {
  const known = new Set([JSON.stringify(start)])
  let frontier: ReadonlyArray<Path> = [{ state: start, operations: [] }]
  for (let length = 0; length < depth; length++) {
    const next: Array<Path> = []
    for (const path of frontier) {
      for (const operation of moves(path.state)) {
        const { state } = SeedMachine.step(path.state, operation)
        const key = JSON.stringify(state)
        if (known.has(key)) continue
        known.add(key)
        const longer = { state, operations: [...path.operations, operation] }
        if (SeedMachine.isAtRest(state) && SeedMachine.lostWakeups(state).length > 0) {
          return { states: known.size, loss: longer }
        }
        next.push(longer)
      }
    }
    frontier = next
  }
  return { states: known.size }
}

const wordsOf = ({ args, op }: SeedMachine.Operation): string => [op, ...Object.values(args)].join(" ")

const sequenceOf = ({ loss, states }: { readonly states: number; readonly loss?: Path }): ReadonlyArray<string> => {
  const sequence = loss?.operations.map(wordsOf) ?? []
  console.info(`${states} states, ${loss === undefined ? "nobody lost" : `shortest loss: ${sequence.join(", ")}`}`)
  return sequence
}

/** Everything that can happen to these entities; a stream that runs does what a stream with nothing to do does. */
const everything: Moves = (state) => [
  ...state.entities.flatMap((entity, e) => {
    if (state.freed.includes(e)) return []
    const sides = entity.kind === "applet" ? [entity.side] : ["req", "res"] as const
    return [
      ...sides.flatMap((side) => [SeedMachine.channelAlloc(e, side), SeedMachine.channelRelease(e, side)]),
      entity.kind === "applet" ? SeedMachine.appletWakeup(e) : SeedMachine.taskWakeup(e),
      SeedMachine.freeEntity(e)
    ]
  }),
  SeedMachine.runTasks(...state.entities.flatMap(({ kind }, e) => kind === "stream" ? [SeedMachine.idleRun(e)] : [])),
  SeedMachine.runApplets()
]

/** The same, but who was refused a buffer does not give back another: the seed never offers to whoever releases. */
const withoutSelfExclusion: Moves = (state) =>
  everything(state).filter(({ args, op }) =>
    op !== "channelRelease" || !("e" in args) || !state.refusals.some(({ e }) => e === args.e)
  )

describe("the law \"who waits is not entitled\" finds by itself where the seed loses a wakeup", () => {
  const stream: SeedMachine.Stream = { kind: "stream" }
  const machine = (limit: number, entities: ReadonlyArray<SeedMachine.Entity>) =>
    SeedMachine.initial({ revision: "seed", limit, reserved: 2, entities })

  test("at the smallest pool that its configuration accepts: three operations are enough", () => {
    expect(sequenceOf(search(machine(3, [stream, stream, stream]), everything, 6))).toEqual([
      "channelAlloc 0 res",
      "channelAlloc 0 req",
      "channelRelease 0 res"
    ])
  })

  test("also if nobody waits for what it gives back itself: half of the reserve is never offered", () => {
    expect(sequenceOf(search(machine(3, [stream, stream, stream]), withoutSelfExclusion, 6))).toEqual([
      "channelAlloc 0 req",
      "channelAlloc 0 res",
      "channelAlloc 1 res",
      "channelAlloc 2 res",
      "channelRelease 0 req"
    ])
  })

  test.for(SeedScenarios.lostWakeups)("from nothing but the operations of: $name", (scenario) => {
    const alphabet = [...new Map(scenario.operations.map((operation) => [wordsOf(operation), operation])).values()]
    const sequence = sequenceOf(search(SeedScenarios.machineOf(scenario), () => alphabet, scenario.operations.length))
    expect(sequence.length).toBeGreaterThan(0)
    expect(sequence.length).toBeLessThanOrEqual(scenario.operations.length)
  })

  test("and nowhere in a pool without a limit, where everybody is always served", () => {
    const { loss, states } = search(
      machine(0, [stream, stream, { kind: "applet", host: 1, side: "res" }]),
      everything,
      7
    )
    expect(loss?.operations.map(wordsOf)).toBeUndefined()
    expect(states).toBeGreaterThan(500)
  })
})

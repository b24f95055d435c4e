/**
 * The histories in which the seed's estimate leaves somebody asleep, told to the library; and the library's decision beside
 * every one that was recorded from HAProxy's own functions. A request is `rx`, a response `tx`.
 */
import * as SeedMachine from "@headgate/testing/SeedMachine"
import * as SeedScenarios from "@headgate/testing/SeedScenarios"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Applet from "headgate/Applet"
import { BufferPool } from "headgate/BufferPool"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import type { Criticality } from "headgate/Criticality"
import { margin } from "headgate/Criticality"
import * as Headgate from "headgate/Headgate"
import { Stepper } from "headgate/Stepper"
import type * as Task from "headgate/Task"
import { describe, expect, test } from "vitest"
import { machineOf } from "../traces/replay.ts"
import { readPacked } from "../traces/traces.ts"

const classOf = (side: SeedMachine.Side): Criticality => side === "req" ? "rx" : "tx"

// ---- histories ------------------------------------------------------------------------------------------------------------

const must = <A>(value: A | undefined): A => {
  if (value === undefined) throw new Error("a scenario names an entity that it does not have")
  return value
}

/** Plays a scenario's operations on the library; what happens inside a run is nothing, as there. */
const played = ({ entities, limit, operations }: SeedScenarios.Scenario) =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const fills = (e: number, side: SeedMachine.Side) =>
      entities.some((other) => other.kind === "applet" && other.host === e && other.side === side)
        ? "applet"
        : undefined
    const streams = new Map<number, ByteStream.ByteStream>()
    const all = new Map<number, Task.Task>()
    for (const [e, { kind }] of entities.entries()) {
      if (kind !== "stream") continue
      const stream = yield* ByteStream.make({
        name: `stream ${e}`,
        process: () => Effect.void,
        response: "tx",
        fillers: { request: fills(e, "req"), response: fills(e, "res") }
      })
      streams.set(e, stream)
      all.set(e, stream)
    }
    const channel = (e: number, side: SeedMachine.Side): ByteChannel.ByteChannel => {
      const entity = entities[e]
      const stream = must(streams.get(entity?.kind === "applet" ? entity.host : e))
      return side === "req" ? stream.request : stream.response
    }
    for (const [e, entity] of entities.entries()) {
      if (entity.kind !== "applet") continue
      all.set(e, yield* Applet.make({ name: `applet ${e}`, channel: channel(e, entity.side), run: () => Effect.void }))
    }
    yield* Stepper.settle
    expect(yield* pool.snapshot).toMatchObject({ used: 0, free: limit })
    for (const operation of operations) {
      yield* perform(operation, channel, all)
      const { classes, free } = yield* pool.snapshot
      for (const side of ["req", "res"] as const) {
        const waiting = classes[classOf(side)].waiting
        expect(waiting > 0 && free > margin(classOf(side), pool.reserve), JSON.stringify(operation)).toBe(false)
      }
    }
    return channel
  })

const perform = (
  operation: SeedMachine.Operation,
  channel: (e: number, side: SeedMachine.Side) => ByteChannel.ByteChannel,
  all: ReadonlyMap<number, Task.Task>
): Effect.Effect<unknown, never, Stepper> => {
  switch (operation.op) {
    case "channelAlloc":
      return Effect.sync(() => ByteChannel.allocUnsafe(channel(operation.args.e, operation.args.side)))
    case "channelRelease":
      return ByteChannel.release(channel(operation.args.e, operation.args.side))
    case "taskWakeup":
    case "appletWakeup":
      return Effect.sync(() => must(all.get(operation.args.e)).wakeUnsafe("other"))
    case "freeEntity":
      return must(all.get(operation.args.e)).end
    case "runTasks":
      return Stepper.runTasks
    case "runApplets":
      return Stepper.runApplets
    default:
      return Effect.die(new Error(`no scenario is expected to do ${operation.op}`))
  }
}

describe("nobody sleeps beside a buffer that it may take", () => {
  test.for(SeedScenarios.lostWakeups)(
    "$name: who slept there is served, and everybody else too or not entitled",
    (scenario) => {
      const { asleep, limit, reserved: reserve } = scenario
      const atSeed = SeedMachine.run(SeedScenarios.machineOf(scenario), scenario.operations)
      expect(SeedMachine.lostWakeups(atSeed)).toEqual([asleep])

      const history = Effect.gen(function*() {
        const pool = yield* BufferPool
        const sleeper = (yield* played(scenario))(asleep.e, asleep.side)
        const queued = (yield* pool.waitQueue.waiting).filter(({ state }) => state === "queued")
        expect(queued.map(({ target }) => target)).not.toContain(sleeper)
        yield* Stepper.settle
        const { classes, free } = yield* pool.snapshot
        for (const at of ["rx", "tx"] as const) {
          if (classes[at].waiting > 0) expect(free).toBeLessThanOrEqual(margin(at, reserve))
        }
        expect((yield* pool.snapshot).counters.handOffs).toBeGreaterThan(0)
      })
      const layer = Headgate.layerManual({ limit, reserve, bufferSize: 64, ageAfter: "Infinity", debug: true })
      Effect.runSync(Effect.scoped(Effect.provide(history, Layer.orDie(layer))))
    }
  )
})

// ---- decisions ------------------------------------------------------------------------------------------------------------

/** One recorded decision: was there a buffer, for which side, with how many lent. */
interface Decision {
  readonly where: string
  readonly limit: number
  readonly reserved: number
  readonly used: number
  readonly side: SeedMachine.Side
  readonly took: boolean
}

interface Asked {
  readonly where: string
  readonly side: SeedMachine.Side
  readonly result: number
  readonly before: number
  readonly after: number
}

/** All allocations of the traces that met no malloc fault; one that found its buffer there already decided nothing. */
const recorded = (() => {
  const decisions: Array<Decision> = []
  let already = 0
  for (const trace of readPacked().fix) {
    const { limit, reserved } = trace.config
    const note = ({ after, before, result, side, where }: Asked) => {
      if (result === 1 && after === before) already++
      else decisions.push({ where, limit, reserved, used: before, side, took: result === 1 })
    }
    let state = machineOf(trace)
    for (const [index, step] of trace.steps.entries()) {
      const before = state
      const next = SeedMachine.step(state, step)
      state = next.state
      if (before.failing > 0) continue
      const where = `${trace.file}, step ${index}`
      const { args, op } = step
      if (op === "channelAlloc" || op === "allocWork") {
        const side = "side" in args ? args.side : "res"
        note({ where, side, result: step.result, before: before.used, after: state.used })
      }
      if (op !== "runTasks" && op !== "runApplets") continue
      // Every action inside a pass says how many are lent after it. Only an applet's own allocation and release change that
      // between them, and it says how many are lent between the two.
      let used = before.used
      for (const run of next.outcome.ran ?? []) {
        if ("alloc" in run) used = run.au[1]
        for (const action of run.actions) {
          if (action.op === "failMalloc") break
          if (action.op === "channelAlloc" || action.op === "allocWork") {
            const side = action.op === "channelAlloc" ? action.args.side : "res"
            note({ where, side, result: action.result, before: used, after: action.au[1] })
          }
          used = action.au[1]
        }
      }
    }
  }
  return { decisions, already }
})()

/** Whether a pool of the library with so many lent lets one be taken. Only where its own configuration is allowed. */
const takes = ({ limit, reserved, side, used }: Decision): boolean =>
  Effect.runSync(Effect.scoped(Effect.gen(function*() {
    const options = {
      name: "decision",
      limit,
      reserve: reserved,
      bufferSize: 1,
      ageAfter: "Infinity",
      debug: true
    } as const
    const pool = yield* Effect.orDie(BufferPool.make(options))
    for (let i = 0; i < used; i++) must(pool.tryTakeUnsafe("tx"))
    return pool.tryTakeUnsafe(classOf(side)) !== undefined
  })))

describe("the library takes a buffer exactly when HAProxy did", () => {
  const { already, decisions } = recorded
  test(`by its comparison, in all ${decisions.length} recorded decisions (${already} found theirs held already)`, () => {
    for (const { limit, reserved, side, took, used, where } of decisions) {
      const free = limit === 0 ? Infinity : limit - used
      expect(free > margin(classOf(side), reserved), where).toBe(took)
    }
    expect(decisions.filter(({ took }) => took).length).toBeGreaterThan(100)
    expect(decisions.filter(({ took }) => !took).length).toBeGreaterThan(100)
  })

  const allowed = decisions.filter(({ limit, reserved, used }) =>
    limit >= 2 && reserved >= 1 && reserved < limit && used <= limit
  )
  test(`and a pool does so, in all ${allowed.length} of them whose configuration it allows`, () => {
    const known = new Map<string, boolean>()
    for (const decision of allowed) {
      const { limit, reserved, side, took, used, where } = decision
      const key = [limit, reserved, used, side].join()
      const answer = known.get(key) ?? takes(decision)
      known.set(key, answer)
      expect(answer, where).toBe(took)
    }
    expect(known.size).toBeGreaterThan(10)
  })
})

/**
 * The core and its specification, side by side through the same random histories.
 *
 * What must hold: after every step, also in the middle of wakes, both show the same picture, and the core's keeps the laws.
 * A history that never met what it is meant to test proves nothing, so the runs fail unless each kind of event was frequent.
 */
import * as Laws from "@headgate/testing/Laws"
import * as PoolCommands from "@headgate/testing/PoolCommands"
import * as PoolModel from "@headgate/testing/PoolModel"
import type * as RunQueueModel from "@headgate/testing/RunQueueModel"
import * as fc from "fast-check"
import { describe, expect, test } from "vitest"
import { at, GateSystem } from "./laws/gateSystem.ts"
import { RunQueueSystem } from "./laws/runQueueSystem.ts"

const runs = Number(process.env["HEADGATE_RUNS"] ?? 2000)
const seed = Number(process.env["HEADGATE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

/** Milliseconds; alone on a core, 2000 runs take about 15 seconds. */
const onABusyMachine = Math.max(5, runs / 400) * 60_000

// ---- what happened how often ------------------------------------------------------------------------------------------

/** How often each kind of event happened, and how often it must in 2000 runs. */
class Coverage {
  private readonly counts = new Map<string, number>()

  count(kind: string, times: number | boolean = 1): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + Number(times))
  }

  missing(minimum: { readonly [kind: string]: number }): ReadonlyArray<string> {
    return Object.entries(minimum).flatMap(([kind, least]) => {
      const seen = this.counts.get(kind) ?? 0
      const scaled = Math.floor(least * Math.min(1, runs / 2000))
      return seen < scaled ? [`${kind}: ${seen} times, at least ${scaled} expected`] : []
    })
  }

  toString(): string {
    return [...this.counts].map(([kind, times]) => `${kind} ${times}`).toSorted().join(", ")
  }
}

const assertFrequent = (what: string, coverage: Coverage, minimum: { readonly [kind: string]: number }): void => {
  console.info(`${what}: ${runs} runs, HEADGATE_SEED=${seed}\n${coverage}`)
  expect(coverage.missing(minimum)).toEqual([])
}

// ---- what histories of a pool meet --------------------------------------------------------------------------------------

/** Counts what an action led to. */
const countPool = (coverage: Coverage) => (outcome: PoolModel.Outcome, action: PoolModel.Action): void => {
  coverage.count(`command ${action.kind}`)
  for (const change of outcome.changes) countChange(coverage, change)
  countEvents(coverage, outcome.events)
}

const countChange = (coverage: Coverage, { after, before, step }: PoolModel.Change): void => {
  const grants = after.counters.handOffs - before.counters.handOffs
  coverage.count("grant", grants)
  coverage.count("favoured grant", after.favoured !== undefined && after.favoured !== "tx" ? grants : 0)
  coverage.count("shrink", before.capacity > after.limit && after.capacity < before.capacity)
  // Never both in one step: a capacity falls by what came back, so that free stays as it is.
  coverage.count("grant while shrinking", before.capacity > before.limit && after.capacity > after.limit && grants > 0)
  coverage.count("creation failed", after.creationsFailed - before.creationsFailed)
  coverage.count("recovered", before.capacity < before.limit && after.capacity >= after.limit)
  coverage.count(
    "recovered with a grant",
    before.capacity < before.limit && after.capacity >= after.limit && grants > 0
  )
  coverage.count("pin outlived its lease", step.does === "unpin" && after.leases.length < before.leases.length)
  coverage.count("grant passed on", after.counters.passedOn - before.counters.passedOn)
  coverage.count("declined", after.counters.declined - before.counters.declined)
  coverage.count("thrown", after.counters.thrown - before.counters.thrown)
  coverage.count("a holder waits for a smaller margin", after.leases.some((lease) => Laws.isKept(after, lease)))
  for (const law of Laws.names) coverage.count(`premise of ${law}`, Laws.premises[law](before, step, after))
}

const countEvents = (coverage: Coverage, events: ReadonlyArray<PoolModel.Seen>): void => {
  let depth = 0
  for (const event of events) {
    if (event.at === "called" && depth > 0) coverage.count(`${event.operation.does} inside a wake`)
    if (event.at === "told") coverage.count(`told ${event.news}`)
    if (event.at === "told") depth++
    if (event.at === "answered") depth--
    if (event.at === "returned" && typeof event.result === "string") coverage.count(event.result)
  }
  const last = events.at(-1)
  const entitiesLeft = last?.at === "returned" && last.operation.does !== "flush" &&
    last.state.pending.some((waiter) => !at(PoolModel.cast, waiter).isFiber)
  coverage.count("more wakes than one drain delivers", entitiesLeft)
}

// ---- what histories of a run queue meet ---------------------------------------------------------------------------------

const countRunQueue = (coverage: Coverage) =>
(
  { before, events, operation }: RunQueueModel.Outcome,
  action: RunQueueModel.Action
): void => {
  if (operation !== undefined) coverage.count(`${operation.does} while ${at(before.entries, operation.entry).state}`)
  if (action.kind !== "pass") return
  const started = events.filter((event) => event.at === "started").length
  coverage.count("pass")
  coverage.count("pass cut short by max", started === action.max && before.queue.length > action.max)
  countRuns(coverage, events)
}

const countRuns = (coverage: Coverage, events: ReadonlyArray<RunQueueModel.Seen>): void => {
  let self = -1
  for (const event of events) {
    if (event.at === "started") self = event.entry
    coverage.count(event.at === "did" ? `${event.operation.does} inside a start` : event.at)
    if (event.at === "started") coverage.count("reasons merged", (event.reasons & event.reasons - 1) !== 0)
    if (event.at !== "did" || event.operation.entry !== self) continue
    coverage.count(`${event.operation.does} itself inside its start`)
  }
}

// ---- the properties -----------------------------------------------------------------------------------------------------

/** Least counts in 2000 runs: about a third of what is usual. */
const frequentInPools = {
  ...Object.fromEntries(PoolModel.kinds.map((kind) => [`command ${kind}`, 100])),
  ...Object.fromEntries(Laws.names.map((law) => [`premise of ${law}`, 5000])),
  "command failCreations": 1000,
  "grant": 2000,
  "favoured grant": 700,
  "grant passed on": 300,
  "grant while shrinking": 5,
  "declined": 150,
  "thrown": 150,
  "shrink": 600,
  "creation failed": 300,
  "recovered": 150,
  "recovered with a grant": 100,
  "pin outlived its lease": 60,
  "full": 300,
  "queued": 5000,
  "closed": 500,
  "told closed": 100,
  "told granted": 2000,
  "more wakes than one drain delivers": 15,
  "a holder waits for a smaller margin": 2000,
  "take inside a wake": 80,
  "takeOrWait inside a wake": 1500,
  "leave inside a wake": 120,
  "giveBack inside a wake": 800,
  "pin inside a wake": 25,
  "unpin inside a wake": 8,
  "resize inside a wake": 30,
  "trim inside a wake": 20,
  "favour inside a wake": 50,
  "close inside a wake": 10
}

const frequentInRunQueues = {
  "pass": 4000,
  "pass cut short by max": 700,
  "started": 4500,
  "threw": 700,
  "reasons merged": 1500,
  "wake while idle": 3000,
  "wake while queued": 3000,
  "wake while running": 1500,
  "wake while ended": 1500,
  "finish while running": 1500,
  "finish while ended": 1500,
  "end while idle": 120,
  "end while queued": 100,
  "end while running": 60,
  "wake inside a start": 3500,
  "wake itself inside its start": 2000,
  "finish itself inside its start": 2000,
  "end inside a start": 500,
  "end itself inside its start": 300
}

describe("the core and its specification", () => {
  test("agree after every step of any history of a pool, and every step keeps the laws", () => {
    const coverage = new Coverage()
    const commands = PoolCommands.commands(80, countPool(coverage))
    const property = fc.property(PoolCommands.setups, commands, (setup, commands) => {
      const systems: Array<GateSystem> = []
      PoolCommands.run(setup, commands, (options) => {
        const system = new GateSystem(options)
        systems.push(system)
        return system
      })
      for (const { gate, reported } of systems) expect(reported).toBe(gate.thrown)
    })
    fc.assert(property, { numRuns: runs, seed })
    assertFrequent("pool", coverage, frequentInPools)
  }, onABusyMachine)

  test("agree after every step of any history of a run queue, starts included", () => {
    const coverage = new Coverage()
    const commands = PoolCommands.runCommands(60, countRunQueue(coverage))
    const property = fc.property(PoolCommands.runScripts, commands, (scripts, commands) => {
      PoolCommands.runRuns(scripts, commands, (options) => new RunQueueSystem(options))
    })
    fc.assert(property, { numRuns: runs, seed })
    assertFrequent("run queue", coverage, frequentInRunQueues)
  }, onABusyMachine)
})

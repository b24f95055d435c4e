/** What a pool shows of itself: the gate's numbers, put into words and types for people. Nothing here decides anything. */
import type { PoolSnapshot } from "../BufferPool.ts"
import type { Criticality } from "../Criticality.ts"
import { order } from "../Criticality.ts"
import type { Shortage } from "../PoolError.ts"
import type { Waiting } from "../WaitQueue.ts"
import type { Gate } from "./gate.ts"
import type { Settings } from "./poolSettings.ts"
import { touch } from "./version.ts"

/** What the face counts beside the gate. */
export interface Tallies {
  readonly unavailable: number
  readonly refused: number
  readonly misuse: number
  readonly leaks: number
}

export const oldestWaitMs = (gate: Gate): number => {
  touch()
  return Math.max(gate.oldestWaitMs(0), gate.oldestWaitMs(1), gate.oldestWaitMs(2), gate.oldestWaitMs(3))
}

/** Known only if the clock is read at takes. */
const longestHeldMs = (gate: Gate): number | undefined => {
  if (!gate.options.timeTakes) return undefined
  const now = gate.options.now()
  return gate.lentAreas().reduce((longest, area) => Math.max(longest, now - area.lentAt), 0)
}

export const shortageOf = (gate: Gate, pool: string, criticality: Criticality): Shortage => ({
  pool,
  criticality,
  limit: gate.limit,
  used: gate.used,
  reserve: gate.reserve,
  queued: gate.queued,
  oldestWaitMs: oldestWaitMs(gate),
  longestHeldMs: longestHeldMs(gate)
})

export const waitingOf = (gate: Gate): ReadonlyArray<Waiting> => {
  touch()
  const now = gate.options.now()
  return gate.waiters().map(({ criticality, since, state, target }) => ({
    target,
    criticality,
    state: state === "granted" ? "granted" : "queued",
    forMs: now - since
  }))
}

const classesOf = (gate: Gate): PoolSnapshot["classes"] => {
  const lent = gate.lent()
  const classOf = (at: number) => ({
    waiting: gate.queues[at]!.length,
    oldestWaitMs: gate.oldestWaitMs(at),
    lent: lent[at]!
  })
  return { tx: classOf(0), channel: classOf(1), endpoint: classOf(2), rx: classOf(3) }
}

const holdersOf = (gate: Gate): PoolSnapshot["holders"] => {
  const now = gate.options.now()
  return gate.lentAreas().sort((a, b) => a.lentAt - b.lentAt).map((area) => ({
    criticality: order[area.level] ?? "rx",
    pins: area.pins,
    heldMs: gate.options.timeTakes ? now - area.lentAt : undefined,
    origin: area.origin
  }))
}

export const pictureOf = (gate: Gate, settings: Settings, tallies: Tallies): PoolSnapshot => ({
  name: settings.name,
  limit: gate.limit,
  reserve: gate.reserve,
  bufferSize: settings.bufferSize,
  capacity: gate.capacity,
  allocated: gate.allocated,
  used: gate.used,
  free: gate.free,
  highWater: gate.highWater,
  closed: gate.closed,
  favoured: gate.favoured === undefined ? undefined : order[gate.favoured],
  classes: classesOf(gate),
  waiting: waitingOf(gate),
  holders: holdersOf(gate),
  counters: {
    ...tallies,
    takes: gate.takes,
    handOffs: gate.handOffs,
    passedOn: gate.passedOn,
    declined: gate.declined,
    wakesThrown: gate.thrown,
    created: gate.created,
    creationsFailed: gate.creationsFailed
  },
  waits: { count: gate.handOffs, totalMs: gate.waitedMs, buckets: [...gate.waits] }
})

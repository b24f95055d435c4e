/**
 * The works: what is asked of a relay, and what is measured of its process while it does it.
 *
 * Invariant: what a window counts was checked byte by byte; after the window the work is brought to its end, and fails if
 * anything is missing. A relay that does nothing, or something else, has no figure.
 */
import { cpuMs, rememberedPart, residentBytes, waitedMs } from "../usage.ts"
import { fail, failure, Reader, stareAt, Talker, times, visit } from "./clients.ts"
import { Source } from "./origin.ts"
import type { Figures, Relay, Work } from "./questions.ts"

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** How long something that must come may take, on a machine that does much else. */
const patienceMs = 30_000

const soon = async (what: string, promise: Promise<unknown>): Promise<void> => {
  const over = AbortSignal.timeout(patienceMs)
  const late = new Promise<never>((_, reject) => {
    over.addEventListener("abort", () => reject(new Error(`${what}: not within ${patienceMs / 1000} s`)))
  })
  await Promise.race([promise, failure, late])
}

const until = async (what: string, holds: () => boolean): Promise<void> => {
  const over = new AbortController()
  const looking = (async () => {
    while (!holds() && !over.signal.aborted) await sleep(20)
  })()
  await soon(what, looking).finally(() => over.abort())
}

interface Times {
  readonly warmMs: number
  readonly windowMs: number
}

/** What is read at the ends of a window. */
const readings = (relay: Relay, count: () => number) => ({
  at: performance.now(),
  cpu: cpuMs(relay.pid),
  own: cpuMs(process.pid),
  waited: (waitedMs(relay.pid) ?? 0) + (waitedMs(process.pid) ?? 0),
  count: count()
})

/** Between the ends of a window: `windowMs`, and until anything was done. */
const oneWindow = async (
  relay: Relay,
  windowMs: number,
  count: () => number
): Promise<Figures & { readonly waiting: number }> => {
  const from = readings(relay, count)
  await Promise.race([sleep(windowMs), failure])
  await until("anything done", () => count() > from.count)
  const to = readings(relay, count)
  const [wall, cpu, operations] = [to.at - from.at, to.cpu - from.cpu, to.count - from.count]
  return {
    operations,
    cpuNsPerOperation: cpu * 1e6 / Math.max(1, operations),
    operationsPerSecond: operations * 1000 / wall,
    relayBusy: cpu / wall,
    loadBusy: (to.own - from.own) / wall,
    waiting: (to.waited - from.waited) / wall
  }
}

const mostWindows = 2
/** Of a window: for so much of it relay and load may wait for a processor that somebody else has. */
const fewWaits = 0.1

/** Of two windows the first in which nobody else was in the way, or that in which they were least. */
const inQuiet = async (relay: Relay, { warmMs, windowMs }: Times, count: () => number): Promise<Figures> => {
  await Promise.race([sleep(warmMs), failure])
  let quietest = await oneWindow(relay, windowMs, count)
  for (let windows = 1; windows < mostWindows && quietest.waiting > fewWaits; windows++) {
    const next = await oneWindow(relay, windowMs, count)
    if (next.waiting < quietest.waiting) quietest = next
  }
  return quietest
}

const sum = <A>(all: ReadonlyArray<A>, of: (one: A) => number): number => all.reduce((total, one) => total + of(one), 0)

/** An orderly end says that this was all of it. */
const checkWhole = (source: Source, { number, received }: Reader): void => {
  const sent = source.sent(number)
  if (received !== sent) throw new Error(`stream ${number} ended in order after ${received} of ${sent} bytes`)
}

/** An operation is one byte that arrived. */
const bulk = async (relay: Relay, source: Source, work: Times & { readonly connections: number }): Promise<Figures> => {
  const arrived = (number: number, bytes: number): void => source.arrived(number, bytes)
  const readers = Array.from({ length: work.connections }, () => new Reader(arrived))
  for (const reader of readers) reader.ended.then(() => checkWhole(source, reader)).catch(fail)
  await soon("connections", Promise.all(readers.map((reader) => reader.start(relay.streamPort))))
  await until("the first bytes of each stream", () => readers.every(({ received }) => received > 0))
  const figures = await inQuiet(relay, work, () => sum(readers, ({ received }) => received))
  source.stop()
  await soon("the ends of all streams", Promise.all(readers.map(({ ended }) => ended)))
  for (const reader of readers) checkWhole(source, reader)
  return figures
}

/** How long each message took, in the window: sorted, in milliseconds. */
class Latencies {
  private readonly saidAt = new Map<Talker, number>()
  private taken: Array<number> = []

  said(talker: Talker): void {
    this.saidAt.set(talker, performance.now())
  }

  answered(talker: Talker): void {
    this.taken.push(performance.now() - (this.saidAt.get(talker) ?? Number.NaN))
  }

  reset(): void {
    this.taken = []
  }

  percentile(part: number): number {
    const sorted = this.taken.toSorted((a, b) => a - b)
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
  }
}

/** All connected, and greeted. */
const talkers = async (
  relay: Relay,
  connections: number,
  answered: (talker: Talker) => void
): Promise<ReadonlyArray<Talker>> => {
  const all = Array.from({ length: connections }, (_, at) => new Talker(at, answered))
  await soon("a first answer on each connection", times(connections, async (at) => all[at]?.greet(relay.echoPort)))
  return all
}

/** An operation is one message there and back. */
const pingPong = async (relay: Relay, work: Times & { readonly connections: number }): Promise<Figures> => {
  const all = await talkers(relay, work.connections, (talker) => talker.say())
  for (const talker of all) talker.say()
  return inQuiet(relay, work, () => sum(all, ({ answers }) => answers))
}

/** The same, with a pause behind each answer, and the time that each message took. */
const paced = async (
  relay: Relay,
  work: Times & { readonly connections: number; readonly pauseMs: number }
): Promise<Figures> => {
  const latencies = new Latencies()
  const say = (talker: Talker): void => {
    latencies.said(talker)
    talker.say()
  }
  const all = await talkers(relay, work.connections, (talker) => {
    latencies.answered(talker)
    setTimeout(say, work.pauseMs, talker)
  })
  for (const talker of all) say(talker)
  await Promise.race([sleep(work.warmMs), failure])
  latencies.reset()
  const figures = await oneWindow(relay, work.windowMs, () => sum(all, ({ answers }) => answers))
  return { ...figures, p50Ms: latencies.percentile(0.5), p99Ms: latencies.percentile(0.99) }
}

/**
 * Keeps this process from sleeping until what is returned is called. Where the relay is the slower of the two, the load would
 * sleep between any two connections, and the relay would pay for waking it: a fifth of its time, and nothing of a faster relay's.
 */
const stayAwake = (): () => void => {
  let isOver = false
  const turn = (): void => {
    if (!isOver) setImmediate(turn)
  }
  turn()
  return () => {
    isOver = true
  }
}

/** Longer than it takes on an ordinary system. */
const mostFillingMs = 12_000

/**
 * Until the kernel remembers as many ended connections as it can. Before that each end costs it a fifth more of a relay's time:
 * whoever was measured behind a pause would seem to be slower.
 */
const remembersAll = async (): Promise<void> => {
  for (const from = performance.now(); (rememberedPart() ?? 1) < 0.999 && performance.now() - from < mostFillingMs;) {
    await Promise.race([sleep(100), failure])
  }
}

/** An operation is one whole connection. */
const churn = async (relay: Relay, work: Times & { readonly connections: number }): Promise<Figures> => {
  let lives = 0
  const over = new AbortController()
  const live = async (seed: number): Promise<void> => {
    while (!over.signal.aborted) {
      await visit(relay.echoPort, seed)
      lives += 1
    }
  }
  const mayRest = stayAwake()
  const all = Array.from({ length: work.connections }, (_, at) => live(at))
  if (work.warmMs > 0) await remembersAll()
  const figures = await inQuiet(relay, work, () => lives).finally(mayRest)
  over.abort()
  await soon("the ends of the last connections", Promise.all(all))
  return figures
}

/** Waits until the relay's memory has not reached a new maximum for `restMs`; returns the maximum. */
const memoryAtRest = async (relay: Relay, restMs: number): Promise<number> => {
  let most = residentBytes(relay.pid)
  let since = performance.now()
  while (performance.now() - since < restMs) {
    await Promise.race([sleep(50), failure])
    const now = residentBytes(relay.pid)
    if (now > most) {
      // A page more or less is nothing that one would have to wait for.
      if (now > most + 256 * 1024) since = performance.now()
      most = now
    }
  }
  return most
}

/** An operation is one connection; its memory is counted when it has been used once, and lies still. */
const idle = async (
  relay: Relay,
  work: { readonly connections: number; readonly restMs: number }
): Promise<Figures> => {
  const before = residentBytes(relay.pid)
  const all = await talkers(relay, work.connections, () => {})
  await Promise.race([sleep(work.restMs), failure])
  const grownBytes = residentBytes(relay.pid) - before
  for (const talker of all) talker.say()
  await until("the second answers", () => all.every(({ answers }) => answers === 2))
  return { operations: work.connections, grownBytes, bytesPerConnection: grownBytes / work.connections }
}

/** Clients that never read while the origin offers each of them so much; nothing of it may be lost or refused. */
const neverReaders = async (
  relay: Relay,
  source: Source,
  work: { readonly connections: number; readonly offeredBytes: number; readonly restMs: number }
): Promise<Figures> => {
  const before = residentBytes(relay.pid)
  await soon("connections", times(work.connections, () => stareAt(relay.streamPort)))
  await until("all streams", () => source.count === work.connections)
  const grownBytes = await memoryAtRest(relay, work.restMs) - before
  return { operations: work.connections, grownBytes, streamsTakenWhole: source.whole }
}

/** So often on end must all have been served, and no stream have moved or broken: longer than the policy lets anybody be stuck. */
const steadyLooks = 5
const lookMs = 500

/** Waits for that; returns when it was last seen, behind the first requests, that not all had been served. */
const untilServed = async (all: ReadonlyArray<Talker>, source: Source, patienceMs: number): Promise<number> => {
  const from = performance.now()
  let unservedAtMs = 0
  let seen = all.map(() => 0)
  let streams = ""
  for (let steady = 0; steady < steadyLooks && performance.now() - from < patienceMs;) {
    await Promise.race([sleep(lookMs), failure])
    const now = all.map(({ answers }) => answers)
    const isServed = now.every((answers, at) => answers > (seen[at] ?? 0))
    if (!isServed) unservedAtMs = performance.now() - from
    const streamsNow = `${source.total} bytes, ${source.open} open`
    steady = isServed && streamsNow === streams ? steady + 1 : 0
    seen = now
    streams = streamsNow
  }
  return unservedAtMs
}

/**
 * Requests of healthy clients beside clients that never read. The window begins when the policy has done its work, or not within
 * `patienceMs`.
 */
const besideStuck = async (
  relay: Relay,
  source: Source,
  work: {
    readonly stuck: number
    readonly connections: number
    readonly patienceMs: number
    readonly windowMs: number
  }
): Promise<Figures> => {
  const all = await talkers(relay, work.connections, (talker) => talker.say())
  await soon("stuck connections", times(work.stuck, () => stareAt(relay.streamPort)))
  await until("their streams", () => source.count === work.stuck)
  for (const talker of all) talker.say()
  const outageMs = await untilServed(all, source, work.patienceMs)
  const { windowMs } = work
  const figures = await inQuiet(relay, { warmMs: 0, windowMs }, () => sum(all, ({ answers }) => answers))
  return { ...figures, outageMs, stuckLeft: source.open }
}

export const sourceFor = (work: Work): Source => {
  switch (work.is) {
    case "bulk":
      return new Source({ windowBytes: work.onTheWayBytes })
    case "neverReaders":
      return new Source({ mostBytes: work.offeredBytes })
    default:
      return new Source({})
  }
}

export const run = (relay: Relay, source: Source, work: Work): Promise<Figures> => {
  switch (work.is) {
    case "bulk":
      return bulk(relay, source, work)
    case "pingPong":
      return pingPong(relay, work)
    case "paced":
      return paced(relay, work)
    case "churn":
      return churn(relay, work)
    case "idle":
      return idle(relay, work)
    case "neverReaders":
      return neverReaders(relay, source, work)
    case "besideStuck":
      return besideStuck(relay, source, work)
  }
}

/**
 * What `bench:relay` measures: each work, who does it, how often, and the rows that are made of it.
 *
 * Invariant: the bounds stand here as they were set; a landing that there is not leaves its rows missing, which is a fault.
 */
import type { Contestant as Round, Samples } from "../rounds.ts"
import { type Comparison, median } from "../rows.ts"
import { type Contestant, haproxy, headgate, limit, nginx, nodeSocket, pipe, pipeline } from "./contestants.ts"
import type { Figures, Work } from "./load/questions.ts"
import { measure, measureTogether } from "./measure.ts"

const KiB = 1024

const plain = headgate("plain")
const readiness = headgate("readiness")
const haproxy16 = haproxy(16 * KiB)
const haproxy64 = haproxy(64 * KiB)
const nginx16 = nginx(16 * KiB)

export interface Plan {
  /** To ask for it alone. */
  readonly id: string
  readonly title: string
  readonly rounds: number
  readonly contestants: ReadonlyArray<Round>
  /** By what was measured, where a row is of the better of two. */
  readonly comparisons: (samples: Samples) => ReadonlyArray<Comparison>
}

/** Somebody who does a work; its measures are called by its name and these. */
const doing = (
  contestant: Contestant,
  run: (contestant: Contestant) => Promise<Figures>,
  measures: Readonly<Record<string, (figures: Figures) => number | undefined>>
): Round => ({
  name: contestant.name,
  unavailable: contestant.unavailable,
  run: async () => {
    const figures = await run(contestant)
    return Object.fromEntries(
      Object.entries(measures).map(([name, of]) => {
        const value = of(figures)
        if (value === undefined) throw new Error(`there is no figure for ${name}`)
        return [`${contestant.name} ${name}`, value]
      })
    )
  }
})

const side = ({ name }: Contestant, measure: string) => ({ name, key: `${name} ${measure}` })

/** A row says which landing it is of. */
const named = (work: string, { name }: Contestant): string => `${work} (${name.replace("Headgate ", "")})`

interface Bounds {
  readonly must?: number
  readonly want?: number
}

/** Everybody's processor time for one operation of a work. */
const cost = (
  id: string,
  title: string,
  unit: string,
  unitNs: number,
  work: Work,
  contestants: ReadonlyArray<Contestant>
) => ({
  id,
  title,
  rounds: 5,
  contestants: contestants.map((contestant) =>
    doing(contestant, (one) => measure(one, work), {
      cpu: ({ cpuNsPerOperation }) => cpuNsPerOperation === undefined ? undefined : cpuNsPerOperation / unitNs,
      // Parts of a processor: who had how much of it, and who wanted more. No row, but how to read one.
      "relay busy": ({ relayBusy }) => relayBusy,
      "load busy": ({ loadBusy }) => loadBusy,
      waiting: ({ waiting }) => waiting
    })
  ),
  row: (ours: Contestant, peer: Contestant, bounds: Bounds = {}): Comparison => ({
    work: named(title, ours),
    ours: side(ours, "cpu"),
    peer: side(peer, "cpu"),
    unit,
    ...bounds
  })
})

const everybody = [plain, readiness, pipe, pipeline, nodeSocket, haproxy16, nginx16]
/** Whose rows have no bound. */
const reported = [pipeline, nodeSocket, nginx16]

const bulkWith = (onTheWayBytes: number): Work => ({
  is: "bulk",
  connections: 50,
  onTheWayBytes,
  warmMs: 600,
  windowMs: 1200
})

const bulk: Plan = (() => {
  const { row, ...rest } = cost(
    "bulk",
    "bulk, 50 connections: CPU per GB",
    "ms",
    1 / 1000,
    bulkWith(256 * KiB),
    [...everybody, haproxy64]
  )
  return {
    ...rest,
    comparisons: () => [
      row(readiness, pipe, { must: 0.75, want: 0.6 }),
      row(plain, pipe, { must: 1.1, want: 0.95 }),
      row(readiness, haproxy16, { must: 1.1, want: 0.8 }),
      row(readiness, haproxy64, { must: 1.4, want: 1 }),
      ...reported.map((peer) => row(readiness, peer)),
      ...[...reported, haproxy16, haproxy64].map((peer) => row(plain, peer))
    ]
  }
})()

/**
 * With so much on its way (100 MiB of all streams) that it is in no processor's cache. Then whoever is slower than the load copies
 * cold bytes, and costs twice as much as if it were faster: HAProxy is found in either state, from run to run.
 */
const deepBulk: Plan = (() => {
  const { row, ...rest } = cost(
    "deep-bulk",
    "the same with 2 MiB of each stream on its way",
    "ms",
    1 / 1000,
    bulkWith(2048 * KiB),
    [plain, readiness, pipe, haproxy16, haproxy64]
  )
  return {
    ...rest,
    rounds: 3,
    comparisons: () => [
      ...[pipe, haproxy16, haproxy64].map((peer) => row(readiness, peer)),
      row(plain, pipe)
    ]
  }
})()

/** Which of the two landings costs less here; readiness if not both were measured, so that its row is missing. */
const betterOf = (samples: Samples, measure: string): readonly [better: Contestant, other: Contestant] => {
  const of = ({ name }: Contestant): number => median(samples.get(`${name} ${measure}`) ?? [Number.NaN])
  return of(plain) < of(readiness) ? [plain, readiness] : [readiness, plain]
}

const pingPong: Plan = (() => {
  const { row, ...rest } = cost(
    "ping-pong",
    "64 B ping-pong, 50 connections: CPU per round trip",
    "us",
    1000,
    { is: "pingPong", connections: 50, warmMs: 600, windowMs: 800 },
    everybody
  )
  const bounded = (one: Contestant) => [
    row(one, pipe, { must: 0.9, want: 0.75 }),
    row(one, haproxy16, { must: 1.6, want: 1.25 })
  ]
  return {
    ...rest,
    comparisons: (samples) => {
      const [better, other] = betterOf(samples, "cpu")
      return [
        ...bounded(better),
        ...reported.map((peer) => row(better, peer)),
        ...[pipe, haproxy16].map((peer) => row(other, peer))
      ]
    }
  }
})()

const churn: Plan = (() => {
  const { row, ...rest } = cost(
    "churn",
    "connect, 64 B there and back, close: CPU per connection",
    "us",
    1000,
    // Warm for 20 000 connections or so: before that V8's compiler is a fifth of ours, and less of pipe's.
    { is: "churn", connections: 50, warmMs: 2500, windowMs: 1000 },
    everybody
  )
  return {
    ...rest,
    comparisons: () => [
      ...[readiness, plain].map((one) => row(one, pipe, { must: 1.15, want: 0.9 })),
      ...[...reported, haproxy16].map((peer) => row(plain, peer))
    ]
  }
})()

const neverReaders: Plan = (() => {
  const title = "1 000 clients that never read, 10 MB offered to each: memory grown"
  const work: Work = { is: "neverReaders", connections: 1000, offeredBytes: 10e6, restMs: 1200 }
  const row = (ours: Contestant, peer: Contestant, bounds: Bounds = {}): Comparison => ({
    work: named(title, ours),
    ours: side(ours, "grown"),
    peer: side(peer, "grown"),
    unit: "MB",
    ...bounds
  })
  return {
    id: "never-readers",
    title,
    rounds: 3,
    contestants: [plain, readiness, pipe, haproxy16].map((contestant) =>
      doing(contestant, (one) => measure(one, work), {
        grown: ({ grownBytes }) => grownBytes === undefined ? undefined : grownBytes / 1e6
      })
    ),
    comparisons: () => [
      row(readiness, pipe, { must: 0.15, want: 0.1 }),
      row(plain, pipe, { must: 0.85, want: 0.5 }),
      row(readiness, haproxy16),
      row(plain, haproxy16)
    ]
  }
})()

const idle: Plan = (() => {
  const title = "2 000 idle connections: memory of one"
  const work: Work = { is: "idle", connections: 2000, restMs: 1000 }
  const row = (ours: Contestant, peer: Contestant, bounds: Bounds = {}): Comparison => ({
    work: named(title, ours),
    ours: side(ours, "memory"),
    peer: side(peer, "memory"),
    unit: "KiB",
    ...bounds
  })
  return {
    id: "idle",
    title,
    rounds: 3,
    contestants: [plain, readiness, pipe, nodeSocket, haproxy16].map((contestant) =>
      doing(contestant, (one) => measure(one, work), {
        memory: ({ bytesPerConnection }) => bytesPerConnection === undefined ? undefined : bytesPerConnection / KiB
      })
    ),
    comparisons: () => [
      ...[readiness, plain].map((one) => row(one, pipe, { must: 0.8, want: 0.7 })),
      ...[nodeSocket, haproxy16].map((peer) => row(plain, peer))
    ]
  }
})()

/** With the default of 30 s, five times 64 evictions would last longer than the whole bench. */
const shortStall = ["--stall-timeout", "500 millis", "--stall-grace", "100 millis"]

const stuck: Plan = (() => {
  const title = `64 B ping-pong beside 300 stuck peers, ${limit} buffers, once served again`
  const work = (stuck: number): Work => ({
    is: "besideStuck",
    stuck,
    connections: 50,
    patienceMs: 20_000,
    windowMs: 2000
  })
  const both = async (one: Contestant): Promise<Figures> => {
    const calm = await measure(one, work(0))
    const beside = await measure(one, work(300))
    return {
      beside: beside["operationsPerSecond"] ?? Number.NaN,
      without: calm["operationsPerSecond"] ?? Number.NaN,
      outage: (beside["outageMs"] ?? Number.NaN) / 1000,
      calm: (calm["outageMs"] ?? Number.NaN) / 1000
    }
  }
  const row = (ours: Contestant, bounds: Bounds = {}): Comparison => ({
    work: named(title, ours),
    ours: side(ours, "beside"),
    peer: { name: "the same without them", key: `${ours.name} without` },
    unit: "requests/s",
    sense: "at least",
    ...bounds
  })
  const outage = (ours: Contestant): Comparison => ({
    work: named("... until served again, the stall timeout being 0.5 s", ours),
    ours: side(ours, "outage"),
    peer: { name: "the same without them", key: `${ours.name} calm` },
    unit: "s"
  })
  const landings = [headgate("readiness", shortStall), headgate("plain", shortStall)]
  return {
    id: "stuck",
    title,
    rounds: 3,
    contestants: landings.map((contestant) =>
      doing(contestant, both, {
        beside: ({ beside }) => beside,
        without: ({ without }) => without,
        outage: ({ outage }) => outage,
        calm: ({ calm }) => calm
      })
    ),
    comparisons: () => [...landings.map((one) => row(one, { must: 0.8, want: 0.95 })), ...landings.map(outage)]
  }
})()

const tail: Plan = (() => {
  const title = "p99 of 64 B ping-pong beside 8 bulk streams"
  const streams: Work = { is: "bulk", connections: 8, onTheWayBytes: 2048 * KiB, warmMs: 300, windowMs: 3700 }
  const messages: Work = { is: "paced", connections: 20, pauseMs: 5, warmMs: 1000, windowMs: 2500 }
  const row = (ours: Contestant, peer: Contestant, bounds: Bounds = {}): Comparison => ({
    work: named(title, ours),
    ours: side(ours, "p99"),
    peer: side(peer, "p99"),
    unit: "ms",
    ...bounds
  })
  const rate = (ours: Contestant): Comparison => ({
    work: named("... what the 8 streams get meanwhile", ours),
    ours: side(ours, "streams"),
    peer: side(pipe, "streams"),
    unit: "MB/s",
    sense: "at least"
  })
  return {
    id: "tail",
    title,
    rounds: 3,
    contestants: [plain, readiness, pipe, haproxy16].map((contestant) =>
      doing(contestant, async (one) => {
        const [bulk, beside] = await measureTogether(one, [streams, messages])
        const [rate, p99Ms] = [bulk?.operationsPerSecond, beside?.p99Ms]
        return rate === undefined || p99Ms === undefined ? {} : { p99Ms, rate: rate / 1e6 }
      }, { p99: ({ p99Ms }) => p99Ms, streams: ({ rate }) => rate })
    ),
    comparisons: () => [
      ...[readiness, plain].map((one) => row(one, pipe, { must: 1, want: 0.5 })),
      row(plain, haproxy16),
      ...[readiness, plain].map(rate)
    ]
  }
})()

export const plans: ReadonlyArray<Plan> = [bulk, deepBulk, pingPong, churn, neverReaders, idle, stuck, tail]

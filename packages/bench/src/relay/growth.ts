/**
 * How the cost of an operation grows: over the number of connections, and over the size of the buffers.
 *
 * Invariant: a curve ends where it could not go on, and says why; unless it is the machine that allows no more, that is a fault.
 */
import type { Curve, Plot, Point } from "../plot.ts"
import type { Missing } from "../rows.ts"
import {
  type Contestant,
  haproxy,
  headgate,
  mostConnections,
  nginx,
  nodeSocket,
  openFiles,
  pipe,
  pipeline
} from "./contestants.ts"
import type { Figures, Work } from "./load/questions.ts"
import { measure } from "./measure.ts"

const KiB = 1024

/** A contestant for each size: the same one, or one that is made for it; undefined where the size is not its own. */
interface Sizes {
  readonly name: string
  readonly unavailable: string | undefined
  readonly at: (size: number) => Contestant | undefined
}

const same = (contestant: Contestant): Sizes => ({
  name: contestant.name,
  unavailable: contestant.unavailable,
  at: () => contestant
})

const sized = (name: string, make: (bytes: number) => Contestant): Sizes => ({
  name,
  unavailable: make(64 * KiB).unavailable,
  at: (size) => make(size * KiB)
})

/** Its buffers have the size that Node reads at most. */
const fixed = (contestant: Contestant): Sizes => ({
  ...same(contestant),
  at: (size) => size === 64 ? contestant : undefined
})

interface Growth extends Omit<Plot, "curves"> {
  readonly sizes: ReadonlyArray<number>
  readonly contestants: ReadonlyArray<Sizes>
  readonly work: (size: number) => Work
  readonly value: (figures: Figures) => number
  /** Why nobody can have that size on this machine. */
  readonly impossible: (size: number) => string | undefined
}

const landings = [headgate("plain"), headgate("readiness")]

const connections: Growth = {
  id: "relay-connections",
  title: "64 B ping-pong over connections",
  sizeLabel: "connections",
  valueLabel: "us of CPU per round trip",
  sizes: [10, 100, 1000, 5000],
  contestants: [
    ...landings.map(same),
    ...[pipe, pipeline, nodeSocket, haproxy(16 * KiB), nginx(16 * KiB)].map(same)
  ],
  work: (size) => ({ is: "pingPong", connections: size, warmMs: 500, windowMs: 700 }),
  value: ({ cpuNsPerOperation = Number.NaN }) => cpuNsPerOperation / 1000,
  impossible: (size) =>
    size <= mostConnections ? undefined : `${size} connections are more than ${openFiles} open files allow`
}

const bufferSize: Growth = {
  id: "relay-buffer-size",
  title: "bulk over the size of a buffer",
  sizeLabel: "KiB of a buffer",
  valueLabel: "ms of CPU per GB",
  sizes: [4, 16, 64, 256],
  contestants: [
    ...(["plain", "readiness"] as const).map((landing) =>
      sized(`Headgate ${landing}`, (bytes) => headgate(landing, ["--buffer-size", `${bytes}`]))
    ),
    sized("HAProxy", haproxy),
    sized("nginx", nginx),
    ...[pipe, pipeline, nodeSocket].map(fixed)
  ],
  work: () => ({ is: "bulk", connections: 50, onTheWayBytes: 256 * KiB, warmMs: 400, windowMs: 900 }),
  value: ({ cpuNsPerOperation = Number.NaN }) => cpuNsPerOperation * 1000,
  impossible: () => undefined
}

const words = (error: unknown): string => error instanceof Error ? error.message : String(error)

const pointOf = async (growth: Growth, contestant: Contestant, size: number): Promise<Point> => ({
  size,
  value: growth.value(await measure(contestant, growth.work(size)))
})

interface Growing {
  readonly one: Sizes
  readonly points: Array<Point>
  stopped: string | undefined
}

export interface Grown {
  readonly plots: ReadonlyArray<Plot>
  readonly missing: ReadonlyArray<Missing>
}

/** Size by size, so that all contestants have each of them within the same minute. */
const grow = async (growth: Growth, missing: Array<Missing>, print: (line: string) => void): Promise<Plot> => {
  const { id, impossible, sizeLabel, sizes, title, valueLabel } = growth
  const curves = growth.contestants.filter(({ unavailable }) => unavailable === undefined).map((one): Growing => ({
    one,
    points: [],
    stopped: undefined
  }))
  for (const size of sizes) {
    for (const curve of curves) {
      const contestant = curve.one.at(size)
      if (contestant === undefined || curve.stopped !== undefined) continue
      curve.stopped = impossible(size)
      if (curve.stopped !== undefined) continue
      try {
        curve.points.push(await pointOf(growth, contestant, size))
      } catch (error) {
        curve.stopped = words(error)
        missing.push({ work: `${title}, ${size}`, contestant: contestant.name, why: curve.stopped, excused: false })
        print(`${curve.one.name} stops at ${size} ${sizeLabel}: ${curve.stopped}`)
      }
    }
    print(`${title}: ${size} ${sizeLabel}`)
  }
  return {
    id,
    title,
    sizeLabel,
    valueLabel,
    curves: curves.map(({ one: { name }, points, stopped }): Curve => ({ name, points, stopped }))
  }
}

export const growths = async (print: (line: string) => void): Promise<Grown> => {
  const missing: Array<Missing> = []
  const plots: Array<Plot> = []
  for (const growth of [connections, bufferSize]) plots.push(await grow(growth, missing, print))
  return { plots, missing }
}

/**
 * What the status page says: one picture of pool, schedulers and relay, in the three forms in which people and machines
 * ask for it.
 *
 * Invariant: pure, and all three forms say the same of one picture, which whoever serves it has taken.
 */
import type { PoolSnapshot, RelaySnapshot, SchedulerSnapshot } from "headgate"
import * as HeadgateMetrics from "headgate/HeadgateMetrics"

/** Counters of the process around the relay. */
export interface ServerSnapshot {
  readonly landing: string
  /** Why it is not the landing that was asked for. */
  readonly landingFallback: string | undefined
  readonly listening: ReadonlyArray<string>
  readonly accepting: boolean
  readonly accepted: number
  /** Connections accepted and not over: more than the relay's while targets are being connected to. */
  readonly open: number
  /** How often accepting paused: all places taken; open files short. */
  readonly pausesFull: number
  readonly pausesFiles: number
  readonly connectFailures: { readonly [cause: string]: number }
  readonly uptimeSeconds: number
  readonly rssBytes: number
}

export interface Picture {
  readonly pool: PoolSnapshot
  readonly tasks: SchedulerSnapshot
  readonly applets: SchedulerSnapshot
  readonly relay: RelaySnapshot
  readonly server: ServerSnapshot
}

/** Holders and waiters listed, the oldest first: the page must stay small when everything is lent. */
const mostListed = 100

export const toJson = ({ pool, ...rest }: Picture): string =>
  `${
    JSON.stringify(
      {
        pool: {
          ...pool,
          waiting: pool.waiting.slice(0, mostListed),
          holders: pool.holders.slice(0, mostListed)
        },
        ...rest
      },
      undefined,
      2
    )
  }\n`

const classes = ["tx", "channel", "endpoint", "rx"] as const

const bytes = (count: number): string => {
  if (count < 10 * 1024) return `${count} B`
  if (count < 10 * 1024 ** 2) return `${Math.round(count / 1024)} KiB`
  return count < 10 * 1024 ** 3 ? `${Math.round(count / 1024 ** 2)} MiB` : `${Math.round(count / 1024 ** 3)} GiB`
}

const seconds = (ms: number): string => ms === 0 ? "-" : `${(ms / 1000).toFixed(1)} s`

const line = (name: string, value: unknown): string => `${name.padEnd(28)}${String(value)}\n`

/** For people: plain text in lines, readable in a terminal and in a browser. */
export function* toText(picture: Picture): Generator<string> {
  yield "headgate\n\n"
  yield* poolText(picture.pool)
  yield "\n"
  yield* relayText(picture)
  yield "\n"
  yield* processText(picture)
}

function* poolText(pool: PoolSnapshot): Generator<string> {
  yield line("buffers", `${pool.used} of ${pool.limit} lent, ${pool.allocated} exist, ${pool.highWater} at most so far`)
  yield line("budget", `${bytes(pool.limit * pool.bufferSize)} (${pool.limit} x ${bytes(pool.bufferSize)})`)
  yield line("reserve", pool.reserve)
  if (pool.favoured !== undefined) yield line("favoured by ageing", pool.favoured)
  yield "\nclass       lent   waiting   oldest wait\n"
  for (const name of classes) {
    const { lent, oldestWaitMs, waiting } = pool.classes[name]
    const columns = [String(lent).padStart(6), String(waiting).padStart(10), seconds(oldestWaitMs).padStart(14)]
    yield `${name.padEnd(10)}${columns.join("")}\n`
  }
  yield "\n"
  yield line("hand-offs", pool.counters.handOffs)
  yield line("grants passed on", pool.counters.passedOn)
  yield line("creations failed", pool.counters.creationsFailed)
}

function* relayText({ relay, server }: Picture): Generator<string> {
  const { accepted, open, pausesFiles, pausesFull } = server
  yield line("connections", `${relay.connections} open, ${relay.waitingDirections} directions wait for a buffer`)
  yield line(
    "accepted",
    `${accepted}, ${open} open; paused ${pausesFull} times when full, ${pausesFiles} for want of files`
  )
  yield line("evicted", `${relay.ended.stalled} that took nothing while others waited`)
  for (const [end, count] of Object.entries(relay.ended)) yield line(`ended: ${end}`, count)
  for (const [cause, count] of Object.entries(server.connectFailures)) yield line(`no target: ${cause}`, count)
  yield line("relayed", `${bytes(relay.requestBytes)} to targets, ${bytes(relay.responseBytes)} to clients`)
  yield line("overdraft", `${bytes(relay.overdraftBytes)} now, ${bytes(relay.overdraftHighWaterBytes)} at most so far`)
}

function* processText({ applets, server, tasks }: Picture): Generator<string> {
  yield line("run queues", `${tasks.runQueueLength} tasks, ${applets.runQueueLength} applets`)
  const { landing, landingFallback } = server
  yield line("landing", landingFallback === undefined ? landing : `${landing}, because ${landingFallback}`)
  yield line("listening", server.listening.join(", "))
  yield line("memory of the process", bytes(server.rssBytes))
  yield line("up", `${Math.round(server.uptimeSeconds)} s`)
}

const sample = (
  type: "gauge" | "counter",
  name: string,
  help: string,
  value: number,
  labels: { readonly [label: string]: string } = {}
): HeadgateMetrics.Sample => ({ type, name, help, value, labels })

/** For Prometheus: the pool's and the schedulers' samples, and the relay's own. */
export const toSamples = (picture: Picture): ReadonlyArray<HeadgateMetrics.Sample> => [
  ...HeadgateMetrics.poolSamples(picture.pool),
  ...HeadgateMetrics.schedulerSamples("tasks", picture.tasks),
  ...HeadgateMetrics.schedulerSamples("applets", picture.applets),
  ...relaySamples(picture.relay),
  ...serverSamples(picture.server)
]

const relaySamples = (relay: RelaySnapshot): ReadonlyArray<HeadgateMetrics.Sample> => [
  sample("gauge", "headgate_connections", "Connections open", relay.connections),
  sample("gauge", "headgate_waiting_directions", "Directions that wait for a buffer", relay.waitingDirections),
  sample("gauge", "headgate_overdraft_bytes", "Bytes held outside the pool", relay.overdraftBytes),
  sample(
    "gauge",
    "headgate_overdraft_high_water_bytes",
    "Most bytes held outside the pool",
    relay.overdraftHighWaterBytes
  ),
  sample("counter", "headgate_overdrafts_total", "Chunks that could not be placed at once", relay.overdrafts),
  sample("counter", "headgate_relayed_bytes_total", "Bytes relayed", relay.requestBytes, { direction: "request" }),
  sample("counter", "headgate_relayed_bytes_total", "Bytes relayed", relay.responseBytes, { direction: "response" }),
  ...Object.entries(relay.ended).map(([end, count]) =>
    sample("counter", "headgate_connections_ended_total", "Connections ended, by how (stalled: evicted)", count, {
      end
    })
  )
]

const serverSamples = (server: ServerSnapshot): ReadonlyArray<HeadgateMetrics.Sample> => [
  ...Object.entries(server.connectFailures).map(([cause, count]) =>
    sample("counter", "headgate_connect_failures_total", "Targets that could not be reached, by cause", count, {
      cause
    })
  ),
  sample("counter", "headgate_accepted_total", "Connections accepted", server.accepted),
  sample("gauge", "headgate_accepted_open", "Connections accepted and not over", server.open),
  sample("counter", "headgate_accept_pauses_total", "Times that accepting paused", server.pausesFull, {
    cause: "full"
  }),
  sample("counter", "headgate_accept_pauses_total", "Times that accepting paused", server.pausesFiles, {
    cause: "files"
  }),
  sample("gauge", "process_resident_memory_bytes", "Resident memory of the process", server.rssBytes)
]

/**
 * The real command as a child process: started on free ports, looked at through its own status page, stopped by a signal.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Http from "node:http"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const bin = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))

export interface RelayProcess {
  readonly port: number
  readonly stats: () => Promise<Stats>
  /** Sends a signal, and waits for the exit: its code, and all that was printed. */
  readonly stop: (signal?: NodeJS.Signals) => Promise<{ readonly code: number | null; readonly output: string }>
  readonly process: ChildProcess
}

/** What these tests read of `/stats.json`. */
export interface Stats {
  readonly pool: {
    readonly used: number
    readonly allocated: number
    readonly highWater: number
    readonly limit: number
    readonly classes: { readonly [criticality: string]: { readonly waiting: number; readonly oldestWaitMs: number } }
    readonly counters: { readonly handOffs: number }
  }
  readonly relay: {
    readonly connections: number
    readonly waitingDirections: number
    readonly overdraftBytes: number
    readonly overdraftHighWaterBytes: number
    readonly ended: { readonly [end: string]: number }
  }
  readonly server: { readonly open: number; readonly accepted: number; readonly rssBytes: number }
}

export const getJson = <A>(port: number, path: string): Promise<A> =>
  new Promise((resolve, reject) => {
    Http.get({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (piece: string) => body += piece).on("error", reject)
      response.on("end", () => resolve(JSON.parse(body)))
    }).on("error", reject)
  })

const portIn = (line: string, pattern: RegExp): number | undefined => {
  const port = pattern.exec(line)?.[1]
  return port === undefined ? undefined : Number(port)
}

/** Starts `headgate relay` with these arguments, in front of a target's port, and resolves when it listens. */
export const startRelay = (targetPort: number, args: ReadonlyArray<string>): Promise<RelayProcess> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [
      bin,
      "relay",
      "--listen",
      "127.0.0.1:0",
      "--target",
      `127.0.0.1:${targetPort}`,
      "--stats",
      "127.0.0.1:0",
      ...args
    ], { stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    let port: number | undefined
    const exited = new Promise<number | null>((done) => child.once("exit", done))
    const onLine = (line: string): void => {
      output += `${line}\n`
      port ??= portIn(line, /relaying 127\.0\.0\.1:(\d+)/)
      const statsPort = portIn(line, /status page on 127\.0\.0\.1:(\d+)/)
      if (port === undefined || statsPort === undefined) return
      const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
        child.kill(signal)
        return { code: await exited, output }
      }
      resolve({ port, stop, process: child, stats: () => getJson<Stats>(statsPort, "/stats.json") })
    }
    for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine)
    void exited.then((code) => reject(new Error(`the relay ended with ${code}:\n${output}`)))
  })

/** Looks until what is looked for is there, or fails after `patienceMs` with the last look. */
export const eventually = async <A>(
  look: () => Promise<A>,
  holds: (seen: A) => boolean,
  patienceMs = 20_000
): Promise<A> => {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const seen = await look()
    if (holds(seen)) return seen
    if (Date.now() > deadline) throw new Error(`still not so after ${patienceMs} ms: ${JSON.stringify(seen)}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

/** Nothing is lent, nobody waits, and no connection is open. */
export const isAtRest = ({ pool, relay, server }: Stats): boolean =>
  pool.used === 0 && relay.connections === 0 && relay.overdraftBytes === 0 && server.open === 0 &&
  Object.values(pool.classes).every(({ waiting }) => waiting === 0)

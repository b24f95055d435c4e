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
    readonly overdrafts: number
    readonly ended: { readonly [end: string]: number }
  }
  readonly server: {
    readonly open: number
    readonly accepted: number
    readonly rssBytes: number
    readonly landing: string
  }
}

export const getJson = <A>(port: number, path: string): Promise<A> =>
  new Promise((resolve, reject) => {
    Http.get({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (piece: string) => body += piece).on("error", reject)
      response.on("end", () => resolve(JSON.parse(body)))
    }).on("error", reject)
  })

/** `headgate` with these arguments. */
export interface CommandProcess {
  readonly process: ChildProcess
  /** All lines printed so far, on both of its outputs. */
  readonly output: () => string
  /** The first line of that kind, printed already or to come; fails if the command ends before. */
  readonly says: (pattern: RegExp) => Promise<RegExpExecArray>
  /** Its exit code, once all that it printed is there. */
  readonly ended: Promise<number | null>
}

/** Variables of ours would change what a relay does when its flags say nothing. */
const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("HEADGATE_")))

export const startCommand = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}): CommandProcess => {
  const child = spawn(process.execPath, [bin, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...inherited, NO_COLOR: "1", ...env }
  })
  const lines: Array<string> = []
  const listeners = new Set<(line: string) => void>()
  const onLine = (line: string): void => {
    lines.push(line)
    for (const listener of listeners) listener(line)
  }
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine)
  const ended = new Promise<number | null>((done) => child.once("close", done))
  const output = () => lines.map((line) => `${line}\n`).join("")
  const says = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const look = (line: string): void => {
        const found = pattern.exec(line)
        if (found !== null) resolve(found)
      }
      listeners.add(look)
      lines.forEach(look)
      void ended.then((code) => reject(new Error(`it ended with ${code}, and did not say ${pattern}:\n${output()}`)))
    })
  return { process: child, output, says, ended }
}

/** Starts `headgate relay` with these arguments, in front of a target's port, and resolves when it listens. */
export const startRelay = async (targetPort: number, args: ReadonlyArray<string>): Promise<RelayProcess> => {
  const ends = ["--listen", "127.0.0.1:0", "--target", `127.0.0.1:${targetPort}`, "--stats", "127.0.0.1:0"]
  const { ended, output, process, says } = startCommand(["relay", ...ends, ...args])
  const port = Number((await says(/relaying 127\.0\.0\.1:(\d+)/))[1])
  const statsPort = Number((await says(/status page on 127\.0\.0\.1:(\d+)/))[1])
  const stop = async (signal: NodeJS.Signals = "SIGTERM") => {
    process.kill(signal)
    return { code: await ended, output: output() }
  }
  return { port, stop, process, stats: () => getJson<Stats>(statsPort, "/stats.json") }
}

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

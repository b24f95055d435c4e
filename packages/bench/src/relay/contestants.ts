/**
 * Who is compared, and how each of them is started: Headgate by its command, as a user would.
 *
 * Invariant: all of them do the same for a connection, by default settings where they have any: connect to the target, no Nagle,
 * half-closed connections, nothing written to a log for each. What differs is said in the name.
 */
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { Running } from "./relays/process.ts"
import { isListening } from "./usage.ts"

/** A relay that runs: its process, and where it listens for each of its targets, in their order. */
export interface Relaying {
  readonly pid: number
  readonly ports: ReadonlyArray<number>
  readonly stop: () => Promise<void>
}

export interface Contestant {
  readonly name: string
  readonly start: (targetPorts: ReadonlyArray<number>) => Promise<Relaying>
  /** Why it cannot run on this machine. */
  readonly unavailable: string | undefined
}

/** A relayed connection has two files. Some are for something else. */
export const openFiles = Number(
  execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).replace("unlimited", "1000000")
)
export const mostConnections = Math.min(8000, Math.floor((openFiles - 200) / 2))

// ---- programs of ours, and those that users of Node would write -----------------------------------------------------------

/** Another checkout's command, while two are worked on side by side. */
const headgateCommand = process.env["BENCH_HEADGATE"] ??
  fileURLToPath(new URL("../../../node/src/bin.ts", import.meta.url))

/** One pool for all works: 64 buffers of the default size, 4 MiB. Enough for the bulk, and few enough that memory is a matter. */
export const limit = 64

export const headgate = (landing: "plain" | "readiness", flags: ReadonlyArray<string> = []): Contestant => ({
  name: `Headgate ${landing}`,
  unavailable: undefined,
  start: async (targetPorts) => {
    const listen = targetPorts.flatMap((port) => ["--listen", `127.0.0.1:0=127.0.0.1:${port}`])
    const settings = ["--limit", String(limit), "--landing", landing, ...flags]
    const running = new Running(`Headgate ${landing}`, [
      process.execPath,
      headgateCommand,
      "relay",
      ...listen,
      ...settings
    ])
    return started(running, async () => {
      const used = await running.says("which landing it uses", (line) => / landing (\w+)/.exec(line)?.[1])
      if (used !== landing) throw new Error(`it uses the landing ${used} here`)
      return running.says("its ports", portsBefore(targetPorts))
    })
  }
})

/** The ports that a line names before those targets: `relaying 127.0.0.1:4000 -> 127.0.0.1:80, …`. */
const portsBefore = (targetPorts: ReadonlyArray<number>) => (line: string): ReadonlyArray<number> | undefined => {
  if (!line.includes("relaying ")) return undefined
  return targetPorts.map((target) => Number(new RegExp(`:(\\d+) -> \\S+:${target}\\b`).exec(line)?.[1]))
}

/** A program for Node that is started with the ports of its targets, and says its own (`relays/serve.ts`). */
export const script = (name: string, file: URL): Contestant => ({
  name,
  unavailable: undefined,
  start: (targetPorts) => {
    const running = new Running(name, [process.execPath, fileURLToPath(file), ...targetPorts.map(String)])
    return started(running, () => running.says("its ports", readPorts))
  }
})

const readPorts = (line: string): ReadonlyArray<number> | undefined => {
  const said: unknown = line.startsWith("{") ? JSON.parse(line) : undefined
  if (typeof said !== "object" || said === null || !("ports" in said) || !Array.isArray(said.ports)) return undefined
  return said.ports.map(Number)
}

const started = async (running: Running, ports: () => Promise<ReadonlyArray<number>>): Promise<Relaying> => {
  try {
    return { pid: await running.pid(), ports: await ports(), stop: () => running.stop() }
  } catch (error) {
    await running.stop()
    throw error
  }
}

export const pipe = script("pipe", new URL("./relays/pipe.ts", import.meta.url))
export const pipeline = script("pipeline", new URL("./relays/pipeline.ts", import.meta.url))
export const nodeSocket = script("Effect NodeSocket", new URL("./relays/nodeSocket.ts", import.meta.url))

// ---- programs of the system -----------------------------------------------------------------------------------------------

/** Ports that nobody listens on: all bound at a time, so that they differ. */
const freePorts = async (count: number): Promise<ReadonlyArray<number>> => {
  const servers = Array.from({ length: count }, () => Net.createServer().listen({ host: "127.0.0.1", port: 0 }))
  const ports = await Promise.all(servers.map(portOf))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

const portOf = (server: Net.Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject)
    server.once("listening", () => {
      const address = server.address()
      if (typeof address === "object" && address !== null) resolve(address.port)
    })
  })

type Routes = ReadonlyArray<{ readonly listen: number; readonly target: number }>

/** A program that reads a file and listens where it is told. */
const configured = (
  name: string,
  unavailable: string | undefined,
  config: (routes: Routes, folder: string) => string,
  command: (file: string, folder: string) => ReadonlyArray<string>
): Contestant => ({
  name,
  unavailable,
  start: async (targetPorts) => {
    const ports = await freePorts(targetPorts.length)
    const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "headgate-bench-"))
    const file = Path.join(folder, "config")
    Fs.writeFileSync(file, config(targetPorts.map((target, at) => ({ listen: ports[at] ?? 0, target })), folder))
    const running = new Running(name, command(file, folder))
    const isUp = (): true | undefined => ports.every(isListening) || undefined
    const relaying = await started(running, async () => {
      await running.says("that it listens", isUp)
      return ports
    })
    const stop = async (): Promise<void> => {
      await relaying.stop()
      Fs.rmSync(folder, { recursive: true })
    }
    return { ...relaying, stop }
  }
})

/** What a command prints about itself, on either output; undefined if it cannot be run. */
const versionOf = (command: string, flag: string, pattern: RegExp): string | undefined => {
  try {
    return pattern.exec(execFileSync("sh", ["-c", `${command} ${flag} 2>&1`], { encoding: "utf8" }))?.[1]
  } catch {
    return undefined
  }
}

/** Not in the path of every user. */
const path = `PATH="$PATH:/usr/sbin:/usr/local/sbin"`
const haproxyVersion = versionOf(`${path} haproxy`, "-v", /version (\S+?)[-\s]/)
const nginxVersion = versionOf(`${path} nginx`, "-v", /nginx\/(\S+)/)

const withPath = (...command: ReadonlyArray<string>): ReadonlyArray<string> => [
  "env",
  `PATH=${process.env["PATH"] ?? ""}:/usr/sbin:/usr/local/sbin`,
  ...command
]

const haproxyConfig = (bufferBytes: number) => (routes: Routes): string =>
  [
    "global",
    "  nbthread 1",
    "  maxconn 8000",
    `  tune.bufsize ${bufferBytes}`,
    "defaults",
    "  mode tcp",
    "  maxconn 8000",
    "  timeout connect 5s",
    "  timeout client 5m",
    "  timeout server 5m",
    ...routes.flatMap(({ listen, target }, at) => [
      `listen route${at}`,
      `  bind 127.0.0.1:${listen} backlog 4096`,
      `  server target 127.0.0.1:${target}`
    ]),
    ""
  ].join("\n")

const kibibytes = (bytes: number): string => `${bytes / 1024} KiB`

export const haproxy = (bufferBytes: number): Contestant =>
  configured(
    `HAProxy ${kibibytes(bufferBytes)}`,
    haproxyVersion === undefined ? "haproxy is not installed" : undefined,
    haproxyConfig(bufferBytes),
    (file) => withPath("haproxy", "-db", "-f", file)
  )

/** Debian has the module in a file of its own; elsewhere it may be built in. */
const nginxModule = [
  "/usr/lib/nginx/modules/ngx_stream_module.so",
  "/usr/lib64/nginx/modules/ngx_stream_module.so"
].find((file) => Fs.existsSync(file))

const hasStream = nginxModule !== undefined ||
  versionOf(`${path} nginx`, "-V", /--with-stream(?!=dynamic)(?:\s|$)/) !== undefined

const nginxConfig = (bufferBytes: number) => (routes: Routes, folder: string): string =>
  [
    ...(nginxModule === undefined ? [] : [`load_module ${nginxModule};`]),
    "daemon off;",
    "master_process off;",
    "worker_processes 1;",
    `pid ${folder}/pid;`,
    "error_log stderr crit;",
    `events { worker_connections ${2 * mostConnections}; }`,
    "stream {",
    "  access_log off;",
    "  tcp_nodelay on;",
    `  proxy_buffer_size ${bufferBytes};`,
    ...routes.flatMap(({ listen, target }) => [
      `  server { listen 127.0.0.1:${listen} backlog=4096; proxy_pass 127.0.0.1:${target}; }`
    ]),
    "}",
    ""
  ].join("\n")

export const nginx = (bufferBytes: number): Contestant =>
  configured(
    `nginx ${kibibytes(bufferBytes)}`,
    nginxVersion === undefined
      ? "nginx is not installed"
      : hasStream
      ? undefined
      : "nginx has no stream module here",
    nginxConfig(bufferBytes),
    (file, folder) => withPath("nginx", "-p", folder, "-c", file, "-e", "stderr")
  )

/** What is there of the system's programs, for the record of a run. */
export const systemVersions = (): Readonly<Record<string, string>> => ({
  ...(haproxyVersion === undefined ? {} : { haproxy: haproxyVersion }),
  ...(nginxVersion === undefined ? {} : { nginx: nginxVersion })
})

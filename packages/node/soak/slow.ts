/**
 * `pnpm soak:slow [--seconds 90]`: does the stall policy, with its defaults, tell slow from stuck?
 *
 * In each landing a relay with few buffers, over IPv4 and IPv6 at once. Readers at 20 kB/s hold some buffers for the whole run,
 * those that never read hold the rest, and more of them wait. None of the slow may be reset; of the stuck, some must be. What
 * the kernel holds for each is looked up where the policy looks.
 *
 * It exits with 0 if that is so, 1 if not.
 */
import { Effect, Layer, Result } from "effect"
import * as Net from "node:net"
import { parseArgs } from "node:util"
import { kib, table } from "../demo/table.ts"
import { keyOf, sample } from "../src/internal/kernelQueues.ts"
import type { Landing } from "../src/Landing.ts"
import { settingsOf } from "../src/RelayFlags.ts"
import * as RelayServer from "../src/RelayServer.ts"

const bytesPerSecond = 20_000
const tickMs = 100
const counts = { limit: 16, slow: 3, stuck: 20 }
/** `stallTimeout`, and time for the policy to look: those that never read are stuck from then on. */
const shortestSeconds = 40

const families = [{ name: "IPv4", host: "127.0.0.1" }, { name: "IPv6", host: "::1" }] as const
type Family = (typeof families)[number]

const at = (host: string, port: number): string => host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

const closing = <A extends Net.Server | Net.Socket>(it: A, close: (it: A) => void) =>
  Effect.acquireRelease(Effect.succeed(it), () => Effect.sync(() => close(it)))

/** Sends without end to everybody. */
const origin = (host: string) =>
  Effect.gen(function*() {
    const piece = Buffer.alloc(64 * 1024, 7)
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((socket) => {
      const more = (): void => {
        while (!socket.destroyed && socket.write(piece)) { /* until it is full */ }
      }
      sockets.add(socket)
      socket.on("error", () => {}).on("close", () => sockets.delete(socket)).on("drain", more)
      more()
    })
    yield* closing(server, () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    })
    return yield* Effect.callback<number>((resume) => {
      server.listen(0, host, () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
      })
    })
  })

/** A client, and what became of it. */
class Client {
  readonly socket: Net.Socket
  readonly family: Family
  bytes = 0
  wasReset = false
  mostQueued = 0
  private credit = 0

  constructor(family: Family, port: number) {
    this.family = family
    this.socket = Net.connect({ host: family.host, port })
    this.socket.on("error", () => this.wasReset = true).pause()
  }

  /** Reads at that rate, as far as Node lets one: a chunk at a time, on credit. */
  readSlowly(): NodeJS.Timeout {
    this.socket.on("data", (chunk) => {
      this.bytes += chunk.length
      this.credit -= chunk.length
      if (this.credit <= 0) this.socket.pause()
    }).pause()
    return setInterval(() => {
      this.credit += bytesPerSecond * tickMs / 1000
      if (this.credit > 0) this.socket.resume()
    }, tickMs)
  }

  /** The relay's end of it, as the kernel's tables name it. */
  get key(): string | undefined {
    const { localAddress, localPort, remoteAddress, remotePort } = this.socket
    return keyOf({
      localAddress: remoteAddress,
      localPort: remotePort,
      remoteAddress: localAddress,
      remotePort: localPort
    })
  }
}

const connected = ({ socket }: Client): Effect.Effect<void> =>
  Effect.callback((resume) => void socket.once("connect", () => resume(Effect.void)))

const clients = (family: Family, port: number, count: number) =>
  Effect.forEach(Array.from({ length: count }), () =>
    Effect.gen(function*() {
      const client = new Client(family, port)
      yield* closing(client.socket, (socket) => void socket.destroy())
      yield* connected(client)
      return client
    }))

/** Looks what the kernel holds, once a second. */
const watched = (all: ReadonlyArray<Client>, seconds: number) =>
  Effect.repeat(
    Effect.sync(() => {
      const keys = all.map((client) => ({ client, key: client.wasReset ? undefined : client.key }))
      const queues = sample(keys.flatMap(({ key }) => key ?? []))
      for (const { client, key } of keys) {
        const queued = key === undefined ? 0 : queues.get(key) ?? 0
        client.mostQueued = Math.max(client.mostQueued, queued)
      }
    }).pipe(Effect.andThen(Effect.sleep("1 second"))),
    { times: seconds - 1 }
  )

/** Who was not reading hears of a reset when it reads. */
const heard = (all: ReadonlyArray<Client>) =>
  Effect.sync(() => {
    for (const { socket } of all) socket.on("data", () => {}).resume()
  }).pipe(Effect.andThen(Effect.sleep("1 second")))

interface Seen {
  readonly landing: Landing
  readonly slow: ReadonlyArray<Client>
  readonly stuck: ReadonlyArray<Client>
  readonly evicted: number
}

const run = (landing: Landing, seconds: number) =>
  Effect.gen(function*() {
    const ports = yield* Effect.forEach(families, ({ host }) => origin(host))
    const listen = families.map(({ host }, i) => `${at(host, 0)}=${at(host, ports[i] ?? 0)}`)
    const settings = Result.getOrThrow(settingsOf({ listen, limit: `${counts.limit}`, landing }))
    const services = yield* Layer.build(RelayServer.layer(settings))
    const relay = yield* Effect.provide(RelayServer.make(settings), services)
    const used = (yield* relay.picture).server.landing
    if (used !== landing) return yield* Effect.die(new Error(`the landing is ${used}, not ${landing}`))
    const each = (count: number) =>
      Effect.map(
        Effect.forEach(families, (family, i) => {
          const address = relay.listening[i]
          return clients(family, address?._tag === "Tcp" ? address.port : 0, count)
        }),
        (found) => found.flat()
      )
    const slow = yield* each(counts.slow)
    for (const client of slow) {
      const timer = client.readSlowly()
      yield* Effect.addFinalizer(() => Effect.sync(() => clearInterval(timer)))
    }
    // The slow have their buffers before anybody competes for them.
    yield* Effect.sleep("2 seconds")
    const stuck = yield* each(counts.stuck)
    yield* watched([...slow, ...stuck], seconds)
    const { relay: { ended } } = yield* relay.picture
    const seen: Seen = { landing, slow, stuck, evicted: ended.stalled }
    const slowReset = slow.filter(({ wasReset }) => wasReset).length
    yield* heard(stuck)
    return { ...seen, slowReset }
  }).pipe(Effect.scoped)

const rowsOf = ({ landing, slow, stuck }: Seen) =>
  families.flatMap((family) =>
    ([["20 kB/s", slow], ["never reads", stuck]] as const).map(([kind, all]) => {
      const mine = all.filter((client) => client.family === family)
      const reset = mine.filter(({ wasReset }) => wasReset).length
      const read = mine.reduce((sum, { bytes }) => sum + bytes, 0) / mine.length
      const queued = Math.max(...mine.map(({ mostQueued }) => mostQueued))
      return [landing, family.name, kind, `${mine.length}`, `${reset}`, kib(read), kib(queued)]
    })
  )

const wrongOf = ({ landing, slow, slowReset, stuck }: Seen & { readonly slowReset: number }): ReadonlyArray<string> =>
  [
    slowReset > 0 ? `${slowReset} that read 20 kB/s were reset` : "",
    slow.some(({ bytes }) => bytes === 0) ? "one that reads got nothing" : "",
    ...families.flatMap((family) => {
      const mine = stuck.filter((client) => client.family === family)
      const known = [...slow, ...mine].filter((client) => client.family === family)
      return [
        mine.some(({ wasReset }) => wasReset) ? "" : `of those that never read over ${family.name} none was reset`,
        known.some(({ mostQueued }) => mostQueued > 0) ? "" : `the kernel's queues over ${family.name} were not seen`
      ]
    })
  ].filter((line) => line !== "").map((line) => `${landing}: ${line}`)

const { values } = parseArgs({ options: { seconds: { type: "string", default: "90" } } })
const seconds = Number(values.seconds)
if (!Number.isInteger(seconds) || seconds < shortestSeconds) {
  console.error(`--seconds ${values.seconds}: must be an integer of at least ${shortestSeconds}`)
  process.exitCode = 64
} else {
  const seen = await Effect.runPromise(
    Effect.forEach(["plain", "readiness"] as const, (landing) => run(landing, seconds), { concurrency: 2 })
  )
  const head = ["landing", "over", "kind", "clients", "reset", "read, each", "most queued"]
  for (const line of table(head, seen.flatMap(rowsOf))) console.log(line)
  const wrong = seen.flatMap(wrongOf)
  for (const line of wrong) console.error(line)
  console.log(wrong.length === 0 ? `slow and stuck were told apart for ${seconds} s` : "FAILED")
  process.exitCode = wrong.length === 0 ? 0 : 1
}

/**
 * Real bytes through the real command: whatever happens to the peers, every byte arrives once and in order or both sides see
 * a reset, and at the end nothing is lent, nobody waits and no connection is open.
 *
 * Sizes are small here; HEADGATE_FULL=1 runs them as large as the issue that asked for them.
 */
import { createHash } from "node:crypto"
import * as Net from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { connectAndConverse, type End, randomOf, startOrigin } from "./exchange.ts"
import { eventually, isAtRest, type RelayProcess, startRelay } from "./relayProcess.ts"

const full = process.env["HEADGATE_FULL"] === "1"
const seed = Number(process.env["HEADGATE_SEED"] ?? Date.now() % 1e9)
const patienceMs = full ? 300_000 : 50_000

const cleanUps: Array<() => unknown> = []
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp()
})

type Landing = "plain" | "readiness"

const landings: ReadonlyArray<Landing> = ["plain", "readiness"]

const relayTo = async (port: number, landing: Landing, ...args: ReadonlyArray<string>): Promise<RelayProcess> => {
  const relay = await startRelay(port, ["--landing", landing, ...args])
  cleanUps.push(() => relay.process.kill("SIGKILL"))
  return relay
}

const serve = async (onSocket: (socket: Net.Socket) => void): Promise<number> => {
  const sockets = new Set<Net.Socket>()
  const server = Net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on("error", () => {}).once("close", () => sockets.delete(socket))
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  cleanUps.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("no port")
  return address.port
}

const connect = (port: number): Net.Socket => {
  const socket = Net.connect({ port, host: "127.0.0.1", allowHalfOpen: true }).on("error", () => {})
  cleanUps.push(() => socket.destroy())
  return socket
}

/** Everything came back, and the command ends with 0 and says so. */
const endsClean = async (relay: RelayProcess): Promise<void> => {
  const { relay: { overdrafts }, server: { landing } } = await eventually(relay.stats, isAtRest, patienceMs)
  if (landing === "readiness") expect(overdrafts).toBe(0)
  const { code, output } = await relay.stop()
  expect(output).toContain("nothing leaked")
  expect(code).toBe(0)
}

const agree = (client: End, origin: End): boolean =>
  client.orderly && origin.orderly && client.received === origin.sent && origin.received === client.sent

/** What every fourth end sends is short, so that one side is half-closed for most of the exchange. */
const sizes = (most: number) => ({
  client: (id: number) => id % 4 === 1 ? most / 100 : most,
  origin: (id: number) => id % 4 === 2 ? most / 100 : most
})

describe.each(landings)("%s: both ways at once, in random chunks, with pauses and half-closes", (landing) => {
  const count = full ? 40 : 12
  const size = sizes(full ? 16_000_000 : 1_000_000)
  it.each([[64, 3], [3, 1]])(`${count} connections over %i buffers: every hash is right`, async (limit, reserve) => {
    const origin = await startOrigin(size.origin)
    cleanUps.push(origin.close)
    const relay = await relayTo(origin.port, landing, "--limit", `${limit}`, "--reserve", `${reserve}`)
    const ids = Array.from({ length: count }, (_, at) => seed + at)
    const ends = await Promise.all(ids.map(async (id) => ({
      client: await connectAndConverse(relay.port, id, size.client(id)),
      origin: await origin.end(id)
    })))
    expect(ends.filter(({ client, origin }) => agree(client, origin))).toHaveLength(count)
    const { pool, server } = await relay.stats()
    expect(pool.highWater).toBeLessThanOrEqual(limit)
    expect(server.landing).toBe(landing)
    await endsClean(relay)
  }, patienceMs)
})

describe.each(landings)("%s: killed in the middle", (landing) => {
  const kills = full ? 200 : 40
  it(`${kills} clients and origins: the other side sees a reset, the rest are complete`, async () => {
    const random = randomOf(seed)
    const size = sizes(300_000)
    const origin = await startOrigin(size.origin)
    cleanUps.push(origin.close)
    const relay = await relayTo(origin.port, landing, "--limit", "3", "--reserve", "1", "--buffer-size", "16 KiB")
    const kill = async (id: number): Promise<void> => {
      const victim = id % 2 === 0 ? "client" : "origin"
      const client = connectAndConverse(relay.port, id, size.client(id), (socket) => {
        let seen = 0
        const after = Math.floor(random() * 250_000)
        socket.on("data", (chunk) => {
          seen += chunk.length
          if (seen < after) return
          if (victim === "client") socket.resetAndDestroy()
          else for (const other of origin.sockets) if (random() < 0.3) other.resetAndDestroy()
        })
      })
      // Neither hangs, and whoever saw an orderly end has everything.
      const end = await client
      if (end.orderly) expect(end.receivedBytes).toBe(size.origin(id))
    }
    for (let at = 0; at < kills; at += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, i) => kill(seed + at + i)))
    }
    const { relay: { ended } } = await eventually(relay.stats, isAtRest, patienceMs)
    expect(ended["reset"]).toBeGreaterThan(kills / 4)
    await endsClean(relay)
  }, patienceMs)
})

describe.each(landings)("%s: slow and stuck peers", (landing) => {
  it("never-readers are evicted while healthy requests go on, and slow readers are not", async () => {
    const port = await serve((socket) => {
      socket.once("data", (chunk) => socket.end(chunk[0] === 1 ? Buffer.alloc(64, 7) : Buffer.alloc(8_000_000, 9)))
    })
    const relay = await relayTo(
      port,
      landing,
      "--limit",
      "16",
      "--stall-timeout",
      "3 seconds",
      "--stall-grace",
      "500 millis"
    )
    const stuck = Array.from({ length: 40 }, () => connect(relay.port))
    for (const socket of stuck) socket.pause().write(Buffer.of(2))
    const slow = Array.from({ length: 4 }, () => readSlowly(connect(relay.port), 100_000, full ? 20_000 : 8000))
    const healthy = await Promise.all(Array.from({ length: 50 }, () => ask(relay.port)))
    expect(healthy.filter((bytes) => bytes === 64)).toHaveLength(50)
    const evicted = await eventually(relay.stats, ({ relay: { ended } }) => (ended["stalled"] ?? 0) >= 10, patienceMs)
    expect(evicted.pool.used).toBeLessThanOrEqual(16)
    expect(await Promise.all(slow)).toEqual(Array.from({ length: 4 }, () => "still open"))
    for (const socket of stuck) socket.destroy()
    await endsClean(relay)
  }, patienceMs)

  it("50 of 50 new requests are answered while endless downloads keep every buffer busy", async () => {
    const port = await serve((socket) => {
      socket.once("data", (chunk) => {
        if (chunk[0] === 1) return socket.end(Buffer.alloc(64, 7))
        const piece = Buffer.alloc(256 * 1024, 3)
        const more = (): void => {
          while (!socket.destroyed && socket.write(piece)) { /* until it is full */ }
        }
        socket.on("drain", more)
        more()
      })
    })
    const relay = await relayTo(port, landing, "--limit", "16")
    const downloads = full ? 64 : 32
    const endless = Array.from({ length: downloads }, () => readSlowly(connect(relay.port), 500_000, patienceMs))
    await eventually(relay.stats, ({ pool }) => pool.used >= 12, patienceMs)
    const slowest: Array<number> = []
    for (let at = 0; at < 50; at += 10) {
      const started = performance.now()
      const answers = await Promise.all(Array.from({ length: 10 }, () => ask(relay.port)))
      slowest.push(performance.now() - started)
      expect(answers.filter((bytes) => bytes === 64)).toHaveLength(10)
    }
    console.log(`answered 50 of 50; slowest of each ten, in ms: ${slowest.map(Math.round).join(" ")}`)
    for (const cleanUp of cleanUps.splice(2)) await cleanUp()
    await Promise.all(endless)
    await endsClean(relay)
  }, patienceMs)
})

/** One small request: how many bytes came back before an orderly end, or -1. */
const ask = (port: number): Promise<number> =>
  new Promise((resolve) => {
    let bytes = 0
    const socket = connect(port)
    socket.on("data", (chunk) => bytes += chunk.length).on("end", () => socket.end()).on("close", (failed) => {
      resolve(failed ? -1 : bytes)
    })
    socket.write(Buffer.of(1))
  })

/** Reads at about that rate until `forMs` are over, or the connection is. */
const readSlowly = (socket: Net.Socket, bytesPerSecond: number, forMs: number): Promise<"still open" | "closed"> =>
  new Promise((resolve) => {
    const tickMs = 50
    let allowance = 0
    const timer = setInterval(() => {
      allowance = Math.min(allowance + bytesPerSecond * tickMs / 1000, bytesPerSecond)
      if (allowance > 0) socket.resume()
    }, tickMs)
    socket.on("data", (chunk) => {
      allowance -= chunk.length
      if (allowance <= 0) socket.pause()
    })
    const finish = (how: "still open" | "closed") => () => {
      clearInterval(timer)
      clearTimeout(end)
      resolve(how)
    }
    const end = setTimeout(() => {
      finish("still open")()
      socket.destroy()
    }, forMs)
    socket.once("close", finish("closed"))
    socket.write(Buffer.of(2))
  })

describe.each(landings)("%s: the smallest budget", (landing) => {
  it("120 of 120 concurrent downloads through three buffers are equal byte for byte", async () => {
    const content = Buffer.from(Uint8Array.from({ length: 64 * 1024 }, (_, at) => at * 31 % 251))
    const hash = createHash("sha256").update(content).digest("hex")
    const port = await serve((socket) => socket.once("data", () => socket.end(content)))
    const relay = await relayTo(port, landing, "--limit", "3", "--reserve", "1", "--buffer-size", "16 KiB")
    const download = (): Promise<string> =>
      new Promise((resolve) => {
        const received = createHash("sha256")
        const socket = connect(relay.port)
        socket.on("data", (chunk) => received.update(chunk)).on("end", () => {
          socket.end()
          resolve(received.digest("hex"))
        })
        socket.write("GET")
      })
    const hashes = await Promise.all(Array.from({ length: 120 }, download))
    expect(hashes.filter((received) => received === hash)).toHaveLength(120)
    await endsClean(relay)
  }, patienceMs)
})

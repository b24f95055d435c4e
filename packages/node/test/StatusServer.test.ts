/** The operator's view: what it says is true in all three forms, and it answers when nothing else does. */
import { assert, it } from "@effect/vitest"
import type { RelayServer } from "@headgate/node/RelayServer"
import * as StatusServer from "@headgate/node/StatusServer"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { AppletScheduler, BufferPool, Headgate } from "headgate"
import type * as Net from "node:net"
import { describe } from "vitest"
import {
  type Answer,
  conversation,
  echo,
  eventually,
  get,
  isAtRest,
  origin,
  page,
  type Picture,
  relay,
  saturate,
  settingsFor,
  textOf,
  to,
  writeEndlessly
} from "./relayInScope.ts"
import { client, directory, endpoint, event } from "./support.ts"

/** A relay before an origin that sends without end. */
const endless = (limit: number, reserve: number) =>
  Effect.gen(function*() {
    const target = textOf(yield* origin(writeEndlessly))
    return yield* relay(settingsFor([`127.0.0.1:0=${target}`], { limit, reserve }))
  })

const body = (answer: Answer | undefined): string => {
  assert.strictEqual(answer?.status, 200)
  return answer?.body ?? ""
}

/** Sends requests as they are, and reads nothing of the answers. */
const raw = (it: RelayServer, ...requests: ReadonlyArray<string>) =>
  Effect.tap(client(to(it.stats)), (socket) => Effect.sync(() => socket.write(requests.join(""))))

const askFor = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

const paths = ["/", "/stats.json", "/metrics", "/healthz", "/readyz"]

describe("with the default reserve", () => {
  it.live("it answers while the relay's own traffic has every buffer it can get", () =>
    Effect.gen(function*() {
      const it = yield* endless(5, 3)
      const stuck = yield* saturate(it, 8, 4)
      for (const _ of [1, 2, 3]) {
        for (const path of paths) assert.strictEqual((yield* page(it, path))?.status, 200, path)
      }
      const { pool }: Picture = JSON.parse(body(yield* page(it, "/stats.json")))
      assert.deepStrictEqual([pool.used, pool.classes.channel.waiting, pool.classes.tx.waiting], [4, 4, 0])
      for (const socket of stuck) socket.destroy()
      yield* eventually(it.picture, isAtRest)
    }))
})

describe("with a limit of 3 and a reserve of 1", () => {
  it.live("it waits at the head of all, and answers when the next buffer is given back", () =>
    Effect.gen(function*() {
      const it = yield* endless(3, 1)
      const stuck = yield* saturate(it, 6, 3)
      const asked = yield* Effect.forkChild(page(it, "/"), { startImmediately: true })
      yield* eventually(it.picture, ({ pool }) => pool.classes.tx.waiting === 1)
      assert.isUndefined(asked.pollUnsafe())
      // Any three of the six hold the buffers: sooner or later one of those is gone.
      stuck.slice(0, 4).forEach((socket) => socket.destroy())
      assert.match(body(yield* Fiber.join(asked)), /^buffers +3 of 3 lent/m)
      for (const socket of stuck) socket.destroy()
      yield* eventually(it.picture, isAtRest)
    }))

  it.live("probes are answered without a buffer", () =>
    Effect.gen(function*() {
      const it = yield* endless(3, 1)
      yield* saturate(it, 4, 3)
      assert.deepStrictEqual(yield* page(it, "/healthz"), plain(200, "ok"))
      assert.deepStrictEqual(yield* page(it, "/readyz"), plain(200, "ready"))
      assert.strictEqual((yield* it.picture).pool.classes.tx.waiting, 0)
    }))

  it.live("a client that goes away while it waits ends its stream and its applet at once", () =>
    Effect.gen(function*() {
      const it = yield* endless(3, 1)
      yield* saturate(it, 4, 3)
      const before = yield* it.picture
      const asked = yield* Effect.forEach([1, 2, 3], () => raw(it, askFor("/")))
      yield* eventually(it.picture, ({ pool }) => pool.classes.tx.waiting === 3)
      for (const socket of asked) socket.destroy()
      const after = yield* eventually(it.picture, ({ pool }) => pool.classes.tx.waiting === 0)
      assert.strictEqual(after.applets.entities, 0)
      assert.strictEqual(after.tasks.entities, before.tasks.entities)
      assert.strictEqual(after.pool.used, 3)
    }))

  it.effect("a page for which no buffer comes within 30 seconds is refused, and waits no more", () =>
    Effect.gen(function*() {
      const it = yield* endless(3, 1)
      yield* saturate(it, 4, 3)
      const asked = yield* Effect.forkChild(page(it, "/metrics"), { startImmediately: true })
      yield* eventually(it.picture, ({ pool }) => pool.classes.tx.waiting === 1)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* Fiber.join(asked), plain(503, "no buffer could be had within 30 seconds"))
      const { applets, pool } = yield* it.picture
      assert.deepStrictEqual([pool.classes.tx.waiting, applets.entities], [0, 0])
    }))
})

const plain = (status: number, text: string): Answer => ({
  status,
  type: "text/plain; charset=utf-8",
  body: `${text}\n`
})

/** A picture with something in every field that is shown: of a relay that is full, and has seen all kinds of ends. */
const eventful = Effect.gen(function*() {
  const it = yield* endless(3, 1)
  yield* saturate(it, 5, 3)
  const seen = yield* it.picture
  const picture: Picture = {
    ...seen,
    pool: { ...seen.pool, counters: { ...seen.pool.counters, handOffs: 41, passedOn: 42, creationsFailed: 43 } },
    relay: {
      ...seen.relay,
      overdraftBytes: 44 * 1024,
      overdraftHighWaterBytes: 45 * 1024,
      overdrafts: 46,
      requestBytes: 5555,
      ended: { completed: 1, reset: 2, idle: 3, queueTimeout: 4, stalled: 5, shutdown: 6 }
    },
    server: {
      ...seen.server,
      accepted: 99,
      pausesFull: 7,
      pausesFiles: 8,
      connectFailures: { refused: 9, timeout: 10, "a \"strange\\one\n": 11 }
    }
  }
  return picture
})

const poolSnapshot = BufferPool.snapshot
const appletSnapshot = Effect.flatMap(AppletScheduler, ({ snapshot }) => snapshot)

/** The status page of a picture, over a pool of its own. */
const statusOf = (look: Effect.Effect<Picture>, more: { readonly limit?: number; readonly bufferSize?: number } = {}) =>
  Effect.gen(function*() {
    const services = yield* Layer.build(Headgate.layer({ limit: 4, ...more }))
    const it = yield* Effect.provide(StatusServer.make({ _tag: "Tcp", host: undefined, port: 0 }, look), services)
    return { it, at: endpoint(it), services }
  })

interface Metric {
  readonly type: string
  readonly name: string
  readonly labels: string
  readonly value: number
}

/** The Prometheus text format 0.0.4, line by line; fails at the first line that is none. */
const parseMetrics = (text: string): ReadonlyArray<Metric> => {
  assert.isTrue(text.endsWith("\n"))
  const types = new Map<string, string>()
  const helped = new Set<string>()
  const found: Array<Metric> = []
  for (const line of text.slice(0, -1).split("\n")) {
    const [, help] = /^# HELP ([a-zA-Z_:][\w:]*) \S.*$/.exec(line) ?? []
    const [, typed, type] = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge)$/.exec(line) ?? []
    const label = /[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\n"])*"/.source
    const [, name, labels = "", value] =
      new RegExp(`^([a-zA-Z_:][\\w:]*)(?:\\{(${label}(?:,${label})*)\\})? (-?\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?)$`).exec(
        line
      ) ?? []
    if (help !== undefined) {
      assert.isFalse(helped.has(help), `a second HELP for ${help}`)
      helped.add(help)
    } else if (typed !== undefined && type !== undefined) {
      assert.isFalse(types.has(typed), `a second TYPE for ${typed}`)
      types.set(typed, type)
    } else {
      assert(name !== undefined, `not a line of Prometheus text: ${JSON.stringify(line)}`)
      assert.isTrue(helped.has(name) && types.has(name), `${name} is not introduced`)
      found.push({ type: types.get(name) ?? "", name, labels, value: Number(value) })
    }
  }
  return found
}

/** What the metrics must say of a picture: every sample there is, by name and labels. */
const expected = ({ applets, pool, relay, server, tasks }: Picture): { readonly [sample: string]: number } => ({
  "headgate_buffers_limit": pool.limit,
  "headgate_buffers_reserve": pool.reserve,
  "headgate_buffers_allocated": pool.allocated,
  "headgate_buffers_used": pool.used,
  "headgate_buffers_free": pool.free,
  "headgate_buffers_high_water": pool.highWater,
  "headgate_buffer_size_bytes": pool.bufferSize,
  ...Object.fromEntries(
    Object.entries(pool.classes).flatMap(([name, { lent, oldestWaitMs, waiting }]) => [
      [`headgate_waiting criticality="${name}"`, waiting],
      [`headgate_oldest_wait_seconds criticality="${name}"`, oldestWaitMs / 1000],
      [`headgate_buffers_lent criticality="${name}"`, lent]
    ])
  ),
  "headgate_takes_total": pool.counters.takes,
  "headgate_hand_offs_total": pool.counters.handOffs,
  "headgate_passed_on_total": pool.counters.passedOn,
  "headgate_declined_total": pool.counters.declined,
  "headgate_wakes_thrown_total": pool.counters.wakesThrown,
  "headgate_unavailable_total": pool.counters.unavailable,
  "headgate_refused_total": pool.counters.refused,
  "headgate_misuse_total": pool.counters.misuse,
  "headgate_leaks_total": pool.counters.leaks,
  "headgate_creations_failed_total": pool.counters.creationsFailed,
  "headgate_wait_seconds_total": pool.waits.totalMs / 1000,
  ...Object.fromEntries(
    Object.entries({ tasks, applets }).flatMap(([name, { entities, failed, runQueueLength, starts }]) => [
      [`headgate_run_queue_length scheduler="${name}"`, runQueueLength],
      [`headgate_entities scheduler="${name}"`, entities],
      [`headgate_runs_total scheduler="${name}"`, starts],
      [`headgate_entities_failed_total scheduler="${name}"`, failed]
    ])
  ),
  "headgate_connections": relay.connections,
  "headgate_waiting_directions": relay.waitingDirections,
  "headgate_overdraft_bytes": relay.overdraftBytes,
  "headgate_overdraft_high_water_bytes": relay.overdraftHighWaterBytes,
  "headgate_overdrafts_total": relay.overdrafts,
  "headgate_relayed_bytes_total direction=\"request\"": relay.requestBytes,
  "headgate_relayed_bytes_total direction=\"response\"": relay.responseBytes,
  ...Object.fromEntries(
    Object.entries(relay.ended).map(([end, count]) => [`headgate_connections_ended_total end="${end}"`, count])
  ),
  "headgate_connect_failures_total cause=\"refused\"": 9,
  "headgate_connect_failures_total cause=\"timeout\"": 10,
  "headgate_connect_failures_total cause=\"a \\\"strange\\\\one\\n\"": 11,
  "headgate_accepted_total": server.accepted,
  "headgate_accepted_open": server.open,
  "headgate_accept_pauses_total cause=\"full\"": server.pausesFull,
  "headgate_accept_pauses_total cause=\"files\"": server.pausesFiles,
  "process_resident_memory_bytes": server.rssBytes
})

describe("the three forms", () => {
  it.live("/metrics is Prometheus text, counters end in _total, and its values are those of /stats.json", () =>
    Effect.gen(function*() {
      const { at } = yield* statusOf(Effect.succeed(yield* eventful))
      const picture: Picture = JSON.parse(body(yield* get(at, "/stats.json")))
      const answer = yield* get(at, "/metrics")
      assert.strictEqual(answer?.type, "text/plain; version=0.0.4; charset=utf-8")
      const metrics = parseMetrics(body(answer))
      for (const { name, type } of metrics) assert.strictEqual(name.endsWith("_total"), type === "counter", name)
      const values = metrics.map(({ labels, name, value }) => [labels === "" ? name : `${name} ${labels}`, value])
      assert.deepStrictEqual(Object.fromEntries(values), expected(picture))
      assert.lengthOf(values, Object.keys(expected(picture)).length)
    }))

  it.live("/stats.json is the picture, whole", () =>
    Effect.gen(function*() {
      const picture = yield* eventful
      const { at } = yield* statusOf(Effect.succeed(picture))
      const answer = yield* get(at, "/stats.json?now")
      assert.strictEqual(answer?.type, "application/json")
      assert.deepStrictEqual(JSON.parse(body(answer)), JSON.parse(JSON.stringify(picture)))
    }))

  it.live("/ says pool, queue per class with its oldest wait, hand-offs, connections, evictions, overdraft", () =>
    Effect.gen(function*() {
      const seen = yield* eventful
      const { channel } = seen.pool.classes
      const classes = { ...seen.pool.classes, channel: { ...channel, oldestWaitMs: 12_340 } }
      const { at } = yield* statusOf(Effect.succeed({ ...seen, pool: { ...seen.pool, classes } }))
      const text = body(yield* get(at, "/"))
      for (
        const line of [
          /^buffers +3 of 3 lent, 3 exist, 3 at most so far$/m,
          /^budget +192 KiB \(3 x 64 KiB\)$/m,
          /^reserve +1$/m,
          /^tx +0 +0 +-$/m,
          /^channel +3 +2 +12\.3 s$/m,
          /^hand-offs +41$/m,
          /^connections +5 open, 2 directions wait for a buffer$/m,
          /^accepted +99, 5 open; paused 7 times when full, 8 for want of files$/m,
          /^evicted +5 that took nothing while others waited$/m,
          /^no target: refused +9$/m,
          /^overdraft +44 KiB now, 45 KiB at most so far$/m,
          /^landing +plain$/m,
          /^listening +127\.0\.0\.1:\d+$/m
        ]
      ) assert.match(text, line)
    }))

  it.live("a page is made by an applet, through buffers however small", () =>
    Effect.gen(function*() {
      const picture = yield* eventful
      const { at, services } = yield* statusOf(Effect.succeed(picture), { bufferSize: 7 })
      assert.deepStrictEqual(JSON.parse(body(yield* get(at, "/stats.json"))), JSON.parse(JSON.stringify(picture)))
      const look = Effect.provide(Effect.all({ pool: poolSnapshot, applets: appletSnapshot }), services)
      const { applets, pool } = yield* eventually(
        look,
        ({ applets, pool }) => applets.entities === 0 && pool.used === 0
      )
      assert.isAtLeast(applets.starts, JSON.stringify(picture).length / 7)
      assert.strictEqual(pool.highWater, 1)
    }))
})

describe("requests", () => {
  const cases: ReadonlyArray<
    readonly [what: string, path: string, options: { method?: string; host?: string }, status: number]
  > = [
    ["another site's name", "/", { host: "evil.example" }, 421],
    ["another site's name, for a probe", "/healthz", { host: "evil.example:8404" }, 421],
    ["a name that only begins like loopback", "/", { host: "127.0.0.1.evil.example" }, 421],
    ["another address", "/", { host: "192.0.2.1" }, 421],
    ["localhost", "/", { host: "LOCALHOST:1" }, 200],
    ["IPv6 loopback", "/", { host: "[::1]:8404" }, 200],
    ["a method that changes things", "/", { method: "POST" }, 405],
    ["a path that is not there", "/nothing", {}, 404],
    ["the head alone", "/metrics", { method: "HEAD" }, 200]
  ]
  it.live("that name another host, method or path are refused", () =>
    Effect.gen(function*() {
      const it = yield* endless(4, 3)
      for (const [what, path, options, status] of cases) {
        assert.strictEqual((yield* get(to(it.stats), path, options))?.status, status, what)
      }
      yield* eventually(it.picture, isAtRest)
    }))

  it.live("by any address are answered where it listens on all, and by no other name", () =>
    Effect.gen(function*() {
      const target = textOf(yield* origin(echo))
      const stats = { _tag: "Tcp", host: "0.0.0.0", port: 0 } as const
      const it = yield* relay(settingsFor([`127.0.0.1:0=${target}`], { stats }))
      const statuses = yield* Effect.forEach(
        ["192.0.2.1:80", "[2001:db8::1]:80", "evil.example", "192.0.2.1.example", "1:2"],
        (host) => Effect.map(get(to(it.stats), "/", { host }), (answer) => answer?.status)
      )
      assert.deepStrictEqual(statuses, [200, 200, 421, 421, 421])
    }))

  it.live("reach it on a Unix socket, and on loopback alone when no host is named", () =>
    Effect.gen(function*() {
      const path = `${yield* directory}/stats.sock`
      const target = textOf(yield* origin(echo))
      const it = yield* relay(settingsFor([`127.0.0.1:0=${target}`], { stats: { _tag: "Unix", path } }))
      assert.strictEqual((yield* get({ path }, "/healthz"))?.status, 200)
      assert.deepStrictEqual(it.stats, { _tag: "Unix", path })
      const { stats } = yield* relay(settingsFor([`127.0.0.1:0=${target}`]))
      assert.strictEqual(stats?._tag === "Tcp" && stats.host, "127.0.0.1")
    }))

  it.live("sent behind another one on the same connection hold nothing", () =>
    Effect.gen(function*() {
      const it = yield* endless(4, 3)
      const answers = yield* Effect.forEach(Array.from({ length: 20 }), () =>
        Effect.flatMap(raw(it, askFor("/"), askFor("/"), askFor("/metrics")), (socket) =>
          Effect.promise(() =>
            conversation(socket)
          )))
      assert.isTrue(answers.every(({ text }) => text.split("HTTP/1.1 200").length === 2 && text.endsWith("0\r\n\r\n")))
      yield* eventually(it.picture, isAtRest)
      assert.strictEqual((yield* page(it, "/"))?.status, 200)
    }))

  it.live("beyond sixteen pages at once are refused, probes are not", () =>
    Effect.gen(function*() {
      const it = yield* endless(3, 1)
      yield* saturate(it, 3, 3)
      const asked = yield* Effect.forEach(Array.from({ length: 16 }), () => raw(it, askFor("/")))
      yield* eventually(it.picture, ({ pool }) => pool.classes.tx.waiting === 16)
      assert.deepStrictEqual(yield* page(it, "/"), plain(503, "too many requests for the status page at once"))
      assert.deepStrictEqual(yield* page(it, "/healthz"), plain(200, "ok"))
      for (const socket of asked) socket.destroy()
      yield* eventually(it.picture, ({ pool }) => pool.classes.tx.waiting === 0)
    }))

  /** A page that the kernel cannot take at once: asked for by a client that reads nothing, until it is stuck in a write. */
  const stuckPage = Effect.gen(function*() {
    const picture = yield* eventful
    const long = { ...picture, server: { ...picture.server, listening: ["x".repeat(32 * 1024 * 1024)] } }
    const { at, services } = yield* statusOf(Effect.succeed(long), { limit: 2 })
    const socket = yield* client(at)
    socket.write(askFor("/"))
    const pool = Effect.provide(poolSnapshot, services)
    let takes = -1
    let still = 0
    yield* eventually(pool, ({ counters, holders }) => {
      still = counters.takes === takes && holders[0]?.pins === 1 ? still + 1 : 0
      takes = counters.takes
      return still === 10
    })
    return { pool, services, socket }
  })

  /** What came is the beginning of an answer, and to be seen as no more: its last chunk is missing. */
  const isCutShort = (socket: Net.Socket) =>
    Effect.map(Effect.promise(() => conversation(socket)), ({ text }) => {
      assert.match(text, /^HTTP\/1\.1 200/)
      assert.isFalse(text.endsWith("0\r\n\r\n"))
    })

  it.effect("of a client that reads nothing are dropped after 5 seconds, and their buffer comes back", () =>
    Effect.gen(function*() {
      const { pool, socket } = yield* stuckPage
      yield* TestClock.adjust("5 seconds")
      yield* eventually(pool, ({ used }) => used === 0)
      yield* isCutShort(socket)
    }))

  it.effect("whose next buffer does not come within 30 seconds are cut short, and look it", () =>
    Effect.gen(function*() {
      const { pool, services, socket } = yield* stuckPage
      const acquire = Effect.provide(BufferPool.acquire("tx"), services)
      yield* acquire
      const next = yield* Effect.forkChild(acquire, { startImmediately: true })
      const seen = yield* Effect.forkChild(isCutShort(socket), { startImmediately: true })
      yield* Fiber.join(next)
      yield* eventually(pool, ({ classes }) => classes.tx.waiting === 1)
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(seen)
      assert.strictEqual((yield* pool).classes.tx.waiting, 0)
    }))

  it.live("in flight end with the server, and leave nothing behind", () =>
    Effect.gen(function*() {
      const services = yield* Layer.build(Headgate.layer({ limit: 2 }))
      const scope = yield* Scope.make()
      const look = Effect.never
      const address = { _tag: "Tcp", host: "127.0.0.1", port: 0 } as const
      const it = yield* Effect.provide(Scope.provide(StatusServer.make(address, look), scope), services)
      const socket = yield* client(endpoint(it))
      const received = event(it, "request")
      socket.write(askFor("/"))
      yield* received
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.promise(() => conversation(socket))).text, "")
      const { entities } = yield* Effect.provide(appletSnapshot, services)
      assert.strictEqual(entities, 0)
    }))
})

describe("/readyz", () => {
  it.live("turns 503 while connections drain, /healthz does not, and the page goes on until the drain is over", () =>
    Effect.gen(function*() {
      const it = yield* relay(settingsFor([`127.0.0.1:0=${textOf(yield* origin(echo))}`]))
      assert.deepStrictEqual(yield* page(it, "/readyz"), plain(200, "ready"))
      const open = yield* client(to(it.listening[0]))
      open.write("hello")
      yield* event(open, "readable")
      const drained = yield* Effect.forkChild(it.drain, { startImmediately: true })
      assert.deepStrictEqual(yield* page(it, "/readyz"), plain(503, "not accepting"))
      assert.deepStrictEqual(yield* page(it, "/healthz"), plain(200, "ok"))
      const { relay: { connections } }: Picture = JSON.parse(body(yield* page(it, "/stats.json")))
      assert.strictEqual(connections, 1)
      assert.isUndefined(drained.pollUnsafe())
      open.end()
      open.resume()
      yield* Fiber.join(drained)
      assert.deepStrictEqual(yield* page(it, "/readyz"), plain(503, "not accepting"))
    }))
})

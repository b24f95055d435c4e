/**
 * The relay of a soak, a process of its own: the library's `RelayServer`, as the command runs it, and a channel through which
 * it is resized and looked at.
 *
 * Invariant: nothing here is between the sockets and the library. What is looked at is looked at four times a second, from
 * inside, so that no wait of more than that goes unseen.
 */
import { runMain } from "@effect/platform-node/NodeRuntime"
import { Deferred, Effect, Exit, Logger, Result, Schedule, Scope } from "effect"
import { BufferPool } from "headgate"
import * as Fs from "node:fs"
import { settingsOf } from "../src/RelayFlags.ts"
import * as RelayServer from "../src/RelayServer.ts"
import { Lateness } from "./lateness.ts"
import { answer, optionsOf, RelayOptions, RelayQuestion, type RelaySample, release, tell } from "./talk.ts"
import { Waits } from "./waits.ts"

const { landing, limit, originPort, reserve, times } = optionsOf(RelayOptions)

const ms = (count: number): string => `${count} millis`

const settings = Result.getOrThrow(settingsOf({
  listen: ["127.0.0.1:0"],
  target: `127.0.0.1:${originPort}`,
  limit: `${limit}`,
  reserve: `${reserve}`,
  stallTimeout: ms(times.stallTimeoutMs),
  stallGrace: ms(times.stallGraceMs),
  queueTimeout: ms(times.queueTimeoutMs),
  // A machine that does much else answers late; who is refused is refused at once.
  connectTimeout: "1 minute",
  drainTimeout: ms(1000),
  landing
}))

/** The largest send buffer that the kernel grows to; elsewhere as much as Linux does. */
const sendBufferBytes = (): number => {
  const file = "/proc/sys/net/ipv4/tcp_wmem"
  return Fs.existsSync(file) ? Number(Fs.readFileSync(file, "utf8").trim().split(/\s+/)[2]) : 4 * 1024 ** 2
}

/** What the relay says of itself must not be an error. */
const logger = Logger.make(({ cause, logLevel, message }) => {
  if (logLevel === "Error" || logLevel === "Fatal") tell(`says: ${String(message)} ${String(cause)}`)
})

type Picture = Effect.Success<RelayServer.RelayServer["picture"]>

const leftOf = ({ pool, relay, server, tasks }: Picture): RelaySample["left"] => ({
  "buffers lent": pool.used,
  "grants and waiters": pool.waiting.length,
  "connections": server.open + relay.connections,
  "directions waiting": relay.waitingDirections,
  "bytes of overdraft": relay.overdraftBytes,
  "entities": tasks.entities
})

/** Of its own pages, where the system tells them apart: those of the program's file come and go as the system likes. */
const ownResidentBytes = (): number | undefined => {
  const file = "/proc/self/status"
  const kib = Fs.existsSync(file) ? /^RssAnon:\s+(\d+) kB$/m.exec(Fs.readFileSync(file, "utf8"))?.[1] : undefined
  return kib === undefined ? undefined : Number(kib) * 1024
}

const memory = (): { readonly heapBytes: number; readonly rssBytes: number } => {
  globalThis.gc?.()
  const { heapUsed, rss } = process.memoryUsage()
  return { heapBytes: heapUsed, rssBytes: ownResidentBytes() ?? rss }
}

const program = Effect.gen(function*() {
  const pool = yield* BufferPool
  const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
  const server = yield* Scope.provide(RelayServer.make(settings), scope)
  const used = (yield* server.picture).server.landing
  if (used !== landing) tell(`its landing is ${used}, not ${landing}`)
  const lateness = yield* Effect.acquireRelease(Effect.sync(() => new Lateness()), (it) => Effect.sync(() => it.stop()))
  const waits = new Waits({ times, sendBufferBytes: sendBufferBytes(), lateSinceMs: (at) => lateness.sinceMs(at) })
  const look = Effect.map(pool.snapshot, (seen) => {
    for (const wrong of waits.look({ ...seen, takes: seen.counters.takes }, performance.now())) tell(wrong)
  })
  const looking = Effect.tapDefect(
    Effect.repeat(look, Schedule.spaced("250 millis")),
    (defect) => Effect.sync(() => tell(`nobody looks at the waits any more: ${String(defect)}`))
  )
  yield* Effect.forkScoped(looking)

  const resize = (limit: number) =>
    Effect.gen(function*() {
      waits.shrinks((yield* pool.snapshot).used - limit)
      yield* pool.resize(limit)
      return {}
    })

  const sample = Effect.gen(function*() {
    const picture = yield* server.picture
    const { pool: { allocated, limit, used }, relay: { ended } } = picture
    const { nearest: nearestToBound, oldestMs: oldestWaitMs } = waits
    waits.oldestMs = 0
    const seen: RelaySample = {
      ended,
      oldestWaitMs,
      nearestToBound,
      used,
      allocated,
      limit,
      left: leftOf(picture),
      ...memory()
    }
    return seen
  })

  const stopped = yield* Deferred.make<void>()
  /** In the command's order: no more connections, then none at all, then the account. */
  const stop = Effect.gen(function*() {
    yield* server.drain
    yield* Scope.close(scope, Exit.void)
    const { used } = yield* pool.snapshot.pipe(
      Effect.repeat({ until: ({ used }) => used === 0, times: 100, schedule: Schedule.spaced("20 millis") }),
      Effect.andThen(pool.snapshot)
    )
    if (used > 0) process.exitCode = 1
    yield* Deferred.succeed(stopped, undefined)
    release()
    return { says: used === 0 ? "nothing leaked" : `leaked: ${used} buffers are still lent` }
  })

  const run = Effect.runPromiseWith(yield* Effect.context<never>())
  const listening = server.listening[0]
  answer(RelayQuestion, (question): Promise<object> => {
    switch (question.do) {
      case "listen":
        return Promise.resolve({ port: listening?._tag === "Tcp" ? listening.port : 0 })
      case "resize":
        return run(resize(question.limit))
      case "sample":
        return run(sample)
      case "stop":
        return run(stop)
    }
  })
  yield* Deferred.await(stopped)
})

runMain(
  Effect.scoped(program).pipe(Effect.provide(RelayServer.layer(settings)), Effect.provide(Logger.layer([logger])))
)

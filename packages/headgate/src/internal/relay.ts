/**
 * The relay: its connections, the turns they share, and the one sweep that enforces every bound on waiting.
 *
 * Invariant: a connection is in `connections` exactly until its outcome is known, and each wait in it has a bound that the
 * sweep looks after: for a buffer (`queueTimeout`), for a peer that takes nothing while others wait (the stall policy), for
 * anything at all (`idleTimeout`).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import { BufferPool } from "../BufferPool.ts"
import * as ByteStream from "../ByteStream.ts"
import type { Peer } from "../Peer.ts"
import { BufferMisuse, type ConfigError } from "../PoolError.ts"
import type { Relay, RelayEnd, RelayOptions, RelayOutcome, RelaySnapshot } from "../Relay.ts"
import { victims } from "../StallPolicy.ts"
import { TaskScheduler } from "../TaskScheduler.ts"
import { BrokenInvariant } from "./assert.ts"
import { Connection, type Direction, type Shared } from "./connection.ts"
import { durationMs, failOn, problemsOf, relayRules } from "./options.ts"

const sweepEveryMs = 250
/** Writes in flight are sampled so often, even when nobody waits: sampling only under shortage would kill slow readers. */
const sampleEveryMs = 1000

interface Settings {
  readonly idleTimeoutMs: number
  readonly queueTimeoutMs: number
  readonly stallTimeoutMs: number
  readonly stallGraceMs: number
  readonly turnBytes: number
  readonly sampleUnsent: (peers: ReadonlyArray<Peer>) => void
}

const settingsOf = (options: RelayOptions): Settings => ({
  idleTimeoutMs: durationMs(options.idleTimeout ?? 5 * 60_000),
  queueTimeoutMs: durationMs(options.queueTimeout ?? 2 * 60_000),
  stallTimeoutMs: durationMs(options.stallTimeout ?? 30_000),
  stallGraceMs: durationMs(options.stallGrace ?? 1000),
  turnBytes: options.turnBytes ?? 256 * 1024,
  sampleUnsent: options.sampleUnsent ?? (() => {})
})

class RelayImpl {
  private readonly settings: Settings
  private readonly pool: BufferPool["Service"]
  private readonly connections = new Set<Connection>()
  private readonly turns: Turns
  private readonly shared: Shared
  private readonly clock: Clock.Clock
  private readonly ended: { [End in RelayEnd]: number } = {
    completed: 0,
    reset: 0,
    idle: 0,
    queueTimeout: 0,
    stalled: 0,
    shutdown: 0
  }
  private readonly bytes = { request: 0, response: 0 }
  private overdraftBytes = 0
  private overdraftHighWaterBytes = 0
  private overdrafts = 0
  private sweptAt: number
  private sampledAt = 0
  private readonly log: (line: Effect.Effect<void>) => void
  private readonly provide: <A, E, R>(
    effect: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, Exclude<Exclude<R, BufferPool>, TaskScheduler>>

  constructor(
    settings: Settings,
    pool: BufferPool["Service"],
    tasks: TaskScheduler["Service"],
    clock: Clock.Clock,
    dispatcher: Scheduler.SchedulerDispatcher,
    log: (line: Effect.Effect<void>) => void
  ) {
    this.settings = settings
    this.pool = pool
    this.clock = clock
    this.log = log
    this.turns = new Turns(dispatcher)
    this.sweptAt = clock.currentTimeMillisUnsafe()
    this.provide = (effect) =>
      effect.pipe(Effect.provideService(BufferPool, pool), Effect.provideService(TaskScheduler, tasks))
    this.shared = {
      turnBytes: settings.turnBytes,
      stallGraceMs: settings.stallGraceMs,
      now: () => clock.currentTimeMillisUnsafe(),
      turn: () => this.turns.current(),
      nextTurn: (direction) => this.turns.resume(direction),
      pin: pool.pinUnsafe,
      unpin: pool.unpinUnsafe,
      moved: (side, bytes) => {
        this.bytes[side] += bytes
      },
      overdraft: (bytes) => this.countOverdraft(bytes),
      ended: (connection, end) => this.forget(connection, end)
    }
  }

  readonly run = (client: Peer, target: Peer): Effect.Effect<RelayOutcome> =>
    Effect.suspend(() => {
      let connection: Connection | undefined = undefined
      const life = Effect.gen({ self: this }, function*() {
        const stream: ByteStream.ByteStream = yield* ByteStream.make({
          name: client.label,
          process: () => Effect.sync(() => connection?.pump())
        })
        const made = new Connection(this.shared, stream, client, target)
        connection = made
        this.connections.add(made)
        made.start()
        yield* stream.await
        return yield* Effect.fromNullishOr(made.outcome).pipe(Effect.orDie)
      })
      return Effect.onExitPrimitive(this.provide(Effect.scoped(life)), () => {
        connection?.finish("shutdown", undefined)
        return undefined
      })
    })

  readonly snapshot: Effect.Effect<RelaySnapshot> = Effect.sync(() => ({
    connections: this.connections.size,
    waitingDirections: [...this.directions()].filter(({ waitingSince }) => waitingSince !== undefined).length,
    overdraftBytes: this.overdraftBytes,
    overdraftHighWaterBytes: this.overdraftHighWaterBytes,
    overdrafts: this.overdrafts,
    requestBytes: this.bytes.request,
    responseBytes: this.bytes.response,
    ended: { ...this.ended }
  }))

  /** One look at every connection. O(connections). */
  readonly sweep: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.clock.currentTimeMillisUnsafe()
    const sinceLastMs = now - this.sweptAt
    this.sweptAt = now
    const { oldestWaitMs, queued } = this.pool.waitQueue.pressureUnsafe()
    const isShort = oldestWaitMs >= this.settings.stallGraceMs
    if (isShort || now - this.sampledAt >= sampleEveryMs) this.sample(now)
    const evicted = isShort ? this.evict(now, queued) : 0
    for (const connection of this.connections) this.expire(connection, now, sinceLastMs)
    if (evicted === 0) return Effect.void
    return Effect.logWarning(
      `reset ${evicted} connections whose peers took nothing for ${this.settings.stallTimeoutMs} ms, while ${queued} waited`
    )
  })

  /** Refreshes what is known of those whose write is long in flight, and of those that have been quiet for long. */
  private sample(now: number): void {
    this.sampledAt = now
    const isSlow = (direction: Direction) => direction.progress.inFlightMs(now) > this.settings.stallGraceMs
    const isQuiet = (connection: Connection) => now - connection.lastActivityAt >= this.settings.idleTimeoutMs / 2
    const watched = [...this.directions()].filter((direction) => isSlow(direction) || isQuiet(direction.connection))
    if (watched.length === 0) return
    this.settings.sampleUnsent(watched.map(({ sink }) => sink))
    for (const direction of watched) if (direction.look(now)) direction.connection.lastActivityAt = now
  }

  private evict(now: number, queued: number): number {
    const candidates = [...this.directions()].map((direction) => ({
      direction,
      stalledMs: direction.progress.stalledMs(now)
    }))
    const before = this.ended.stalled
    for (const { direction } of victims(candidates, this.settings.stallTimeoutMs, queued)) {
      direction.connection.finish("stalled", undefined)
    }
    return this.ended.stalled - before
  }

  private expire(connection: Connection, now: number, sinceLastMs: number): void {
    const since = connection.directions.flatMap(({ waitingSince }) => waitingSince ?? [])
    if (since.length === 0) {
      if (now - connection.lastActivityAt >= this.settings.idleTimeoutMs) connection.finish("idle", undefined)
      return
    }
    // Who waits for a buffer is not idle: the clock stands.
    connection.lastActivityAt += sinceLastMs
    if (now - Math.min(...since) >= this.settings.queueTimeoutMs) connection.finish("queueTimeout", undefined)
  }

  private *directions(): Generator<Direction> {
    for (const connection of this.connections) yield* connection.directions
  }

  private countOverdraft(bytes: number): void {
    this.overdraftBytes += bytes
    if (bytes > 0) this.overdrafts++
    this.overdraftHighWaterBytes = Math.max(this.overdraftHighWaterBytes, this.overdraftBytes)
  }

  private forget(connection: Connection, end: RelayEnd): void {
    this.connections.delete(connection)
    this.ended[end]++
    const cause = connection.outcome?.cause
    if (cause instanceof BrokenInvariant || cause instanceof BufferMisuse) {
      this.log(Effect.logError(`a connection of ${connection.client.label} broke; it was reset`, cause))
    }
  }
}

/** Turns of the event loop: who has moved its share of bytes in one goes on in the next. */
class Turns {
  private number = 1
  private isAsked = false
  private readonly stopped = new Set<Direction>()
  private readonly dispatcher: Scheduler.SchedulerDispatcher

  constructor(dispatcher: Scheduler.SchedulerDispatcher) {
    this.dispatcher = dispatcher
  }

  current(): number {
    this.ask()
    return this.number
  }

  resume(direction: Direction): void {
    this.stopped.add(direction)
    this.ask()
  }

  private ask(): void {
    if (this.isAsked) return
    this.isAsked = true
    this.dispatcher.scheduleTask(() => this.next(), 0)
  }

  private next(): void {
    this.isAsked = false
    this.number++
    const stopped = [...this.stopped]
    this.stopped.clear()
    for (const direction of stopped) direction.pump()
  }
}

export const make = (
  options: RelayOptions
): Effect.Effect<Relay["Service"], ConfigError, BufferPool | TaskScheduler | Scope.Scope> =>
  Effect.gen(function*() {
    yield* failOn(problemsOf(options, relayRules))
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const scheduler = yield* Scheduler.Scheduler
    const relay = new RelayImpl(
      settingsOf(options),
      yield* BufferPool,
      yield* TaskScheduler,
      yield* Clock.Clock,
      scheduler.makeDispatcher(),
      (line) => fork(line)
    )
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(sweepEveryMs), relay.sweep)))
    return relay
  })

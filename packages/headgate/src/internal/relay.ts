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
import type { Peer } from "../Peer.ts"
import type { ConfigError } from "../PoolError.ts"
import type { Relay, RelayEnd, RelayOptions, RelayOutcome, RelaySnapshot } from "../Relay.ts"
import { victims } from "../StallPolicy.ts"
import { TaskScheduler } from "../TaskScheduler.ts"
import { Connection, type Direction, type Shared } from "./connection.ts"
import { List, push, toArray, unlink } from "./list.ts"
import { durationMs, failOn, problemsOf, relayRules } from "./options.ts"

const sweepEveryMs = 250
/** Writes in flight are sampled so often, even when nobody waits: sampling only under shortage would kill slow readers. */
const sampleEveryMs = 1000
/** Who has been quiet for this part of `idleTimeout` is sampled too, while the operating system still has bytes of it. */
const quietPart = 1 / 8

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
  /** No `Set`: the tables that one outgrows keep what is in the later ones alive until a full collection. */
  private readonly connections = new List<Connection>()
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
  private requestBytes = 0
  private responseBytes = 0
  private overdraftBytes = 0
  private overdraftHighWaterBytes = 0
  private overdrafts = 0
  private sweptAt: number
  private sampledAt: number
  private hasFailedToSample = false
  private isClosed = false
  private readonly log: (line: Effect.Effect<void>) => void

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
    this.sweptAt = this.sampledAt = clock.currentTimeMillisUnsafe()
    this.shared = {
      pool,
      tasks,
      turnBytes: settings.turnBytes,
      stallGraceMs: settings.stallGraceMs,
      now: () => clock.currentTimeMillisUnsafe(),
      turn: () => this.turns.number,
      askForTurn: () => this.turns.ask(),
      nextTurn: (direction) => this.turns.resume(direction),
      moved: (side, bytes) => {
        if (side === "request") this.requestBytes += bytes
        else this.responseBytes += bytes
      },
      overdraft: (bytes) => this.countOverdraft(bytes),
      isShort: () => pool.waitQueue.pressureUnsafe().queued > 0,
      broke: ({ client }, error) =>
        this.log(Effect.logError(`a connection of ${client.label} broke; it was reset`, error)),
      ended: (connection, end) => {
        unlink(connection)
        this.ended[end]++
      }
    }
  }

  /** A connection that exists has both peers, and is finished if whoever waits for it is interrupted. */
  readonly run = (client: Peer, target: Peer): Effect.Effect<RelayOutcome> =>
    Effect.callback((resume) => {
      const stop = this.runUnsafe(client, target, (outcome) => resume(Effect.succeed(outcome)))
      return Effect.sync(stop)
    })

  readonly runUnsafe = (client: Peer, target: Peer, tell: (outcome: RelayOutcome) => void): () => void => {
    const connection = this.connect(client, target)
    // By the dispatcher: never inside the step that ended it.
    connection.whenOver((outcome) => this.turns.later(() => tell(outcome)))
    return () => connection.finish("shutdown", undefined)
  }

  /** Ends all connections, and those still to come. */
  readonly close: Effect.Effect<void> = Effect.sync(() => {
    this.isClosed = true
    for (const connection of toArray(this.connections)) connection.finish("shutdown", undefined)
  })

  readonly snapshot: Effect.Effect<RelaySnapshot> = Effect.sync(() => ({
    connections: this.connections.length,
    waitingDirections: this.directions(({ waitingSince }) => waitingSince !== undefined).length,
    overdraftBytes: this.overdraftBytes,
    overdraftHighWaterBytes: this.overdraftHighWaterBytes,
    overdrafts: this.overdrafts,
    requestBytes: this.requestBytes,
    responseBytes: this.responseBytes,
    ended: { ...this.ended }
  }))

  /** One look at every connection. O(connections). */
  readonly sweep: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.clock.currentTimeMillisUnsafe()
    const sinceLastMs = now - this.sweptAt
    this.sweptAt = now
    for (const connection of toArray(this.connections)) this.noteMoves(connection, now)
    const { oldestWaitMs, queued } = this.pool.waitQueue.pressureUnsafe()
    const isShort = oldestWaitMs >= this.settings.stallGraceMs
    const everyMs = isShort ? 0 : Math.min(sampleEveryMs, this.settings.idleTimeoutMs * quietPart)
    if (now - this.sampledAt >= everyMs) this.sample(now)
    const evicted = isShort ? this.evict(now, queued) : 0
    for (const connection of toArray(this.connections)) this.expire(connection, now, sinceLastMs)
    if (evicted === 0) return Effect.void
    return Effect.logWarning(
      `reset ${evicted} connections whose peers took nothing for ${this.settings.stallTimeoutMs} ms, while ${queued} waited`
    )
  })

  /**
   * Refreshes what is known of those whose write is long in flight or makes no progress, and of those that have been quiet
   * for some time while the operating system has bytes of theirs: it may be delivering them.
   */
  private sample(now: number): void {
    this.sampledAt = now
    // The last activity may have been a sweep earlier than is known.
    const quietMs = Math.max(1, this.settings.idleTimeoutMs * quietPart - sweepEveryMs)
    const watched = this.directions((direction) =>
      Math.max(direction.progress.inFlightMs(now), direction.progress.stalledMs(now)) > this.settings.stallGraceMs ||
      (now - direction.connection.lastActivityAt >= quietMs && !direction.isSettled)
    )
    if (watched.length === 0) return
    this.refresh(watched.map(({ sink }) => sink))
    for (const direction of watched) this.look(direction, now)
  }

  /** A sample that cannot be had is as good as an old one, and must not stop the sweep. */
  private refresh(peers: ReadonlyArray<Peer>): void {
    try {
      this.settings.sampleUnsent(peers)
    } catch (error) {
      if (!this.hasFailedToSample) this.log(Effect.logError("sampleUnsent threw; this is reported once", error))
      this.hasFailedToSample = true
    }
  }

  private look(direction: Direction, now: number): void {
    try {
      if (direction.look(now)) direction.connection.lastActivityAt = now
    } catch (error) {
      direction.connection.broke(error)
    }
  }

  private evict(now: number, queued: number): number {
    const inFlight = this.directions(({ progress }) => progress.inFlightSince !== undefined)
    const candidates = inFlight.map((direction) => ({ direction, stalledMs: direction.progress.stalledMs(now) }))
    const before = this.ended.stalled
    for (const { direction } of victims(candidates, this.settings.stallTimeoutMs, queued)) {
      direction.connection.finish("stalled", undefined)
    }
    return this.ended.stalled - before
  }

  /** Later than the bytes by less than a sweep: nobody is taken for idle too early. */
  private noteMoves(connection: Connection, now: number): void {
    if (!connection.hasMoved) return
    connection.hasMoved = false
    connection.lastActivityAt = now
  }

  private expire(connection: Connection, now: number, sinceLastMs: number): void {
    const { lastActivityAt, waitingSince } = connection
    if (waitingSince === undefined) {
      if (now - lastActivityAt >= this.settings.idleTimeoutMs) connection.finish("idle", undefined)
      return
    }
    // Who waits for a buffer is not idle: the clock stands.
    connection.lastActivityAt = Math.min(now, lastActivityAt + sinceLastMs)
    if (now - waitingSince >= this.settings.queueTimeoutMs) connection.finish("queueTimeout", undefined)
  }

  private directions(isMeant: (direction: Direction) => boolean): Array<Direction> {
    const found: Array<Direction> = []
    for (const { request, response } of toArray(this.connections)) {
      if (isMeant(request)) found.push(request)
      if (isMeant(response)) found.push(response)
    }
    return found
  }

  private connect(client: Peer, target: Peer): Connection {
    const connection = new Connection(this.shared, client, target)
    push(this.connections, connection)
    connection.start()
    if (this.isClosed) connection.finish("shutdown", undefined)
    return connection
  }

  private countOverdraft(bytes: number): void {
    this.overdraftBytes += bytes
    if (bytes > 0) this.overdrafts++
    this.overdraftHighWaterBytes = Math.max(this.overdraftHighWaterBytes, this.overdraftBytes)
  }
}

/** Turns of the event loop: who has moved its share of bytes in one goes on in the next. */
class Turns {
  number = 1
  private isAsked = false
  private readonly stopped = new Set<Direction>()
  private readonly dispatcher: Scheduler.SchedulerDispatcher

  constructor(dispatcher: Scheduler.SchedulerDispatcher) {
    this.dispatcher = dispatcher
  }

  resume(direction: Direction): void {
    this.stopped.add(direction)
    this.ask()
  }

  later(task: () => void): void {
    this.dispatcher.scheduleTask(task, 0)
  }

  ask(): void {
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
    yield* Effect.addFinalizer(() => relay.close)
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(sweepEveryMs), relay.sweep)))
    return relay
  })

/**
 * The relay as a service on this machine: listeners, the way to the targets, the status page, and an orderly end.
 *
 * Invariant: a connection holds no buffer before both of its sockets are open, and it is counted from the moment it is
 * accepted to the moment both are closed. So "all connections are over" is one number that reaches zero, and at the end
 * there is nothing left that could hold a buffer.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import { AppletScheduler, BufferPool, type ConfigError, Headgate, Relay, TaskScheduler } from "headgate"
import type * as Net from "node:net"
import * as Address from "./Address.ts"
import type { ConnectFailed } from "./Connect.ts"
import { type Ending, type Fittings, Life } from "./internal/life.ts"
import * as LogOnce from "./internal/logOnce.ts"
import type { Picture } from "./internal/statusPage.ts"
import { timersHere } from "./internal/timers.ts"
import { Way } from "./internal/way.ts"
import * as Landing from "./Landing.ts"
import { AcceptGate, type ListenFailed, listenServing, type NodeListener } from "./NodeListener.ts"
import { sampleUnsent } from "./NodePeer.ts"
import type { RelaySettings } from "./RelayFlags.ts"
import * as StatusServer from "./StatusServer.ts"

/**
 * A relay that is running.
 *
 * @category models
 * @since 0.1.0
 */
export interface RelayServer {
  /** Where it listens, with the ports that were really bound, in the order of the routes. */
  readonly listening: ReadonlyArray<Address.Address>
  /** Where the status page is. */
  readonly stats: Address.Address | undefined
  /** What the status page shows. */
  readonly picture: Effect.Effect<Picture>
  /** Stops accepting and waits until every connection is over; those that are not after `drainTimeout` stay. */
  readonly drain: Effect.Effect<void>
}

/**
 * The pool, the schedulers and the relay that the settings ask for.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (settings: RelaySettings) =>
  Relay.layer({
    idleTimeout: settings.idleTimeout,
    queueTimeout: settings.queueTimeout,
    stallTimeout: settings.stallTimeout,
    stallGrace: settings.stallGrace,
    sampleUnsent
  }).pipe(
    Layer.provideMerge(Headgate.layer({
      name: "relay",
      limit: settings.limit,
      reserve: settings.reserve,
      bufferSize: settings.bufferSize
    }))
  )

type Services = BufferPool | TaskScheduler | AppletScheduler | Relay

/**
 * Listens on all routes and relays, until the scope closes: then what is still open is reset.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  settings: RelaySettings
): Effect.Effect<RelayServer, ListenFailed | ConfigError, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const gate = new AcceptGate({ maxConnections: settings.maxConnections })
    const landing = yield* chooseLanding(settings)
    const doors = new Doors({
      describes: LogLevel.isLessThanOrEqualTo(yield* References.MinimumLogLevel, "Debug"),
      landing: landing.landing,
      log: yield* LogOnce.make(),
      proxyProtocol: settings.proxyProtocol,
      relay: yield* Relay,
      run: Effect.runForkWith(yield* Effect.context<never>()),
      timers: yield* timersHere
    })
    const listeners = yield* Effect.forEach(settings.routes, ({ listen: address, target }) => {
      const way = new Way(target, { connectTimeout: settings.connectTimeout })
      return listenServing(address, gate, (socket, over) => doors.serve(socket, way, over))
    })
    const listening = listeners.map((listener) => listener.address)
    const picture = yield* pictureOf(landing, gate, doors, listening)
    // Made last, so it closes first; but a drain comes before any closing, and all the while the page answers.
    const stats = settings.stats === undefined ? undefined : yield* StatusServer.make(settings.stats, picture)
    return {
      listening,
      stats: stats === undefined ? undefined : Address.ofBound(stats.address()),
      picture,
      drain: doors.drain(listeners, settings.drainTimeout)
    }
  })

/** Which landing it is; if not the one that was asked for, a line says why. */
const chooseLanding = ({ landing }: RelaySettings): Effect.Effect<Landing.Choice> =>
  Effect.tap(
    Landing.choose(landing),
    ({ why }) => why === undefined ? Effect.void : Effect.logWarning(`landing plain instead of ${landing}: ${why}`)
  )

interface DoorsOptions extends Omit<Fittings, "broke" | "ended" | "noTarget"> {
  readonly log: LogOnce.LogOnce
}

/** Where connections come in: each gets its target and its life. */
class Doors {
  accepting = true
  readonly connectFailures: { [cause: string]: number } = {}
  private open = 0
  private readonly empty = Deferred.makeUnsafe<void>()
  private readonly fittings: Fittings

  constructor({ log, ...shared }: DoorsOptions) {
    const { describes, run, timers } = shared
    this.fittings = {
      ...shared,
      broke: (error) => run(Effect.logError("a connection died of a defect", error)),
      noTarget: (failure) => {
        this.count(failure)
        run(log.note(`${failure.why} ${Address.format(failure.target)}`, `${failure.message}; its client was reset`))
      },
      ended: (life, ending) => {
        if (describes) run(Effect.logDebug(describe(life, ending, timers.now())))
        this.left()
      }
    }
  }

  serve(socket: Net.Socket, way: Way, over: () => void): () => void {
    this.open++
    const life = new Life(this.fittings, way, socket, over)
    life.start()
    return () => life.stop()
  }

  drain(listeners: ReadonlyArray<NodeListener>, timeout: RelaySettings["drainTimeout"]): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.accepting = false
      const stop = Effect.forEach(listeners, ({ stop }) => stop, { discard: true })
      const over = Effect.suspend(() => this.open === 0 ? Effect.void : Deferred.await(this.empty))
      return Effect.andThen(stop, Effect.timeoutOrElse(over, { duration: timeout, orElse: () => Effect.void }))
    })
  }

  private left(): void {
    this.open--
    if (this.open === 0 && !this.accepting) Deferred.doneUnsafe(this.empty, Effect.void)
  }

  private count({ why }: ConnectFailed): void {
    this.connectFailures[why] = (this.connectFailures[why] ?? 0) + 1
  }
}

const describe = ({ label, startedAt, way }: Life, { how, toClient, toTarget }: Ending, now: number): string =>
  `${label} -> ${Address.format(way.target)}: ${how}, ${toTarget} bytes to the target, ${toClient} to the client, ` +
  `${now - startedAt} ms`

const pictureOf = (
  { landing, why }: Landing.Choice,
  gate: AcceptGate,
  doors: Doors,
  listening: ReadonlyArray<Address.Address>
): Effect.Effect<Effect.Effect<Picture>, never, Services> =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const relay = yield* Relay
    const tasks = yield* TaskScheduler
    const applets = yield* AppletScheduler
    return Effect.gen(function*() {
      const accept = gate.snapshot()
      return {
        pool: yield* pool.snapshot,
        tasks: yield* tasks.snapshot,
        applets: yield* applets.snapshot,
        relay: yield* relay.snapshot,
        server: {
          landing,
          landingFallback: why,
          listening: listening.map(Address.format),
          accepting: doors.accepting,
          accepted: accept.accepted,
          open: accept.open,
          pausesFull: accept.pausesFull,
          pausesFiles: accept.pausesFiles,
          connectFailures: { ...doors.connectFailures },
          uptimeSeconds: process.uptime(),
          rssBytes: process.memoryUsage.rss()
        }
      }
    })
  })

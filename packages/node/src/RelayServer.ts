/**
 * The relay as a service on this machine: listeners, the way to the targets, the status page, and an orderly end.
 *
 * Invariant: a connection holds no buffer before both of its sockets are open, and it is counted from the moment it is
 * accepted to the moment both are closed. So "all connections are over" is one number that reaches zero, and at the end
 * there is nothing left that could hold a buffer.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import {
  AppletScheduler,
  BufferPool,
  type ConfigError,
  Headgate,
  type Peer,
  Relay,
  type RelayOutcome,
  TaskScheduler
} from "headgate"
import type * as Net from "node:net"
import * as Address from "./Address.ts"
import { type ConnectFailed, Way } from "./Connect.ts"
import { Dialing, type Timers, timersHere } from "./internal/dialing.ts"
import * as LogOnce from "./internal/logOnce.ts"
import type { Picture } from "./internal/statusPage.ts"
import * as Landing from "./Landing.ts"
import { AcceptGate, listen, type ListenFailed, type NodeListener } from "./NodeListener.ts"
import { NodePeer, sampleUnsent } from "./NodePeer.ts"
import { headerV2 } from "./ProxyProtocol.ts"
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
      settings,
      landing: landing.landing,
      relay: yield* Relay,
      timers: yield* timersHere,
      log: yield* LogOnce.make(),
      describes: LogLevel.isLessThanOrEqualTo(yield* References.MinimumLogLevel, "Debug")
    })
    const listeners = yield* Effect.forEach(settings.routes, ({ listen: address, target }) => {
      const way = new Way(target, { connectTimeout: settings.connectTimeout })
      return listen(address, { gate, handler: (socket) => doors.serve(socket, way) })
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

/** What all connections of a relay share. */
interface Fittings {
  readonly settings: RelaySettings
  readonly landing: Landing.Landing
  readonly relay: Relay["Service"]
  readonly timers: Timers
  readonly log: LogOnce.LogOnce
  /** A line for each connection, at the level of debugging. */
  readonly describes: boolean
}

/** Where connections come in: each gets its target and its life. */
class Doors {
  accepting = true
  readonly connectFailures: { [cause: string]: number } = {}
  private open = 0
  private readonly empty = Deferred.makeUnsafe<void>()
  private readonly fittings: Fittings

  constructor(fittings: Fittings) {
    this.fittings = fittings
  }

  /** One connection's life: whatever ends it, both sockets are closed or reset when it is over. */
  serve(socket: Net.Socket, way: Way): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.open++
      const client = new NodePeer(socket, this.fittings)
      const dialing = new Dialing(this.fittings.timers)
      // Suspended: what stands on the fiber's stack for the whole life keeps the effect that it is around.
      return Effect.onExitPrimitive(Effect.suspend(() => this.life(client, way, dialing)), () => {
        client.close()
        dialing.close()
        this.left()
        return undefined
      })
    })
  }

  drain(listeners: ReadonlyArray<NodeListener>, timeout: RelaySettings["drainTimeout"]): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.accepting = false
      const stop = Effect.forEach(listeners, ({ stop }) => stop, { discard: true })
      const over = Effect.suspend(() => this.open === 0 ? Effect.void : Deferred.await(this.empty))
      return Effect.andThen(stop, Effect.timeoutOrElse(over, { duration: timeout, orElse: () => Effect.void }))
    })
  }

  /** That a target could not be had is said to everybody; how a connection ended, to whoever asks for debug lines. */
  private life(client: NodePeer, way: Way, dialing: Dialing): Effect.Effect<void> {
    const reached = way.reach(dialing)
    if (this.fittings.describes) {
      return this.described(client, way.target, Effect.flatMap(reached, (socket) => this.joined(client, socket)))
    }
    return Effect.matchEffect(reached, {
      onSuccess: (socket) => Effect.asVoid(this.joined(client, socket)),
      onFailure: (failure) => this.noTarget(failure)
    })
  }

  /** Neither side is read before both are open. */
  private joined(client: NodePeer, socket: Net.Socket): Effect.Effect<RelayOutcome> {
    const { relay, settings } = this.fittings
    const server = new NodePeer(socket, this.fittings)
    const run = relay.run(client, server)
    return settings.proxyProtocol === "v2" ? Effect.andThen(introduce(client.socket, server), run) : run
  }

  private described(
    client: NodePeer,
    target: Address.Address,
    life: Effect.Effect<RelayOutcome, ConnectFailed>
  ): Effect.Effect<void> {
    const { label } = client
    return Effect.flatMap(Clock.currentTimeMillis, (startedAt) => {
      const say = (end: string, toTarget: number, toClient: number) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Effect.logDebug(
            `${label} -> ${
              Address.format(target)
            }: ${end}, ${toTarget} bytes to the target, ${toClient} to the client, ` +
              `${now - startedAt} ms`
          ))
      return life.pipe(
        Effect.flatMap(({ end, requestBytes, responseBytes }) => say(end, requestBytes, responseBytes)),
        Effect.catch((failure) => Effect.andThen(this.noTarget(failure), say(failure.why, 0, 0))),
        Effect.onInterrupt(() => say("shutdown", client.bytesRead, client.socket.bytesWritten))
      )
    })
  }

  private left(): void {
    this.open--
    if (this.open === 0 && !this.accepting) Deferred.doneUnsafe(this.empty, Effect.void)
  }

  private noTarget(failure: ConnectFailed): Effect.Effect<void> {
    this.connectFailures[failure.why] = (this.connectFailures[failure.why] ?? 0) + 1
    return this.fittings.log.note(
      `${failure.why} ${Address.format(failure.target)}`,
      `${failure.message}; its client was reset`
    )
  }
}

/** Tells the target who the client is, before any of the client's bytes. */
const introduce = (client: Net.Socket, target: Peer): Effect.Effect<void> =>
  Effect.callback((resume) => {
    target.write([headerV2(client)], () => resume(Effect.void))
  })

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

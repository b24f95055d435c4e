/**
 * One connection of a relay server, from its arrival until both of its sockets are closed.
 *
 * Invariant: it ends once, whatever ends it; in that step both sockets are closed or reset, and nothing of it goes on. It holds no
 * buffer before both are open.
 *
 * In callbacks, and without a fiber: what Effect would need to wait for the target and then for the end was 6 us of the 55 that
 * a relayed connection costs with nothing but two pipes. Fibers run what is rare: lookups of names, and lines of a log.
 */
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Relay } from "headgate/Relay"
import type * as Net from "node:net"
import { ConnectFailed } from "../Connect.ts"
import type { Landing } from "../Landing.ts"
import { NodePeer } from "../NodePeer.ts"
import { headerV2 } from "../ProxyProtocol.ts"
import { Dialing } from "./dialing.ts"
import type { Timers } from "./timers.ts"
import type { Way } from "./way.ts"

/** How a life ended, and what each side was given, in bytes. */
export interface Ending {
  readonly how: string
  readonly toTarget: number
  readonly toClient: number
}

/** What all connections of a relay share. */
export interface Fittings {
  readonly relay: Relay["Service"]
  readonly landing: Landing
  readonly proxyProtocol: "v2" | undefined
  readonly timers: Timers
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Each is described when it has ended. */
  readonly describes: boolean
  readonly noTarget: (failure: ConnectFailed) => void
  /** Something threw that must not. */
  readonly broke: (error: unknown) => void
  readonly ended: (life: Life, ending: Ending) => void
}

export class Life {
  /** The client's address, asked for while there is one, if somebody will read it. */
  readonly label: string | undefined
  readonly way: Way
  readonly startedAt: number
  private readonly fittings: Fittings
  private readonly client: NodePeer
  private readonly dialing: Dialing
  private readonly over: () => void
  private stopRelaying: (() => void) | undefined = undefined
  private isOver = false

  constructor(fittings: Fittings, way: Way, socket: Net.Socket, over: () => void) {
    this.fittings = fittings
    this.way = way
    this.over = over
    this.client = new NodePeer(socket, fittings)
    this.label = fittings.describes ? this.client.label : undefined
    this.dialing = new Dialing(fittings.timers)
    this.startedAt = this.dialing.now
  }

  start(): void {
    this.attempt(() =>
      this.way.begin(
        this.dialing,
        this.fittings.run,
        (outcome) => this.attempt(() => outcome instanceof ConnectFailed ? this.failed(outcome) : this.reached(outcome))
      )
    )
  }

  /** Ends it now, if nothing else has. */
  stop(): void {
    this.stopRelaying?.()
    this.end("shutdown", this.client.bytesRead, this.client.socket.bytesWritten)
  }

  private failed(failure: ConnectFailed): void {
    this.fittings.noTarget(failure)
    this.end(failure.why, 0, 0)
  }

  /** Neither side is read before both are open; the target hears who the client is before it hears the client. */
  private reached(socket: Net.Socket): void {
    const target = new NodePeer(socket, this.fittings)
    if (this.fittings.proxyProtocol === undefined) this.join(target)
    else target.write([headerV2(this.client.socket)], () => this.attempt(() => this.join(target)))
  }

  private join(target: NodePeer): void {
    if (this.isOver) return
    this.stopRelaying = this.fittings.relay.runUnsafe(
      this.client,
      target,
      ({ end, requestBytes, responseBytes }) => this.attempt(() => this.end(end, requestBytes, responseBytes))
    )
  }

  private end(how: string, toTarget: number, toClient: number): void {
    if (this.isOver) return
    this.isOver = true
    // A part that throws must not keep the others from happening: else its place in the gate would be lost for good.
    this.attempt(() => this.client.close())
    this.attempt(() => this.dialing.close())
    this.attempt(() => this.fittings.ended(this, { how, toTarget, toClient }))
    this.over()
  }

  /** All that is called by sockets goes through here: what it throws ends this connection, and no other. */
  private attempt(part: () => void): void {
    try {
      part()
    } catch (error) {
      this.fittings.broke(error)
      this.stop()
    }
  }
}

/** One simulated connection: both its ends, the fiber that relays it, and what may move. */
import type * as Fiber from "effect/Fiber"
import type { RelayOutcome } from "headgate/Relay"
import type { End, Movement } from "../RelaySimulation.ts"
import type { ConnectRefused, SimulatedPeer, Told } from "../SimulatedPeer.ts"

export class Link {
  readonly index: number
  readonly client: SimulatedPeer
  /** Once it is connected. */
  target: SimulatedPeer | undefined = undefined
  peers: ReadonlyArray<SimulatedPeer>
  readonly fiber: Fiber.Fiber<RelayOutcome, ConnectRefused>
  end: End | undefined = undefined

  constructor(index: number, client: SimulatedPeer, start: (link: Link) => Fiber.Fiber<RelayOutcome, ConnectRefused>) {
    this.index = index
    this.client = client
    this.peers = [client]
    this.fiber = start(this)
  }

  /** It is over, and nothing of it moves any more. */
  get isStill(): boolean {
    return this.end !== undefined &&
      this.peers.every(({ hasWriteInFlight, host, isAborted, sendingBytes }) =>
        !hasWriteInFlight && (isAborted || host.isGone || (sendingBytes === 0 && host.unreadBytes === 0))
      )
  }

  /** Both ends have been told and passed on. It may be interrupted behind that, before its fiber knows. */
  get isOrderly(): boolean {
    return this.peers.every(({ hasToldEnd, isEnded }) => hasToldEnd && isEnded)
  }

  get wasRelayed(): boolean {
    return this.target?.isAttached === true
  }
}

/** What a script may move, and what else happens by itself. */
export type SelfMoving = Movement | "noticeReset" | "readOn"

/** What happens by itself while time passes. A read that was under way comes only if a script says so. */
export const movements: ReadonlyArray<SelfMoving> = [
  "noticeReset",
  "arrive",
  "deliver",
  "accept",
  "transmit",
  "acknowledgeEnd",
  "readOn"
]

/** What only a kernel or a host does: the relay has no part in it. */
export const unseen: ReadonlySet<SelfMoving> = new Set(["arrive", "transmit", "readOn"])

export const move = (peer: SimulatedPeer, what: SelfMoving, bytes: number | undefined): boolean => {
  switch (what) {
    case "arrive":
      return peer.arrive(bytes)
    case "deliver":
      return peer.deliver(bytes)
    case "deliverLate":
      return peer.deliverLate(bytes)
    case "accept":
      return peer.accept()
    case "transmit":
      return peer.transmit(bytes)
    case "acknowledgeEnd":
      return peer.acknowledgeEnd()
    case "tellReset":
      return peer.tellReset()
    case "read":
      return peer.host.read(bytes) > 0
    case "noticeReset":
      return peer.noticeReset()
    case "readOn":
      return peer.host.readOn()
  }
}

/** A line of the log. */
export const wordsOf = (what: Told): string => {
  const bytes = "bytes" in what ? ` ${what.bytes}` : ""
  return "asked" in what ? `${what.asked}${bytes}` : `tells ${what.told}${bytes}`
}

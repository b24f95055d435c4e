/**
 * One conversation, told twice: by a simulated peer, and by a real socket over loopback. After each move both are let come to
 * rest; what has been told until then must be the same.
 *
 * What may differ is left out of a story: how bytes were cut, and what a host would see only if it read on.
 */
import type { Landing } from "@headgate/node/Landing"
import { fromSocket, type NodePeer } from "@headgate/node/NodePeer"
import { make, pattern, type SimulatedPeer } from "@headgate/testing/SimulatedPeer"
import { Effect, type Scope } from "effect"
import type { Peer, PeerEvents } from "headgate"
import * as assert from "node:assert/strict"
import { createHash } from "node:crypto"
import type * as Net from "node:net"
import { pair } from "../support.ts"

export type Move =
  | { readonly host: "write"; readonly bytes: number }
  /** From `reads` on the host reads all that comes; before, nothing. */
  | { readonly host: "reads" | "end" | "reset" }
  | { readonly peer: "write"; readonly bytes: number }
  | { readonly peer: "readStart" | "readStop" | "end" | "abort" }

/** What the peer told in order (bytes without their cuts), and what the host saw. */
export interface Story {
  readonly told: ReadonlyArray<string>
  readonly host: string
}

/** A run of bytes, in one word: how many, and which. */
class Digest {
  length = 0
  private readonly hash = createHash("sha256")

  add(bytes: Uint8Array): void {
    this.hash.update(bytes)
    this.length += bytes.length
  }
  toString(): string {
    return this.length === 0 ? "nothing" : `${this.length} bytes ${this.hash.copy().digest("hex").slice(0, 8)}`
  }
}

/** What a peer tells and answers. What it says can be read is read. */
class Told {
  private readonly parts: Array<string | Digest> = []
  private readonly area = new Uint8Array(7000)

  private bytes(bytes: Uint8Array): void {
    const last = this.parts.at(-1)
    const digest = last instanceof Digest ? last : new Digest()
    if (digest !== last) this.parts.push(digest)
    digest.add(bytes)
  }

  readonly events = (peer: Peer): PeerEvents => ({
    onBytes: (bytes) => this.bytes(bytes),
    onReadable: () => {
      const count = peer.read?.(this.area) ?? 0
      if (count > 0) this.bytes(this.area.subarray(0, count))
    },
    onEnd: () => void this.parts.push("end"),
    onReset: () => void this.parts.push("reset")
  })
  readonly answers = {
    written: (accepted: boolean): void => void this.parts.push(accepted ? "written" : "refused"),
    ended: (): void => void this.parts.push("ended")
  }
  lines(): ReadonlyArray<string> {
    return this.parts.map(String)
  }
}

/** The peer's own moves are calls of the port, the same for both. */
const asks = (
  peer: Peer,
  told: Told,
  written: { bytes: number },
  move: Extract<Move, { readonly peer: string }>
): void => {
  switch (move.peer) {
    case "readStart":
      return peer.readStart()
    case "readStop":
      return peer.readStop()
    case "end":
      return peer.end(told.answers.ended)
    case "abort":
      return peer.abort()
    case "write": {
      const bytes = pattern(1, written.bytes, move.bytes)
      written.bytes += move.bytes
      // In two views, as a buffer that goes round has them.
      const cut = Math.ceil(move.bytes / 3)
      return peer.write(
        [bytes.subarray(0, cut), bytes.subarray(cut)].filter(({ length }) => length > 0),
        told.answers.written
      )
    }
  }
}

// ---- simulated ------------------------------------------------------------------------------------------------------------

/** Nothing is told late: no read of a socket is under way when its reading stops. */
const rest = (peer: SimulatedPeer): void => {
  while (peer.advance()) { /* all that can */ }
}

const hostOf = ({ host }: SimulatedPeer, reads: boolean): string => {
  const received = new Digest()
  for (const bytes of host.received) received.add(bytes)
  if (!reads || host.hasReset) return `${received}`
  return `${received}${host.sawEnd ? ", end" : host.sawReset ? ", reset" : ""}`
}

/** The story after each move. */
export const simulated = (moves: ReadonlyArray<Move>, landing: Landing): ReadonlyArray<Story> => {
  const peer = make({ sendBuffer: 4 << 20, hostBuffer: 2 << 20, readsPerSecond: 0, landing })
  const told = new Told()
  const written = { bytes: 0 }
  peer.attach(told.events(peer))
  return moves.map((move) => {
    if ("peer" in move) asks(peer, told, written, move)
    else simulatedHost(peer, move)
    rest(peer)
    assert.deepEqual(peer.violations, [])
    return { told: told.lines(), host: hostOf(peer, peer.host.readsPerSecond > 0) }
  })
}

const simulatedHost = ({ host }: SimulatedPeer, move: Extract<Move, { readonly host: string }>): void => {
  switch (move.host) {
    case "write":
      return host.write(pattern(0, host.sentBytes, move.bytes))
    case "reads": {
      host.readsPerSecond = Infinity
      return
    }
    case "end":
      return host.end()
    case "reset":
      return host.reset()
  }
}

// ---- real -----------------------------------------------------------------------------------------------------------------

/** The host of a real socket. */
class Host {
  private readonly socket: Net.Socket
  private readonly received = new Digest()
  private sent = 0
  private saw = ""

  constructor(socket: Net.Socket) {
    this.socket = socket
    socket.on("data", (bytes: Buffer) => this.received.add(bytes))
    socket.once("end", () => this.saw ||= ", end")
    socket.once("error", () => this.saw ||= ", reset")
    socket.pause()
  }
  toString(): string {
    return `${this.received}${this.saw}`
  }
  does(move: Extract<Move, { readonly host: string }>): void {
    switch (move.host) {
      case "write": {
        this.socket.write(pattern(0, this.sent, move.bytes))
        this.sent += move.bytes
        return
      }
      case "reads":
        return void this.socket.resume()
      case "end":
        return void this.socket.end()
      case "reset":
        return void this.socket.resetAndDestroy()
    }
  }
}

const turn = Effect.promise(() => new Promise((go) => setImmediate(go)))

/** Turns of the event loop until it is told so, and then some, after which it is still so. Half a minute at most. */
const comesTo = (story: () => Story, expected: Story, what: string, until = Date.now() + 30_000): Effect.Effect<void> =>
  Effect.suspend(() => {
    const now = story()
    const isSame = now.host === expected.host && now.told.join() === expected.told.join()
    if (!isSame && Date.now() < until) return Effect.andThen(turn, comesTo(story, expected, what, until))
    return Effect.map(Effect.repeat(turn, { times: 4 }), () => assert.deepEqual(story(), expected, what))
  })

/** Makes the same moves over a real socket, and sees the same story after each. */
export const sameOverLoopback = (
  moves: ReadonlyArray<Move>,
  landing: Landing,
  options?: Net.ListenOptions
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const stories = simulated(moves, landing)
    const { other, ours } = yield* pair(options)
    const peer: NodePeer = yield* fromSocket(ours, { landing })
    const host = new Host(other)
    const told = new Told()
    const written = { bytes: 0 }
    peer.attach(told.events(peer))
    assert.equal(peer.landing, landing)
    const story = () => ({ told: told.lines(), host: `${host}` })
    for (const [at, move] of moves.entries()) {
      if ("peer" in move) asks(peer, told, written, move)
      else host.does(move)
      const expected = stories[at]
      if (expected !== undefined) yield* comesTo(story, expected, `move ${at} of ${JSON.stringify(moves)}`)
    }
    // Nothing follows, not even when the socket is closed.
    peer.close()
    while (!ours.closed) yield* turn
    assert.deepEqual(told.lines(), stories.at(-1)?.told, JSON.stringify(moves))
  })

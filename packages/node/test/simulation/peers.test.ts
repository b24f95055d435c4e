/**
 * The simulated peers against real sockets: what the simulation of the relay believes of a peer is what Node's do.
 * HEADGATE_SEED replays one conversation, HEADGATE_CONVERSATIONS is how many.
 */
import { it } from "@effect/vitest"
import { Effect } from "effect"
import { describe } from "vitest"
import { randomOf } from "../../../testing/src/internal/simulationSeeds.ts"
import { type Move, sameOverLoopback } from "./story.ts"

const count = Number(process.env["HEADGATE_CONVERSATIONS"] ?? (process.env["HEADGATE_FULL"] === "1" ? 2000 : 60))
const first = Number(process.env["HEADGATE_SEED"] ?? 1)

const conversations: { readonly [name: string]: ReadonlyArray<Move> } = {
  "bytes both ways, and both ends in order": [
    { peer: "readStart" },
    { host: "reads" },
    { host: "write", bytes: 100_000 },
    { peer: "write", bytes: 70_000 },
    { peer: "end" },
    { host: "write", bytes: 5 },
    { host: "end" }
  ],
  "nothing is read before it is asked for, nor after": [
    { host: "write", bytes: 1000 },
    { host: "end" },
    { peer: "readStart" },
    { peer: "write", bytes: 3 },
    { host: "reads" },
    { peer: "end" }
  ],
  "reading stops and goes on": [
    { peer: "readStart" },
    { host: "write", bytes: 10 },
    { peer: "readStop" },
    { host: "write", bytes: 20 },
    { host: "end" },
    { peer: "readStart" }
  ],
  "a write that the host does not read is not done, and is when it reads": [
    { peer: "write", bytes: 16 << 20 },
    { host: "write", bytes: 10 },
    { peer: "readStart" },
    { host: "reads" },
    { peer: "end" }
  ],
  "an abort in the middle of a write refuses it and tells nothing": [
    { peer: "readStart" },
    { peer: "write", bytes: 16 << 20 },
    { peer: "abort" }
  ],
  "a reset in the middle of a write refuses it, and is told": [
    { peer: "write", bytes: 16 << 20 },
    { host: "reset" }
  ],
  "a reset is told to who reads": [{ peer: "readStart" }, { host: "write", bytes: 9 }, { host: "reset" }],
  "who does not read is blind until it does": [{ host: "reset" }, { peer: "readStart" }],
  "who does not read is blind until it writes": [{ host: "reset" }, { peer: "write", bytes: 9 }],
  "a reset behind the host's end is told to who writes": [
    { peer: "readStart" },
    { host: "end" },
    { host: "reset" },
    { peer: "write", bytes: 9 }
  ],
  "an end goes into a reset that nobody noticed, and the next read finds out": [
    { host: "reset" },
    { peer: "end" },
    { peer: "readStart" }
  ],
  "an end alone, too, is told only to who reads": [
    { host: "end" },
    { peer: "write", bytes: 5 },
    { host: "reads" },
    { peer: "readStart" },
    { peer: "end" }
  ],
  "an end that comes when reading has stopped is told when it goes on": [
    { peer: "readStart" },
    { peer: "readStop" },
    { host: "end" },
    { peer: "readStart" }
  ],
  "an end behind bytes that came when reading had stopped is told behind them, when it goes on": [
    { peer: "readStart" },
    { peer: "readStop" },
    { host: "write", bytes: 7 },
    { host: "end" },
    { peer: "write", bytes: 5 },
    { peer: "readStart" }
  ],
  "an end behind bytes that were told is not told while reading has stopped": [
    { peer: "readStart" },
    { host: "write", bytes: 5 },
    { peer: "readStop" },
    { host: "end" }
  ],
  "an abort is a reset for the host": [{ host: "reads" }, { peer: "write", bytes: 10 }, { peer: "abort" }],
  "an abort behind our end is a reset for the host": [
    { host: "reads" },
    { peer: "write", bytes: 10 },
    { peer: "end" },
    { peer: "abort" }
  ]
}

/**
 * Moves that are allowed one after the other: no writes behind an end, and nothing behind an abort. Resets by the host are in
 * the conversations above: what else a socket tells beside one depends on when the kernel noticed.
 */
const conversation = (seed: number): ReadonlyArray<Move> => {
  const random = randomOf(seed)
  const moves: Array<Move> = []
  const ended = { host: false, peer: false }
  for (let at = 3 + random(8); at > 0; at--) {
    const bytes = 1 + random([10, 1000, 60_000][random(3)] ?? 1)
    switch (random(12)) {
      case 0:
        return [...moves, { peer: "abort" }]
      case 1:
        if (!ended.host) moves.push({ host: "end" })
        ended.host = true
        break
      case 2:
        if (!ended.peer) moves.push({ peer: "end" })
        ended.peer = true
        break
      case 3:
        moves.push({ peer: "readStop" })
        break
      case 4:
      case 5:
        moves.push({ peer: "readStart" })
        break
      case 6:
      case 7:
        moves.push({ host: "reads" })
        break
      case 8:
      case 9:
        if (!ended.host) moves.push({ host: "write", bytes })
        break
      default:
        if (!ended.peer) moves.push({ peer: "write", bytes })
    }
  }
  return moves
}

describe.each(["plain", "readiness"] as const)("a simulated peer and a socket tell the same story: %s", (landing) => {
  for (const [name, moves] of Object.entries(conversations)) {
    it.live(name, () => sameOverLoopback(moves, landing))
  }

  it.live(`${count} conversations from HEADGATE_SEED=${first} on`, () =>
    Effect.forEach(
      Array.from({ length: count }, (_, at) => first + at),
      (seed) => Effect.scoped(sameOverLoopback(conversation(seed), landing)),
      { discard: true }
    ))
})

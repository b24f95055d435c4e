/**
 * What a seed stands for. Three kinds of lives: grains, where single movements of tiny buffers come in any order and time
 * hardly matters; flows, where kilobytes move at the speed of their hosts; and crowds, where more hold buffers than there are,
 * each in its own bad way, and newcomers wait.
 */
import type { Criticality } from "headgate/Criticality"
import type { EndScript, Event, LinkScript, Movement, Script, Side } from "../RelaySimulation.ts"

/** Integers below a bound, decided by a seed (mulberry32). */
export const randomOf = (seed: number) => {
  let state = seed | 0
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below)
  }
}

class Dice {
  readonly below: (bound: number) => number
  constructor(seed: number) {
    this.below = randomOf(seed)
  }
  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }
  oneIn(chances: number): boolean {
    return this.below(chances) === 0
  }
  of<A>(...choices: readonly [A, ...ReadonlyArray<A>]): A {
    return choices[this.below(choices.length)] ?? choices[0]
  }
  side(): Side {
    return this.of("client", "target")
  }
  /** As often a hundred as a thousand as ten thousand. */
  magnitude(most: number): number {
    return Math.max(1, Math.floor(most ** (this.below(1000) / 1000)))
  }
}

export const expand = (seed: number): Script => {
  const dice = new Dice(seed)
  const script = dice.oneIn(2) ? grains(dice) : dice.oneIn(3) ? crowds(dice) : flows(dice)
  return { ...script, links: landed(dice, script.links) }
}

/** All in one landing, or each end in its own. */
const landed = (dice: Dice, links: ReadonlyArray<LinkScript>): ReadonlyArray<LinkScript> => {
  const kind = dice.of("plain", "readiness", "either")
  const landing = () => kind === "either" ? dice.of("plain", "readiness") : kind
  return links.map(({ client, target, ...link }) => ({
    ...link,
    client: { ...client, landing: landing() },
    target: { ...target, landing: landing() }
  }))
}

const common = (dice: Dice) => ({
  yieldEvery: dice.oneIn(3) ? dice.of(3, 5, 17) : undefined,
  shuffle: dice.oneIn(4) ? undefined : dice.below(1_000_000)
})

// ---- grains -------------------------------------------------------------------------------------------------------------

const grains = (dice: Dice): Script => {
  const limit = dice.between(2, 5)
  const links = Array.from({ length: dice.between(2, 6) }, (): LinkScript => ({
    client: grainEnd(dice),
    target: grainEnd(dice),
    connectMs: dice.oneIn(6) ? dice.between(1, 500) : undefined,
    refused: dice.oneIn(20) ? true : undefined
  }))
  return {
    pool: {
      limit,
      reserve: dice.between(1, limit - 1),
      bufferSize: dice.of(1, 7, 64),
      ageAfterMs: dice.oneIn(2) ? 1000 : undefined
    },
    relay: {
      turnBytes: dice.of(1, 10, 100, 1000),
      stallGraceMs: 250,
      stallTimeoutMs: 3000,
      queueTimeoutMs: 6000,
      idleTimeoutMs: 8000,
      samples: !dice.oneIn(4)
    },
    ...common(dice),
    links,
    events: grainEvents(dice, links.length)
  }
}

const grainEnd = (dice: Dice): EndScript => {
  const size = () => dice.of(2, 7, 64, 200)
  return {
    sendBuffer: size(),
    receiveBuffer: size(),
    hostBuffer: size(),
    segment: dice.oneIn(10) ? 1 : undefined,
    delayMs: dice.oneIn(8) ? dice.between(1, 300) : undefined,
    done: dice.oneIn(2) ? "sync" : undefined,
    readsPerSecond: dice.oneIn(8) ? dice.of(0, 0, 100) : undefined
  }
}

const grainMoves: readonly [Movement, ...ReadonlyArray<Movement>] = [
  "arrive",
  "arrive",
  "deliver",
  "deliver",
  "accept",
  "accept",
  "transmit",
  "transmit",
  "deliverLate",
  "deliverLate",
  "acknowledgeEnd",
  "tellReset",
  "read"
]

const grainEvents = (dice: Dice, links: number): Array<Event> => {
  const kills = dice.oneIn(2)
  const isShort = dice.oneIn(3)
  const meddles = isShort || dice.oneIn(3)
  const atOnce = dice.between(1, links)
  const events = Array.from({ length: atOnce }, (_, link): Event => ({ does: "open", link }))
  if (isShort) events.push({ does: "hold", criticality: dice.of("rx", "channel"), count: 5 })
  for (let at = dice.between(8, 30) * links; at > 0; at--) {
    const link = dice.below(links)
    const side = dice.side()
    const chance = dice.below(100)
    if (chance < 12) events.push({ does: "write", link, side, bytes: dice.between(1, 100) })
    else if (chance < 62) {
      events.push({ does: "move", link, side, what: dice.of(...grainMoves), bytes: dice.between(1, 100) })
    } else if (chance < 82) events.push({ does: "run", tasks: dice.between(1, 6) })
    else if (chance < 85 && isShort) events.push({ does: "giveBack", count: 1 })
    else if (chance < 87) events.push({ does: "pass", ms: dice.magnitude(1000) })
    else if (chance < 90) events.push({ does: "end", link, side })
    else if (chance < 94) events.push({ does: "open", link })
    else if (chance < 97 && kills && dice.oneIn(3)) events.push(kill(dice, link, side))
    else if (chance < 100 && meddles) events.push(meddling(dice))
  }
  if (dice.oneIn(30)) events.push({ does: "shutdown" })
  return events
}

const kill = (dice: Dice, link: number, side: Side): Event =>
  dice.oneIn(3) ? { does: "interrupt", link } : { does: "reset", link, side }

const classes: readonly [Criticality, ...ReadonlyArray<Criticality>] = ["tx", "channel", "endpoint", "rx"]

const meddling = (dice: Dice): Event => {
  switch (dice.below(6)) {
    case 0:
      return { does: "resize", limit: dice.between(2, 8) }
    case 1:
      return { does: "trim" }
    case 2:
      return { does: "failCreations", count: dice.between(1, 3) }
    case 3:
      return { does: "giveBack", count: dice.between(1, 3) }
    default:
      return { does: "hold", criticality: dice.of(...classes), count: dice.between(1, 3) }
  }
}

// ---- flows --------------------------------------------------------------------------------------------------------------

const KiB = 1024

/** Something that happens at a time. */
export type Timed = readonly [atMs: number, event: Event]

const flows = (dice: Dice): Script => {
  const limit = dice.between(2, 8)
  const count = dice.between(2, 6)
  const bufferSize = dice.of(KiB, KiB, 4 * KiB, 16 * KiB, 64 * KiB)
  const links = Array.from({ length: count }, (): LinkScript => ({
    client: flowEnd(dice),
    target: flowEnd(dice),
    connectMs: dice.oneIn(3) ? dice.of(1, 50, 500, 5000) : undefined,
    refused: dice.oneIn(20) ? true : undefined
  }))
  const horizonMs = dice.of(4000, 8000, 16_000)
  const timed = links.flatMap((_, link) => flowEvents(dice, link, horizonMs, bufferSize))
  if (dice.oneIn(30)) timed.push([dice.below(horizonMs), { does: "shutdown" }])
  if (dice.oneIn(8)) timed.push([dice.below(horizonMs), meddling(dice)], [horizonMs, { does: "giveBack", count: 9 }])
  return {
    pool: {
      limit,
      reserve: dice.between(1, Math.min(3, limit - 1)),
      bufferSize,
      ageAfterMs: dice.oneIn(2) ? 1000 : undefined
    },
    relay: {
      turnBytes: dice.oneIn(3) ? bufferSize : undefined,
      stallGraceMs: dice.of(250, 1000),
      stallTimeoutMs: dice.of(2500, 4000),
      queueTimeoutMs: dice.of(10_000, 60_000),
      idleTimeoutMs: dice.of(8000, 12_000),
      samples: !dice.oneIn(4)
    },
    ...common(dice),
    links,
    events: inTime(timed)
  }
}

const flowEnd = (dice: Dice): EndScript => {
  const sendBuffer = dice.of(2 * KiB, 16 * KiB, 64 * KiB, 256 * KiB)
  return {
    sendBuffer,
    acceptAbove: dice.oneIn(2) ? Math.floor(sendBuffer / 3) : undefined,
    receiveBuffer: dice.of(2 * KiB, 64 * KiB),
    hostBuffer: dice.of(2 * KiB, 16 * KiB),
    segment: dice.oneIn(10) ? KiB : undefined,
    delayMs: dice.oneIn(6) ? dice.between(1, 300) : undefined,
    done: dice.oneIn(2) ? "sync" : undefined,
    readsPerSecond: dice.oneIn(2) ? dice.of(0, 0, 100, 3000, 30_000, 100_000) : undefined
  }
}

const flowEvents = (dice: Dice, link: number, horizonMs: number, bufferSize: number): Array<Timed> => {
  const openMs = dice.oneIn(2) ? dice.below(1000) : dice.below(horizonMs)
  const timed: Array<Timed> = [[openMs, { does: "open", link }]]
  const later = () => dice.between(openMs, horizonMs)
  for (const side of ["client", "target"] as const) {
    if (dice.oneIn(6)) {
      // Always a little more to come.
      const bytes = dice.of(100, bufferSize, Math.ceil(bufferSize * 1.3))
      const everyMs = dice.of(50, 250, 1000)
      const count = Math.min((horizonMs - openMs) / everyMs, 300 * KiB / bytes, 60)
      for (let at = 0; at < count; at++) timed.push([openMs + at * everyMs, { does: "write", link, side, bytes }])
    }
    for (let writes = dice.between(0, 2); writes > 0; writes--) {
      timed.push([later(), { does: "write", link, side, bytes: dice.magnitude(100 * KiB) }])
    }
    if (!dice.oneIn(3)) timed.push([later(), { does: "end", link, side }])
    if (dice.oneIn(5)) timed.push([later(), { does: "speed", link, side, readsPerSecond: dice.of(0, 100, 50_000) }])
    if (dice.oneIn(12)) {
      timed.push([later(), dice.oneIn(4) ? { does: "interrupt", link } : { does: "reset", link, side }])
    }
  }
  return timed
}

// ---- crowds -------------------------------------------------------------------------------------------------------------

/** Who holds a buffer for long: the end that is slow, the one that has more than it takes, and how much, when. */
interface Holder {
  readonly sink: EndScript
  readonly source: EndScript
  readonly writes: ReadonlyArray<readonly [atMs: number, bytes: number]>
}

/** Reads never, or by drops. */
const stuck = (dice: Dice, bufferSize: number): Holder => {
  const kernel = dice.of(64, 2 * KiB)
  return {
    sink: { sendBuffer: kernel, hostBuffer: kernel, readsPerSecond: dice.of(0, 0, 50, 200, 400) },
    source: { receiveBuffer: dice.of(2 * KiB, 64 * KiB) },
    writes: [[300, 4 * KiB + 4 * bufferSize]]
  }
}

/** Reads well, and there is always more to come, in small pieces. */
const busy = (dice: Dice): Holder => ({
  sink: { sendBuffer: 16 * KiB, hostBuffer: 16 * KiB, readsPerSecond: dice.of(35_000, 60_000) },
  source: { receiveBuffer: dice.of(2 * KiB, 4 * KiB) },
  writes: [[300, 250 * KiB]]
})

/** Reads well enough, behind a kernel that hides it: after a first word, all at once. */
const hidden = (dice: Dice): Holder => ({
  sink: {
    sendBuffer: 512 * KiB,
    acceptAbove: Math.floor(512 * KiB / 3),
    hostBuffer: 16 * KiB,
    readsPerSecond: dice.of(22_000, 27_000)
  },
  source: {},
  writes: [[300, 100], [2700, 900 * KiB]]
})

const crowds = (dice: Dice): Script => {
  const kind = dice.of(stuck, stuck, stuck, stuck, stuck, stuck, busy, busy, busy, hidden)
  const limit = kind === stuck ? dice.between(2, 5) : dice.between(2, 3)
  const bufferSize = kind === stuck ? dice.of(KiB, 4 * KiB) : 16 * KiB
  const side = dice.of("target", "target", "client")
  const holders = Array.from(
    { length: dice.between(limit, limit + 2) },
    () => dice.oneIn(3) ? stuck(dice, bufferSize) : kind(dice, bufferSize)
  )
  const timed = holders.flatMap(({ writes }, link): Array<Timed> => [
    [dice.below(300), { does: "open", link }],
    ...writes.map(([atMs, bytes]): Timed => [atMs + dice.below(200), { does: "write", link, side, bytes }])
  ])
  const newcomers = Array.from({ length: dice.between(1, 4) }, (): LinkScript => ({ client: {}, target: {} }))
  for (const at of newcomers.keys()) timed.push(...newcomer(dice, holders.length + at, side))
  if (dice.oneIn(6)) timed.push([dice.below(5000), meddling(dice)], [8000, { does: "giveBack", count: 9 }])
  timed.push([14_000, { does: "pass", ms: 1 }])
  return {
    pool: {
      limit,
      reserve: dice.between(1, Math.min(3, limit - 1)),
      bufferSize,
      ageAfterMs: dice.oneIn(2) ? 1000 : undefined
    },
    relay: {
      turnBytes: kind === stuck && dice.oneIn(2) ? dice.of(64, bufferSize / 8) : undefined,
      stallGraceMs: dice.of(250, 1000),
      stallTimeoutMs: kind === hidden ? 6000 : 2500,
      queueTimeoutMs: dice.of(2000, 60_000, 60_000, 60_000),
      idleTimeoutMs: dice.of(2000, 15_000, 15_000, 15_000),
      samples: !dice.oneIn(4)
    },
    ...common(dice),
    links: [
      ...holders.map(({ sink, source }) =>
        side === "target" ? { client: sink, target: source } : { client: source, target: sink }
      ),
      ...newcomers
    ],
    events: inTime(timed)
  }
}

const newcomer = (dice: Dice, link: number, busySide: Side): Array<Timed> => {
  const openMs = dice.between(500, 4000)
  const side = dice.of(busySide, busySide, "client", "target")
  return [
    [openMs, { does: "open", link }],
    [openMs + dice.below(1000), { does: "write", link, side, bytes: dice.magnitude(2000) }],
    [openMs + 1000, { does: "end", link, side }]
  ]
}

/** In order, with the time between. */
export const inTime = (timed: ReadonlyArray<Timed>): Array<Event> => {
  const events: Array<Event> = []
  let now = 0
  for (const [atMs, event] of timed.toSorted(([a], [b]) => a - b)) {
    if (atMs > now) events.push({ does: "pass", ms: atMs - now })
    now = Math.max(now, atMs)
    events.push(event)
  }
  return events
}

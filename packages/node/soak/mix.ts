/**
 * What happens in a soak: who takes part at each limit, what a conversation is, and how often fate strikes.
 *
 * Invariant: everything here is bounded: connections, bytes of a conversation, pauses in it. So a conversation that does not
 * end hangs, and nothing that grows in the relay is the load's doing.
 */
import { progressBytes } from "headgate/StallPolicy"
import type { Dice } from "./dice.ts"

/** Who does what, all the time, one conversation after the other. */
export type Role = "mixed" | "slowReader" | "neverReader" | "slowLoris"

/** A relay with this many buffers, and the load before it. */
export interface Stand {
  readonly limit: number
  readonly reserve: number
  /** What it is resized to, at random. The least is what makes a shortage certain. */
  readonly limits: readonly [number, ...ReadonlyArray<number>]
  readonly actors: { readonly [R in Role]: number }
}

/**
 * Together 330 connections: 660 files of the load's processes, and as many of the relays'. A peer that does not read makes the
 * kernel hold up to 8 MB: together at most 700 MB.
 *
 * Those that never read are more than the buffers of the lower limits, and at limit 3 of all: there nobody at all is served
 * any more if the stall policy does not see to it.
 */
export const stands: ReadonlyArray<Stand> = [
  { limit: 3, reserve: 1, limits: [2, 3, 5], actors: { mixed: 16, slowReader: 1, neverReader: 6, slowLoris: 3 } },
  {
    limit: 64,
    reserve: 3,
    limits: [12, 16, 64, 96],
    actors: { mixed: 60, slowReader: 8, neverReader: 16, slowLoris: 12 }
  },
  {
    limit: 1024,
    reserve: 3,
    limits: [16, 32, 1024, 1536],
    actors: { mixed: 120, slowReader: 16, neverReader: 32, slowLoris: 40 }
  }
]

export type Range = readonly [least: number, most: number]

export interface Times {
  readonly stallTimeoutMs: number
  readonly stallGraceMs: number
  readonly queueTimeoutMs: number
  /** Behind a load's end, beyond `queueTimeout`: what has no end by then hangs. Then again: what is still there was leaked. */
  readonly patienceMs: number
  /** Between one and the next. */
  readonly resizeEveryMs: Range
  readonly killEveryMs: Range
  /** The origin goes away, with all its connections, for so long. */
  readonly outageEveryMs: Range
  readonly outageMs: Range
}

/** The stall policy in a tenth of its usual time, so that each minute shows it; `queueTimeout` as usual. */
export const times: Times = {
  stallTimeoutMs: 3000,
  stallGraceMs: 500,
  queueTimeoutMs: 120_000,
  patienceMs: 60_000,
  resizeEveryMs: [1000, 8000],
  killEveryMs: [100, 2000],
  outageEveryMs: [10_000, 40_000],
  outageMs: [100, 1500]
}

/** What one end of a conversation does. */
export interface Part {
  readonly bytes: number
  /** At once, behind the other's end, or piece by piece in answer to the other's. */
  readonly speaks: "atOnce" | "behindEnd" | "inTurn"
  readonly longestPieceBytes: number
  /** Between pieces. */
  readonly pauseMs: number
  /** How fast it reads. 0: it reads nothing until the load or the other end is over. */
  readonly bytesPerSecond: number
  /** It resets the connection after that many bytes, sent and received. */
  readonly resetsAfterBytes: number
}

export interface Script {
  readonly kind: string
  readonly client: Part
  readonly origin: Part
}

const says = (bytes: number, more: Partial<Part> = {}): Part => ({
  bytes,
  speaks: "atOnce",
  longestPieceBytes: 200_000,
  pauseMs: 0,
  bytesPerSecond: Infinity,
  resetsAfterBytes: Infinity,
  ...more
})

const few = (dice: Dice): Part => says(dice.magnitude(1, 4000))
const many = (dice: Dice): Part => says(dice.magnitude(10_000, 4_000_000))

/**
 * More than the kernel hides of it, before the relay and behind it: 4 MB each. So its last bytes are in a buffer, and who says
 * it is not done with it: it would be over, and its reader be woken.
 */
const tooMuchBytes = 16_000_000

const mixed = {
  bulk: (dice: Dice) => ({ client: many(dice), origin: many(dice) }),
  pingPong: (dice: Dice) => {
    const part = says(dice.magnitude(100, 100_000), { speaks: "inTurn", longestPieceBytes: 4096 })
    return { client: part, origin: part }
  },
  short: (dice: Dice) => ({ client: few(dice), origin: few(dice) }),
  clientEndsFirst: (dice: Dice) => ({ client: many(dice), origin: { ...many(dice), speaks: "behindEnd" as const } }),
  originEndsFirst: (dice: Dice) => ({ client: { ...many(dice), speaks: "behindEnd" as const }, origin: many(dice) }),
  reset: (dice: Dice) => {
    const script = { client: many(dice), origin: many(dice) }
    const side = dice.side()
    const resetsAfterBytes = dice.between(0, script.client.bytes + script.origin.bytes)
    return { ...script, [side]: { ...script[side], resetsAfterBytes } }
  }
}

/** Reads in this way what the other side sends too much of. Mostly the client: downloads are what the world has slow readers of. */
const reader = (dice: Dice, bytesPerSecond: number): Omit<Script, "kind"> => {
  const [one, other] = [says(dice.between(1, 4000), { bytesPerSecond }), says(tooMuchBytes)]
  return dice.between(1, 4) > 1 ? { client: one, origin: other } : { client: other, origin: one }
}

/**
 * `stallTimeout` decides who is stuck: 64 KiB in that time. Twelve times as fast is slow and honest, also as the kernel shows it:
 * a window that was full opens in steps, measured of 390 to 590 kB in receive buffers of 1.3 to 4.8 MB. Readers five times as
 * fast were without progress for up to 5.5 s, and a policy of 3 s resets them; twelve times as fast, for up to 1.8 s.
 */
const slowBytesPerSecond = ({ stallTimeoutMs }: Times): number => 12 * progressBytes / (stallTimeoutMs / 1000)

const slowLoris = (dice: Dice): Omit<Script, "kind"> => ({
  client: says(dice.between(5, 30), { longestPieceBytes: 1, pauseMs: dice.magnitude(50, 2000) }),
  origin: { ...few(dice), speaks: "behindEnd" }
})

type MixedKind = keyof typeof mixed

const often: readonly [MixedKind, ...ReadonlyArray<MixedKind>] = [
  "bulk",
  "bulk",
  "pingPong",
  "pingPong",
  "short",
  "short",
  "short",
  "clientEndsFirst",
  "originEndsFirst",
  "reset"
]

/** The next conversation of an actor in that role. */
export const scriptOf = (role: Role, dice: Dice, times: Times): Script => {
  if (role === "slowReader") return { kind: role, ...reader(dice, slowBytesPerSecond(times)) }
  if (role === "neverReader") return { kind: role, ...reader(dice, 0) }
  if (role === "slowLoris") return { kind: role, ...slowLoris(dice) }
  const kind = dice.of(often)
  return { kind, ...mixed[kind](dice) }
}

/** Between an actor's conversations. */
export const restMs = (role: Role, dice: Dice, { stallTimeoutMs }: Times): number =>
  role === "mixed" ? dice.magnitude(1, 500) : dice.between(stallTimeoutMs, 4 * stallTimeoutMs)

/**
 * Who waits for a buffer, for how long, and whether that is still what the stall policy promises.
 *
 * The promise, per wait: `grace + P + (⌊g/n⌋ + 1)(h + grace + 2P)`. P is the relay's sweep, g the buffers that others were
 * lent meanwhile (handed on to them or, beside a waiter that is not entitled, simply taken), n what a class can have of the
 * limit, and h the longest that a peer can hold one buffer without being stuck: `stallTimeout` for each 64 KiB of what the
 * kernel wants to be rid of (a third of its send buffer) before it takes more.
 *
 * Three things are added, for the promise is one of a relay that is left alone on a machine of its own:
 * - a limit that was lowered: n is the least one during the wait, and each buffer lent above it must come back first, at the
 *   worst one a sweep, for a sweep resets as many as wait;
 * - the process's own lateness during the wait;
 * - and nobody waits longer than `queueTimeout`, at the end of which the relay resets the connection, two sweeps later.
 */
import type { Criticality, PoolSnapshot } from "headgate"
import { progressBytes } from "headgate/StallPolicy"
import type { Times } from "./mix.ts"

const sweepMs = 250
/** A grant is collected in the next turns of the event loop. */
const collectMs = 5000
/** Two looks at one wait tell the time of its beginning with a tick of the clock between them. */
const sameMs = 5

interface Wait {
  readonly since: number
  readonly takes: number
  leastLimit: number
  surplus: number
}

export interface WaitOptions {
  readonly times: Pick<Times, "stallTimeoutMs" | "stallGraceMs" | "queueTimeoutMs">
  /** The largest send buffer that the kernel grows to. */
  readonly sendBufferBytes: number
  /** How late the process has been since that time. */
  readonly lateSinceMs: (at: number) => number
}

/** What of a pool is looked at. */
export interface Picture
  extends Pick<PoolSnapshot, "limit" | "reserve" | "bufferSize" | "free" | "favoured" | "waiting" | "classes">
{
  /** Buffers lent since the start. */
  readonly takes: number
}

const levels: { readonly [C in Criticality]: number } = { tx: 0, channel: 1, endpoint: 2, rx: 3 }
const classes = ["tx", "channel", "endpoint", "rx"] as const

const marginOf = (criticality: Criticality, reserve: number): number => Math.floor(levels[criticality] * reserve / 3)

export class Waits {
  /** The oldest wait seen since it was last set back, and how near the nearest one came to its bound: 1 is the bound. */
  oldestMs = 0
  nearest = 0
  private waits = new Map<string, Wait>()
  private readonly options: WaitOptions

  constructor(options: WaitOptions) {
    this.options = options
  }

  /** The limit is being lowered below what is lent. */
  shrinks(surplus: number): void {
    for (const wait of this.waits.values()) wait.surplus += Math.max(0, surplus)
  }

  /** One look; what is wrong with it. `now` is a time of `performance.now()`. */
  look(pool: Picture, now: number): ReadonlyArray<string> {
    const waits = new Map<string, Wait>()
    const wrong = this.lostWakeup(pool)
    for (const { criticality, forMs, state, target } of pool.waiting) {
      const name = `${String(target)} at ${criticality}`
      if (state === "granted") {
        if (forMs > collectMs + this.options.lateSinceMs(now - forMs)) {
          wrong.push(`${name} has not collected its buffer for ${forMs} ms`)
        }
        continue
      }
      const wait = this.waitOf(name, now - forMs, pool)
      waits.set(name, wait)
      const boundMs = this.boundMs(wait, criticality, pool)
      this.oldestMs = Math.max(this.oldestMs, forMs)
      this.nearest = Math.max(this.nearest, forMs / boundMs)
      if (forMs > boundMs) {
        const others = pool.takes - wait.takes
        wrong.push(
          `${name} has waited ${Math.round(forMs)} ms, more than the ${Math.round(boundMs)} ms that it was promised ` +
            `with ${others} buffers lent to others and a limit of ${wait.leastLimit} at least`
        )
      }
    }
    this.waits = waits
    return wrong
  }

  /** Law L4, at this moment: who is first in line could not have a buffer. */
  private lostWakeup({ classes: all, favoured, free, reserve }: Picture): Array<string> {
    const first = classes.find((one) => all[one].waiting > 0)
    if (first === undefined || favoured !== undefined || free <= marginOf(first, reserve)) return []
    return [`${all[first].waiting} wait at ${first} though ${free} buffers are free: a wakeup was lost`]
  }

  private waitOf(name: string, since: number, { limit, takes }: Picture): Wait {
    const known = this.waits.get(name)
    if (known === undefined || Math.abs(known.since - since) > sameMs) {
      return { since, takes, leastLimit: limit, surplus: 0 }
    }
    known.leastLimit = Math.min(known.leastLimit, limit)
    return known
  }

  private boundMs(wait: Wait, criticality: Criticality, { bufferSize, reserve, takes }: Picture): number {
    const { lateSinceMs, sendBufferBytes, times: { queueTimeoutMs, stallGraceMs, stallTimeoutMs } } = this.options
    const holdMs = stallTimeoutMs * Math.ceil((sendBufferBytes / 3 + bufferSize) / progressBytes)
    const share = wait.leastLimit - marginOf(criticality, reserve)
    const rounds = Math.floor((takes - wait.takes) / share) + 1
    const promisedMs = stallGraceMs + sweepMs + rounds * (holdMs + stallGraceMs + 2 * sweepMs) + wait.surplus * sweepMs
    return Math.min(promisedMs, queueTimeoutMs + 2 * sweepMs) + lateSinceMs(wait.since)
  }
}

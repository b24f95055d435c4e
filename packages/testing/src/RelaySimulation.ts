/**
 * The relay, simulated: the real `Relay` of Headgate over simulated peers, in virtual time, where one seed decides
 * everything. A seed expands to a script (plain data, JSON); a script runs the same each time; and a script that fails is
 * cut down to a short one that still breaks the same law.
 *
 * After every step the laws are judged, of the pool as far as its picture shows them and of the relay: bytes in order, honest
 * ends, bounded memory, bounded waits. At the end everything must have come back.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { BufferPool } from "headgate/BufferPool"
import type { Criticality } from "headgate/Criticality"
import type { ConfigError } from "headgate/PoolError"
import type { Relay, RelayEnd, RelayOptions } from "headgate/Relay"
import type { TaskScheduler } from "headgate/TaskScheduler"
import { expand } from "./internal/simulationSeeds.ts"
import { shrunk } from "./internal/simulationShrink.ts"
import { World } from "./internal/simulationWorld.ts"
import type { LawName } from "./Laws.ts"
import type * as SimulatedPeer from "./SimulatedPeer.ts"

/**
 * @category models
 * @since 0.1.0
 */
export type Side = "client" | "target"

/**
 * One end of a simulated connection; what is left out has no bound and takes no time.
 *
 * @category models
 * @since 0.1.0
 */
export type EndScript = Omit<SimulatedPeer.Options, "label" | "trace">

/**
 * One connection: both ends, and how long its target takes to accept it, or to refuse it.
 *
 * @category models
 * @since 0.1.0
 */
export interface LinkScript {
  readonly client: EndScript
  readonly target: EndScript
  readonly connectMs?: number | undefined
  readonly refused?: boolean | undefined
}

/**
 * What may move at one end: see `SimulatedPeer`. All but `tellReset` and `read` are the kernel's.
 *
 * @category models
 * @since 0.1.0
 */
export type Movement =
  | "arrive"
  | "deliver"
  | "deliverLate"
  | "accept"
  | "transmit"
  | "acknowledgeEnd"
  | "tellReset"
  | "read"

/**
 * One thing that happens. What cannot happen when its time comes (a host that is gone writes) is passed over, so that a part
 * of a script is a script.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  /** A client connects. */
  | { readonly does: "open"; readonly link: number }
  /** A host writes, sends its end, resets, or reads at another speed from now on (0: it stalls). */
  | { readonly does: "write"; readonly link: number; readonly side: Side; readonly bytes: number }
  | { readonly does: "end" | "reset"; readonly link: number; readonly side: Side }
  | { readonly does: "speed"; readonly link: number; readonly side: Side; readonly readsPerSecond: number }
  /** One movement, of that many bytes at most. */
  | {
    readonly does: "move"
    readonly link: number
    readonly side: Side
    readonly what: Movement
    readonly bytes?: number | undefined
  }
  /** Tasks of the scheduler, one after the other. */
  | { readonly does: "run"; readonly tasks: number }
  /** Time passes, in which everything moves that can. */
  | { readonly does: "pass"; readonly ms: number }
  /** The fiber that relays a connection is interrupted. */
  | { readonly does: "interrupt"; readonly link: number }
  /** The relay's scope closes: a forced shutdown. */
  | { readonly does: "shutdown" }
  | { readonly does: "resize"; readonly limit: number }
  | { readonly does: "trim" }
  /** The next so many creations of a buffer's memory fail. */
  | { readonly does: "failCreations"; readonly count: number }
  /** Somebody outside the relay takes buffers, or gives some back. */
  | { readonly does: "hold"; readonly criticality: Criticality; readonly count: number }
  | { readonly does: "giveBack"; readonly count: number }

/**
 * A whole life of a relay: how it is set up, its connections, and what happens, in order. When the events are over, every
 * host that reads ends, all that is held outside comes back, and time passes until every connection is over.
 *
 * @category models
 * @since 0.1.0
 */
export interface Script {
  readonly pool: {
    readonly limit: number
    readonly reserve: number
    readonly bufferSize: number
    /** Left out: nobody is favoured. */
    readonly ageAfterMs?: number | undefined
  }
  readonly relay: {
    readonly turnBytes?: number | undefined
    readonly stallGraceMs: number
    readonly stallTimeoutMs: number
    readonly queueTimeoutMs: number
    readonly idleTimeoutMs: number
    /** Whether what the kernel has unsent can be known. */
    readonly samples: boolean
  }
  /** Operations of a fiber before it yields. Left out: as Effect's own scheduler. */
  readonly yieldEvery?: number | undefined
  /** Decides the order of movements and tasks while time passes. Left out: always the same. */
  readonly shuffle?: number | undefined
  readonly links: ReadonlyArray<LinkScript>
  readonly events: ReadonlyArray<Event>
}

/**
 * The laws of a relay, beside the pool's.
 *
 * `bytes`: each once and in order. `honest`: an end that a host sees was made, with every byte before it; all else is a
 * reset on both sides. `port`: the port's contract. `memory`: what is in the relay is in buffers or in a bounded overdraft, and
 * who is in the overdraft or waits is not read. `rest`: when nothing moves, each direction reads, waits, writes, or has ended.
 * `waits`: nobody waits longer than the stall policy promises. `evictions`: only for those who wait, only of those that made no
 * progress. `timeouts`: neither early nor late. `accounts`: what the relay counts is what the peers saw. `settled`: in the end
 * everything is over and back. `throws`: nothing throws.
 *
 * @category models
 * @since 0.1.0
 */
export type RelayLaw =
  | "bytes"
  | "honest"
  | "port"
  | "memory"
  | "rest"
  | "waits"
  | "evictions"
  | "timeouts"
  | "accounts"
  | "settled"
  | "throws"

/**
 * A law that does not hold: at which step and when, the fact that should be, and the numbers that show it is not.
 *
 * @category models
 * @since 0.1.0
 */
export interface Violation {
  readonly law: LawName | RelayLaw
  readonly step: number
  readonly atMs: number
  readonly fact: string
  readonly numbers: { readonly [name: string]: number }
}

/**
 * How connections ended: as the relay says, or before or without it.
 *
 * @category models
 * @since 0.1.0
 */
export type End = RelayEnd | "interrupted" | "refused"

/**
 * What happened.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly script: Script
  /** All that was asked of a peer and told by one, with its time, in order. */
  readonly log: ReadonlyArray<string>
  /** Empty if all is well. A run stops at the first step that breaks a law. */
  readonly violations: ReadonlyArray<Violation>
  readonly ends: { readonly [E in End]: number }
  /** How often the laws were judged. */
  readonly steps: number
  readonly virtualMs: number
  readonly bytes: number
  readonly handOffs: number
  /** Waits for a buffer; those for which the stall policy's promise was asserted; the longest, and how near it came. */
  readonly waits: number
  readonly waitsBounded: number
  readonly longestWaitMs: number
  readonly nearestToBound: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The relay under test. Default `Relay.make`. */
  readonly relay?:
    | ((
      options: RelayOptions
    ) => Effect.Effect<Relay["Service"], ConfigError, BufferPool | TaskScheduler | Scope.Scope>)
    | undefined
}

/**
 * The script that a seed stands for. Pure.
 *
 * @category constructors
 * @since 0.1.0
 */
export const scriptOf = (seed: number): Script => expand(seed)

/**
 * Runs a script: synchronous, in virtual time, the same each time. Throws if the script is none: a number that is negative or
 * not finite, or what the pool or the relay refuses as an option.
 *
 * @category running
 * @since 0.1.0
 */
export const runScript = (script: Script, options: Options = {}): Report => {
  mustBeNumbers("script", script)
  return new World(script, options).live()
}

const mustBeNumbers = (path: string, value: unknown): void => {
  if (typeof value === "number" && !(value >= 0 && value < Infinity)) {
    throw new Error(`${path} is ${value}: it must be a finite number of at least 0`)
  }
  if (typeof value !== "object" || value === null) return
  for (const [name, part] of Object.entries(value)) mustBeNumbers(`${path}.${name}`, part)
}

/**
 * Runs the script of a seed.
 *
 * @category running
 * @since 0.1.0
 */
export const simulate = (seed: number, options: Options = {}): Report => runScript(scriptOf(seed), options)

/**
 * A short script that breaks the same law as this one, or this one if it breaks none. `maxSteps` bounds the work (half a
 * million: about ten seconds).
 *
 * @category running
 * @since 0.1.0
 */
export const shrink = (script: Script, options: Options & { readonly maxSteps?: number | undefined } = {}): Script =>
  shrunk(script, (one) => runScript(one, options), options.maxSteps ?? 500_000)

/**
 * A script in one line, to paste.
 *
 * @category printing
 * @since 0.1.0
 */
export const print = (script: Script): string => `RelaySimulation.runScript(${JSON.stringify(script)})`

/**
 * A violation in one line.
 *
 * @category printing
 * @since 0.1.0
 */
export const show = ({ atMs, fact, law, numbers, step }: Violation): string =>
  `${law}, step ${step}, ${atMs} ms: not true that ${fact} (${
    Object.entries(numbers).map(([name, number]) => `${name} ${number}`).join(", ")
  })`

/**
 * Runs the seeds from `first` on and stops at one that fails, which it shrinks: what to tell people, or undefined.
 *
 * @category running
 * @since 0.1.0
 */
export const check = (
  seeds: { readonly first: number; readonly count: number },
  options: Options & {
    readonly each?: ((report: Report, seed: number) => void) | undefined
    readonly maxSteps?: number | undefined
  } = {}
): string | undefined => {
  for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++) {
    const report = simulate(seed, options)
    options.each?.(report, seed)
    const violation = report.violations[0]
    if (violation === undefined) continue
    return [`seed ${seed}: ${show(violation)}`, "shrunk:", print(shrink(report.script, options))].join("\n")
  }
  return undefined
}

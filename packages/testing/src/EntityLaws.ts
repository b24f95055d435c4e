/**
 * The laws for an entity of your own, under whatever others do to the pool meanwhile.
 *
 * `laws(subject)` makes a check of one history: a few of your entities share a small pool with rivals, who take buffers and
 * keep them, wait, decline, throw, leave, pin; with memory that fails, limits that change, time that passes, interruptions.
 * Fibers yield after every three operations, and the history says whose turn is next. After every step the laws of the pool
 * are judged, and what a waiter and a holder owe to others (see `PoolObserver`), and each run (see `SchedulerObserver`). At
 * the end the rivals give everything back: then everybody must have come to rest, served; and when your entities have ended,
 * nothing is lent and nobody waits.
 *
 * Histories are data, from `PoolArbitrary.histories` (for `it.effect.prop`) or `PoolCommands.histories` (for fast-check), and
 * shrink to the few events that matter. Everything runs inside the check, in virtual time, without a turn of the event loop: so
 * an entity that awaits a promise or a real timer cannot be tried.
 *
 * ```ts
 * const check = laws({
 *   make: FrameDecoder.make,
 *   does: { decode: (decoder) => decoder.decode(frames) }
 * })
 * it.effect.prop("a decoder keeps the laws", [PoolArbitrary.histories], ([history]) => check(history))
 * ```
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Headgate from "headgate/Headgate"
import type { AllocationFailed, ConfigError } from "headgate/PoolError"
import { play } from "./internal/lawsWorld.ts"
import type * as Laws from "./Laws.ts"
import type { Finding } from "./PoolObserver.ts"

/**
 * What is under test.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subject<A, E> {
  /** The pool and its schedulers. Default: limit 3, reserve 1, buffers of 64 bytes. */
  readonly options?: Headgate.HeadgateOptions | undefined
  /** Makes one entity, in a scope that closes at its end. */
  readonly make: Effect.Effect<A, E, Headgate.Services | Scope.Scope>
  /** How many of them there are. Default 2. */
  readonly count?: number | undefined
  /** What can be done to one, by name. Each runs in a fiber of its own, in the entity's scope; it may fail, but not die. */
  readonly does: {
    readonly [name: string]: (entity: A) => Effect.Effect<unknown, unknown, Headgate.Services | Scope.Scope>
  }
}

/**
 * The kinds of events: what the entities do or suffer, what rivals do, what happens to the pool, and time.
 *
 * @category constants
 * @since 0.1.0
 */
export const kinds = [
  "act",
  "turn",
  "rest",
  "interrupt",
  "end",
  "rivalTakes",
  "rivalWaits",
  "rivalDeclines",
  "rivalCollects",
  "rivalLeaves",
  "rivalGivesBack",
  "rivalPins",
  "rivalUnpins",
  "resize",
  "trim",
  "favour",
  "unfavour",
  "failCreation",
  "sleep",
  "close"
] as const

/**
 * @category models
 * @since 0.1.0
 */
export type Kind = (typeof kinds)[number]

/**
 * How often each kind should be generated.
 *
 * @category constants
 * @since 0.1.0
 */
export const weights: { readonly [K in Kind]: number } = {
  act: 40,
  turn: 60,
  rest: 6,
  interrupt: 4,
  end: 1,
  rivalTakes: 30,
  rivalWaits: 8,
  rivalDeclines: 6,
  rivalCollects: 8,
  rivalLeaves: 6,
  rivalGivesBack: 24,
  rivalPins: 3,
  rivalUnpins: 4,
  resize: 4,
  trim: 2,
  favour: 3,
  unfavour: 3,
  failCreation: 3,
  sleep: 6,
  close: 1
}

/**
 * The largest `pick` that generators need.
 *
 * @category constants
 * @since 0.1.0
 */
export const mostPick = 63

/**
 * One event: `pick` chooses who, which or how many, among those there are when its turn comes. So any part of a history is a
 * history.
 *
 * @category models
 * @since 0.1.0
 */
export interface Event {
  readonly kind: Kind
  readonly pick: number
}

/**
 * @category models
 * @since 0.1.0
 */
export type History = ReadonlyArray<Event>

/**
 * What a history has met, so that a test can see that it tried something: how often each law had something to say, and what
 * was done how often.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly exercised: Laws.Exercised
  /** Runs started by the schedulers. */
  readonly starts: number
  /** Events that had something to happen to; of the kind `act`, by the name of what was done. */
  readonly happened: { readonly [name: string]: number }
}

/**
 * A law that an entity, or the pool, has broken.
 *
 * @category errors
 * @since 0.1.0
 */
export class LawBroken extends Data.TaggedError("LawBroken")<{
  readonly law: Laws.LawName
  /** What is not true. */
  readonly fact: string
  readonly numbers: { readonly [name: string]: number }
  /** After which step. */
  readonly step: string
  /** Who waits, or holds. */
  readonly waiter: string | undefined
  /** What happened so far, the last event last. */
  readonly history: ReadonlyArray<string>
  /** What else is wrong after the same step. */
  readonly others: ReadonlyArray<Finding>
}> {
  override get message(): string {
    const numbers = Object.entries(this.numbers).map(([name, number]) => `${name} ${number}`).join(", ")
    const who = this.waiter === undefined ? "" : `\n  who: ${this.waiter}`
    return `${this.law} is broken: it is not true that ${this.fact}${who}\n  after: ${this.step}` +
      `${numbers === "" ? "" : `\n  with: ${numbers}`}\n  history: ${this.history.join("; ") || "nothing"}`
  }
}

/**
 * The check of one history. It fails with the first law that is broken; and as the pool or `make` fail, which says that the
 * subject could not be set up.
 *
 * @category constructors
 * @since 0.1.0
 */
export const laws =
  <A, E>(subject: Subject<A, E>) =>
  (history: History): Effect.Effect<Report, LawBroken | E | ConfigError | AllocationFailed> => play(subject, history)

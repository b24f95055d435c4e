/**
 * A pool beside its specification, through any history: after every step, also in the middle of wakes, both must show the same
 * picture, and the pool's must keep the laws.
 *
 * A history is data, a list of actions that generators make and shrink (`PoolCommands`, `PoolArbitrary`). An action names no
 * waiter and no lease: `pick` chooses among those there are when its turn comes, so any part of a history is a history. The
 * pool is whatever can be driven as a `System`: Headgate's core in our tests, or a pool of your own.
 *
 * @since 0.1.0
 */
import { differencesBetween } from "./internal/lawsDifference.ts"
import type * as Laws from "./Laws.ts"
import { check, isKept, show } from "./Laws.ts"
import * as PoolSpec from "./PoolSpec.ts"

// ---- who may wait -----------------------------------------------------------------------------------------------------

/** The classes, most critical first. */
export const classes: ReadonlyArray<Laws.Criticality> = ["tx", "channel", "endpoint", "rx"]

/** Somebody who may wait; its number is its place in the cast. Fibers are told by a flush only. */
export interface Member {
  readonly criticality: Laws.Criticality
  readonly holder: number
  readonly isFiber: boolean
}

/** Four holders, two entities and two fibers, with a waiter in each class: so a holder of one buffer may wait for another. */
export const cast: ReadonlyArray<Member> = [0, 1, 2, 3].flatMap((holder) =>
  classes.map((criticality) => ({ criticality, holder, isFiber: holder > 1 }))
)

// ---- what is seen of a pool ---------------------------------------------------------------------------------------------

/** What a pool under test shows: what the laws look at, and all else that can be observed. */
export interface Picture extends Laws.PoolState {
  /** For each waiter, which hand-off its grant is, counted from 1; 0 without a grant. */
  readonly handOffs: ReadonlyArray<number>
  /** Whose wakes are due and were not delivered yet: entities first, then fibers, each in order. */
  readonly pending: ReadonlyArray<number>
  readonly counters: PoolSpec.Counters
}

/** What is seen in the course of an operation, with a picture at each point where nothing is half done. */
export type Seen = PoolSpec.Event<Picture>

/** What the specification shows. */
export const observe = (state: PoolSpec.State): Picture => ({
  ...PoolSpec.observe(state),
  handOffs: state.waiters.map(({ handOff }) => handOff),
  pending: [...state.ready, ...state.readyFibers].map(({ waiter }) => waiter),
  counters: state.counters
})

const seenBySpec = (event: PoolSpec.Event): Seen => "state" in event ? { ...event, state: observe(event.state) } : event

// ---- what is done to it -------------------------------------------------------------------------------------------------

/** The kinds of actions. */
export const kinds = [
  "take",
  "wait",
  "waitAgain",
  "leave",
  "leaveSelf",
  "leaveNext",
  "giveBack",
  "giveBackOwn",
  "pin",
  "unpin",
  "resize",
  "trim",
  "close",
  "favour",
  "unfavour",
  "flush",
  "failCreations"
] as const

export type Kind = (typeof kinds)[number]

/** Something to do. `self` is the waiter whose deed it is; `pick` chooses who, which, or how many. */
export interface Action {
  readonly kind: Kind
  readonly self: number
  readonly pick: number
}

/** How often each kind should be generated, for histories that meet everything. */
export const weights: { readonly [K in Kind]: number } = {
  take: 36,
  wait: 70,
  waitAgain: 10,
  leave: 6,
  leaveSelf: 2,
  leaveNext: 2,
  giveBack: 40,
  giveBackOwn: 10,
  pin: 6,
  unpin: 8,
  resize: 14,
  trim: 6,
  close: 1,
  favour: 6,
  unfavour: 4,
  flush: 14,
  failCreations: 12
}

/** The same for what wakes do: mostly they take their grant. Flushing is for whoever owns the turns. */
export const weightsInWakes: { readonly [K in Kind]: number } = {
  take: 8,
  wait: 12,
  waitAgain: 40,
  leave: 4,
  leaveSelf: 4,
  leaveNext: 6,
  giveBack: 10,
  giveBackOwn: 25,
  pin: 3,
  unpin: 3,
  resize: 3,
  trim: 2,
  close: 1,
  favour: 2,
  unfavour: 2,
  flush: 0,
  failCreations: 0
}

/** The largest `pick` that generators need: every choice can be reached. */
export const mostPick = 63

/** What a wake does, and what it answers. */
export interface Script {
  readonly does: ReadonlyArray<Omit<Action, "self">>
  readonly answer: Laws.Answer
}

/** Takes its grant, passes it on and waits again: as long as two of them wait, wakes never end. */
export const passesOn: Script = {
  does: [{ kind: "waitAgain", pick: 0 }, { kind: "giveBackOwn", pick: 0 }, { kind: "waitAgain", pick: 0 }],
  answer: "accept"
}

/** A pool, and how those who wait for it react. */
export interface Setup {
  readonly limit: number
  readonly reserve: number
  /** Areas created at the start, if that is more than `reserve + 1`. */
  readonly prealloc: number
  readonly maxWaiting: number
  /** For each of the cast, what its wakes do, one after the other and then from the start again. */
  readonly scripts: ReadonlyArray<ReadonlyArray<Script>>
}

const at = <A>(items: ReadonlyArray<A>, index: number): A => {
  const item = items[index]
  if (item === undefined) throw new RangeError(`no item ${index} of ${items.length}`)
  return item
}

const pickFrom = <A>(items: ReadonlyArray<A>, pick: number): A | undefined => items[pick % Math.max(1, items.length)]

/** An action's operation on a pool that looks like this; undefined if there is nothing to do it to. */
export const resolve = ({ kind, pick, self }: Action, state: Picture): Laws.Operation | undefined => {
  switch (kind) {
    case "take":
      return { does: "take", criticality: at(classes, pick % 4), holder: Math.floor(pick / 4) % 4 }
    case "wait":
      return { does: "takeOrWait", waiter: pick % cast.length }
    case "waitAgain":
      return { does: "takeOrWait", waiter: self }
    case "leave":
      // In a closed pool anybody: news may still be on its way to somebody who is idle.
      return leaving(pickFrom(state.waiters.filter((waiter) => state.closed || waiter.state !== "idle"), pick)?.waiter)
    case "leaveSelf":
      return leaving(self)
    case "leaveNext":
      return leaving(nextInLine(self, state))
    case "resize":
      return { does: "resize", limit: state.reserve + 1 + (pick % 2) * (pick % 7) }
    case "favour":
      return { does: "favour", criticality: at(classes, pick % 4) }
    case "unfavour":
      return { does: "favour", criticality: undefined }
    case "flush":
      return { does: "flush", max: pick % 3 === 0 ? PoolSpec.wakesPerDrain : pick % 4 }
    case "trim":
    case "close":
      return { does: kind }
    case "failCreations":
      return undefined
    default:
      return onLease(kind, pick, at(cast, self).holder, state.leases)
  }
}

const leaving = (waiter: number | undefined): Laws.Operation | undefined =>
  waiter === undefined ? undefined : { does: "leave", waiter }

/** Whose wake comes next, else whose turn comes next. */
const nextInLine = (self: number, { pending, queues, waiters }: Picture): number | undefined =>
  pending.find((waiter) => waiter !== self && at(waiters, waiter).state === "granted") ??
    classes.flatMap((criticality) => queues[criticality]).find((waiter) => waiter !== self)

const onLease = (
  kind: "giveBack" | "giveBackOwn" | "pin" | "unpin",
  pick: number,
  holder: number,
  leases: ReadonlyArray<Laws.Lease>
): Laws.Operation | undefined => {
  const held = leases.filter(({ stage }) => stage === "held")
  const among = kind === "unpin"
    ? leases.filter(({ pins }) => pins > 0)
    : kind === "giveBackOwn"
    ? held.filter((lease) => lease.holder === holder)
    : held
  const chosen = pickFrom(among, pick)
  return chosen === undefined ? undefined : { does: kind === "giveBackOwn" ? "giveBack" : kind, lease: chosen.lease }
}

/** What a waiter does at a wake: operations, each chosen when its turn comes, and then its answer. */
export interface Reaction {
  readonly does: ReadonlyArray<(look: () => Picture) => Laws.Operation | undefined>
  readonly answer: Laws.Answer
}

/** How waiters react, given how many wakes they got before: the same for the pool and for its specification. */
export type React = (waiter: number, wakesBefore: number) => Reaction

const reactOf = ({ scripts }: Setup): React => (self, wakesBefore) => {
  const own = at(scripts, self)
  const { answer, does } = at(own, wakesBefore % own.length)
  return { answer, does: does.map((action) => (look) => resolve({ ...action, self }, look())) }
}

const forSpec = (react: React): PoolSpec.React => (waiter, _, wakesBefore) => {
  const { answer, does } = react(waiter, wakesBefore)
  return { answer, does: does.map((choose) => (state) => choose(() => observe(state))) }
}

// ---- the pool under test --------------------------------------------------------------------------------------------------

/** What a pool under test is made with. */
export interface SystemOptions {
  readonly limit: number
  readonly reserve: number
  /** Areas to create at the start. */
  readonly prealloc: number
  readonly maxWaiting: number
  readonly waiters: ReadonlyArray<Member>
  /** To be asked once per area to be created after that, in order: false if that fails. */
  readonly create: () => boolean
  /** To be called for each wake. What it returns is the waiter's answer; it may throw, and may call `act`. */
  readonly woken: (waiter: number, news: PoolSpec.News) => boolean
}

/** A pool under test. Leases are numbered by takes, from 0, and areas by creations. */
export interface System {
  readonly act: (operation: Laws.Operation) => PoolSpec.Result
  readonly observe: () => Picture
  /** Whether it has asked for a flush that has not come yet. */
  readonly isFlushAsked: () => boolean
}

/** Makes a pool under test. */
export type MakeSystem = (options: SystemOptions) => System

/** One change that nothing can interleave. */
export interface Change {
  readonly before: Picture
  readonly step: Laws.Step
  readonly after: Picture
}

/** What one action led to. Problems are empty if all is well. */
export interface Outcome {
  readonly operation: Laws.Operation | undefined
  readonly problems: ReadonlyArray<string>
  readonly changes: ReadonlyArray<Change>
  readonly events: ReadonlyArray<Seen>
}

const nothing: Outcome = { operation: undefined, problems: [], changes: [], events: [] }

/** A pool and its specification, step by step. */
export class Lockstep<S extends System = System> {
  spec: PoolSpec.State
  readonly system: S
  private readonly react: React
  private fates: ReadonlyArray<boolean> = []
  private events: Array<Seen> = []
  private readonly wakes: Array<number>

  constructor(options: Omit<SystemOptions, "create" | "woken">, react: React, make: (options: SystemOptions) => S) {
    this.react = react
    this.wakes = options.waiters.map(() => 0)
    this.spec = PoolSpec.initial(options)
    this.system = make({
      ...options,
      create: () => this.create(),
      woken: (waiter, news) => this.woken(waiter, news)
    })
  }

  /** Whether there is something to do it to. */
  allows(action: Action): boolean {
    return action.kind === "failCreations" || resolve(action, observe(this.spec)) !== undefined
  }

  /** Does an action to both, and compares. */
  perform(action: Action): Outcome {
    if (action.kind === "failCreations") {
      this.failCreations(action.pick % 3, 1 + action.pick % 4)
      return nothing
    }
    const operation = resolve(action, observe(this.spec))
    if (operation === undefined) return nothing
    const outcome = this.step(operation)
    return { ...outcome, problems: [...outcome.problems, ...this.unserved()] }
  }

  /** Lets `after` more creations succeed and then `times` fail. */
  failCreations(after: number, times: number): void {
    this.spec = PoolSpec.failCreations(this.spec, after, times)
    this.fates = this.spec.fates
  }

  /** Performs one operation on both, and compares. */
  step(operation: Laws.Operation): Outcome {
    this.events = []
    const start = this.system.observe()
    const { events, state } = PoolSpec.step(this.spec, operation, forSpec(this.react))
    this.act(operation)
    this.spec = state
    const changes = changesIn(start, this.events)
    const isFlushDue = this.system.observe().pending.length > 0
    const problems = [
      ...changes.flatMap(({ after, before, step }) => check(before, step, after).map(show)),
      ...differencesBetween({ events: events.map(seenBySpec) }, { events: this.events }),
      ...(isFlushDue && !this.system.isFlushAsked() ? ["L4: wakes are due, and no flush was asked for"] : [])
    ]
    return { operation, problems, changes, events: this.events }
  }

  /** L8 to its end: who is never served, although all who do not wait give back, again and again. */
  unserved(): ReadonlyArray<string> {
    return PoolSpec.neverServed(this.spec, isKept).map((waiter) =>
      `L8: waiter ${waiter} is never served, whoever gives back`
    )
  }

  private act(operation: Laws.Operation): void {
    this.events.push({ at: "called", operation })
    const result = this.system.act(operation)
    this.events.push({ at: "returned", operation, result, state: this.system.observe() })
  }

  private create(): boolean {
    const [succeeds = true, ...fates] = this.fates
    this.fates = fates
    return succeeds
  }

  private woken(waiter: number, news: PoolSpec.News): boolean {
    const wakesBefore = at(this.wakes, waiter)
    this.wakes[waiter] = wakesBefore + 1
    const { answer, does } = this.react(waiter, wakesBefore)
    this.events.push({ at: "told", waiter, news, state: this.system.observe() })
    for (const choose of does) {
      const operation = choose(() => this.system.observe())
      if (operation !== undefined) this.act(operation)
    }
    this.events.push({ at: "answered", waiter, answer })
    if (answer === "throw") throw new Error("a wake that throws")
    return answer === "accept"
  }
}

/** A pool as a set-up has it, beside its specification. */
export const start = <S extends System>(setup: Setup, make: (options: SystemOptions) => S): Lockstep<S> => {
  const { limit, maxWaiting, reserve } = setup
  const prealloc = Math.max(reserve + 1, Math.min(setup.prealloc, limit))
  return new Lockstep({ limit, reserve, maxWaiting, prealloc, waiters: cast }, reactOf(setup), make)
}

/** Each change between two pictures, with what caused it. */
const changesIn = (start: Picture, events: ReadonlyArray<Seen>): ReadonlyArray<Change> => {
  const found: Array<Change> = []
  let before = start
  let step: Laws.Step | undefined = undefined
  for (const event of events) {
    if (event.at === "called") step = event.operation
    else if (event.at === "answered") step = { does: "answer", waiter: event.waiter, answer: event.answer }
    else {
      if (step !== undefined) found.push({ before, step, after: event.state })
      before = event.state
      step = undefined
    }
  }
  return found
}

/** Plays a history on a pool and its specification. Returns what is wrong after the first action after which something is. */
export const play = (setup: Setup, history: ReadonlyArray<Action>, make: MakeSystem): ReadonlyArray<string> => {
  const both = start(setup, make)
  for (const [index, action] of history.entries()) {
    const { operation, problems } = both.perform(action)
    if (problems.length > 0) return [`after action ${index}, ${JSON.stringify(operation)}:`, ...problems]
  }
  return []
}

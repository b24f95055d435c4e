/**
 * A run queue beside its specification, through any history: after every operation, and at every start and every deed of a
 * run, both must show the same picture.
 *
 * As in `PoolModel`, a history is data, and the queue is whatever can be driven as a `System`: Headgate's core in our tests,
 * or one of your own.
 *
 * @since 0.1.0
 */
import { differencesBetween } from "./internal/lawsDifference.ts"
import * as RunQueueSpec from "./RunQueueSpec.ts"

/** Entries in the queue. */
export const entries: ReadonlyArray<number> = [0, 1, 2, 3, 4]

// ---- what is done to it -------------------------------------------------------------------------------------------------

/** The kinds of deeds. */
export const kinds = ["wake", "wakeSelf", "finish", "finishSelf", "end", "endSelf", "endNext"] as const

export type Kind = (typeof kinds)[number]

/** Something done to an entry, from outside or by a run; `pick` chooses the entry or the reason. */
export interface Deed {
  readonly kind: Kind
  readonly pick: number
}

/** A deed from outside, or a pass that starts at most `max` runs. */
export type Action = Deed | { readonly kind: "pass"; readonly max: number }

/** What one start does. One that throws is reported. */
export interface Script {
  readonly does: ReadonlyArray<Deed>
  readonly throws: boolean
}

/** How often each kind should be generated from outside. */
export const weights: { readonly [K in Kind]: number } = {
  wake: 24,
  wakeSelf: 0,
  finish: 14,
  finishSelf: 0,
  end: 1,
  endSelf: 0,
  endNext: 0
}

/** The same for what runs do. */
export const weightsInRuns: { readonly [K in Kind]: number } = {
  wake: 4,
  wakeSelf: 4,
  finish: 1,
  finishSelf: 5,
  end: 0,
  endSelf: 1,
  endNext: 1
}

/** The largest `pick` that generators need. */
export const mostPick = 34

const at = <A>(items: ReadonlyArray<A>, index: number): A => {
  const item = items[index]
  if (item === undefined) throw new RangeError(`no item ${index} of ${items.length}`)
  return item
}

/** A deed's operation on a queue that looks like this; undefined if there is nothing to do it to. */
export const resolve = (
  { kind, pick }: Deed,
  self: number,
  picture: Picture
): RunQueueSpec.Operation | undefined => {
  switch (kind) {
    case "wake":
      return { does: "wake", entry: pick % entries.length, reasons: 1 << pick % 7 }
    case "wakeSelf":
      return { does: "wake", entry: self, reasons: 1 << pick % 7 }
    case "finish": {
      const among = entries.filter((entry) => mayFinish(picture, entry))
      return onEntry("finish", among[pick % Math.max(1, among.length)])
    }
    case "finishSelf":
      return mayFinish(picture, self) ? { does: "finish", entry: self } : undefined
    case "end":
      return onEntry("end", entries[pick % entries.length])
    case "endSelf":
      return onEntry("end", self)
    case "endNext":
      return onEntry("end", picture.queue[0])
  }
}

const onEntry = (does: "finish" | "end", entry: number | undefined): RunQueueSpec.Operation | undefined =>
  entry === undefined ? undefined : { does, entry }

/** A run may be reported as finished after its entry has ended. */
const mayFinish = (picture: Picture, entry: number): boolean =>
  ["running", "ended"].includes(at(picture.entries, entry).state)

// ---- the queue under test -------------------------------------------------------------------------------------------------

/** What a queue under test shows. (Its starts may be counted at the end of a pass.) */
export type Picture = Pick<RunQueueSpec.State, "entries" | "queue">

/** What is seen in the course of a pass. */
export type Seen =
  | { readonly at: "started"; readonly entry: number; readonly reasons: number; readonly picture: Picture }
  | { readonly at: "did"; readonly operation: RunQueueSpec.Operation; readonly picture: Picture }
  | { readonly at: "threw"; readonly entry: number }

/** What a queue under test is made with. */
export interface SystemOptions {
  readonly entries: number
  /** To be called for each start, with the reasons as bits. May throw, and may call `act`. */
  readonly started: (entry: number, reasons: number) => void
  /** To be told of each start that threw. */
  readonly threw: () => void
}

/** A run queue under test. */
export interface System {
  readonly act: (operation: RunQueueSpec.Operation) => void
  /** Starts, in wake order, at most `max` of the entries that are queued now; says how many. */
  readonly run: (max: number) => number
  readonly observe: () => Picture & { readonly length: number; readonly starts: number }
  /** Whether it has asked for a turn that has not come yet. */
  readonly isTurnAsked: () => boolean
}

/** Makes a queue under test. */
export type MakeSystem = (options: SystemOptions) => System

const pictureOf = ({ entries, queue }: Picture): Picture => ({ entries, queue })

/** What one action led to. Problems are empty if all is well. */
export interface Outcome {
  readonly operation: RunQueueSpec.Operation | undefined
  readonly before: Picture
  readonly problems: ReadonlyArray<string>
  readonly events: ReadonlyArray<Seen>
}

/** What an entry does when it starts, given how many runs were started before: the same for both. */
export type React = (entry: number, startsBefore: number) => {
  readonly does: ReadonlyArray<(picture: Picture) => RunQueueSpec.Operation | undefined>
  readonly throws: boolean
}

const reactOf = (scripts: ReadonlyArray<Script>): React => (entry, startsBefore) => {
  const { does, throws } = at(scripts, startsBefore % scripts.length)
  return { throws, does: does.map((deed) => (picture) => resolve(deed, entry, picture)) }
}

/** A run queue and its specification, step by step. */
export class Lockstep {
  spec: RunQueueSpec.State
  readonly system: System
  private readonly react: React
  private events: Array<Seen> = []
  private started = 0
  private starting = -1

  constructor(entries: number, react: React, make: MakeSystem) {
    this.react = react
    this.spec = RunQueueSpec.initial(entries)
    this.system = make({
      entries,
      started: (entry, reasons) => this.start(entry, reasons),
      threw: () => this.events.push({ at: "threw", entry: this.starting })
    })
  }

  /** Whether there is something to do it to. */
  allows(action: Action): boolean {
    return action.kind === "pass" || resolve(action, 0, this.spec) !== undefined
  }

  /** Does an action to both, and compares. */
  perform(action: Action): Outcome {
    if (action.kind === "pass") return this.pass(action.max)
    const operation = resolve(action, 0, this.spec)
    return operation === undefined ? { operation, before: this.spec, problems: [], events: [] } : this.step(operation)
  }

  /** Performs one operation on both, and compares. */
  step(operation: RunQueueSpec.Operation): Outcome {
    this.events = []
    const before = this.spec
    this.spec = RunQueueSpec.step(before, operation)
    this.system.act(operation)
    return { operation, before, problems: this.differences([]), events: [] }
  }

  /** Makes one pass on both, and compares. */
  pass(max: number): Outcome {
    this.events = []
    const before = this.spec
    const { events, started, state } = RunQueueSpec.run(before, max, this.react)
    this.spec = state
    const found = this.system.run(max)
    const problems = found === started ? [] : [`${found} runs were started, and by the specification ${started}`]
    return {
      operation: undefined,
      before,
      problems: [...problems, ...this.differences(events)],
      events: this.events
    }
  }

  private start(entry: number, reasons: number): void {
    const { does, throws } = this.react(entry, this.started)
    this.started++
    this.starting = entry
    this.events.push({ at: "started", entry, reasons, picture: this.picture() })
    for (const choose of does) {
      const operation = choose(this.picture())
      if (operation === undefined) continue
      this.system.act(operation)
      this.events.push({ at: "did", operation, picture: this.picture() })
    }
    if (throws) throw new Error("a start that throws")
  }

  private picture(): Picture {
    return pictureOf(this.system.observe())
  }

  private differences(events: ReadonlyArray<RunQueueSpec.Event>): ReadonlyArray<string> {
    const { length, starts, ...picture } = this.system.observe()
    const found = { events: this.events, picture: pictureOf(picture), length, starts }
    const expected = {
      events: events.map(seenBySpec),
      picture: pictureOf(this.spec),
      length: this.spec.queue.length,
      starts: this.spec.starts
    }
    return [
      ...differencesBetween(expected, found),
      ...(this.system.isTurnAsked() || length === 0 ? [] : ["L4: somebody is queued, and no turn was asked for"])
    ]
  }
}

/** A queue of five entries beside its specification. */
export const start = (scripts: ReadonlyArray<Script>, make: MakeSystem): Lockstep =>
  new Lockstep(entries.length, reactOf(scripts), make)

const seenBySpec = (event: RunQueueSpec.Event): Seen => {
  if (event.at === "threw") return event
  const { state, ...rest } = event
  return { ...rest, picture: pictureOf(state) }
}

/** Plays a history on a queue and its specification. Returns what is wrong after the first action after which something is. */
export const play = (
  scripts: ReadonlyArray<Script>,
  history: ReadonlyArray<Action>,
  make: MakeSystem
): ReadonlyArray<string> => {
  const both = start(scripts, make)
  for (const [index, action] of history.entries()) {
    const { problems } = both.perform(action)
    if (problems.length > 0) return [`after action ${index}, ${JSON.stringify(action)}:`, ...problems]
  }
  return []
}

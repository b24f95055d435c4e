/**
 * A schedule as data: the choices that one run made, in order, and the id that is written from them.
 *
 * An id is `settings-choices-check`. The settings are those that decide which choices there are (interruptions, faults,
 * timers, whether the root is preempted, operations at most); in the choices a `0` is the default, `_n` stands for n defaults
 * in a row, and those at the end are left out; the check is a hash of the whole run, its choices and how many operations it
 * took, so that an id from another program, or from an Effect whose fibers take other steps, is refused and not misread.
 */

/** Which parts of the shared state one step touched. Two steps that touch nothing in common may change places. */
export type Footprint = Set<string>

/** A moment at which more than one thing could happen. */
export interface Node {
  /** `schedule`: who runs next. `choice`: something that the program itself left open; it happens inside a step. */
  readonly kind: "schedule" | "choice"
  /** What could happen, named so that the same thing has the same name whatever ran before. */
  readonly labels: ReadonlyArray<string>
  /** Whether the first option is that the fiber which runs now goes on. */
  readonly continues: boolean
  /** Which options make the fiber that runs now wait. */
  readonly preempts: ReadonlyArray<boolean>
  chosen: number
  /** Options that were explored where nothing that depends on them has happened since, with what they touched. */
  readonly asleep: Map<string, Footprint>
  /** What the step that was chosen touched, in all runs that chose it. */
  footprint: Footprint
  /** What had been spent before. */
  readonly preemptions: number
  readonly interrupts: number
}

/** What decides which choices a program has. */
export interface Shape {
  readonly interrupts: number
  readonly faults: number
  readonly timers: "idle" | "racy"
  readonly preemptRoot: boolean
  readonly maxSteps: number
}

/** What a run did, as far as an id tells it from others. */
export interface Ran {
  readonly path: ReadonlyArray<Node>
  readonly steps: number
}

export interface ParsedId {
  readonly shape: Shape
  readonly choices: ReadonlyArray<number>
  readonly check: string
}

const encodeChoices = (choices: ReadonlyArray<number>): string =>
  choices.slice(0, choices.findLastIndex((choice) => choice !== 0) + 1)
    .map((choice) => choice.toString(36)).join(".")
    .replace(/(?<=^|\.)0(?:\.0)+(?=\.|$)/g, (zeros) => `_${(zeros.length + 1) / 2}`)

const decodeChoices = (text: string): ReadonlyArray<number> =>
  text === "" ? [] : text.split(".").flatMap((part) =>
    part.startsWith("_")
      ? Array.from({ length: Number(part.slice(1)) }, () => 0)
      : [Number.parseInt(part, 36)]
  )

/** FNV-1a, over what was chosen and from what, and how long it took. */
const checkOf = ({ path, steps }: Ran): string => {
  let hash = 0x811c9dc5
  for (const said of [...path.map(({ chosen, labels }) => `${labels.join(" ")}:${labels[chosen]};`), String(steps)]) {
    for (const character of said) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  }
  return (hash >>> 0).toString(36)
}

export const idOf = (ran: Ran, { faults, interrupts, maxSteps, preemptRoot, timers }: Shape): string => {
  const shape = `i${interrupts}f${faults}${timers === "racy" ? "t" : ""}${preemptRoot ? "r" : ""}s${maxSteps}`
  return `${shape}-${encodeChoices(ran.path.map(({ chosen }) => chosen))}-${checkOf(ran)}`
}

/** Undefined if it is not an id at all. */
export const parseId = (id: string): ParsedId | undefined => {
  const parts = /^i(\d+)f(\d+)(t?)(r?)s(\d+)-((?:_?[0-9a-z]+(?:\._?[0-9a-z]+)*)?)-([0-9a-z]+)$/.exec(id)
  if (parts === null) return undefined
  const [, interrupts, faults, racy, root, maxSteps, choices = "", check = ""] = parts
  const shape: Shape = {
    interrupts: Number(interrupts),
    faults: Number(faults),
    timers: racy === "t" ? "racy" : "idle",
    preemptRoot: root === "r",
    maxSteps: Number(maxSteps)
  }
  return { shape, choices: decodeChoices(choices), check }
}

/** Whether a run that followed an id is the one that the id was written from. */
export const isRunOf = (ran: Ran, { check }: ParsedId): boolean => checkOf(ran) === check

/**
 * The whole state space of a small run queue, breadth first, the core and its specification side by side: as `walk.ts` does
 * it for the pool.
 */
import * as RunQueueModel from "@headgate/testing/RunQueueModel"
import type * as RunQueueSpec from "@headgate/testing/RunQueueSpec"
import { breadthFirst, type Node, type Walked } from "./breadthFirst.ts"
import { RunQueueSystem } from "./runQueueSystem.ts"

/** How an entry's runs go: over when the start returns, with or without a wake of itself before that, or later. */
export type Habit = "finishes at once" | "wakes itself and finishes at once" | "finishes later"

/** What one start does instead of what its entry is used to. */
const oddDeeds = ["ends itself", "ends the next", "wakes the next", "throws"] as const

interface Odd {
  /** Which start, counted from 0. */
  readonly start: number
  readonly deed: (typeof oddDeeds)[number]
}

type Move =
  | RunQueueSpec.Operation
  | { readonly does: "pass"; readonly max: number }
  | { readonly does: "startOddly"; readonly odd: Odd }

interface State {
  readonly spec: RunQueueSpec.State
  readonly odd: ReadonlyArray<Odd>
}

const ordinary = ({ spec }: State): ReadonlyArray<Move> => [
  ...spec.entries.flatMap((_, entry) => [1, 2].map((reasons): Move => ({ does: "wake", entry, reasons }))),
  ...spec.entries.flatMap(({ state }, entry): ReadonlyArray<Move> =>
    state === "running" || state === "ended" ? [{ does: "finish", entry }] : []
  ),
  ...[1, 2, Infinity].map((max): Move => ({ does: "pass", max }))
]

const faults = ({ odd, spec }: State): ReadonlyArray<Move> => [
  ...spec.entries.map((_, entry): Move => ({ does: "end", entry })),
  ...odd.some(({ start }) => start >= spec.starts)
    ? []
    : oddDeeds.map((deed): Move => ({ does: "startOddly", odd: { start: spec.starts, deed } }))
]

const keyOf = ({ odd, spec }: State): string =>
  [
    ...odd.filter(({ start }) => start >= spec.starts).map(({ deed }) => deed),
    spec.queue,
    ...spec.entries.map(({ reasons, state }) => state + reasons)
  ].join("|")

const deedsOf = (
  habit: Habit | undefined,
  odd: Odd["deed"] | undefined,
  entry: number,
  next: number
): ReadonlyArray<RunQueueSpec.Operation> => {
  switch (odd ?? habit) {
    case "finishes at once":
      return [{ does: "finish", entry }]
    case "wakes itself and finishes at once":
      return [{ does: "wake", entry, reasons: 1 }, { does: "finish", entry }]
    case "ends itself":
      return [{ does: "end", entry }]
    case "ends the next":
      return [{ does: "end", entry: next }]
    case "wakes the next":
      return [{ does: "wake", entry: next, reasons: 2 }]
    default:
      return []
  }
}

const start = (habits: ReadonlyArray<Habit>, odd: ReadonlyArray<Odd>): RunQueueModel.Lockstep =>
  new RunQueueModel.Lockstep(
    habits.length,
    (entry, startsBefore) => {
      const deed = odd.find(({ start }) => start === startsBefore)?.deed
      const deeds = deedsOf(habits[entry], deed, entry, (entry + 1) % habits.length)
      return { does: deeds.map((operation) => () => operation), throws: deed === "throws" }
    },
    (options) => new RunQueueSystem(options)
  )

/** Both, with the core brought to where the specification is. */
const reached = (
  habits: ReadonlyArray<Habit>,
  { path, state }: Node<State, Move>,
  odd: ReadonlyArray<Odd>
): RunQueueModel.Lockstep => {
  const both = start(habits, odd)
  for (const move of path) {
    if (move.does === "pass") both.system.run(move.max)
    else if (move.does !== "startOddly") both.system.act(move)
  }
  both.spec = state.spec
  return both
}

const make = (habits: ReadonlyArray<Habit>, node: Node<State, Move>, move: Move) => {
  const odd = move.does === "startOddly" ? [...node.state.odd, move.odd] : node.state.odd
  const both = reached(habits, node, odd)
  const problems = move.does === "startOddly"
    ? []
    : (move.does === "pass" ? both.pass(move.max) : both.step(move)).problems
  return { state: { spec: both.spec, odd }, problems }
}

/** One entry per habit. */
export const walkRunQueue = (habits: ReadonlyArray<Habit>, mostFaults: number): Walked =>
  breadthFirst<State, Move>({
    first: { spec: start(habits, []).spec, odd: [] },
    ordinary,
    faults,
    make: (node, move) => make(habits, node, move),
    key: keyOf,
    judge: () => []
  }, mostFaults)

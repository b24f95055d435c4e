/**
 * The whole state space of a small pool, breadth first, the core and its specification side by side.
 *
 * From every state every move is tried; two states are one if they differ in the numbers of leases and areas only. The core
 * is mutable, so for each move a fresh one is brought to its state by the moves that first led there: about ten, each a
 * microsecond or two. After every step (also those inside a move, at the start of each wake) both must show the same picture,
 * and the core's must keep the laws; in every state, if those who hold and do not wait give back, all who wait are served.
 */
import * as Laws from "@headgate/testing/Laws"
import * as PoolModel from "@headgate/testing/PoolModel"
import * as PoolSpec from "@headgate/testing/PoolSpec"
import { breadthFirst, type Node, type Walked as Counted } from "./breadthFirst.ts"
import { GateSystem } from "./gateSystem.ts"

/** Who may wait, and hold. An eager one takes its grant inside its wake; the others when they come to the door. */
export interface Actor extends PoolModel.Member {
  readonly isEager: boolean
}

export interface Size {
  readonly limit: number
  readonly reserve: number
  readonly actors: ReadonlyArray<Actor>
}

export interface Walked extends Counted {
  readonly exercised: Laws.Exercised
}

type Move = Laws.Operation | { readonly does: "failNextCreation" } | { readonly does: "answerBadly"; readonly bad: Bad }

/** A waiter's wake, counted from 0, at which it does not accept. */
interface Bad {
  readonly waiter: number
  readonly wake: number
  readonly answer: "decline" | "throw"
}

interface State {
  readonly spec: PoolSpec.State
  readonly bad: ReadonlyArray<Bad>
}

// ---- moves --------------------------------------------------------------------------------------------------------------

const ordinary = ({ actors }: Size, { spec }: State): ReadonlyArray<Move> => [
  ...actors.map((_, waiter): Move => ({ does: "takeOrWait", waiter })),
  ...actors.map(({ criticality, holder }): Move => ({ does: "take", criticality, holder })),
  ...held(spec).map(({ lease }): Move => ({ does: "giveBack", lease })),
  ...spec.leases.filter(({ pins }) => pins > 0).map(({ lease }): Move => ({ does: "unpin", lease })),
  ...(spec.favoured === undefined ? [] : [{ does: "favour", criticality: undefined } as const]),
  ...(spec.readyFibers.length === 0 ? [] : [{ does: "flush", max: 1 } as const])
]

const faults = ({ actors, limit, reserve }: Size, { bad, spec }: State): ReadonlyArray<Move> => [
  ...actors.map((_, waiter): Move => ({ does: "leave", waiter })),
  ...[...new Set([reserve + 1, limit, limit + 1])].filter((other) => other !== spec.limit).map((limit): Move => ({
    does: "resize",
    limit
  })),
  ...PoolModel.classes.slice(1).map((criticality): Move => ({ does: "favour", criticality })),
  ...held(spec).map(({ lease }): Move => ({ does: "pin", lease })),
  { does: "trim" },
  { does: "close" },
  ...(spec.fates.length > 0 ? [] : [{ does: "failNextCreation" } as const]),
  ...spec.waiters.filter(({ waiter, wakes }) => !bad.some((old) => old.waiter === waiter && old.wake >= wakes))
    .flatMap(({ waiter, wakes: wake }) =>
      (["decline", "throw"] as const).map((answer): Move => ({ does: "answerBadly", bad: { waiter, wake, answer } }))
    )
]

const held = ({ leases }: PoolSpec.State): ReadonlyArray<Laws.Lease> => leases.filter(({ stage }) => stage === "held")

// ---- states -------------------------------------------------------------------------------------------------------------

/** All that two states must share to be one. */
const keyOf = ({ bad, spec }: State): string => {
  const leases = spec.leases.map(({ criticality, holder, lease, pins, stage }) => {
    const owner = stage === "granted" ? spec.waiters.findIndex(({ grant }) => grant === lease) : holder
    return `${criticality}${stage}${owner}.${pins}`
  })
  const pending = (wakes: ReadonlyArray<PoolSpec.Pending>) => wakes.map(({ news, waiter }) => waiter + news).join()
  const answers = bad.filter(({ waiter, wake }) => wake >= (spec.waiters[waiter]?.wakes ?? 0))
  return [
    `${spec.limit} ${spec.capacity} ${spec.closed} ${spec.favoured} ${spec.unused.length} ${spec.fates}`,
    ...answers.map(({ answer, waiter }) => waiter + answer).sort(),
    ...PoolModel.classes.map((criticality) => spec.queues[criticality].join()),
    pending(spec.ready),
    pending(spec.readyFibers),
    ...leases.sort()
  ].join("|")
}

const start = ({ actors, limit, reserve }: Size, bad: ReadonlyArray<Bad>) =>
  new PoolModel.Lockstep(
    { limit, reserve, maxWaiting: Infinity, prealloc: reserve + 1, waiters: actors },
    (waiter, wakesBefore) => {
      const answer = bad.find((wake) => wake.waiter === waiter && wake.wake === wakesBefore)?.answer ?? "accept"
      const isEager = actors[waiter]?.isEager === true && answer === "accept"
      return { answer, does: isEager ? [() => ({ does: "takeOrWait", waiter })] : [] }
    },
    (options) => new GateSystem(options)
  )

/** Both, with the core brought to where the specification is. */
const reached = (size: Size, { path, state }: Node<State, Move>, bad: ReadonlyArray<Bad>) => {
  const both = start(size, bad)
  for (const move of path) {
    if (move.does === "failNextCreation") both.failCreations(0, 1)
    else if (move.does !== "answerBadly") both.system.act(move)
  }
  both.spec = state.spec
  return both
}

// ---- the walk -----------------------------------------------------------------------------------------------------------

export const walk = (size: Size, mostFaults: number): Walked => {
  let exercised = Laws.neverExercised
  const make = (node: Node<State, Move>, move: Move) => {
    const bad = move.does === "answerBadly" ? [...node.state.bad, move.bad] : node.state.bad
    const both = reached(size, node, bad)
    let problems: ReadonlyArray<string> = []
    if (move.does === "failNextCreation") both.failCreations(0, 1)
    else if (move.does !== "answerBadly") {
      const outcome = both.step(move)
      problems = outcome.problems
      for (const { after, before, step } of outcome.changes) exercised = Laws.exercise(exercised, before, step, after)
    }
    return { state: { spec: both.spec, bad }, problems }
  }
  const walked = breadthFirst<State, Move>({
    first: { spec: start(size, []).spec, bad: [] },
    ordinary: (state) => ordinary(size, state),
    faults: (state) => faults(size, state),
    make,
    key: keyOf,
    // L8 to its end, in every state.
    judge: ({ spec }) => PoolSpec.neverServed(spec, Laws.isKept).map((waiter) => `L8: waiter ${waiter} is never served`)
  }, mostFaults)
  return { ...walked, exercised }
}

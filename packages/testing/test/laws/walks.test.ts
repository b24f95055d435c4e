/**
 * All states of small pools and run queues, core and specification side by side, laws at every step. The counts are part of the
 * claim: if a rule changes, so do they, and whoever changes one looks at it and writes down the new ones.
 */
import * as Laws from "@headgate/testing/Laws"
import { describe, expect, test } from "vitest"
import { type Actor, walk } from "./walk.ts"
import { type Habit, walkRunQueue } from "./walkRunQueue.ts"

const isFull = process.env["HEADGATE_FULL"] === "1"

type Who = readonly [Actor["criticality"], holder: number, ...("fiber" | "eager")[]]

const actors = (...who: ReadonlyArray<Who>): ReadonlyArray<Actor> =>
  who.map(([criticality, holder, ...is]) => ({
    criticality,
    holder,
    isFiber: is.includes("fiber"),
    isEager: is.includes("eager")
  }))

/** Entities and fibers; those called eager take their grant inside their wake. */
const casts = {
  "rx (eager), channel (fiber), rx": actors(["rx", 0, "eager"], ["channel", 1, "fiber"], ["rx", 2]),
  "tx, endpoint (fiber), rx (fiber)": actors(["tx", 0], ["endpoint", 1, "fiber"], ["rx", 2, "fiber"]),
  "rx and then tx (eager) of one holder, rx (fiber)": actors(["rx", 0], ["tx", 0, "eager"], ["rx", 1, "fiber"]),
  "all classes, rx twice": actors(["tx", 0], ["channel", 1, "eager"], ["endpoint", 2, "fiber"], ["rx", 3], [
    "rx",
    4,
    "fiber"
  ])
} as const

interface Row {
  readonly limit: number
  readonly reserve: number
  readonly cast: keyof typeof casts
  readonly faults: number
  readonly states: number
  readonly steps: number
}

const row = (
  limit: number,
  reserve: number,
  cast: keyof typeof casts,
  faults: number,
  states: number,
  steps: number
): Row => ({ limit, reserve, cast, faults, states, steps })

const quick: ReadonlyArray<Row> = [
  row(2, 1, "tx, endpoint (fiber), rx (fiber)", 2, 15_679, 161_367),
  row(3, 2, "rx (eager), channel (fiber), rx", 2, 19_902, 216_157),
  row(3, 1, "rx and then tx (eager) of one holder, rx (fiber)", 2, 26_831, 298_215)
]

const full: ReadonlyArray<Row> = [
  row(2, 1, "tx, endpoint (fiber), rx (fiber)", 3, 76_393, 900_162),
  row(3, 1, "rx (eager), channel (fiber), rx", 3, 192_028, 2_414_772),
  row(3, 2, "tx, endpoint (fiber), rx (fiber)", 3, 151_855, 1_869_642),
  row(3, 1, "rx and then tx (eager) of one holder, rx (fiber)", 3, 143_043, 1_805_151),
  row(3, 2, "rx and then tx (eager) of one holder, rx (fiber)", 3, 58_287, 729_942),
  row(2, 1, "all classes, rx twice", 1, 22_427, 291_452),
  row(3, 2, "all classes, rx twice", 1, 49_457, 678_940)
]

/** A law whose premise is met less often than this in a walk was not tried by it. */
const often = 10_000

const minutes = isFull ? 20 : 5

describe("the core of a pool agrees with its specification and keeps the laws in all", () => {
  for (const { cast, faults, limit, reserve, states, steps } of isFull ? [...quick, ...full] : quick) {
    const where = `limit ${limit}, reserve ${reserve}, within ${faults} faults, with ${cast}`
    test(`${states} states and ${steps} steps at ${where}`, () => {
      const walked = walk({ limit, reserve, actors: casts[cast] }, faults)
      console.info(`premises met: ${Laws.names.map((law) => `${law} ${walked.exercised[law]}`).join(", ")}`)
      expect(walked.problems).toEqual([])
      expect({ states: walked.states, steps: walked.steps }).toEqual({ states, steps })
      expect(Laws.names.filter((law) => walked.exercised[law] < often)).toEqual([])
    }, minutes * 60_000)
  }
})

interface RunRow {
  readonly habits: ReadonlyArray<Habit>
  readonly faults: number
  readonly states: number
  readonly steps: number
}

const threeHabits = ["finishes at once", "wakes itself and finishes at once", "finishes later"] as const
const twoLater = ["finishes later", "wakes itself and finishes at once", "finishes later"] as const

const quickRuns: ReadonlyArray<RunRow> = [
  { habits: threeHabits, faults: 3, states: 5126, steps: 69_755 },
  { habits: twoLater, faults: 2, states: 4901, steps: 62_947 }
]

const fullRuns: ReadonlyArray<RunRow> = [
  { habits: [...threeHabits, "finishes later"], faults: 2, states: 57_099, steps: 865_477 }
]

describe("the core of a run queue agrees with its specification in all", () => {
  for (const { faults, habits, states, steps } of isFull ? [...quickRuns, ...fullRuns] : quickRuns) {
    test(
      `${states} states and ${steps} steps within ${faults} faults, with runs of which one ${habits.join(", one ")}`,
      () => {
        const walked = walkRunQueue(habits, faults)
        expect(walked.problems).toEqual([])
        expect({ states: walked.states, steps: walked.steps }).toEqual({ states, steps })
      },
      minutes * 60_000
    )
  }
})

/** Every law, and every fact that it states, can fail: for each there is a picture, or a step, that it alone refuses. */
import * as Laws from "@headgate/testing/Laws"
import * as PoolSpec from "@headgate/testing/PoolSpec"
import { readFileSync } from "node:fs"
import { describe, expect, test } from "vitest"

type State = Laws.PoolState

/** Three holders and a waiter of each at rx; beside them one at tx. */
const waiters = [
  { criticality: "rx", holder: 0, isFiber: false },
  { criticality: "rx", holder: 1, isFiber: false },
  { criticality: "tx", holder: 2, isFiber: false }
] as const

const after = (...operations: ReadonlyArray<Laws.Operation>): State => {
  const pool = PoolSpec.initial({ limit: 3, reserve: 1, waiters })
  return PoolSpec.observe(operations.reduce((state, operation) => PoolSpec.step(state, operation).state, pool))
}

const take = (criticality: Laws.Criticality, holder: number): Laws.Operation => ({ does: "take", criticality, holder })
const wait = (waiter: number): Laws.Operation => ({ does: "takeOrWait", waiter })

/** Three buffers lent at tx, of which lease 1 is pinned; waiters 0 and 1 are queued at rx. */
const full = after(
  ...[0, 1, 2].map((holder) => take("tx", holder)),
  { does: "pin", lease: 1 },
  wait(0),
  wait(1)
)

/** One buffer lent at rx, nobody waits. */
const calm = after(take("rx", 0))

/** All lent; waiter 2 has been granted lease 0's buffer as lease 3 and has not collected it; waiter 0 is queued. */
const granted = after(
  ...[0, 1, 2].map((holder) => take("tx", holder)),
  wait(2),
  wait(0),
  { does: "giveBack", lease: 0 }
)

const closed = after(take("tx", 0), { does: "close" })

const changed = <A extends object>(state: A, change: Partial<A>): A => ({ ...state, ...change })

const lease = (state: State, number: number, change: Partial<Laws.Lease>): State => ({
  ...state,
  leases: state.leases.map((old) => old.lease === number ? changed(old, change) : old)
})

const waiter = (state: State, number: number, change: Partial<Laws.Waiter>): State => ({
  ...state,
  waiters: state.waiters.map((old) => old.waiter === number ? changed(old, change) : old)
})

const queue = (state: State, change: Partial<State["queues"]>): State => ({
  ...state,
  queues: { ...state.queues, ...change }
})

const lent = (state: State, change: Partial<State["lent"]>): State => ({ ...state, lent: { ...state.lent, ...change } })

const without = (state: State, number: number): State => ({
  ...state,
  leases: state.leases.filter(({ lease }) => lease !== number)
})

const more = (state: State, change: Partial<Laws.Lease>): State => ({
  ...state,
  leases: [
    ...state.leases,
    { lease: 9, area: 9, criticality: "tx", stage: "held", holder: 9, pins: 0, ...change }
  ]
})

interface Case {
  readonly law: Laws.LawName
  readonly fact: string
  readonly before: State
  /** What the law must refuse after it. */
  readonly wrong: (before: State) => State
  readonly step?: Laws.Step
}

const nothing: Laws.Step = { does: "trim" }

const cases: ReadonlyArray<Case> = [
  {
    law: "L1",
    fact: "0 <= used <= allocated <= capacity (used 3, allocated 3, capacity 2)",
    before: full,
    wrong: (state) => changed(state, { capacity: 2 })
  },
  {
    law: "L1",
    fact: "the capacity is at most the limit, or what shrinking allows (capacity 4, limit 3, allowed 3)",
    before: full,
    wrong: (state) => changed(state, { capacity: 4 })
  },
  {
    law: "L1",
    fact: "a grant leaves its margin free (lease 9, free 1, margin 1)",
    before: calm,
    step: take("rx", 9),
    wrong: (state) => more(changed(state, { used: 2, capacity: 2 }), { criticality: "rx" })
  },
  {
    law: "L2",
    fact: "an area has one owner at most, or is unused (area 0)",
    before: full,
    wrong: (state) => lease(state, 2, { area: 0 })
  },
  {
    law: "L2",
    fact: "an area has one owner at most, or is unused (area 0)",
    before: full,
    wrong: (state) => changed(state, { unused: [0] })
  },
  {
    law: "L2",
    fact: "a lease keeps its area (lease 2, area 7)",
    before: full,
    wrong: (state) => lease(state, 2, { area: 7 })
  },
  {
    law: "L2",
    fact: "a pinned area is nobody else's (area 0, pins 1)",
    before: full,
    step: { does: "giveBack", lease: 1 },
    wrong: (state) => without(state, 1)
  },
  {
    law: "L3",
    fact: "used counts the leases alive (used 2, leases 3)",
    before: full,
    wrong: (state) => changed(state, { used: 2 })
  },
  {
    law: "L3",
    fact: "every area is lent or unused (allocated 2, leases 3, unused 0)",
    before: full,
    wrong: (state) => changed(state, { allocated: 2 })
  },
  {
    law: "L3",
    fact: "lent at tx counts the leases alive (lent 2, leases 3)",
    before: full,
    wrong: (state) => lent(state, { tx: 2 })
  },
  {
    law: "L3",
    fact: "an area that is neither held nor pinned has gone back (area 2)",
    before: full,
    wrong: (state) => lease(state, 2, { stage: "released" })
  },
  {
    law: "L3",
    fact: "nobody waits while nothing is lent (queued 2)",
    before: full,
    wrong: (state) => changed(state, { leases: [] })
  },
  {
    law: "L4",
    fact: "nobody entitled waits at rx (queued 2, free 2, margin 1)",
    before: full,
    wrong: (state) => changed(state, { capacity: 5 })
  },
  {
    law: "L4",
    fact: "nobody entitled waits at tx (queued 1, free 1, margin 0)",
    before: queue(waiter(full, 2, { state: "queued" }), { tx: [2] }),
    wrong: (state) => changed(state, { capacity: 4 })
  },
  {
    law: "L4",
    fact: "nobody waits in a closed pool (queued 2, free 0, margin 1)",
    before: full,
    step: { does: "close" },
    wrong: (state) => changed(state, { closed: true })
  },
  {
    law: "L5",
    fact: "the queue at rx keeps its order, newcomers last (queued 2, stayed 2)",
    before: full,
    wrong: (state) => queue(state, { rx: [1, 0] })
  },
  {
    law: "L5",
    fact: "only who asked is queued (waiter 2)",
    before: full,
    step: wait(1),
    wrong: (state) => queue(waiter(state, 2, { state: "queued" }), { tx: [2] })
  },
  {
    law: "L5",
    fact: "nobody is served before one ahead of it (waiter 1, ahead 0)",
    before: full,
    step: { does: "giveBack", lease: 0 },
    wrong: (state) =>
      queue(
        waiter(more(without(state, 0), { criticality: "rx", stage: "granted" }), 1, { state: "granted", grant: 9 }),
        {
          rx: [0]
        }
      )
  },
  {
    law: "L5",
    fact: "a lease at rx overtakes nobody at rx (lease 9, waiter 0)",
    before: full,
    step: take("rx", 9),
    wrong: (state) => more(state, { criticality: "rx" })
  },
  {
    law: "L5",
    fact: "a lease at channel overtakes nobody at tx (lease 9, waiter 2)",
    before: queue(waiter(full, 2, { state: "queued" }), { tx: [2] }),
    step: { does: "giveBack", lease: 0 },
    wrong: (state) => more(without(state, 0), { criticality: "channel", stage: "granted" })
  },
  {
    law: "L6",
    fact: "who is queued at rx is a living waiter of that class (waiter 2)",
    before: full,
    wrong: (state) => queue(state, { rx: [0, 1, 2] })
  },
  {
    law: "L6",
    fact: "a waiter is in a queue once or not (waiter 0, entries 2)",
    before: full,
    wrong: (state) => queue(state, { rx: [0, 1, 0] })
  },
  {
    law: "L6",
    fact: "a waiter has one grant or none (waiter 2, leases 0)",
    before: granted,
    wrong: (state) => lease(state, 3, { stage: "held" })
  },
  {
    law: "L6",
    fact: "who left is idle (waiter 1)",
    before: full,
    step: { does: "leave", waiter: 1 },
    wrong: (state) => state
  },
  {
    law: "L7",
    fact: "areas exist behind those lent at rx or less (lent 3, allocated 3, margin 1)",
    before: full,
    wrong: (state) => changed(state, { leases: state.leases.map((lease) => changed(lease, { criticality: "rx" })) })
  },
  {
    law: "L8",
    fact: "with nobody queued the capacity has recovered (capacity 2, limit 3)",
    before: calm,
    wrong: (state) => changed(state, { capacity: 2 })
  },
  {
    law: "L8",
    fact: "if all who do not wait give back, somebody at tx is served (room 0, margin 0, heldByWaiting 3)",
    before: full,
    // All three are held, at rx, by somebody who now waits at tx.
    wrong: (state) =>
      queue(
        waiter(
          changed(state, { leases: state.leases.map((lease) => changed(lease, { criticality: "rx", holder: 2 })) }),
          2,
          { state: "queued" }
        ),
        { tx: [2] }
      )
  },
  {
    law: "L11",
    fact: "nobody loses its place by what another does (waiter 0)",
    before: full,
    step: { does: "answer", waiter: 2, answer: "throw" },
    wrong: (state) => queue(waiter(state, 0, { state: "idle" }), { rx: [1] })
  },
  {
    law: "L11",
    fact: "nobody loses its grant by what another does (waiter 2, lease 3)",
    before: granted,
    step: { does: "answer", waiter: 0, answer: "decline" },
    wrong: (state) => waiter(state, 2, { state: "idle", grant: undefined })
  }
]

describe("a law", () => {
  test.each([["full", full], ["calm", calm], ["granted", granted], ["closed", closed]])(
    "finds nothing in a pool that is %s",
    (_, state) => expect(Laws.check(state, nothing, state)).toEqual([])
  )

  test.each(cases)("$law refuses what is not so: $fact", ({ before, fact, law, step = nothing, wrong }) => {
    const found = Laws.laws[law](before, step, wrong(before)).map(Laws.show)
    expect(found).toContain(`${law}: not true that ${fact}`)
    expect(Laws.check(before, step, wrong(before)).map(Laws.show)).toEqual(expect.arrayContaining(found))
  })

  test("of each name, and each fact that one states in its source, is refused by a case above", () => {
    const source = readFileSync(new URL("../../src/Laws.ts", import.meta.url), "utf8")
    const stated = source.match(/unless\(/g)?.length
    const refused = cases.map(({ fact, law }) => `${law} ${fact.replace(/ \(.*/, "").replace(/at \w+/g, "at …")}`)
    expect(new Set(refused).size).toBe(stated)
    expect(new Set(cases.map(({ law }) => law))).toEqual(new Set(Laws.names))
  })

  test("finds nothing but L4 where buffers came back and nobody was woken", () => {
    const forgotten: State = {
      ...lent(without(without(full, 0), 2), { tx: 1 }),
      used: 1,
      unused: [1, 2]
    }
    const found = Laws.check(full, { does: "giveBack", lease: 0 }, forgotten).map(({ law }) => law)
    expect(found).toEqual(["L4"])
  })

  test("has nothing to say where its premise is not met, and is counted where it is", () => {
    const fresh = after()
    expect(Laws.exercise(Laws.neverExercised, fresh, nothing, fresh)).toEqual(Laws.neverExercised)
    const counts = [
      Laws.exercise(Laws.neverExercised, fresh, take("rx", 0), calm),
      Laws.exercise(Laws.neverExercised, full, nothing, full),
      Laws.exercise(Laws.neverExercised, full, { does: "giveBack", lease: 0 }, more(without(full, 0), {}))
    ]
    expect(counts).toEqual([
      { L1: 1, L2: 0, L3: 1, L4: 0, L5: 0, L6: 0, L7: 1, L8: 0, L11: 0 },
      { L1: 0, L2: 1, L3: 1, L4: 1, L5: 0, L6: 1, L7: 0, L8: 1, L11: 1 },
      { L1: 1, L2: 1, L3: 1, L4: 1, L5: 1, L6: 1, L7: 0, L8: 1, L11: 1 }
    ])
  })
})

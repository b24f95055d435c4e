/**
 * The laws of a pool (L1 to L8, L11) as checks on what an observer sees before and after one step.
 *
 * A check never throws: it returns what is broken, with the numbers. It needs no pool of Headgate's: whatever can be pictured
 * as a `PoolState` can be judged, which is why margins and tables are computed here once more, from the rules alone.
 *
 * A step is one change that nothing can interleave: what one operation does before anybody is told, or what an answer to a
 * wake causes. Who judges a system whose wakes re-enter takes a picture at the start of each wake and after each operation
 * inside it, and so holds every law for everybody while somebody throws, declines or re-enters: that is law L11.
 */

/** The classes of urgency. */
export type Criticality = "tx" | "channel" | "endpoint" | "rx"

export type PerClass<A> = { readonly [C in Criticality]: A }

/**
 * A buffer that is lent. `arriving`: a door has decided, but has not returned yet. `granted`: it belongs to a waiter that has
 * not collected it. `released`: given back, but something still pins its area.
 */
export interface Lease {
  readonly lease: number
  readonly area: number
  readonly criticality: Criticality
  readonly stage: "granted" | "arriving" | "held" | "released"
  /** Who has it or will have it. Somebody may hold several buffers and wait for another. */
  readonly holder: number
  readonly pins: number
}

/** Somebody who may wait. A dead entity's waiters are not listed. */
export interface Waiter {
  readonly waiter: number
  readonly criticality: Criticality
  readonly holder: number
  readonly state: "idle" | "queued" | "granted"
  /** The lease that is its own while it is granted. */
  readonly grant: number | undefined
}

/** What an observer sees of a pool and its queue. */
export interface PoolState {
  readonly limit: number
  readonly reserve: number
  readonly capacity: number
  readonly allocated: number
  readonly used: number
  readonly closed: boolean
  readonly favoured: Criticality | undefined
  /** What the pool says it has lent, per class. */
  readonly lent: PerClass<number>
  /** The leases that their owners know, in order of their numbers; later leases have higher numbers. */
  readonly leases: ReadonlyArray<Lease>
  /** Areas that exist and belong to nobody. */
  readonly unused: ReadonlyArray<number>
  /** Waiters, first in line first. */
  readonly queues: PerClass<ReadonlyArray<number>>
  readonly waiters: ReadonlyArray<Waiter>
  /** Areas that could not be created so far. */
  readonly creationsFailed: number
}

export type Answer = "accept" | "decline" | "throw"

/** What may be asked of a pool. */
export type Operation =
  | { readonly does: "take"; readonly criticality: Criticality; readonly holder: number }
  | { readonly does: "takeOrWait"; readonly waiter: number }
  | { readonly does: "leave"; readonly waiter: number }
  | { readonly does: "giveBack"; readonly lease: number }
  | { readonly does: "pin"; readonly lease: number }
  | { readonly does: "unpin"; readonly lease: number }
  | { readonly does: "resize"; readonly limit: number }
  | { readonly does: "favour"; readonly criticality: Criticality | undefined }
  | { readonly does: "flush"; readonly max: number }
  | { readonly does: "trim" }
  | { readonly does: "close" }

/**
 * What changes a pool: an operation, or the end of a wake. `unseen` is what an observer was not told of: then only the picture
 * itself can be judged, so give it as the one before, too.
 */
export type Step =
  | Operation
  | { readonly does: "answer"; readonly waiter: number; readonly answer: Answer }
  | { readonly does: "unseen" }

export type LawName = "L1" | "L2" | "L3" | "L4" | "L5" | "L6" | "L7" | "L8" | "L11"

/** All of them, in order. */
export const names: ReadonlyArray<LawName> = ["L1", "L2", "L3", "L4", "L5", "L6", "L7", "L8", "L11"]

/** A law that does not hold: the fact, and the numbers that show it. */
export interface Violation {
  readonly law: LawName
  readonly fact: string
  readonly numbers: { readonly [name: string]: number }
}

export type Law = (before: PoolState, step: Step, after: PoolState) => ReadonlyArray<Violation>

const order: ReadonlyArray<Criticality> = ["tx", "channel", "endpoint", "rx"]

const unless = (
  holds: boolean,
  law: LawName,
  fact: string,
  numbers: { readonly [name: string]: number }
): ReadonlyArray<Violation> => holds ? [] : [{ law, fact, numbers }]

// ---- the rules that the laws speak of ---------------------------------------------------------------------------------

const level = (criticality: Criticality): number => order.indexOf(criticality)

const margin = ({ reserve }: PoolState, criticality: Criticality): number =>
  Math.floor(level(criticality) * reserve / 3)

const isFavouredOver = ({ favoured }: PoolState, criticality: Criticality): boolean =>
  favoured !== undefined && criticality !== "tx" && level(criticality) < level(favoured)

const marginInForce = (state: PoolState, criticality: Criticality): number =>
  state.favoured !== undefined && isFavouredOver(state, criticality)
    ? margin(state, state.favoured)
    : margin(state, criticality)

/** Classes in the order in which they are served. */
const table = ({ favoured }: PoolState): ReadonlyArray<Criticality> =>
  favoured === undefined ? order : [...new Set<Criticality>(["tx", favoured, ...order])]

const free = ({ capacity, used }: PoolState): number => capacity - used

/** Leases at a class or at a less critical one. */
const lentFrom = (leases: ReadonlyArray<Lease>, criticality: Criticality): number =>
  leases.filter((lease) => level(lease.criticality) >= level(criticality)).length

/** The least that a capacity above the limit may fall to. */
const shrinkTarget = (state: PoolState, leases: ReadonlyArray<Lease>): number =>
  Math.max(state.limit, ...order.map((criticality) => lentFrom(leases, criticality) + margin(state, criticality)))

const newLeases = (before: PoolState, after: PoolState): ReadonlyArray<Lease> =>
  after.leases.filter(({ lease }) => !before.leases.some((old) => old.lease === lease))

const stillQueued = (before: PoolState, after: PoolState, criticality: Criticality): ReadonlyArray<number> =>
  before.queues[criticality].filter((waiter) => after.queues[criticality].includes(waiter))

const waiterOf = (step: Step): number | undefined => "waiter" in step ? step.waiter : undefined

// ---- L1: bound --------------------------------------------------------------------------------------------------------

/** L1: `0 <= used <= allocated <= capacity <= limit` (or what shrinking allows), and no grant without a free buffer. */
export const bound: Law = (before, _, after) => [
  ...unless(
    0 <= after.used && after.used <= after.allocated && after.allocated <= after.capacity,
    "L1",
    "0 <= used <= allocated <= capacity",
    { used: after.used, allocated: after.allocated, capacity: after.capacity }
  ),
  ...unless(
    after.closed || after.capacity <= shrinkTarget(after, after.leases),
    "L1",
    "the capacity is at most the limit, or what shrinking allows",
    { capacity: after.capacity, limit: after.limit, allowed: shrinkTarget(after, after.leases) }
  ),
  ...grantsWithinMargins(before, after)
]

/** In one step buffers first come back and are then granted, so the grants can be undone from the last to the first. */
const grantsWithinMargins = (before: PoolState, after: PoolState): ReadonlyArray<Violation> => {
  const failed = after.creationsFailed > before.creationsFailed
  const capacity = failed ? Math.max(before.capacity, after.limit) : after.capacity
  return newLeases(before, after).toReversed().flatMap(({ criticality, lease }, later) => {
    const freeBefore = capacity - (after.used - later - 1)
    const kept = marginInForce(after, criticality)
    return unless(freeBefore > kept, "L1", "a grant leaves its margin free", { lease, free: freeBefore, margin: kept })
  })
}

// ---- L2: ownership ----------------------------------------------------------------------------------------------------

/** L2: an area has one owner at most, and a pinned one keeps its owner. */
export const ownership: Law = (before, step, after) => [
  ...ownedTwice(after),
  ...before.leases.flatMap((old) => movedArea(old, step, after))
]

const ownedTwice = ({ leases, unused }: PoolState): ReadonlyArray<Violation> => {
  const areas = [...leases.map(({ area }) => area), ...unused]
  return areas.flatMap((area, index) =>
    unless(areas.indexOf(area) === index, "L2", "an area has one owner at most, or is unused", { area })
  )
}

const movedArea = (old: Lease, step: Step, after: PoolState): ReadonlyArray<Violation> => {
  const now = after.leases.find(({ lease }) => lease === old.lease)
  const unpinned = step.does === "unpin" && step.lease === old.lease
  if (now !== undefined) {
    return unless(now.area === old.area, "L2", "a lease keeps its area", { lease: old.lease, area: now.area })
  }
  return unless(old.pins === 0 || unpinned, "L2", "a pinned area is nobody else's", { area: old.area, pins: old.pins })
}

// ---- L3: conservation -------------------------------------------------------------------------------------------------

/** L3: what the pool counts is what its owners hold; with everything back, nothing is used and nobody waits. */
export const conservation: Law = (_, __, after) => [
  ...unless(after.used === after.leases.length, "L3", "used counts the leases alive", {
    used: after.used,
    leases: after.leases.length
  }),
  ...unless(after.allocated === after.leases.length + after.unused.length, "L3", "every area is lent or unused", {
    allocated: after.allocated,
    leases: after.leases.length,
    unused: after.unused.length
  }),
  ...order.flatMap((criticality) => {
    const leases = after.leases.filter((lease) => lease.criticality === criticality).length
    const lent = after.lent[criticality]
    return unless(lent === leases, "L3", `lent at ${criticality} counts the leases alive`, { lent, leases })
  }),
  ...after.leases.filter(({ pins, stage }) => stage === "released" && pins === 0).flatMap(({ area }) =>
    unless(false, "L3", "an area that is neither held nor pinned has gone back", { area })
  ),
  ...nobodyWaitsForNothing(after)
]

const nobodyWaitsForNothing = ({ leases, queues }: PoolState): ReadonlyArray<Violation> => {
  const queued = order.reduce((sum, criticality) => sum + queues[criticality].length, 0)
  return unless(leases.length > 0 || queued === 0, "L3", "nobody waits while nothing is lent", { queued })
}

// ---- L4: no lost wakeup -----------------------------------------------------------------------------------------------

/** L4: whoever is queued is not entitled; in a closed pool nobody is queued. */
export const noLostWakeup: Law = (_, __, after) =>
  order.filter((criticality) => after.queues[criticality].length > 0).flatMap((criticality) => {
    const kept = marginInForce(after, criticality)
    const numbers = { queued: after.queues[criticality].length, free: free(after), margin: kept }
    return [
      ...unless(after.closed || free(after) <= kept, "L4", `nobody entitled waits at ${criticality}`, numbers),
      ...unless(!after.closed, "L4", "nobody waits in a closed pool", numbers)
    ]
  })

// ---- L5: order --------------------------------------------------------------------------------------------------------

/** L5: first in, first out in each class, and nobody overtakes a waiter of its own class or of one ahead in the table. */
export const fairOrder: Law = (before, step, after) => [
  ...order.flatMap((criticality) => [
    ...queueOrder(before, step, after, criticality),
    ...servedInOrder(before, after, criticality)
  ]),
  ...newLeases(before, after).flatMap((lease) => overtaken(before, lease, after))
]

const queueOrder = (
  before: PoolState,
  step: Step,
  after: PoolState,
  criticality: Criticality
): ReadonlyArray<Violation> => {
  const stayed = stillQueued(before, after, criticality)
  const now = after.queues[criticality]
  const newcomers = now.slice(stayed.length)
  return [
    ...unless(
      stayed.every((waiter, place) => now[place] === waiter),
      "L5",
      `the queue at ${criticality} keeps its order, newcomers last`,
      { queued: now.length, stayed: stayed.length }
    ),
    ...newcomers.flatMap((waiter) =>
      unless(step.does === "takeOrWait" && step.waiter === waiter, "L5", "only who asked is queued", { waiter })
    )
  ]
}

/** Those granted were the first of their queue: nobody who stayed was ahead of them. */
const servedInOrder = (before: PoolState, after: PoolState, criticality: Criticality): ReadonlyArray<Violation> => {
  const queue = before.queues[criticality]
  const firstLeft = queue.findIndex((waiter) => after.queues[criticality].includes(waiter))
  const granted = queue.filter((waiter) =>
    after.waiters.some((now) => now.waiter === waiter && now.state === "granted")
  )
  return granted.flatMap((waiter) =>
    unless(firstLeft < 0 || queue.indexOf(waiter) < firstLeft, "L5", "nobody is served before one ahead of it", {
      waiter,
      ahead: queue[firstLeft] ?? -1
    })
  )
}

/** A waiter of the same class that stays was behind, if the lease went to a waiter; a newcomer has nobody behind it. */
const overtaken = (before: PoolState, lease: Lease, after: PoolState): ReadonlyArray<Violation> => {
  const classes = table(after)
  const ahead = classes.slice(0, classes.indexOf(lease.criticality) + (lease.stage === "granted" ? 0 : 1))
  return ahead.flatMap((criticality) =>
    stillQueued(before, after, criticality).flatMap((waiter) =>
      unless(false, "L5", `a lease at ${lease.criticality} overtakes nobody at ${criticality}`, {
        lease: lease.lease,
        waiter
      })
    )
  )
}

// ---- L6: single entry -------------------------------------------------------------------------------------------------

/** L6: a waiter is queued once, in its own class, exactly while its state says so; who left has no entry and no grant. */
export const singleEntry: Law = (_, step, after) => [
  ...order.flatMap((criticality) =>
    after.queues[criticality].flatMap((waiter) =>
      unless(
        after.waiters.some((now) => now.waiter === waiter && now.criticality === criticality && now.state === "queued"),
        "L6",
        `who is queued at ${criticality} is a living waiter of that class`,
        { waiter }
      )
    )
  ),
  ...after.waiters.flatMap(({ grant, state, waiter }) => {
    const entries = order.flatMap((criticality) =>
      after.queues[criticality].filter((queued) => queued === waiter)
    ).length
    const leases = after.leases.filter(({ lease, stage }) => stage === "granted" && lease === grant).length
    return [
      ...unless(entries === (state === "queued" ? 1 : 0), "L6", "a waiter is in a queue once or not", {
        waiter,
        entries
      }),
      ...unless(leases === (state === "granted" ? 1 : 0), "L6", "a waiter has one grant or none", { waiter, leases })
    ]
  }),
  ...after.waiters.filter(({ waiter }) => step.does === "leave" && step.waiter === waiter).flatMap((
    { state, waiter }
  ) => unless(state === "idle", "L6", "who left is idle", { waiter }))
]

// ---- L7: reserve ------------------------------------------------------------------------------------------------------

/** L7: behind each class its ordinary margin of areas exists, whatever is favoured. */
export const reserved: Law = (_, __, after) =>
  order.flatMap((criticality) => {
    const lent = lentFrom(after.leases, criticality)
    const kept = margin(after, criticality)
    const { allocated } = after
    return unless(
      after.closed || lent <= allocated - kept,
      "L7",
      `areas exist behind those lent at ${criticality} or less`,
      {
        lent,
        allocated,
        margin: kept
      }
    )
  })

// ---- L8: progress -----------------------------------------------------------------------------------------------------

/**
 * L8, one round of it: if every holder that does not wait gives back, the first waiter of the ordinary table is served, out of
 * areas that exist. A holder waits if it is queued for a smaller margin than the buffer it holds has: the other way round is
 * not allowed to programs. Also: a failed creation is forgotten once nobody waits.
 */
export const progress: Law = (_, __, after) => {
  const first = order.find((criticality) => after.queues[criticality].length > 0)
  if (after.closed) return []
  if (first === undefined) {
    const { capacity, limit } = after
    return unless(capacity >= limit, "L8", "with nobody queued the capacity has recovered", { capacity, limit })
  }
  const kept = after.leases.filter((lease) => isKept(after, lease))
  const room = roomBehind(after, kept)
  return unless(room > margin(after, first), "L8", `if all who do not wait give back, somebody at ${first} is served`, {
    room,
    margin: margin(after, first),
    heldByWaiting: kept.length
  })
}

/** Whether a lease stays with its holder because that holder waits for another. */
export const isKept = (state: PoolState, { criticality, holder, stage }: Lease): boolean =>
  stage !== "released" && state.waiters.some((waiter) =>
    waiter.state === "queued" && waiter.holder === holder &&
    margin(state, waiter.criticality) < margin(state, criticality)
  )

const roomBehind = (state: PoolState, kept: ReadonlyArray<Lease>): number => {
  if (kept.length === state.leases.length) return Math.min(state.capacity, state.allocated) - kept.length
  const capacity = Math.max(state.limit, Math.min(state.capacity, shrinkTarget(state, kept)))
  return Math.min(capacity, state.allocated) - kept.length
}

// ---- L11: isolation ---------------------------------------------------------------------------------------------------

/**
 * L11: what one does, wakes included, takes nothing from another. Everybody else that was queued is queued or granted, and
 * everybody else's grant is still there; only closing ends waits. (That L1 to L8 hold after every step of a wake is the
 * rest of this law: judge each of those steps.)
 */
export const isolation: Law = (before, step, after) =>
  before.waiters.filter(({ waiter }) => waiter !== waiterOf(step)).flatMap((old) => {
    const now = after.waiters.find(({ waiter }) => waiter === old.waiter)
    if (now === undefined) return []
    const { waiter } = old
    return [
      ...unless(
        old.state !== "queued" || now.state !== "idle" || after.closed && !before.closed,
        "L11",
        "nobody loses its place by what another does",
        { waiter }
      ),
      ...unless(
        old.state !== "granted" || now.grant === old.grant,
        "L11",
        "nobody loses its grant by what another does",
        {
          waiter,
          lease: old.grant ?? -1
        }
      )
    ]
  })

/** Every law, by name. */
export const laws: { readonly [L in LawName]: Law } = {
  L1: bound,
  L2: ownership,
  L3: conservation,
  L4: noLostWakeup,
  L5: fairOrder,
  L6: singleEntry,
  L7: reserved,
  L8: progress,
  L11: isolation
}

/** All that one step breaks; empty if all is well. O(waiters × leases), for tests. */
export const check: Law = (before, step, after) => Object.values(laws).flatMap((law) => law(before, step, after))

// ---- whether a law had something to say -----------------------------------------------------------------------------------

const anyQueued = ({ closed, queues }: PoolState): boolean =>
  !closed && order.some((criticality) => queues[criticality].length > 0)

const isWaiting = ({ state }: Waiter): boolean => state !== "idle"

/**
 * When a law says something of a step: without that it holds of anything. A test in which a premise was never met has not
 * tried that law, so count them.
 */
export const premises: { readonly [L in LawName]: (before: PoolState, step: Step, after: PoolState) => boolean } = {
  /** A buffer was granted. */
  L1: (before, _, after) => newLeases(before, after).length > 0,
  /** A pinned area could have been lent to another. */
  L2: (before) => before.leases.some(({ pins }) => pins > 0),
  L3: (_, __, after) => after.leases.length > 0,
  L4: (_, __, after) => anyQueued(after),
  /** A buffer was granted, and somebody was queued. */
  L5: (before, _, after) => anyQueued(before) && newLeases(before, after).length > 0,
  L6: (_, __, after) => after.waiters.some(isWaiting),
  /** A buffer is lent at a class that leaves some behind it. */
  L7: (_, __, after) => !after.closed && after.leases.some(({ criticality }) => margin(after, criticality) > 0),
  L8: (_, __, after) => anyQueued(after),
  /** Somebody else was queued or granted. */
  L11: (before, step) => before.waiters.some((waiter) => waiter.waiter !== waiterOf(step) && isWaiting(waiter))
}

/** How often the premise of each law was met. */
export type Exercised = { readonly [L in LawName]: number }

/** Where counting begins. */
export const neverExercised: Exercised = { L1: 0, L2: 0, L3: 0, L4: 0, L5: 0, L6: 0, L7: 0, L8: 0, L11: 0 }

/** One step more. */
export const exercise = (counts: Exercised, before: PoolState, step: Step, after: PoolState): Exercised => {
  const met = (law: LawName) => counts[law] + Number(premises[law](before, step, after))
  return {
    L1: met("L1"),
    L2: met("L2"),
    L3: met("L3"),
    L4: met("L4"),
    L5: met("L5"),
    L6: met("L6"),
    L7: met("L7"),
    L8: met("L8"),
    L11: met("L11")
  }
}

/** A violation in one line. */
export const show = ({ fact, law, numbers }: Violation): string =>
  `${law}: not true that ${fact} (${Object.entries(numbers).map(([name, number]) => `${name} ${number}`).join(", ")})`

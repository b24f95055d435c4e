/**
 * The specification of a pool and its wait queue: an immutable machine, `step(state, operation)` gives the next state, what
 * the door answered and what was seen on the way.
 *
 * Invariant: it says what the design says and nothing else. It shares no code with the library, counts everything anew
 * instead of keeping counters, and is in no hurry, so that each rule can be read off and compared with its words. The
 * library's own core is fast, mutable and clever; that both agree after every step is what we believe it for.
 *
 * Where the design leaves it open, this is how it is read: a fiber that is woken runs then and there, so what it does are
 * operations of its own and not part of the flush that woke it; entities that one drain did not reach come before fibers in
 * the next flush; an operation that changes nothing for others (pinning, collecting a grant, a refusal because one is closed
 * or queued already) tells nobody; and the area given back last is lent next.
 *
 * Memory is part of the machine: `fates` says which of the next creations fail. What a wake does is given from outside, as
 * operations that are chosen when their turn comes, and an answer.
 */
import type { Answer, Criticality, Lease, Operation, PerClass, PoolState, Waiter } from "./Laws.ts"

export type { Answer, Criticality, Lease, Operation, PoolState, Waiter }

export type News = "granted" | "closed"

/** What a door answers: a lease, by its number; how many wakes a flush delivered; or a word. */
export type Result =
  | { readonly lease: number }
  | { readonly told: number }
  | "none"
  | "queued"
  | "full"
  | "closed"
  | "done"

/** A waiter, with what only the pool knows of it. */
export interface SpecWaiter extends Waiter {
  readonly isFiber: boolean
  /** Which hand-off made the present grant, counted from 1; 0 without a grant. */
  readonly handOff: number
  /** Wakes delivered to it so far. */
  readonly wakes: number
}

/** A wake still to come. */
export interface Pending {
  readonly waiter: number
  readonly news: News
}

export interface Counters {
  readonly takes: number
  readonly handOffs: number
  /** Grants that went on to the next because their waiter left or declined. */
  readonly passedOn: number
  readonly declined: number
  readonly thrown: number
  readonly created: number
  readonly creationsFailed: number
}

export interface State {
  readonly limit: number
  readonly reserve: number
  /** Fibers that may be queued in one class. */
  readonly maxWaiting: number
  readonly capacity: number
  readonly closed: boolean
  readonly favoured: Criticality | undefined
  readonly leases: ReadonlyArray<Lease>
  /** Areas that exist and are not lent; the last one is lent next, for its memory was used last. */
  readonly unused: ReadonlyArray<number>
  readonly waiters: ReadonlyArray<SpecWaiter>
  readonly queues: PerClass<ReadonlyArray<number>>
  /** The ready list: entities are told at the end of an operation, fibers by `flush` only. */
  readonly ready: ReadonlyArray<Pending>
  readonly readyFibers: ReadonlyArray<Pending>
  /** Whether each of the next creations succeeds; beyond the end, all do. */
  readonly fates: ReadonlyArray<boolean>
  readonly counters: Counters
}

/** Wakes delivered at the end of one operation. */
export const wakesPerDrain = 64

const order: ReadonlyArray<Criticality> = ["tx", "channel", "endpoint", "rx"]

// ---- making one -------------------------------------------------------------------------------------------------------

export interface Options {
  readonly limit: number
  readonly reserve: number
  /** Areas at the start; at least `reserve + 1`, for the reserve is areas and not a number. */
  readonly prealloc?: number | undefined
  readonly maxWaiting?: number | undefined
  /** Who may wait; a waiter's number is its place. */
  readonly waiters: ReadonlyArray<{
    readonly criticality: Criticality
    readonly holder: number
    readonly isFiber: boolean
  }>
}

export const initial = ({ limit, maxWaiting, prealloc, reserve, waiters }: Options): State => {
  const created = Math.max(reserve + 1, prealloc ?? 0)
  return {
    limit,
    reserve,
    maxWaiting: maxWaiting ?? Infinity,
    capacity: limit,
    closed: false,
    favoured: undefined,
    leases: [],
    unused: Array.from({ length: created }, (_, area) => area),
    waiters: waiters.map((waiter, number) => ({
      ...waiter,
      waiter: number,
      state: "idle",
      grant: undefined,
      handOff: 0,
      wakes: 0
    })),
    queues: { tx: [], channel: [], endpoint: [], rx: [] },
    ready: [],
    readyFibers: [],
    fates: [],
    counters: { takes: 0, handOffs: 0, passedOn: 0, declined: 0, thrown: 0, created, creationsFailed: 0 }
  }
}

/** Lets `after` more creations succeed and then `times` fail. */
export const failCreations = (state: State, after: number, times: number): State => ({
  ...state,
  fates: [...Array.from({ length: after }, () => true), ...Array.from({ length: times }, () => false)]
})

// ---- what can be counted ----------------------------------------------------------------------------------------------

export const used = (state: State): number => state.leases.length

export const allocated = (state: State): number => state.leases.length + state.unused.length

export const free = (state: State): number => state.capacity - used(state)

const queued = (state: State): number => order.reduce((sum, criticality) => sum + state.queues[criticality].length, 0)

const perClass = <A>(of: (criticality: Criticality) => A): PerClass<A> => ({
  tx: of("tx"),
  channel: of("channel"),
  endpoint: of("endpoint"),
  rx: of("rx")
})

export const lent = (state: State): PerClass<number> =>
  perClass((criticality) => state.leases.filter((lease) => lease.criticality === criticality).length)

const level = (criticality: Criticality): number => order.indexOf(criticality)

/** `floor(level × reserve / 3)`: `tx` may take the last one, `rx` leaves the whole reserve behind it. */
export const margin = (state: State, criticality: Criticality): number =>
  Math.floor(level(criticality) * state.reserve / 3)

/** While a class is favoured, those that were before it (but `tx`) leave as much behind as it does. */
export const marginInForce = (state: State, criticality: Criticality): number => {
  const { favoured } = state
  if (favoured === undefined || criticality === "tx") return margin(state, criticality)
  return margin(state, level(criticality) < level(favoured) ? favoured : criticality)
}

/** The order in which classes are served: `tx` first, then the favoured one, then the others. */
export const table = ({ favoured }: State): ReadonlyArray<Criticality> =>
  favoured === undefined || favoured === "tx"
    ? order
    : ["tx", favoured, ...order.filter((criticality) => criticality !== "tx" && criticality !== favoured)]

/** What the laws look at. */
export const observe = (state: State): PoolState => ({
  limit: state.limit,
  reserve: state.reserve,
  capacity: state.capacity,
  allocated: allocated(state),
  used: used(state),
  closed: state.closed,
  favoured: state.favoured,
  lent: lent(state),
  leases: state.leases,
  unused: state.unused.toSorted((a, b) => a - b),
  queues: state.queues,
  waiters: state.waiters.map(({ criticality, grant, holder, state, waiter }) => ({
    waiter,
    criticality,
    holder,
    state,
    grant
  })),
  creationsFailed: state.counters.creationsFailed
})

const waiterAt = (state: State, waiter: number): SpecWaiter => {
  const found = state.waiters[waiter]
  if (found === undefined) throw new RangeError(`there is no waiter ${waiter}`)
  return found
}

const leaseAt = (state: State, lease: number): Lease => {
  const found = state.leases.find((candidate) => candidate.lease === lease)
  if (found === undefined) throw new RangeError(`there is no lease ${lease}`)
  return found
}

// ---- small changes ----------------------------------------------------------------------------------------------------

const withWaiter = (state: State, waiter: number, change: Partial<SpecWaiter>): State => ({
  ...state,
  waiters: state.waiters.map((old) => old.waiter === waiter ? { ...old, ...change } : old)
})

const withLease = (state: State, lease: number, change: Partial<Lease>): State => ({
  ...state,
  leases: state.leases.map((old) => old.lease === lease ? { ...old, ...change } : old)
})

const counted = (state: State, ...names: ReadonlyArray<keyof Counters>): State => ({
  ...state,
  counters: names.reduce((counters, name) => ({ ...counters, [name]: counters[name] + 1 }), state.counters)
})

const withoutWake = (state: State, waiter: number): State => ({
  ...state,
  ready: state.ready.filter((pending) => pending.waiter !== waiter),
  readyFibers: state.readyFibers.filter((pending) => pending.waiter !== waiter)
})

const announced = (state: State, waiter: number, news: News): State =>
  waiterAt(state, waiter).isFiber
    ? { ...state, readyFibers: [...state.readyFibers, { waiter, news }] }
    : { ...state, ready: [...state.ready, { waiter, news }] }

const enqueued = (state: State, { criticality, waiter }: SpecWaiter): State =>
  withWaiter(
    { ...state, queues: { ...state.queues, [criticality]: [...state.queues[criticality], waiter] } },
    waiter,
    { state: "queued" }
  )

const dequeued = (state: State, { criticality, waiter }: SpecWaiter): State =>
  withWaiter(
    { ...state, queues: { ...state.queues, [criticality]: state.queues[criticality].filter((id) => id !== waiter) } },
    waiter,
    { state: "idle" }
  )

// ---- memory -----------------------------------------------------------------------------------------------------------

/** Creates areas until so many exist. If one cannot be had, the capacity becomes what exists. */
const stocked = (state: State, count: number): State => {
  if (allocated(state) >= count) return state
  const [succeeds = true, ...fates] = state.fates
  if (!succeeds) return counted({ ...state, fates, capacity: allocated(state) }, "creationsFailed")
  return stocked(counted({ ...state, fates, unused: [...state.unused, state.counters.created] }, "created"), count)
}

const withoutSurplus = (state: State, count: number): State => ({
  ...state,
  unused: state.unused.slice(0, Math.max(0, count - used(state)))
})

/** A failed creation is forgotten. */
const recovered = (state: State): State => ({ ...state, capacity: Math.max(state.capacity, state.limit) })

/** A capacity above the limit falls, but for no class below what is lent at it or less critical, and its margin. */
const shrunk = (state: State): State => {
  if (state.capacity <= state.limit) return state
  const needs = order.map((criticality) =>
    margin(state, criticality) + state.leases.filter((lease) => level(lease.criticality) >= level(criticality)).length
  )
  const capacity = Math.min(state.capacity, Math.max(state.limit, ...needs))
  return withoutSurplus({ ...state, capacity }, capacity)
}

// ---- who gets one -----------------------------------------------------------------------------------------------------

/** What decides: `free > margin`. And before a grant at margin m, `used + 1 + m` areas exist. */
const lend = (
  state: State,
  { criticality, holder }: { readonly criticality: Criticality; readonly holder: number },
  stage: Lease["stage"]
): { readonly state: State; readonly lease: number | undefined } => {
  const kept = marginInForce(state, criticality)
  if (free(state) <= kept) return { state, lease: undefined }
  const ready = stocked(state, used(state) + 1 + kept)
  const area = ready.unused.at(-1)
  if (area === undefined || allocated(ready) < used(state) + 1 + kept) return { state: ready, lease: undefined }
  const lease: Lease = { lease: state.counters.takes, area, criticality, stage, holder, pins: 0 }
  const unused = ready.unused.slice(0, -1)
  return { state: counted({ ...ready, unused, leases: [...ready.leases, lease] }, "takes"), lease: lease.lease }
}

/** Straight to the head of the most critical class that waits; if that head is not entitled, nobody is. */
const offered = (state: State): State => {
  const head = table(state).flatMap((criticality) => state.queues[criticality]).at(0)
  if (head === undefined) return state
  const waiter = waiterAt(state, head)
  const { lease, state: after } = lend(state, waiter, "granted")
  return lease === undefined ? after : offered(granted(after, waiter, lease))
}

const granted = (state: State, waiter: SpecWaiter, lease: number): State => {
  const next = counted(dequeued(state, waiter), "handOffs")
  const change = { state: "granted", grant: lease, handOff: next.counters.handOffs } as const
  return announced(withWaiter(next, waiter.waiter, change), waiter.waiter, "granted")
}

/** An area comes back. First the capacity is put right, then the next owner is chosen. A closed pool lets the area go. */
const returned = (state: State, { area, lease }: Lease): State => {
  const leases = state.leases.filter((old) => old.lease !== lease)
  if (state.closed) return { ...state, leases }
  return offered(recovered(shrunk({ ...state, leases, unused: [...state.unused, area] })))
}

/** The grant is its waiter's no longer, and no wake will tell of it. */
const ungranted = (state: State, waiter: number): State =>
  withoutWake(withWaiter(state, waiter, { state: "idle", grant: undefined, handOff: 0 }), waiter)

const passedOn = (state: State, { grant, waiter }: SpecWaiter): State =>
  grant === undefined ? state : returned(counted(ungranted(state, waiter), "passedOn"), leaseAt(state, grant))

/** With nobody queued, no capacity stays below the limit. Every operation ends like this. */
const ended = (state: State): State => state.closed || queued(state) > 0 ? state : recovered(state)

// ---- operations, before anybody is told -------------------------------------------------------------------------------

interface Change {
  readonly state: State
  readonly result: Result
  /** It gave nobody news, so it tells nobody: news left over from before stay for the next operation or flush. */
  readonly isQuiet?: boolean
}

const quiet = (state: State, result: Result): Change => ({ state, result, isQuiet: true })

const done = (state: State): Change => ({ state: ended(state), result: "done" })

const change = (state: State, operation: Exclude<Operation, { readonly does: "flush" }>): Change => {
  switch (operation.does) {
    case "take":
      return take(state, operation)
    case "takeOrWait":
      return takeOrWait(state, waiterAt(state, operation.waiter))
    case "leave":
      return done(leave(state, waiterAt(state, operation.waiter)))
    case "giveBack":
      return done(giveBack(state, leaseAt(state, operation.lease)))
    case "pin":
      return quiet(withLease(state, operation.lease, { pins: leaseAt(state, operation.lease).pins + 1 }), "done")
    case "unpin":
      return done(unpin(state, leaseAt(state, operation.lease)))
    case "favour":
      return done(offered({ ...state, favoured: operation.criticality }))
    case "resize":
      return state.closed
        ? quiet(state, "done")
        : done(offered(recovered(shrunk({ ...state, limit: operation.limit }))))
    case "trim":
      return state.closed ? quiet(state, "done") : done(trim(offered(recovered(state))))
    case "close":
      return state.closed ? quiet(state, "done") : done(close(state))
  }
}

const take = (state: State, asked: { readonly criticality: Criticality; readonly holder: number }): Change => {
  if (state.closed) return { state, result: "none" }
  const { lease, state: after } = lend(state, asked, "arriving")
  return { state: ended(after), result: lease === undefined ? "none" : { lease } }
}

/** The one door: what is granted already, or what may be taken now, or a place in the queue. */
const takeOrWait = (state: State, waiter: SpecWaiter): Change => {
  if (waiter.grant !== undefined) return collect(state, waiter.waiter, waiter.grant)
  if (state.closed) return quiet(state, "closed")
  if (waiter.state === "queued") return quiet(state, "queued")
  const { lease, state: after } = lend(state, waiter, "arriving")
  if (lease !== undefined) return { state: ended(after), result: { lease } }
  return isFull(after, waiter)
    ? { state: ended(after), result: "full" }
    : { state: ended(enqueued(after, waiter)), result: "queued" }
}

const collect = (state: State, waiter: number, lease: number): Change =>
  quiet(withLease(ungranted(state, waiter), lease, { stage: "held" }), { lease })

/** `maxWaiting` is for fibers: entities always enter. */
const isFull = (state: State, { criticality, isFiber }: SpecWaiter): boolean =>
  isFiber && state.queues[criticality].filter((id) => waiterAt(state, id).isFiber).length >= state.maxWaiting

const leave = (state: State, waiter: SpecWaiter): State => {
  if (waiter.state === "queued") return dequeued(state, waiter)
  return waiter.state === "granted" ? passedOn(state, waiter) : withoutWake(state, waiter.waiter)
}

/** A pinned area is nobody's to lend until its last unpin. */
const giveBack = (state: State, lease: Lease): State =>
  lease.pins > 0 ? withLease(state, lease.lease, { stage: "released" }) : returned(state, lease)

const unpin = (state: State, lease: Lease): State =>
  lease.pins === 1 && lease.stage === "released"
    ? returned(state, lease)
    : withLease(state, lease.lease, { pins: lease.pins - 1 })

const trim = (state: State): State => withoutSurplus(state, Math.max(state.reserve + 1, used(state) + state.reserve))

/** Every list is emptied and everybody in one is told; grants and holders keep what they have; unused areas go. */
const close = (state: State): State => {
  const waiting = order.flatMap((criticality) => state.queues[criticality])
  const emptied = waiting.reduce(
    (next, waiter) => announced(dequeued(next, waiterAt(next, waiter)), waiter, "closed"),
    state
  )
  return { ...emptied, closed: true, unused: [] }
}

// ---- telling ----------------------------------------------------------------------------------------------------------

/** What a wake does: operations, each chosen when its turn comes, and then an answer. */
export interface Reaction {
  readonly does: ReadonlyArray<(state: State) => Operation | undefined>
  readonly answer: Answer
}

/** How waiters react, given how many wakes they got before. */
export type React = (waiter: number, news: News, wakesBefore: number) => Reaction

/** What was seen, in order, with the state at each point where nothing is half done. */
export type Event<S = State> =
  | { readonly at: "called"; readonly operation: Operation }
  | { readonly at: "returned"; readonly operation: Operation; readonly result: Result; readonly state: S }
  | { readonly at: "told"; readonly waiter: number; readonly news: News; readonly state: S }
  | { readonly at: "answered"; readonly waiter: number; readonly answer: Answer }

interface Telling {
  readonly state: State
  readonly events: ReadonlyArray<Event>
  readonly told: number
}

export interface Outcome {
  readonly state: State
  readonly result: Result
  readonly events: ReadonlyArray<Event>
}

const accepts: React = () => ({ does: [], answer: "accept" })

/** Performs one operation: its change, and then the wakes that are due. The state given stays as it is. */
export const step = (state: State, operation: Operation, react: React = accepts): Outcome =>
  perform(state, operation, react, false)

/** An operation called from inside a telling only appends to the ready list. */
const perform = (state: State, operation: Operation, react: React, isInside: boolean): Outcome => {
  const events: Array<Event> = [{ at: "called", operation }]
  const changed = operation.does === "flush" ? undefined : change(state, operation)
  const telling = operation.does === "flush"
    ? flush(state, operation.max, react)
    : tellEntities(changed?.state ?? state, isInside || changed?.isQuiet === true ? 0 : wakesPerDrain, react)
  const result = changed?.result ?? { told: telling.told }
  const after = arrived(telling.state, result)
  return {
    state: after,
    result,
    events: [...events, ...telling.events, { at: "returned", operation, result, state: after }]
  }
}

/** What a door hands out is in its holder's hands when the door returns. */
const arrived = (state: State, result: Result): State =>
  typeof result === "object" && "lease" in result ? withLease(state, result.lease, { stage: "held" }) : state

const tellEntities = (state: State, max: number, react: React): Telling => {
  let telling: Telling = { state, events: [], told: 0 }
  while (telling.told < max) {
    const [pending, ...ready] = telling.state.ready
    if (pending === undefined) break
    telling = followedBy(telling, tell({ ...telling.state, ready }, pending, react, true))
  }
  return telling
}

/**
 * Entities left over from before come first, then fibers. A fiber that is woken runs then and there, so what it does are
 * operations of its own, each with its own telling.
 */
const flush = (state: State, max: number, react: React): Telling => {
  let telling = tellEntities(state, max, react)
  while (telling.told < max) {
    const [pending, ...readyFibers] = telling.state.readyFibers
    if (pending === undefined) break
    telling = followedBy(telling, tell({ ...telling.state, readyFibers }, pending, react, false))
  }
  return telling
}

const followedBy = (before: Telling, next: Outcome): Telling => ({
  state: next.state,
  events: [...before.events, ...next.events],
  told: before.told + 1
})

const tell = (state: State, { news, waiter }: Pending, react: React, isInside: boolean): Outcome => {
  const { grant, wakes } = waiterAt(state, waiter)
  const { answer, does } = react(waiter, news, wakes)
  const woken = withWaiter(state, waiter, { wakes: wakes + 1 })
  const events: Array<Event> = [{ at: "told", waiter, news, state: woken }]
  let now = woken
  for (const choose of does) {
    const operation = choose(now)
    if (operation === undefined) continue
    const nested = perform(now, operation, react, isInside)
    events.push(...nested.events)
    now = nested.state
  }
  events.push({ at: "answered", waiter, answer })
  const counts = answer === "throw" ? counted(now, "thrown") : now
  const isDeclined = answer !== "accept" && grant !== undefined && waiterAt(now, waiter).grant === grant
  if (!isDeclined) return { state: counts, result: "done", events }
  const telling = tellEntities(declined(counts, waiter), isInside ? 0 : wakesPerDrain, react)
  return { state: telling.state, result: "done", events: [...events, ...telling.events] }
}

/** `false` or a throw declines: if that grant is still there, it goes on to the next. */
const declined = (state: State, waiter: number): State =>
  ended(passedOn(counted(state, "declined"), waiterAt(state, waiter)))

// ---- progress ---------------------------------------------------------------------------------------------------------

/**
 * L8 as a closure: all who hold a buffer and do not wait give it back, again and again, granted ones too, until nobody is
 * served any more. Returns who is left in a queue; `keeps` says which leases stay because their holder waits.
 */
export const neverServed = (
  state: State,
  keeps: (state: PoolState, lease: Lease) => boolean
): ReadonlyArray<number> => {
  const ordinary = change(state, { does: "favour", criticality: undefined }).state
  const picture = observe(ordinary)
  const goes = ordinary.leases.filter((lease) => !keeps(picture, lease))
  const left = order.flatMap((criticality) => ordinary.queues[criticality])
  if (left.length === 0 || goes.length === 0) return left
  return neverServed(goes.reduce(broughtBack, ordinary), keeps)
}

/** Whatever stage a lease is in, it ends. */
const broughtBack = (state: State, lease: Lease): State => {
  const owner = state.waiters.find(({ grant }) => grant === lease.lease)
  return ended(returned(owner === undefined ? state : ungranted(state, owner.waiter), leaseAt(state, lease.lease)))
}

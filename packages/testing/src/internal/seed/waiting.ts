/**
 * The one FIFO of waiters, and the offer: how the seed estimates whom a freed buffer should wake.
 *
 * Invariant: an entity is in the queue at most once, and leaves it when its callback accepts, when it is freed, or when
 * its stream asks for its work buffer. The estimate is kept with all its faults: it is what the laws are tried on.
 */
import { bytesOf, callbackOf, type Draft, entityOf, setBytes, unlink } from "./draft.ts"
import type { Side } from "./model.ts"
import { getBuffer, marginOf } from "./pool.ts"

/** In whose name `e` waits. That an applet waited in its stream's name is the bug that the seed mends. */
const waiterOf = (draft: Draft, e: number): number => {
  const entity = entityOf(draft, e)
  return entity.kind === "applet" && draft.revision === "parent" ? entity.host : e
}

/** Takes a buffer for a side unless it has one already; says whether it has one now. */
export const takeFor = (draft: Draft, e: number, side: Side): boolean => {
  const taken = bytesOf(draft, e, side) !== null || getBuffer(draft, marginOf(draft, side))
  draft.refusals = draft.refusals.filter((refusal) => refusal.e !== e || refusal.side !== side)
  if (!taken) draft.refusals.push({ e, side })
  else if (bytesOf(draft, e, side) === null) setBytes(draft, e, side, 0)
  return taken
}

/** Takes a buffer or queues. Success does not take the waiter out of the queue: it may be woken later for nothing. */
export const channelAlloc = (draft: Draft, e: number, side: Side): boolean => {
  const taken = takeFor(draft, e, side)
  const waiter = waiterOf(draft, e)
  if (!taken && !draft.waitQueue.includes(waiter)) draft.waitQueue.push(waiter)
  return taken
}

/** Whoever had its turn is no longer one that was refused and sleeps. */
export const hadItsTurn = (draft: Draft, e: number): void => {
  draft.refusals = draft.refusals.filter((refusal) => refusal.e !== e)
}

export const taskWakeup = (draft: Draft, e: number): boolean => {
  if (draft.freed.includes(e) || draft.runQueue.includes(e)) return false
  draft.runQueue.push(e)
  return true
}

export const appletWakeup = (draft: Draft, e: number): boolean => {
  if (draft.freed.includes(e) || draft.activeQueue.includes(e) || draft.pass.includes(e)) return false
  draft.activeQueue.push(e)
  return true
}

/** The counter of active applets: those of the pass under way are still in it. */
const activeApplets = (draft: Draft): number => draft.activeQueue.length + draft.pass.length + draft.miscounted

/** Everything that is runnable holds back an offer: the seed assumes that each such thing will want a buffer. */
const implicitThreshold = (draft: Draft): number => draft.runQueue.length + activeApplets(draft)

/** How many buffers are worth offering: only half of the reserve is kept back. May be negative. */
const creditOf = (draft: Draft): number => draft.allocated - draft.used - Math.floor(draft.reserved / 2)

/** Credit and threshold are compared as unsigned numbers: a negative credit is huge, and everybody is offered. */
const offerAtSeed = (draft: Draft, from: number | null, threshold: number): void => {
  const waiters = [...draft.waitQueue]
  let credit = creditOf(draft)
  for (const e of waiters) {
    if (credit >>> 0 <= threshold >>> 0) return
    if (e !== from && callWaiter(draft, e)) credit--
  }
}

/** Signed, counts tasks only but sees those it adds, spends no credit, excludes nobody. */
const offerAtParent = (draft: Draft): void => {
  const waiters = [...draft.waitQueue]
  const credit = creditOf(draft)
  for (const e of waiters) {
    if (credit <= draft.runQueue.length) return
    callWaiter(draft, e)
  }
}

/** Offers what is free, except to `from`. */
export const offer = (draft: Draft, from: number | null, threshold = implicitThreshold(draft)): void =>
  draft.revision === "seed" ? offerAtSeed(draft, from, threshold) : offerAtParent(draft)

/** Calls the waiter's callback; one that accepts leaves the queue, one that refuses keeps its place. */
const callWaiter = (draft: Draft, e: number): boolean => {
  const accepted = callback(draft, e)
  draft.calls.push([e, accepted ? 1 : 0])
  if (accepted) unlink(draft.waitQueue, e)
  return accepted
}

const callback = (draft: Draft, e: number): boolean => {
  const entity = entityOf(draft, e)
  if (entity.kind === "applet") return appletWakeup(draft, e)
  if (entity.kind === "generic") return genericCallback(draft, e, entity.wakes)
  if (draft.running === e) return false
  return taskWakeup(draft, e) || draft.revision === "parent"
}

const genericCallback = (draft: Draft, e: number, wakes: number | undefined): boolean => {
  const mode = callbackOf(draft, e)
  if (mode === "refuse") return false
  hadItsTurn(draft, e)
  if (mode === "allocReq") return channelAlloc(draft, e, "req")
  if (mode === "allocRes") return channelAlloc(draft, e, "res")
  if (mode === "wakeTask" && wakes !== undefined) taskWakeup(draft, wakes)
  return true
}

/**
 * What streams, applets and generic entities do with their channels, and how they end.
 *
 * Invariant: a buffer is given back only by its owner's side being empty, or by its owner's end; each give-back is
 * followed by exactly one offer, which is the only moment at which the seed wakes anybody for a buffer.
 */
import { bytesOf, type Draft, entityOf, ownerOf, setBytes, unlink } from "./draft.ts"
import type { Action, Side } from "./model.ts"
import { collect, flush } from "./pool.ts"
import { appletWakeup, channelAlloc, offer, takeFor, taskWakeup } from "./waiting.ts"

const sides: ReadonlyArray<Side> = ["req", "res"]

const giveBack = (draft: Draft, e: number, side: Side): void => {
  setBytes(draft, e, side, null)
  draft.used--
}

/** Gives back the sides of `e` that hold a buffer with this property; returns how many. */
const giveBackIf = (draft: Draft, e: number, may: (bytes: number) => boolean): number => {
  const given = sides.filter((side) => {
    const bytes = bytesOf(draft, e, side)
    return bytes !== null && may(bytes)
  })
  for (const side of given) giveBack(draft, e, side)
  return given.length
}

/** Before the seed, a release was one of the whole stream, and offered even if nothing had been given back. */
const releaseBuffers = (draft: Draft, e: number): number => {
  const given = giveBackIf(draft, ownerOf(draft, e), (bytes) => bytes === 0)
  if (given > 0 || draft.revision === "parent") offer(draft, e)
  return given
}

export const channelRelease = (draft: Draft, e: number, side: Side): boolean => {
  if (draft.revision === "parent") return releaseBuffers(draft, e) > 0
  if (bytesOf(draft, e, side) !== 0) return false
  giveBack(draft, e, side)
  offer(draft, e)
  return true
}

/** A stream's processing always asks for its response buffer first, and so always loses its place. */
const allocWork = (draft: Draft, e: number): boolean => {
  unlink(draft.waitQueue, e)
  const taken = takeFor(draft, e, "res")
  if (!taken) draft.waitQueue.push(e)
  return taken
}

const put = (draft: Draft, e: number, side: Side, n: number): number => {
  const bytes = bytesOf(draft, e, side)
  if (bytes === null) return 0
  const added = Math.min(n, draft.bufsize - bytes)
  setBytes(draft, e, side, bytes + added)
  return added
}

const consume = (draft: Draft, e: number, side: Side, n: number): number => {
  const bytes = bytesOf(draft, e, side)
  if (bytes === null) return 0
  const removed = Math.min(n, bytes)
  setBytes(draft, e, side, bytes - removed)
  return removed
}

/** Leaves every list. An applet's end gives nothing back and offers nothing: a wakeup it had just got is lost. */
const vanish = (draft: Draft, e: number): void => {
  for (const list of [draft.waitQueue, draft.runQueue, draft.activeQueue, draft.pass]) unlink(list, e)
  draft.refusals = draft.refusals.filter((refusal) => refusal.e !== e)
  draft.freed.push(e)
}

/** The offer of a dying stream comes before its applets and its task are gone: it may go to them. */
const freeEntity = (draft: Draft, e: number): number => {
  if (entityOf(draft, e).kind === "applet") {
    vanish(draft, e)
    return 0
  }
  unlink(draft.waitQueue, e)
  const given = giveBackIf(draft, e, () => true)
  if (given > 0) offer(draft, null)
  draft.entities.forEach((entity, applet) => {
    if (entity.kind === "applet" && entity.host === e && !draft.freed.includes(applet)) vanish(draft, applet)
  })
  vanish(draft, e)
  return given
}

/** Performs an action that names no freed entity; returns its result, 1 for yes and 0 for no. */
const perform = (draft: Draft, { op, args }: Action): number => {
  switch (op) {
    case "channelAlloc":
      return Number(channelAlloc(draft, args.e, args.side))
    case "channelRelease":
      return Number(channelRelease(draft, args.e, args.side))
    case "put":
      return put(draft, args.e, args.side, args.n)
    case "consume":
      return consume(draft, args.e, args.side, args.n)
    case "allocWork":
      return Number(allocWork(draft, args.e))
    case "releaseBuffers":
      return releaseBuffers(draft, args.e)
    case "freeEntity":
      return freeEntity(draft, args.e)
    case "taskWakeup":
      return Number(taskWakeup(draft, args.e))
    case "appletWakeup":
      return Number(appletWakeup(draft, args.e))
    case "offer":
      offer(draft, args.from, args.threshold)
      return 0
    case "setCb":
      draft.callbacks[args.e] = args.mode
      return 0
    case "failMalloc":
      draft.failing = args.n
      return 0
    case "gc":
      return collect(draft)
    case "flush":
      return flush(draft)
  }
}

/** Performs an action; one that names a freed entity does nothing. */
export const act = (draft: Draft, action: Action): number => {
  const { args } = action
  return "e" in args && draft.freed.includes(args.e) ? 0 : perform(draft, action)
}

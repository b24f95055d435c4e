/**
 * A state at work: the copy in which one operation happens, and the ways to look into it.
 *
 * Invariant: only lists of the draft itself are changed in place; what it shares with the state it was made from (an
 * entity, a pair of channels) is replaced, never changed. So the earlier state stays what it was.
 */
import type { Call, CallbackMode, Calls, Entity, Side, State } from "./model.ts"

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends ReadonlyArray<infer A> ? Array<A> : T[K] }

/** A copy of a state in which one operation is at work. */
export interface Draft extends Mutable<State> {
  /** The stream whose task is running. */
  running: number | null
  /** The applets of the pass under way, the running one first. */
  pass: Array<number>
  calls: Array<Call>
}

export const draftOf = (state: State): Draft => ({
  ...state,
  entities: [...state.entities],
  waitQueue: [...state.waitQueue],
  runQueue: [...state.runQueue],
  activeQueue: [...state.activeQueue],
  channels: [...state.channels],
  callbacks: [...state.callbacks],
  freed: [...state.freed],
  refusals: [...state.refusals],
  running: null,
  pass: [],
  calls: []
})

export const stateOf = ({ calls: _calls, pass: _pass, running: _running, ...state }: Draft): State => state

const at = <A>(list: ReadonlyArray<A>, e: number): A => {
  const found = list[e]
  if (found === undefined) throw new RangeError(`No entity ${e} in this machine of ${list.length}`)
  return found
}

export const entityOf = (state: State | Draft, e: number): Entity => at(state.entities, e)

export const callbackOf = (draft: Draft, e: number): CallbackMode => at(draft.callbacks, e)

/** The entity that owns the channels which `e` works on: an applet's host, anybody else itself. */
export const ownerOf = (state: State | Draft, e: number): number => {
  const entity = entityOf(state, e)
  return entity.kind === "applet" ? entity.host : e
}

export const bytesOf = (state: State | Draft, e: number, side: Side): number | null =>
  at(state.channels, ownerOf(state, e))[side]

export const setBytes = (draft: Draft, e: number, side: Side, bytes: number | null): void => {
  const owner = ownerOf(draft, e)
  draft.channels[owner] = { ...at(draft.channels, owner), [side]: bytes }
}

/** Takes `item` out of `list` if it is there. */
export const unlink = (list: Array<number>, item: number): void => {
  const index = list.indexOf(item)
  if (index >= 0) list.splice(index, 1)
}

/** The callbacks called since there were `mark` of them. */
export const callsSince = (draft: Draft, mark: number): Calls => {
  const cbs = draft.calls.slice(mark)
  return { woken: cbs.filter(([, accepted]) => accepted === 1).map(([e]) => e), cbs }
}

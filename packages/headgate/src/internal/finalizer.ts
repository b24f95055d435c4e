/**
 * A finalizer that is in its scope as soon as it is asked for: in the very step in which what it returns was taken, so that
 * nothing can fall between the two. `Scope.addFinalizer` is an effect, with a step of its own.
 *
 * It writes what `Scope.State` says an open scope is (one finalizer in the scope itself, a map of them from the second on),
 * which is public and stable in Effect 4.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"

type Finalizer = (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>

/** Adds it under a key of its own; false if the scope is closed. O(1). */
export const addFinalizer = (scope: Scope.Scope, key: object, finalizer: Finalizer): boolean => {
  const state = scope.state
  if (state._tag === "Closed") return false
  if (state._tag === "Empty") {
    scope.state = { _tag: "Open", finalizerKey: key, finalizer, finalizers: undefined }
  } else {
    state.finalizers ??= asMap(state)
    state.finalizers.set(key, finalizer)
  }
  return true
}

/** Those of an open scope, moved out of it. */
const asMap = (state: Scope.State.Open): NonNullable<Scope.State.Open["finalizers"]> => {
  const { finalizer, finalizerKey } = state
  state.finalizer = state.finalizerKey = undefined
  return new Map(finalizer === undefined || finalizerKey === undefined ? [] : [[finalizerKey, finalizer]])
}

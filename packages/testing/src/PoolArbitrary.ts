/**
 * Histories for Effect's own property tests, `it.effect.prop` and `it.prop` of `@effect/vitest`, through `effect/Arbitrary`
 * (a module that Effect marks unstable).
 *
 * For an entity of your own, `histories` (see `EntityLaws`); for a pool or a run queue of your own beside its specification,
 * `setups` with `actions`, or `runScripts` with `runActions` (see `PoolModel.play`, `RunQueueModel.play`). Histories grow with
 * the `size` of the check: with Effect's default of 10, to about 80 events.
 *
 * @since 0.1.0
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Schema from "effect/Schema"
import * as EntityLaws from "./EntityLaws.ts"
import type * as Laws from "./Laws.ts"
import * as PoolModel from "./PoolModel.ts"
import * as RunQueueModel from "./RunQueueModel.ts"

/** From 0 to `most`, each as often as any other; shrinks to 0. (Effect's integers are the bounds in a quarter of all cases.) */
const picks = (most: number): Arbitrary.Arbitrary<number> =>
  Arbitrary.schema(Schema.Literals(Array.from({ length: most + 1 }, (_, number) => number)), {
    shrink: (pick) => pick === 0 ? [] : [0, Math.floor(pick / 2), pick - 1]
  })

const at = <A>(items: ReadonlyArray<A>, index: number): A => {
  const item = items[index]
  if (item === undefined) throw new RangeError(`no item ${index} of ${items.length}`)
  return item
}

/** One of these, each as often as its weight says. */
const weighted = <A extends string | number>(
  choices: ReadonlyArray<readonly [choice: A, weight: number]>
): Arbitrary.Arbitrary<A> => {
  const tickets = choices.flatMap(([choice, weight]) => Array.from({ length: weight }, () => choice))
  return Arbitrary.map(picks(tickets.length - 1), (ticket) => at(tickets, ticket))
}

const kindsOf = <K extends string>(
  kinds: ReadonlyArray<K>,
  weights: { readonly [Kind in K]: number }
): Arbitrary.Arbitrary<K> => weighted(kinds.map((kind) => [kind, weights[kind]] as const))

/** Effect's arrays are no longer than the size of the check; eight of them one after the other shrink as one would. */
const long = <A>(item: Arbitrary.Arbitrary<A>): Arbitrary.Arbitrary<ReadonlyArray<A>> =>
  Arbitrary.map(Arbitrary.all(Array.from({ length: 8 }, () => Arbitrary.array(item))), (parts) => parts.flat())

// ---- entities -----------------------------------------------------------------------------------------------------------

/**
 * Histories for `EntityLaws.laws`: what the entities do, and what others do to the pool meanwhile.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const histories: Arbitrary.Arbitrary<EntityLaws.History> = long(
  Arbitrary.all({ kind: kindsOf(EntityLaws.kinds, EntityLaws.weights), pick: picks(EntityLaws.mostPick) })
)

// ---- pools --------------------------------------------------------------------------------------------------------------

/**
 * Histories of a pool.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const actions: Arbitrary.Arbitrary<ReadonlyArray<PoolModel.Action>> = long(
  Arbitrary.all({
    kind: kindsOf(PoolModel.kinds, PoolModel.weights),
    self: picks(PoolModel.cast.length - 1),
    pick: picks(PoolModel.mostPick)
  })
)

const answers: Arbitrary.Arbitrary<Laws.Answer> = weighted([["accept", 4], ["decline", 1], ["throw", 1]])

const scripts: Arbitrary.Arbitrary<PoolModel.Script> = Arbitrary.all({
  does: Arbitrary.array(
    Arbitrary.all({
      kind: kindsOf(PoolModel.kinds, PoolModel.weightsInWakes),
      pick: picks(PoolModel.mostPick)
    }),
    { maxLength: 3 }
  ),
  answer: answers
})

/**
 * Pools of 2 to 9 buffers, with what each of the cast does when it is woken.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const setups: Arbitrary.Arbitrary<PoolModel.Setup> = Arbitrary.map(
  Arbitrary.all({
    reserve: picks(3),
    beyond: picks(4),
    prealloc: picks(9),
    maxWaiting: weighted([[Infinity, 2], [2, 1], [1, 1], [0, 1]]),
    scripts: Arbitrary.all(PoolModel.cast.map(() => Arbitrary.array(scripts, { minLength: 1, maxLength: 2 })))
  }),
  ({ beyond, reserve, ...setup }) => ({ ...setup, reserve: reserve + 1, limit: reserve + beyond + 2 })
)

// ---- run queues ---------------------------------------------------------------------------------------------------------

const deeds = (weights: { readonly [K in RunQueueModel.Kind]: number }): Arbitrary.Arbitrary<RunQueueModel.Deed> =>
  Arbitrary.all({ kind: kindsOf(RunQueueModel.kinds, weights), pick: picks(RunQueueModel.mostPick) })

/**
 * Histories of a run queue: four deeds to a pass.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const runActions: Arbitrary.Arbitrary<ReadonlyArray<RunQueueModel.Action>> = long(
  Arbitrary.map(
    Arbitrary.all({
      isPass: picks(4),
      max: weighted([[1, 1], [2, 1], [3, 1], [200, 1]]),
      deed: deeds(RunQueueModel.weights)
    }),
    ({ deed, isPass, max }): RunQueueModel.Action => isPass === 4 ? { kind: "pass", max } : deed
  )
)

/**
 * What starts do, one after the other and then from the first again.
 *
 * @category arbitraries
 * @since 0.1.0
 */
export const runScripts: Arbitrary.Arbitrary<ReadonlyArray<RunQueueModel.Script>> = Arbitrary.array(
  Arbitrary.map(
    Arbitrary.all({ does: Arbitrary.array(deeds(RunQueueModel.weightsInRuns), { maxLength: 3 }), pick: picks(5) }),
    ({ does, pick }) => ({ does, throws: pick === 5 })
  ),
  { minLength: 1, maxLength: 8 }
)

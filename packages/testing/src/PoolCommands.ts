/**
 * Histories for fast-check (an optional peer dependency; only this module imports it).
 *
 * For a pool or a run queue of your own beside its specification, `commands` with `run`, or `runCommands` with `runRuns`;
 * for an entity of your own (see `EntityLaws`), `histories`. What fails is shrunk to a few commands.
 *
 * ```ts
 * fc.assert(fc.property(PoolCommands.setups, PoolCommands.commands(), (setup, commands) =>
 *   PoolCommands.run(setup, commands, (options) => new MyPool(options))))
 * ```
 *
 * @since 0.1.0
 */
import * as fc from "fast-check"
import * as EntityLaws from "./EntityLaws.ts"
import * as PoolModel from "./PoolModel.ts"
import * as RunQueueModel from "./RunQueueModel.ts"

// ---- commands -----------------------------------------------------------------------------------------------------------

/** A system and its specification, as far as commands are concerned. */
interface Both<A, O> {
  readonly allows: (action: A) => boolean
  readonly perform: (action: A) => O
}

/** A history as commands: what `run` and `runRuns` play. */
export type Commands<A, O> = Iterable<fc.Command<Both<A, O>, null>>

interface Problems {
  readonly problems: ReadonlyArray<string>
}

class Act<A, O extends Problems> implements fc.Command<Both<A, O>, null> {
  private readonly action: A
  private readonly done: (outcome: O, action: A) => void
  constructor(action: A, done: (outcome: O, action: A) => void) {
    this.action = action
    this.done = done
  }
  check(both: Readonly<Both<A, O>>): boolean {
    return both.allows(this.action)
  }
  run(both: Both<A, O>): void {
    const outcome = both.perform(this.action)
    if (outcome.problems.length > 0) throw new Error(outcome.problems.join("\n"))
    this.done(outcome, this.action)
  }
  toString(): string {
    return JSON.stringify(this.action)
  }
}

const commandsOf = <A, O extends Problems>(
  actions: fc.Arbitrary<A>,
  maxCommands: number,
  done: (outcome: O, action: A) => void
): fc.Arbitrary<Commands<A, O>> =>
  fc.commands([actions.map((action) => new Act(action, done))], { maxCommands, size: "max" })

const runOn = <A, O>(make: () => Both<A, O>, commands: Commands<A, O>): void =>
  fc.modelRun(() => ({ model: make(), real: null }), commands)

const weighted = <K extends string, A>(
  weights: { readonly [Kind in K]: number },
  kinds: ReadonlyArray<K>,
  of: (kind: K) => fc.Arbitrary<A>
): fc.Arbitrary<A> => fc.oneof(...kinds.map((kind) => ({ weight: weights[kind], arbitrary: of(kind) })))

const picks = fc.nat(PoolModel.mostPick)

// ---- pools ------------------------------------------------------------------------------------------------------------

/** What is done to a pool, kinds in proportion to `PoolModel.weights`. */
export const actions: fc.Arbitrary<PoolModel.Action> = weighted(
  PoolModel.weights,
  PoolModel.kinds,
  (kind) => fc.record({ kind: fc.constant(kind), self: fc.nat(PoolModel.cast.length - 1), pick: picks })
)

const answers = fc.oneof(
  { weight: 4, arbitrary: fc.constant("accept" as const) },
  { weight: 1, arbitrary: fc.constant("decline" as const) },
  { weight: 1, arbitrary: fc.constant("throw" as const) }
)

const scripts: fc.Arbitrary<PoolModel.Script> = fc.record({
  does: fc.array(
    weighted(
      PoolModel.weightsInWakes,
      PoolModel.kinds,
      (kind) => fc.record({ kind: fc.constant(kind), pick: picks })
    ),
    { maxLength: 3, size: "max" }
  ),
  answer: answers
})

/** Pools of 2 to 9 buffers, with what each of the cast does when it is woken. */
export const setups: fc.Arbitrary<PoolModel.Setup> = fc.record({
  reserve: fc.integer({ min: 1, max: 4 }),
  beyond: fc.integer({ min: 1, max: 5 }),
  prealloc: fc.nat(9),
  maxWaiting: fc.constantFrom(Infinity, Infinity, 2, 1, 0),
  scripts: fc.oneof(
    {
      weight: 12,
      arbitrary: fc.array(fc.array(scripts, { minLength: 1, maxLength: 2, size: "max" }), {
        minLength: PoolModel.cast.length,
        maxLength: PoolModel.cast.length
      })
    },
    { weight: 1, arbitrary: fc.constant(PoolModel.cast.map(() => [PoolModel.passesOn])) }
  )
}).map(({ beyond, ...setup }) => ({ ...setup, limit: setup.reserve + beyond }))

/** Histories of a pool, up to so many actions. `done` is called after each: to count what they met. */
export const commands = (
  maxCommands = 80,
  done: (outcome: PoolModel.Outcome, action: PoolModel.Action) => void = () => {}
): fc.Arbitrary<Commands<PoolModel.Action, PoolModel.Outcome>> => commandsOf(actions, maxCommands, done)

/** Plays them on a pool and its specification; throws at the first difference or broken law. */
export const run = (
  setup: PoolModel.Setup,
  commands: Commands<PoolModel.Action, PoolModel.Outcome>,
  make: PoolModel.MakeSystem
): void => runOn(() => PoolModel.start(setup, make), commands)

// ---- run queues -------------------------------------------------------------------------------------------------------

const deeds = (weights: { readonly [K in RunQueueModel.Kind]: number }): fc.Arbitrary<RunQueueModel.Deed> =>
  weighted(
    weights,
    RunQueueModel.kinds,
    (kind) => fc.record({ kind: fc.constant(kind), pick: fc.nat(RunQueueModel.mostPick) })
  )

/** What is done to a run queue. */
export const runActions: fc.Arbitrary<RunQueueModel.Action> = fc.oneof(
  { weight: 4, arbitrary: deeds(RunQueueModel.weights) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(1, 2, 3, 200).map((max): RunQueueModel.Action => ({ kind: "pass", max }))
  }
)

/** What starts do, one after the other and then from the first again. */
export const runScripts: fc.Arbitrary<ReadonlyArray<RunQueueModel.Script>> = fc.array(
  fc.record({
    does: fc.array(deeds(RunQueueModel.weightsInRuns), { maxLength: 3, size: "max" }),
    throws: fc.nat(5).map((pick) => pick === 0)
  }),
  { minLength: 1, maxLength: 8, size: "max" }
)

/** Histories of a run queue, as `commands`. */
export const runCommands = (
  maxCommands = 60,
  done: (outcome: RunQueueModel.Outcome, action: RunQueueModel.Action) => void = () => {}
): fc.Arbitrary<Commands<RunQueueModel.Action, RunQueueModel.Outcome>> => commandsOf(runActions, maxCommands, done)

/** Plays them on a run queue and its specification, as `run`. */
export const runRuns = (
  scripts: ReadonlyArray<RunQueueModel.Script>,
  commands: Commands<RunQueueModel.Action, RunQueueModel.Outcome>,
  make: RunQueueModel.MakeSystem
): void => runOn(() => RunQueueModel.start(scripts, make), commands)

// ---- entities ---------------------------------------------------------------------------------------------------------

/** Histories for `EntityLaws.laws`: what the entities do, and what others do to the pool meanwhile. */
export const histories = (maxLength = 60): fc.Arbitrary<EntityLaws.History> =>
  fc.array(
    weighted(
      EntityLaws.weights,
      EntityLaws.kinds,
      (kind) => fc.record({ kind: fc.constant(kind), pick: fc.nat(EntityLaws.mostPick) })
    ),
    { maxLength, size: "max" }
  )

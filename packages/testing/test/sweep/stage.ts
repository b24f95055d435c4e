/**
 * Where the table's effects are swept: a pool of two buffers with a reserve of one, companions that make for each of the
 * situations, and what must hold whatever was interrupted.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { AppletScheduler } from "headgate/AppletScheduler"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as Headgate from "headgate/Headgate"
import { accesses } from "headgate/Probe"
import { Stepper } from "headgate/Stepper"
import { TaskScheduler } from "headgate/TaskScheduler"
import { broken } from "../../../headgate/test/face/harness.ts"
import { type Report, sweep, type World } from "../../src/Sweep.ts"

/**
 * `queued`: everything is lent for 10 ms, and somebody waits behind. `being granted`: what the program waits for comes in the
 * steps in which it begins to wait. `inside release`: the program fails, and its release takes steps of its own, while somebody
 * waits for what it releases.
 */
export const situations = ["uncontended", "queued", "being granted", "inside release"] as const
export type Situation = (typeof situations)[number]

/** What a row has to work with. */
export interface Stage<R> {
  readonly world: World
  readonly pool: BufferPool["Service"]
  /** Runs a set-up. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, R | Scope.Scope>) => A
  /** What is done with a buffer. */
  readonly use: (buffer: ByteBuffer) => Effect.Effect<void, "on purpose">
  /** Done at 40 ms, when the program is over, whatever became of it. */
  readonly later: (effect: Effect.Effect<unknown, never, R>) => void
}

/** A public effect in use: called for each run, so it may set up. */
export type Row<R> = (stage: Stage<R>) => Effect.Effect<unknown, unknown, R | Scope.Scope>

const work = (buffer: ByteBuffer) =>
  Effect.sync(() => void buffer.write("x")).pipe(
    Effect.andThen(Effect.yieldNow),
    Effect.andThen(Effect.sync(() => buffer.consume(1)))
  )

const failingWork = (buffer: ByteBuffer) =>
  Effect.sync(() => void buffer.write("x")).pipe(
    Effect.andThen(Effect.yieldNow),
    Effect.andThen(Effect.fail("on purpose" as const)),
    Effect.ensuring(Effect.yieldNow)
  )

/** Fails, and takes a step before it comes to what the effect has left to its scope. */
const failing = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
  effect.pipe(
    Effect.andThen(Effect.addFinalizer(() => Effect.yieldNow)),
    Effect.andThen(Effect.fail("on purpose" as const))
  )

/** Takes all that may be taken at `tx`, but `leaving`. */
export const takeAll = (pool: BufferPool["Service"], leaving = 0) => {
  const leases: Array<ByteBuffer> = []
  for (let lease = pool.tryTakeUnsafe("tx"); lease !== undefined; lease = pool.tryTakeUnsafe("tx")) leases.push(lease)
  for (const lease of leases.splice(0, leaving)) pool.giveBackUnsafe(lease)
  return leases
}

const giveBack = (pool: BufferPool["Service"], leases: ReadonlyArray<ByteBuffer>) =>
  Effect.forEach(leases, (lease) => Effect.andThen(Effect.sync(() => pool.giveBackUnsafe(lease)), Effect.yieldNow), {
    discard: true
  })

/** Until the program waits, or does not after all. */
const untilQueued = (pool: BufferPool["Service"], turns = 6): Effect.Effect<void> =>
  Effect.suspend(() =>
    turns === 0 || pool.waitQueue.pressureUnsafe().queued > 1
      ? Effect.void
      : Effect.andThen(Effect.yieldNow, untilQueued(pool, turns - 1))
  )

/** At `rx`, which leaves the reserve behind it: served only when both buffers are back. */
const served = (pool: BufferPool["Service"]) => Effect.orDie(pool.withBuffer("rx", () => Effect.void))

const companions = (situation: Situation, world: World, pool: BufferPool["Service"]): void => {
  world.fork("last", Effect.andThen(Effect.sleep(60), served(pool)))
  if (situation === "uncontended") return
  const leases = takeAll(pool, situation === "inside release" ? 1 : 0)
  const whenToGive = situation === "being granted" ? untilQueued(pool) : Effect.sleep(10)
  world.fork("holder", Effect.andThen(whenToGive, giveBack(pool, leases)))
  world.fork("behind", situation === "queued" ? Effect.andThen(Effect.sleep(5), served(pool)) : served(pool))
}

/** Every assertion on; and, with `HEADGATE_FULL=1`, as in production: its paths are shorter. */
const modes = [{ debug: true }, ...process.env["HEADGATE_FULL"] === "1" ? [{ debug: false }] : []]

/** All that a row is swept in. */
export const sweeps = situations.flatMap((situation) => modes.map((mode) => ({ situation, mode, ...mode })))

export const options = {
  name: "stage",
  limit: 2,
  reserve: 1,
  bufferSize: 8,
  debug: true,
  ageAfter: "Infinity"
} as const

/** Nothing leaked, nobody waits, nobody lives. */
const atEnd = (context: Context.Context<Headgate.Services>): ReadonlyArray<string> => {
  const snapshot = Effect.runSync(Context.get(context, BufferPool).snapshot)
  const tasks = Effect.runSync(Context.get(context, TaskScheduler).snapshot)
  const applets = Effect.runSync(Context.get(context, AppletScheduler).snapshot)
  return Object.entries({
    used: snapshot.used,
    waiting: snapshot.waiting.length,
    tasks: tasks.entities,
    applets: applets.entities,
    "queued runs": tasks.runQueueLength + applets.runQueueLength
  }).flatMap(([what, count]) => count === 0 ? [] : [`${what} is ${count} at the end`])
}

/** The laws, whenever anything was touched since they were last looked at. */
const laws = ({ snapshot, waitQueue }: BufferPool["Service"]) => {
  let seen = -1
  return (): ReadonlyArray<string> => {
    if (accesses() === seen) return []
    const found = broken(Effect.runSync(snapshot), Effect.runSync(waitQueue.waiting))
    seen = accesses()
    return found
  }
}

const sweepOn = <R>(
  layer: Layer.Layer<R | Headgate.Services, unknown>,
  row: Row<R | Headgate.Services>,
  situation: Situation,
  background: Effect.Effect<unknown, never, R | Headgate.Services>
): Report =>
  sweep((world) => {
    const context = world.run(Layer.build(Layer.orDie(layer)))
    const pool = Context.get(context, BufferPool)
    const effect = row({
      world,
      pool,
      run: (effect) => world.run(Effect.provideContext(effect, context)),
      use: situation === "inside release" ? failingWork : work,
      later: (effect) => world.fork("later", Effect.andThen(Effect.sleep(40), Effect.provideContext(effect, context)))
    })
    world.fork("background", Effect.provideContext(background, context))
    companions(situation, world, pool)
    const program = Effect.scoped(situation === "inside release" ? failing(effect) : effect)
    return { program: Effect.provideContext(program, context), context, always: laws(pool) }
  }, ({ context }) =>
    atEnd(context), {
    always: ({ always }) =>
      always(),
    during: true
  })

/** Sweeps a row in one situation. */
export const sweepRow = (row: Row<Headgate.Services>, situation: Situation, mode = modes[0]): Report =>
  sweepOn(Headgate.layer({ ...options, ...mode }), row, situation, Effect.void)

const stepping = Effect.forEach(
  Array.from({ length: 20 }),
  () => Effect.andThen(Effect.sleep(5), Stepper.settle),
  { discard: true }
)

/** The same by hand: somebody steps every 5 ms. */
export const sweepManualRow = (row: Row<Headgate.Services | Stepper>, situation: Situation, mode = modes[0]): Report =>
  sweepOn(Headgate.layerManual({ ...options, ...mode }), row, situation, stepping)

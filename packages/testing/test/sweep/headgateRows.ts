/**
 * Every public effect of `headgate`, in use. The row's name is the effect's in `surfaceOf`, and may say more in brackets.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Applet from "headgate/Applet"
import { AppletScheduler } from "headgate/AppletScheduler"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import * as Headgate from "headgate/Headgate"
import * as HeadgateConfig from "headgate/HeadgateConfig"
import * as HeadgateMetrics from "headgate/HeadgateMetrics"
import type { BufferPending, BufferUnavailable, PoolClosed } from "headgate/PoolError"
import { Relay } from "headgate/Relay"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"
import { WaitQueue } from "headgate/WaitQueue"
import { must } from "../../../headgate/test/face/harness.ts"
import * as SimulatedPeer from "../../src/SimulatedPeer.ts"
import { type Row, type Stage, takeAll } from "./stage.ts"

type Rows<R = Headgate.Services> = { readonly [name: string]: Row<R> }
type OnStage = Stage<Headgate.Services>

/** The same doors, as accessors of a service and as members of it. */
const both = <Doors, R>(
  service: string,
  accessors: Doors,
  member: (stage: Stage<R>) => Doors,
  rows: { readonly [Door in keyof Doors]: (doors: Doors, stage: Stage<R>) => ReturnType<Row<R>> }
): Rows<R> =>
  Object.fromEntries(
    Object.entries<(doors: Doors, stage: Stage<R>) => ReturnType<Row<R>>>(rows).flatMap(([door, row]) => [
      [`${service}.${door}`, (stage: Stage<R>) => row(accessors, stage)],
      [`${service}#${door}`, (stage: Stage<R>) => row(member(stage), stage)]
    ])
  )

// ---- the pool -----------------------------------------------------------------------------------------------------------

type PoolDoors = Pick<
  typeof BufferPool,
  "withBuffer" | "withBufferSync" | "acquire" | "tryAcquire" | "snapshot" | "resize" | "trim"
>

const poolDoors = both<PoolDoors, Headgate.Services>("BufferPool", BufferPool, ({ pool }) => pool, {
  withBuffer: ({ withBuffer }, { use }) => withBuffer("channel", use),
  withBufferSync: ({ withBufferSync }) => withBufferSync("channel", (buffer) => buffer.write("x")),
  acquire: ({ acquire }, { use }) => Effect.flatMap(acquire("channel"), use),
  tryAcquire: ({ tryAcquire }, { use }) => Effect.flatMap(tryAcquire("channel"), use),
  snapshot: ({ snapshot }) => snapshot,
  resize: ({ resize }) => Effect.andThen(resize(3), resize(2)),
  trim: ({ trim }) => trim
})

const own = { name: "made by the program", limit: 2, reserve: 1, bufferSize: 8 } as const

/** What a new pool of that name says of others that are alive. */
const othersOf = (name: string): Effect.Effect<string> =>
  Effect.suspend(() => {
    const lines: Array<unknown> = []
    const loggers = new Set([Logger.make(({ message }) => void lines.push(message))])
    const another = Effect.scoped(BufferPool.make({ ...own, name, ageAfter: Infinity }))
    return Effect.map(
      Effect.provideService(Effect.orDie(another), Logger.CurrentLoggers, loggers),
      () => lines.join()
    )
  })

/** Pools that an earlier run has left behind. */
const left = new Map<string, string>()

/** In the end there is no pool more of that name than before. */
const closes = ({ later }: OnStage, name: string): void =>
  later(Effect.flatMap(othersOf(name), (others) => {
    const before = left.get(name) ?? ""
    left.set(name, others)
    return others === before ? Effect.void : Effect.die(`a pool is left: ${others}`)
  }))

/** Builds a layer, and uses what it provides. */
const built = <S, E, R>(layer: Layer.Layer<S, E, R>, use: Effect.Effect<unknown, unknown, S>) =>
  Effect.flatMap(Layer.build(layer), (context) => Effect.provideContext(use, context))

const provided =
  (layer: Layer.Layer<BufferPool, unknown>, name: string = own.name): Row<Headgate.Services> => (stage) => {
    closes(stage, name)
    return built(layer, BufferPool.withBuffer("tx", stage.use))
  }

const environment = ConfigProvider.layer(
  ConfigProvider.fromEnv({ env: { HEADGATE_LIMIT: "2", HEADGATE_BUFFER_SIZE: "8 B", HEADGATE_AGE_AFTER: "Infinity" } })
)

const layers: Rows = {
  "BufferPool.make": (stage) => {
    closes(stage, own.name)
    return Effect.flatMap(BufferPool.make(own), (pool) => pool.withBuffer("tx", stage.use))
  },
  "BufferPool.layer": provided(BufferPool.layer(own)),
  "Headgate.layer": provided(Headgate.layer(own)),
  "Headgate.layerManual": provided(Headgate.layerManual(own)),
  "Headgate.layerConfig": provided(Layer.provide(Headgate.layerConfig, environment), "default"),
  "TaskScheduler.layer": () => built(TaskScheduler.layer(), TaskScheduler.use(({ snapshot }) => snapshot)),
  "AppletScheduler.layer": () => built(AppletScheduler.layer(), AppletScheduler.use(({ snapshot }) => snapshot))
}

const views: Rows = {
  "HeadgateConfig.config": () => Effect.provide(HeadgateConfig.config, environment),
  "HeadgateConfig.load": () => Effect.provide(HeadgateConfig.load, environment),
  "HeadgateConfig.parse": ({ run }) =>
    HeadgateConfig.parse(run(Effect.orDie(Effect.provide(HeadgateConfig.config, environment)))),
  "WaitQueue#waiting": () => WaitQueue.use(({ waiting }) => waiting),
  "TaskScheduler#snapshot": () => TaskScheduler.use(({ snapshot }) => snapshot),
  "AppletScheduler#snapshot": () => AppletScheduler.use(({ snapshot }) => snapshot),
  "HeadgateMetrics.samples": () => HeadgateMetrics.samples,
  "HeadgateMetrics.publish": () => Effect.provideService(HeadgateMetrics.publish, Metric.MetricRegistry, new Map()),
  "HeadgateMetrics.publishSamples": ({ pool }) =>
    Effect.flatMap(
      pool.snapshot,
      (snapshot) => HeadgateMetrics.publishSamples(HeadgateMetrics.poolSamples(snapshot).slice(0, 3))
    ).pipe(
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
}

// ---- entities -----------------------------------------------------------------------------------------------------------

/** Takes what it gets without waiting. */
const tryUse = ({ use }: OnStage) =>
  BufferPool.tryAcquire("channel").pipe(
    Effect.flatMap(use),
    Effect.catchTag("BufferUnavailable", () => Effect.void)
  )

const idle = { process: () => Effect.void }

const making: Rows = {
  "Task.make": (stage) =>
    Effect.flatMap(Task.make((self) => Effect.andThen(tryUse(stage), self.end)), (task) => task.await),
  "ByteStream.make": (stage) =>
    Effect.flatMap(
      ByteStream.make({ process: (self) => Effect.andThen(tryUse(stage), self.end) }),
      (stream) => stream.await
    ),
  "Applet.make": () =>
    Effect.gen(function*() {
      const stream = yield* ByteStream.make({
        fillers: { response: "applet" },
        process: (self) =>
          Effect.flatMap(ByteChannel.takeText(self.response), (text) => text === "" ? Effect.void : self.end)
      })
      yield* Applet.make({
        channel: stream.response,
        run: (input) =>
          Effect.sync(() => {
            if (Option.isNone(input)) return Applet.wait
            input.value.write("x")
            stream.wakeUnsafe("message")
            return Applet.done
          })
      })
      yield* stream.await
    }),
  "Applet.make (for a stream that goes on)": (stage) => {
    const { later, pool, run } = stage
    const stream = run(ByteStream.make({ ...idle, fillers: { response: "applet" } }))
    // A channel that takes a dead applet for its filler would have a buffer granted to it.
    later(Effect.gen(function*() {
      const held = takeAll(pool)
      ByteChannel.allocUnsafe(stream.response)
      for (const buffer of held) pool.giveBackUnsafe(buffer)
      const { used, waiting } = yield* pool.snapshot
      if (used + waiting.length > 0) yield* Effect.die(`${used} lent to a dead applet, ${waiting.length} waiting`)
      yield* stream.end
    }))
    return Applet.make({ channel: stream.response, run: () => Effect.void })
  }
}

const endless = Effect.ensuring(Effect.never, Effect.andThen(Effect.yieldNow, Effect.yieldNow))

type Body = Effect.Effect<void>

/** An entity of each kind whose runs are that body; with the stream that it lives by. */
const kinds = {
  Task: (body: Body) => Effect.map(Task.make(() => body), (entity) => ({ entity, stream: entity })),
  ByteStream: (body: Body) =>
    Effect.map(ByteStream.make({ process: () => body }), (entity) => ({ entity, stream: entity })),
  Applet: (body: Body) =>
    Effect.gen(function*() {
      const stream = yield* ByteStream.make({ ...idle, fillers: { response: "applet" } })
      return { entity: yield* Applet.make({ channel: stream.response, run: () => body }), stream }
    })
}

/** What is done with an entity of the stage's. What has begun to end does end; else somebody ends it at 40 ms. */
const doing = (
  kind: keyof typeof kinds,
  body: Body,
  what: (entity: Task.Task) => Effect.Effect<unknown>
): Row<Headgate.Services> =>
({ later, run, world }) => {
  const { entity, stream } = run<{ readonly entity: Task.Task; readonly stream: Task.Task }, never>(kinds[kind](body))
  while (world.step()) { /* its first run begins */ }
  later(Effect.gen(function*() {
    const { snapshot } = kind === "Applet" ? yield* AppletScheduler : yield* TaskScheduler
    if ((yield* snapshot).entities > 0) yield* entity.end
    yield* entity.await
    yield* stream.end
  }))
  return what(entity)
}

const members: Rows = Object.fromEntries(
  (["Task", "ByteStream", "Applet"] as const).flatMap((
    kind
  ): ReadonlyArray<readonly [string, Row<Headgate.Services>]> => [
    [`${kind}#await`, doing(kind, Effect.void, (entity) => entity.await)],
    [`${kind}#expire`, doing(kind, Effect.void, (entity) => entity.expire(3))],
    [`${kind}#end`, doing(kind, Effect.void, (entity) => entity.end)],
    [`${kind}#end (a run is under way)`, doing(kind, endless, (entity) => entity.end)]
  ])
)

// ---- channels -----------------------------------------------------------------------------------------------------------

/** A response channel whose stream does nothing by itself. */
const channelOf = ({ later, pool, run, world }: OnStage, content = ""): ByteChannel.ByteChannel => {
  const stream = run(ByteStream.make(idle))
  while (world.step()) { /* its first run is over */ }
  if (content !== "") {
    ByteChannel.allocUnsafe(stream.response)
    must(stream.response.buffer).write(content)
  }
  // A grant that its run did not collect has gone on before the stream ends.
  later(
    Effect.flatMap(pool.snapshot, ({ waiting }) =>
      waiting.some(({ state }) => state === "granted")
        ? Effect.die("a grant was not passed on")
        : stream.end)
  )
  return stream.response
}

type Door = (
  channel: ByteChannel.ByteChannel
) => Effect.Effect<ByteBuffer, BufferPending | BufferUnavailable | PoolClosed, Scope.Scope>

const outside = (door: Door): Row<Headgate.Services> => (stage) => Effect.flatMap(door(channelOf(stage)), stage.use)

/** Its waiter has been granted a buffer, and has not collected it. */
const granted = (door: Door): Row<Headgate.Services> => (stage) => {
  const channel = channelOf(stage)
  const held = takeAll(stage.pool)
  ByteChannel.allocUnsafe(channel)
  for (const buffer of held) stage.pool.giveBackUnsafe(buffer)
  return Effect.flatMap(door(channel), stage.use)
}

const inside = (door: Door): Row<Headgate.Services> => ({ use }) =>
  Effect.flatMap(
    ByteStream.make({
      process: (self) =>
        Effect.scoped(Effect.flatMap(door(self.response), use)).pipe(
          // And once more, for the run's own scope.
          Effect.andThen(door(self.response)),
          Effect.catchTag("BufferUnavailable", () => Effect.void),
          Effect.andThen(self.end)
        )
    }),
    (stream) => stream.await
  )

const channels: Rows = {
  "ByteChannel.alloc": outside(ByteChannel.alloc),
  "ByteChannel.alloc (granted before)": granted(ByteChannel.alloc),
  "ByteChannel.alloc (inside a run)": inside(ByteChannel.alloc),
  "ByteChannel.tryAlloc": outside(ByteChannel.tryAlloc),
  "ByteChannel.tryAlloc (granted before)": granted(ByteChannel.tryAlloc),
  "ByteChannel.tryAlloc (inside a run)": inside(ByteChannel.tryAlloc),
  "ByteChannel.takeText": (stage) => ByteChannel.takeText(channelOf(stage, "hello")),
  "ByteChannel.takeBytes": (stage) => ByteChannel.takeBytes(channelOf(stage, "hello")),
  "ByteChannel.release": (stage) => {
    const channel = channelOf(stage)
    ByteChannel.allocUnsafe(channel)
    return ByteChannel.release(channel)
  }
}

// ---- the relay ----------------------------------------------------------------------------------------------------------

/** Two peers that both say something and end; what they say travels every 3 ms. */
const peers = ({ world }: OnStage) => {
  const both = [SimulatedPeer.make({ label: "client" }), SimulatedPeer.make({ label: "target" })] as const
  for (const { host } of both) {
    host.write(new Uint8Array(5))
    host.end()
  }
  const travel = Effect.andThen(Effect.sleep(3), Effect.sync(() => both.map((peer) => peer.advance())))
  world.fork("wire", Effect.forEach(Array.from({ length: 6 }), () => travel, { discard: true }))
  return both
}

const relayOf = (stage: OnStage): Relay["Service"] => {
  const relay = stage.run(Relay.make())
  stage.later(
    Effect.andThen(
      relay.snapshot,
      ({ connections }) => connections === 0 ? Effect.void : Effect.die(`${connections} connections are left`)
    )
  )
  return relay
}

const relays: Rows = {
  "Relay.make": () => Effect.flatMap(Relay.make(), ({ snapshot }) => snapshot),
  "Relay.layer": () => built(Relay.layer(), Relay.use(({ snapshot }) => snapshot)),
  "Relay#run": (stage) => relayOf(stage).run(...peers(stage)),
  "Relay#snapshot": (stage) => relayOf(stage).snapshot
}

/** Those that make a pool of their own, or need none: nothing of the stage's can be waited for. */
export const rowsApart: Rows = { ...layers, ...views }

export const poolRows: Rows = poolDoors

/** Entities, their channels, and the relay, which is made of them. */
export const entityRows: Rows = { ...making, ...members, ...channels, ...relays }

// ---- by hand --------------------------------------------------------------------------------------------------------------

type ByHand = Headgate.Services | Stepper

/** A task that is woken and, by the step, runs. */
const woken = ({ later, run }: Stage<ByHand>, step: Effect.Effect<number, never, Stepper>) => {
  const task = run(Task.make(() => Effect.void))
  later(task.end)
  return Effect.andThen(Effect.sync(() => task.wakeUnsafe("io")), step)
}

type Steps = Pick<typeof Stepper, "runTasks" | "runApplets" | "flush" | "settle">

/** Those that need `Headgate.layerManual`. */
export const manualRows: Rows<ByHand> = both<Steps, ByHand>("Stepper", Stepper, ({ run }) => run(Stepper), {
  runTasks: ({ runTasks }, stage) => woken(stage, runTasks),
  runApplets: ({ runApplets }, stage) => woken(stage, runApplets),
  flush: ({ flush }, stage) => woken(stage, flush),
  settle: ({ settle }, stage) => woken(stage, settle)
})

/**
 * Where users of the prototypes tripped (90–99), and what happens instead.
 */
import { assert, describe, expectTypeOf, it, layer } from "@effect/vitest"
import {
  Cause,
  Config,
  ConfigProvider,
  Context,
  Deferred,
  Effect,
  Equal,
  Exit,
  Fiber,
  HashSet,
  type Layer,
  Scheduler,
  type Scope
} from "effect"
import { TestClock } from "effect/testing"
import {
  type BufferPending,
  BufferPool,
  type BufferUnavailable,
  ByteChannel,
  ByteStream,
  Headgate,
  HeadgateConfig,
  type PoolClosed,
  Stepper,
  Task,
  type TaskScheduler
} from "headgate"
import { inspect } from "node:util"

const two = { limit: 2, reserve: 1 }

/** Both buffers of such a pool, for as long as the scope. */
const takeBoth = Effect.all([BufferPool.acquire("tx"), BufferPool.acquire("tx")])

/** The same, in a fiber: interrupted, it gives back. */
const hog = takeBoth.pipe(Effect.andThen(Effect.never), Effect.scoped, Effect.forkChild({ startImmediately: true }))

const used = Effect.map(BufferPool.snapshot, (pool) => pool.used)

const defectOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "no defect"

describe("90: an allocation in a run without a scope of its own", () => {
  it.effect("is released at the end of that run, not of the entity", () =>
    Effect.gen(function*() {
      let runs = 0
      const stream = yield* ByteStream.make({
        process: (self) =>
          Effect.gen(function*() {
            runs++
            yield* ByteChannel.alloc(self.response)
            assert.strictEqual(yield* used, 1)
          })
      })
      for (const run of [1, 2, 3]) {
        yield* Stepper.settle
        assert.strictEqual(runs, run)
        const { counters, holders } = yield* BufferPool.snapshot
        assert.deepStrictEqual({ holders, takes: counters.takes }, { holders: [], takes: run })
        stream.wakeUnsafe("io")
      }
    }).pipe(Effect.provide(Headgate.layerManual(two))))

  it.effect("never ends the entity when there is no buffer: it runs again, in its own name", () =>
    Effect.gen(function*() {
      const holder = yield* hog
      const seen = new Array<string>()
      const stream = yield* ByteStream.make({
        process: (self, reasons) =>
          Effect.gen(function*() {
            seen.push(...reasons)
            yield* ByteChannel.alloc(self.response)
            yield* self.end
          })
      })
      yield* Stepper.settle
      const waiting = yield* (yield* BufferPool).waitQueue.waiting
      assert.deepStrictEqual(waiting.map(({ target }) => String(target)), ["stream"])
      yield* Fiber.interrupt(holder)
      yield* Stepper.settle
      yield* stream.await
      assert.deepStrictEqual({ seen, used: yield* used }, { seen: ["init", "resource"], used: 0 })
    }).pipe(Effect.provide(Headgate.layerManual(two))))
})

describe("91: inside a run nobody waits", () => {
  const attempt = BufferPool.withBuffer("rx", () => Effect.succeed("got")).pipe(
    Effect.catchTags({
      WaitRefused: (error) => Effect.succeed(error.why),
      PoolClosed: () => Effect.succeed("closed")
    })
  )

  it.effect("not the run, not under a timeout, not its children, not a fiber that it leaves behind while it lasts", () =>
    Effect.gen(function*() {
      const holder = yield* hog
      const answers: { [how: string]: unknown } = {}
      const task = yield* Task.make((self) =>
        Effect.gen(function*() {
          answers["direct"] = yield* attempt
          answers["timeout"] = yield* Effect.timeout(attempt, "10 millis")
          answers["children"] = yield* Effect.all([attempt, attempt], { concurrency: 2 })
          answers["left behind"] = yield* Fiber.join(yield* Effect.forkDetach(attempt))
          yield* self.end
        })
      )
      yield* TestClock.adjust("1 second")
      yield* task.await
      assert.deepStrictEqual(answers, {
        direct: "insideRun",
        timeout: "insideRun",
        children: ["insideRun", "insideRun"],
        "left behind": "insideRun"
      })
      yield* Fiber.interrupt(holder)
    }).pipe(Effect.provide(Headgate.layer(two))))

  it.effect("but a fiber that a run left behind may, once the run is over", () =>
    Effect.gen(function*() {
      const holder = yield* hog
      const later = yield* Deferred.make<Fiber.Fiber<string>>()
      const task = yield* Task.make((self) =>
        Effect.gen(function*() {
          yield* Deferred.succeed(later, yield* Effect.forkDetach(Effect.delay(attempt, "1 second")))
          yield* self.end
        })
      )
      yield* task.await
      yield* TestClock.adjust("1 second")
      const { classes } = yield* BufferPool.snapshot
      assert.strictEqual(classes.rx.waiting, 1)
      yield* Fiber.interrupt(holder)
      assert.strictEqual(yield* Fiber.join(yield* Deferred.await(later)), "got")
    }).pipe(Effect.provide(Headgate.layer(two))))
})

describe("92: flat environment variables", () => {
  const read = (config: Config.Config<HeadgateConfig.RawOptions>, env: Record<string, string>) =>
    config.pipe(
      Effect.flatMap(HeadgateConfig.parse),
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
    )

  it.effect("are found, each by its name", () =>
    Effect.gen(function*() {
      const options = yield* read(HeadgateConfig.config, {
        HEADGATE_LIMIT: "7",
        HEADGATE_BUFFER_SIZE: "16 KiB",
        HEADGATE_MAX_WAITING: "5",
        HEADGATE_RUN_QUEUE_DEPTH: "9"
      })
      assert.deepInclude(options, { limit: 7, bufferSize: 16384, maxWaiting: 5, runQueueDepth: 9, wipe: undefined })
    }))

  it.effect("are found under a prefix, and then not without it", () =>
    Effect.gen(function*() {
      const app = Config.nested(HeadgateConfig.config, "APP")
      assert.deepInclude(yield* read(app, { APP_HEADGATE_LIMIT: "9" }), { limit: 9 })
      assert.deepInclude(yield* read(app, { HEADGATE_LIMIT: "9" }), { limit: undefined })
    }))
})

describe("93, 94: whatever scheduler and clock the app has", () => {
  const fifty = Effect.gen(function*() {
    yield* Effect.forkChild(Effect.scoped(Effect.andThen(takeBoth, Effect.sleep("1 second"))), {
      startImmediately: true
    })
    let served = 0
    const one = BufferPool.withBuffer("rx", () => Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => served++)))
    yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.forkChild(one, { startImmediately: true }))
    yield* TestClock.adjust("51 seconds")
    assert.deepStrictEqual({ served, used: yield* used }, { served: 50, used: 0 })
  })

  it.effect("fifty who wait their turn are all served within one adjust of the clock", () =>
    Effect.provide(fifty, Headgate.layer(two)))

  layer(Headgate.layer(two))("and so they are", (it) => {
    it.effect("with a layer that was built outside the test", () => fifty)
  })
})

describe("95: buffers", () => {
  it.effect("are equal only to themselves, whatever they hold", () =>
    Effect.gen(function*() {
      const a = yield* BufferPool.acquire("endpoint")
      const b = yield* BufferPool.acquire("tx")
      assert.isFalse(Equal.equals(a, b))
      assert.isTrue(Equal.equals(a, a))
      assert.strictEqual(HashSet.size(HashSet.make(a, b, a)), 2)
    }).pipe(Effect.provide(Headgate.layer({ limit: 16 }))))
})

describe("96: a timeout that loses its race with a grant", () => {
  /** The holder goes while the waiter's time is up: who is first depends on where the fibers yield. */
  const race = <A, E, R>(wait: Effect.Effect<A, E, R>, opsBeforeYield: number, yields: number) =>
    Effect.gen(function*() {
      const holder = yield* hog
      while ((yield* used) < 2) yield* Effect.yieldNow
      const before = yield* BufferPool.snapshot
      const timer = Effect.gen(function*() {
        yield* Effect.yieldNow
        holder.interruptUnsafe()
        for (let n = 0; n < yields; n++) yield* Effect.yieldNow
        return "timed out"
      })
      const winner = yield* Effect.raceFirst(wait, timer).pipe(
        Effect.forkChild({ startImmediately: true }),
        Effect.flatMap(Fiber.join)
      )
      yield* Fiber.interrupt(holder)
      const after = yield* BufferPool.snapshot
      const isLoser = winner === "timed out"
      return { isLoser, wasGranted: after.counters.handOffs > before.counters.handOffs, isHeld: after.used > 0 }
    }).pipe(Effect.scoped, Effect.provideService(Scheduler.MaxOpsBeforeYield, opsBeforeYield))

  const sweep = <A, E, R>(wait: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const all = []
      for (let ops = 3; ops <= 40; ops++) {
        for (let yields = 0; yields < 12; yields++) all.push(yield* race(wait, ops, yields))
      }
      assert.strictEqual(yield* used, 0)
      const losers = all.filter(({ isLoser }) => isLoser)
      const winners = all.filter(({ isLoser }) => !isLoser)
      return {
        winners: winners.length,
        winnersHeld: winners.filter(({ isHeld }) => isHeld).length,
        losersGranted: losers.filter(({ wasGranted }) => wasGranted).length,
        losersHeld: losers.filter(({ isHeld }) => isHeld).length
      }
    }).pipe(Effect.provide(Headgate.layer({ ...two, bufferSize: 16, ageAfter: "Infinity" })))

  const withBuffer = Effect.map(
    sweep(BufferPool.withBuffer("rx", () => Effect.succeed("lent"))),
    ({ losersGranted, losersHeld, winners }) => {
      assert.isAbove(winners, 0)
      assert.isAbove(losersGranted, 0)
      assert.strictEqual(losersHeld, 0)
    }
  )

  it.effect("around withBuffer leaves nothing behind, under a scheduler of the app's", () => withBuffer)
  it("around withBuffer leaves nothing behind, under the default scheduler", () => Effect.runPromise(withBuffer))

  // One step is left between the end of `acquire` and the end of its fiber: an interrupt that falls exactly there leaves the
  // buffer with the caller's scope, as with any effect that acquires. Without the mending in `acquire` it is one in six.
  const acquire = Effect.map(
    sweep(BufferPool.acquire("rx")),
    ({ losersGranted, losersHeld, winners, winnersHeld }) => {
      assert.strictEqual(winnersHeld, winners)
      assert.isAbove(losersGranted, 0)
      assert.isAtMost(losersHeld, losersGranted / 12)
    }
  )

  it.effect("around acquire leaves a buffer with the caller's scope at most in its last step, and never beyond it", () =>
    acquire)
  it("around acquire does so under the default scheduler, too", () => Effect.runPromise(acquire))
})

describe("97: printing", () => {
  it.effect("a buffer shows its state in a line, and never its bytes", () =>
    Effect.gen(function*() {
      const buffer = yield* BufferPool.acquire("rx")
      buffer.write("hello")
      const state = "ByteBuffer(default: 5 of 65536 bytes)"
      assert.strictEqual(String(buffer), state)
      assert.strictEqual(inspect(buffer, { depth: 10 }), state)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(buffer)), { pool: "default", length: 5, room: 65531 })
    }).pipe(Effect.provide(Headgate.layer())))

  it.effect("a snapshot of the pool is small, however large its buffers are", () =>
    Effect.gen(function*() {
      yield* BufferPool.acquire("rx")
      const snapshot = yield* BufferPool.snapshot
      assert.isBelow(JSON.stringify(snapshot).length, 1500)
      assert.isBelow(inspect(snapshot, { depth: 10 }).length, 3000)
    }).pipe(Effect.provide(Headgate.layer())))
})

describe("98: what is forgotten, or asked too much", () => {
  const withBuffer = BufferPool.withBuffer("rx", () => Effect.void)

  it.effect("a missing layer does not compile; run all the same, it names the service", () =>
    Effect.gen(function*() {
      // @ts-expect-error a service is missing
      const asked: Effect.Effect<void, Effect.Error<typeof withBuffer>> = withBuffer
      assert.strictEqual(defectOf(yield* Effect.exit(asked)), "Error: Service not found: headgate/BufferPool")
    }))

  it.effect("ten buffers together of eight, with debug: refused at the second, naming both and the rule", () =>
    Effect.gen(function*() {
      const ten = Effect.forEach(Array.from({ length: 10 }), () => BufferPool.acquire("rx"))
      const exit = yield* Effect.exit(Effect.scoped(ten))
      assert.strictEqual(
        defectOf(exit),
        "BufferMisuse: pool \"default\": a fiber that holds a buffer at \"rx\" (margin 3) asks for one at \"rx\" (margin 3): " +
          "buffers needed together are taken in order of strictly decreasing margin"
      )
      assert.strictEqual(yield* used, 0)
    }).pipe(Effect.provide(Headgate.layer({ limit: 8, debug: true }))))

  it.effect("buffers together in the order of decreasing margins are had, with debug, too", () =>
    Effect.gen(function*() {
      yield* Effect.forEach(["rx", "endpoint", "channel", "tx"] as const, BufferPool.acquire)
      assert.strictEqual(yield* used, 4)
    }).pipe(Effect.provide(Headgate.layer({ limit: 8, debug: true }))))
})

describe("99: a wake that only links its task", () => {
  it.effect("loses no grant: it waits for its owner, can be seen, and is found at the door", () =>
    Effect.gen(function*() {
      const { giveBackUnsafe, waitQueue } = yield* BufferPool
      const waiter = waitQueue.waiter({
        target: "zip",
        criticality: "rx",
        wake: () => {
          task.wakeUnsafe("resource")
          return true
        }
      })
      const task = yield* Task.make((self) =>
        Effect.suspend(() => {
          const buffer = waitQueue.takeOrWaitUnsafe(waiter)
          if (typeof buffer === "string") return Effect.void
          giveBackUnsafe(buffer)
          return self.end
        })
      )
      const holder = yield* hog
      yield* Stepper.runTasks
      assert.strictEqual(waiter.state, "queued")
      yield* Fiber.interrupt(holder)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* waitQueue.waiting, [
        { target: "zip", criticality: "rx", state: "granted", forMs: 3000 }
      ])
      assert.strictEqual(yield* used, 1)
      yield* Stepper.runTasks
      yield* task.await
      assert.deepStrictEqual({ state: waiter.state, used: yield* used }, { state: "idle", used: 0 })
    }).pipe(Effect.provide(Headgate.layerManual(two))))
})

describe("types", () => {
  it("a mistake that can be seen does not compile", () => {
    const mistakes = [
      // @ts-expect-error a body that returns an Effect would never run: that is withBuffer
      () => BufferPool.withBufferSync("rx", (buffer) => Effect.log(buffer.length)),
      // @ts-expect-error a body that returns a promise would go on after its buffer has gone back
      () => BufferPool.withBufferSync("rx", (buffer) => Promise.resolve(buffer.room)),
      // @ts-expect-error an option that there is not
      () => Headgate.layer({ limt: 8 }),
      // @ts-expect-error an option of another type
      () => Headgate.layer({ limit: "8" }),
      // @ts-expect-error a class that there is not
      () => BufferPool.acquire("urgent"),
      // @ts-expect-error a filler that there is not
      () => ByteStream.make({ process: () => Effect.void, fillers: { response: "task" } }),
      // @ts-expect-error a reason that there is not
      (self: Task.Self) => self.wakeUnsafe("because"),
      // @ts-expect-error a wake must say whether it takes the buffer
      (pool: BufferPool["Service"]) => pool.waitQueue.waiter({ target: "x", criticality: "rx", wake: () => {} })
    ]
    assert.strictEqual(mistakes.length, 8)
  })

  class Disk extends Context.Service<Disk, { readonly path: string }>()("app/Disk") {}

  it("an entity's errors and services are inferred, without BufferPending and without the run's scope", () => {
    const stream = ByteStream.make({
      process: (self) =>
        Effect.gen(function*() {
          const { path } = yield* Disk
          const buffer = yield* ByteChannel.alloc(self.response)
          if (buffer.write(path) === 0) yield* Effect.fail("no path")
          yield* self.expire("1 second")
        })
    })
    expectTypeOf<Effect.Success<typeof stream>["await"]>().toEqualTypeOf<Effect.Effect<void, PoolClosed | string>>()
    expectTypeOf<Effect.Error<typeof stream>>().toEqualTypeOf<never>()
    expectTypeOf<Effect.Services<typeof stream>>().toEqualTypeOf<Disk | BufferPool | TaskScheduler | Scope.Scope>()
    const task = Task.make(() => Effect.flip(Effect.succeed("failed")))
    expectTypeOf<Effect.Success<typeof task>["await"]>().toEqualTypeOf<Effect.Effect<void, string>>()
  })

  it("alloc and tryAlloc say in their types how they can fail", () => {
    expectTypeOf<Effect.Error<ReturnType<typeof ByteChannel.alloc>>>().toEqualTypeOf<BufferPending | PoolClosed>()
    expectTypeOf<Effect.Error<ReturnType<typeof ByteChannel.tryAlloc>>>()
      .toEqualTypeOf<BufferUnavailable | PoolClosed>()
    expectTypeOf<Layer.Success<ReturnType<typeof Headgate.layer>>>().toEqualTypeOf<Headgate.Services>()
  })
})

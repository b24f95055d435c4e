/** What is equal only to itself, and what a pool refuses to mix up. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Equal, Exit, Fiber, Hash, HashSet, Logger, Scope } from "effect"
import { BufferPool, type ByteBuffer, ByteChannel, ByteStream, Headgate, Task } from "headgate"
import { inspect } from "node:util"

const options = { limit: 2, reserve: 1, bufferSize: 16, debug: true }

describe("entities, channels and waiters", () => {
  it.effect("are equal only to themselves, however alike", () =>
    Effect.gen(function*() {
      const { waitQueue } = yield* BufferPool
      const like = { target: "zip", criticality: "rx", wake: () => true } as const
      const waiters = [waitQueue.waiter(like), waitQueue.waiter(like)] as const
      const streams = yield* Effect.all([
        ByteStream.make({ process: () => Effect.void }),
        ByteStream.make({ process: () => Effect.void })
      ])
      assert.isFalse(Equal.equals(waiters[0], waiters[1]))
      // `Equal.equals` answers for an object and itself without asking it; others may ask.
      for (const [one, other] of [waiters, streams]) {
        assert.isTrue(Equal.isEqual(one) && Equal.isEqual(other) && one[Equal.symbol](one) && !one[Equal.symbol](other))
      }
      assert.strictEqual(HashSet.size(HashSet.make(...waiters, ...waiters)), 2)
      assert.strictEqual(HashSet.size(HashSet.make(...streams, ...streams)), 2)
      assert.isFalse(Equal.equals(streams[0].request, streams[1].request))
    }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options))))

  it.effect("are printed the same way everywhere: an entity as what it does now, a pool as its numbers", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<void>()
      const task = yield* Task.make(() => Deferred.await(gate), { name: "zip" })
      const printed = () => [JSON.stringify(task), String(task), inspect(task)]
      const as = (state: string) => Array.from({ length: 3 }, () => `{"entity":"zip","state":"${state}"}`)
      assert.deepStrictEqual(printed(), as("waiting"))
      yield* Headgate.Stepper.runTasks
      assert.deepStrictEqual(printed(), as("running"))
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(printed(), as("waiting"))
      yield* task.end
      assert.deepStrictEqual(printed(), as("ended"))
      const pool = yield* BufferPool
      assert.strictEqual(String(pool), "{\"pool\":\"default\",\"limit\":2,\"allocated\":2,\"used\":0,\"queued\":0}")
      const waiter = pool.waitQueue.waiter({ target: Object.create(null), criticality: "rx", wake: () => true })
      assert.strictEqual(
        inspect(waiter),
        "{\"pool\":\"default\",\"target\":\"a target without a name\",\"criticality\":\"rx\",\"state\":\"idle\"}"
      )
      const buffer = yield* pool.tryAcquire("tx")
      buffer.write(new Uint8Array(3))
      assert.deepStrictEqual(JSON.parse(JSON.stringify(buffer)), { pool: "default", length: 3, room: 13 })
      for (const one of [task, pool, waiter]) assert.strictEqual(Hash.hash(one), Hash.hash(one))
      for (const one of [task, pool, waiter]) assert.isNumber(Hash.hash(one))
    }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options))))

  it.effect("are printed as their state, while somebody waits", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool
      yield* Effect.all([pool.tryAcquire("tx"), pool.tryAcquire("tx")])
      const stream = yield* ByteStream.make({
        name: "upload",
        process: (self) => Effect.asVoid(ByteChannel.alloc(self.request))
      })
      yield* Headgate.Stepper.runTasks
      const waiting = yield* pool.waitQueue.waiting
      assert.strictEqual(JSON.parse(JSON.stringify(waiting))[0].target.filler, "upload")
      for (const printed of [pool, stream, stream.request, waiting]) {
        assert.isBelow(JSON.stringify(printed).length, 300)
        assert.isBelow(inspect(printed, { depth: 10 }).length, 500)
      }
    }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options))))
})

it.effect("BufferPool's own functions lend from the pool in context", () =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const use = (buffer: ByteBuffer) => buffer.pool
    const names = yield* Effect.all([
      BufferPool.withBuffer("rx", (buffer) => Effect.sync(() => use(buffer))),
      BufferPool.withBufferSync("rx", use),
      Effect.map(BufferPool.acquire("rx"), use),
      Effect.map(BufferPool.tryAcquire("tx"), use)
    ])
    assert.deepStrictEqual(names, ["default", "default", "default", "default"])
    const lent = (yield* BufferPool.snapshot).used
    assert.deepStrictEqual([lent, (yield* pool.snapshot).used], [2, 2])
  }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options))))

it.effect("a waiter in another pool's queue is a misuse, and both pools go on", () =>
  Effect.gen(function*() {
    const a = yield* BufferPool.make({ ...options, name: "a" })
    const b = yield* BufferPool.make({ ...options, name: "b" })
    yield* Effect.all([a.tryAcquire("tx"), a.tryAcquire("tx"), b.tryAcquire("tx"), b.tryAcquire("tx")])
    const waiter = a.waitQueue.waiter({ target: "lost", criticality: "tx", wake: () => true })
    assert.strictEqual(a.waitQueue.takeOrWaitUnsafe(waiter), "queued")
    for (const mistake of [() => b.waitQueue.takeOrWaitUnsafe(waiter), () => b.waitQueue.leaveUnsafe(waiter)]) {
      assert.throws(mistake, /pool "b": a waiter was used that this pool's wait queue did not make/)
    }
    assert.strictEqual((yield* a.snapshot).classes.tx.waiting, 1)
    assert.strictEqual((yield* b.snapshot).classes.tx.waiting, 0)
    a.waitQueue.leaveUnsafe(waiter)
    assert.strictEqual((yield* a.snapshot).classes.tx.waiting, 0)
  }).pipe(Effect.scoped))

describe("memory", () => {
  it.effect("that was transferred away is replaced at give-back, and counted as a misuse", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make(options)
      yield* pool.withBufferSync("tx", (buffer) => void structuredClone(0, { transfer: [buffer.writeView().buffer] }))
      assert.strictEqual((yield* pool.snapshot).counters.misuse, 1)
      const sizes = yield* Effect.all([pool.tryAcquire("tx"), pool.tryAcquire("tx")])
      assert.deepStrictEqual(sizes.map(({ size }) => size), [16, 16])
    }).pipe(Effect.scoped))

  it.effect("that was transferred away and cannot be replaced is no longer counted as existing", () =>
    Effect.gen(function*() {
      let isThere = true
      const allocate = (size: number) => {
        if (!isThere) throw new RangeError("out of memory")
        return new Uint8Array(size)
      }
      const pool = yield* BufferPool.make({ limit: 4, reserve: 1, bufferSize: 16, allocate })
      yield* pool.withBufferSync("tx", (buffer) => {
        isThere = false
        structuredClone(0, { transfer: [buffer.writeView().buffer] })
      })
      const { allocated, used } = yield* pool.snapshot
      assert.deepStrictEqual({ allocated, used }, { allocated: 1, used: 0 })
      isThere = true
      assert.strictEqual((yield* pool.tryAcquire("tx")).size, 16)
    }).pipe(Effect.scoped))

  it.effect("of another size, or a part of a larger ArrayBuffer, is a failed creation", () =>
    Effect.gen(function*() {
      const wrong = [
        () => new Uint8Array(4),
        (size: number) => new Uint8Array(new ArrayBuffer(64), 8, size),
        (size: number) => new Uint8Array(new ArrayBuffer(size), 0, 4)
      ]
      for (const allocate of wrong) {
        const failed = yield* Effect.flip(Effect.scoped(BufferPool.make({ ...options, allocate })))
        assert.strictEqual(failed._tag, "AllocationFailed")
        assert.include(failed.message, "allocate was asked for 16 bytes")
      }
    }))
})

describe("whatever its callers do, a pool goes on", () => {
  it.effect("a wake that throws, of a target that cannot be printed, is declined, and the next is served", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make(options)
      const held = yield* Effect.all([pool.tryAcquire("tx"), pool.tryAcquire("tx")])
      const wake = () => {
        throw new Error("broken")
      }
      const bad = pool.waitQueue.waiter({ target: Object.create(null), criticality: "tx", wake })
      const good = pool.waitQueue.waiter({ target: "good", criticality: "tx", wake: () => true })
      for (const waiter of [bad, good]) pool.waitQueue.takeOrWaitUnsafe(waiter)
      pool.giveBackUnsafe(held[0])
      assert.deepStrictEqual([bad.state, good.state], ["idle", "granted"])
      assert.strictEqual((yield* pool.snapshot).counters.wakesThrown, 1)
      pool.waitQueue.leaveUnsafe(good)
    }).pipe(Effect.scoped))

  it.effect("a give-back after the end still empties old views", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const pool = yield* Scope.provide(BufferPool.make(options), scope)
      const buffer = pool.tryTakeUnsafe("tx")
      assert.isDefined(buffer)
      const view = buffer.writeView()
      yield* Scope.close(scope, Exit.void)
      pool.giveBackUnsafe(buffer)
      assert.strictEqual(view.length, 0)
    }))

  it.effect("a failure is logged though somebody had awaited it, and gave up", () =>
    Effect.gen(function*() {
      const lines: Array<unknown> = []
      const logger = Logger.make(({ message }) => void lines.push(message))
      yield* Effect.gen(function*() {
        const fail = yield* Deferred.make<void>()
        const task = yield* Task.make(() => Effect.andThen(Deferred.await(fail), Effect.fail("boom")))
        yield* Headgate.Stepper.settle
        const impatient = yield* Effect.forkChild(task.await, { startImmediately: true })
        yield* Fiber.interrupt(impatient)
        yield* Deferred.succeed(fail, undefined)
        assert.strictEqual((yield* Effect.exit(task.await))._tag, "Failure")
      }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options)), Effect.provide(Logger.layer([logger])))
      assert.include(JSON.stringify(lines), "nobody awaits it")
    }))

  it.effect("a run pins each buffer that it allocates, also behind one that was given back by hand", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool
      const pins: Array<number | undefined> = []
      yield* ByteStream.make({
        process: ({ response }) =>
          Effect.gen(function*() {
            for (let turn = 0; turn < 2; turn++) {
              assert.strictEqual(ByteChannel.allocUnsafe(response), "held")
              pins.push((yield* pool.snapshot).holders.at(-1)?.pins)
              if (turn === 0 && response.buffer !== undefined) pool.giveBackUnsafe(response.buffer)
            }
          })
      })
      yield* Headgate.Stepper.runTasks
      assert.deepStrictEqual(pins, [1, 1])
      assert.strictEqual((yield* pool.snapshot).used, 0)
    }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options))))
})

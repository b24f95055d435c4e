/**
 * What Headgate says, word by word: its errors explain themselves, with the numbers of their moment, and so do its log
 * lines. Whoever changes a text changes it here too.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Logger, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  Applet,
  BufferPending,
  BufferPool,
  ByteChannel,
  ByteStream,
  ConfigError,
  Headgate,
  Task,
  TaskScheduler
} from "headgate"
import { BrokenInvariant } from "../src/internal/assert.ts"

const options = { name: "small", limit: 4, reserve: 3, bufferSize: 16 }

/** The message of what an effect fails or dies with. */
const messageOf = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<string, never, R> =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return "no error"
    const error = Cause.squash(exit.cause)
    return error instanceof Error ? error.message : String(error)
  })

const thrownBy = (call: () => unknown): string => {
  try {
    call()
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
  return "nothing thrown"
}

describe("a shortage", () => {
  const use = Effect.succeed("used")
  it.effect("says how many are lent, of how many, in reserve, at which class, and who waits since when", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make({ ...options, maxWaiting: 1 })
      for (const at of ["tx", "channel", "tx"] as const) yield* pool.tryAcquire(at)
      assert.strictEqual(
        yield* messageOf(pool.tryAcquire("rx")),
        "pool \"small\" has no buffer to take: 3 of 4 buffers lent, 3 in reserve, asked at \"rx\", 0 waiting"
      )
      yield* Effect.forkChild(pool.acquire("endpoint"), { startImmediately: true })
      yield* TestClock.adjust("1500 millis")
      assert.strictEqual(
        yield* messageOf(pool.tryAcquire("channel")),
        "pool \"small\" has no buffer to take: 3 of 4 buffers lent, 3 in reserve, asked at \"channel\", " +
          "1 waiting (the oldest for 1500 ms)"
      )
      assert.strictEqual(
        yield* messageOf(pool.withBuffer("endpoint", () => use)),
        "pool \"small\" refuses to let a fiber wait, the queue of its class is full: 3 of 4 buffers lent, 3 in reserve, " +
          "asked at \"endpoint\", 1 waiting (the oldest for 1500 ms)"
      )
    }).pipe(Effect.scoped))

  it.effect("says how old the oldest lease is, with leakThreshold: the oldest of several", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make({ ...options, reserve: 1, leakThreshold: "1 hour" })
      for (let i = 0; i < 4; i++) {
        yield* pool.tryAcquire("tx")
        yield* TestClock.adjust("2 seconds")
      }
      assert.strictEqual(
        yield* messageOf(pool.tryAcquire("tx")),
        "pool \"small\" has no buffer to take: 4 of 4 buffers lent, 1 in reserve, asked at \"tx\", 0 waiting, " +
          "the oldest lease out for 8000 ms"
      )
    }).pipe(Effect.scoped))

  it.effect("inside a run says that no run may wait", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool
      for (let i = 0; i < 4; i++) yield* pool.tryAcquire("tx")
      const said: Array<string> = []
      yield* Task.make(() => Effect.map(messageOf(pool.acquire("tx")), (message) => void said.push(message)))
      yield* Headgate.Stepper.settle
      assert.deepStrictEqual(said, [
        "pool \"small\" refuses to let a fiber wait, an entity's run may not wait: 4 of 4 buffers lent, 3 in reserve, " +
        "asked at \"tx\", 0 waiting"
      ])
    }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options))))

  it.effect("of memory names what the allocator threw, if it can be printed", () =>
    Effect.gen(function*() {
      const thrown = [new RangeError("no memory"), "a text", Object.create(null)]
      const said = yield* Effect.forEach(thrown, (cause) => {
        const allocate = () => {
          throw cause
        }
        return messageOf(Effect.scoped(BufferPool.make({ ...options, allocate })))
      })
      const could = "pool \"small\" could not create a buffer of 16 bytes beside 0 others:"
      assert.deepStrictEqual(said, [
        `${could} RangeError: no memory`,
        `${could} "a text"`,
        `${could} a value that cannot be printed`
      ])
      let made = 0
      const allocate = (size: number) => {
        if (++made > 4) throw new RangeError("no memory")
        return new Uint8Array(size)
      }
      const pool = yield* BufferPool.make({ ...options, limit: 8, allocate })
      for (let i = 0; i < 4; i++) yield* pool.tryAcquire("tx")
      assert.strictEqual(
        yield* messageOf(pool.tryAcquire("tx")),
        "pool \"small\" has no buffer to take: 4 of 8 buffers lent, 3 in reserve, asked at \"tx\", 0 waiting; " +
          "pool \"small\" could not create a buffer of 16 bytes beside 4 others: RangeError: no memory"
      )
      const sizes = yield* messageOf(Effect.scoped(BufferPool.make({ ...options, allocate: () => new Uint8Array(4) })))
      assert.strictEqual(
        sizes,
        `${could} RangeError: allocate was asked for 16 bytes, and made 4 in an ArrayBuffer of 4`
      )
    }).pipe(Effect.scoped))
})

describe("an option that breaks a rule", () => {
  it("is shown as it was given, one problem a line", () => {
    const problems = [
      { field: "limit", value: "8", rule: "must be a number" },
      { field: "reserve", value: 8, rule: "must be below limit (8)" },
      { field: "name", value: Object.create(null), rule: "must be a text" }
    ]
    assert.strictEqual(
      new ConfigError({ problems }).message,
      "limit = \"8\": must be a number\nreserve = 8: must be below limit (8)\n" +
        "name = a value that cannot be printed: must be a text"
    )
  })

  it.effect("is told of resize, too: a limit must be above the reserve", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make(options)
      assert.strictEqual(yield* messageOf(pool.resize(3)), "limit = 3: must be above reserve (3)")
      assert.strictEqual(yield* messageOf(pool.resize(1)), "limit = 1: must be an integer of at least 2")
      assert.strictEqual(yield* messageOf(pool.resize(4)), "no error")
    }).pipe(Effect.scoped))
})

describe("a broken promise of the caller", () => {
  it.effect("of a pool is named with the pool, and is thrown where it is broken", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make(options)
      const other = yield* BufferPool.make({ ...options, name: "other" })
      const buffer = yield* pool.tryAcquire("tx")
      const waiter = other.waitQueue.waiter({ target: "w", criticality: "rx", wake: () => true })
      const facts: ReadonlyArray<readonly [call: () => unknown, fact: string]> = [
        [() => other.giveBackUnsafe(buffer), "pool \"other\": a buffer of pool \"small\" was handed to this one"],
        [() => pool.unpinUnsafe(buffer), "pool \"small\": a buffer was unpinned that nothing pins"],
        [() => buffer.consume(1), "pool \"small\": consume 1 of 0 bytes"],
        [() => buffer.write(new Uint8Array(17)), "pool \"small\": write 17 bytes into room for 16"],
        [() => buffer.commit(17), "pool \"small\": commit 17 bytes into room for 16"],
        [
          () => pool.waitQueue.leaveUnsafe(waiter),
          "pool \"small\": a waiter was used that this pool's wait queue did not make"
        ]
      ]
      for (const [call, fact] of facts) assert.strictEqual(thrownBy(call), fact)
      buffer.write("ab")
      assert.strictEqual(String(buffer), "ByteBuffer(small: 2 of 16 bytes)")
      pool.giveBackUnsafe(buffer)
      assert.strictEqual(String(buffer), "ByteBuffer(small: given back)")
      const stale: ReadonlyArray<readonly [call: () => unknown, fact: string]> = [
        [() => pool.giveBackUnsafe(buffer), "pool \"small\": a buffer was given back twice"],
        [() => pool.pinUnsafe(buffer), "pool \"small\": a buffer was pinned that had been given back"],
        [() => buffer.write("x"), "pool \"small\": write on a buffer that was given back"],
        [() => buffer.consume(0), "pool \"small\": consume on a buffer that was given back"],
        [() => buffer.commit(0), "pool \"small\": commit on a buffer that was given back"],
        [() => buffer.writeView(), "pool \"small\": writeView on a buffer that was given back"]
      ]
      for (const [call, fact] of stale) assert.strictEqual(thrownBy(call), fact)
      assert.strictEqual((yield* pool.snapshot).counters.misuse, 11)
    }).pipe(Effect.scoped))

  it.effect("of a class that there is not names those that there are", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make(options)
      const misspelt: unknown = "rxx"
      const call = () => Reflect.apply(pool.tryTakeUnsafe, undefined, [misspelt])
      assert.strictEqual(
        thrownBy(call),
        "pool \"small\": there is no criticality \"rxx\"; there are tx, channel, endpoint, rx"
      )
      const waiter = { target: "w", criticality: misspelt, wake: () => true }
      assert.strictEqual(
        thrownBy(() => Reflect.apply(pool.waitQueue.waiter, undefined, [waiter])),
        "pool \"small\": there is no criticality \"rxx\"; there are tx, channel, endpoint, rx"
      )
    }).pipe(Effect.scoped))

  it.effect("of the order of nesting names both classes and their margins", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool.make({ ...options, limit: 8, debug: true })
      const nested = pool.withBuffer("channel", () => pool.withBuffer("endpoint", () => Effect.void))
      assert.strictEqual(
        yield* messageOf(nested),
        "pool \"small\": a fiber that holds a buffer at \"channel\" (margin 1) asks for one at \"endpoint\" (margin 2): " +
          "buffers needed together are taken in order of strictly decreasing margin"
      )
    }).pipe(Effect.scoped))

  it.effect("of entities names the entity, the channel and both sides", () =>
    Effect.gen(function*() {
      const reverse = ByteStream.make({ name: "reverse", process: () => Effect.void, request: "tx", response: "rx" })
      assert.strictEqual(
        yield* messageOf(reverse),
        "reverse: the response at \"rx\" (margin 3) must have a smaller margin than the request at \"tx\" (margin 0), " +
          "with a reserve of 3"
      )
      const stream = yield* ByteStream.make({
        name: "web",
        process: () => Effect.void,
        fillers: { response: "applet" }
      })
      const applet = (channel: ByteChannel.ByteChannel) => messageOf(Applet.make({ channel, run: () => Effect.void }))
      assert.strictEqual(yield* applet(stream.response), "no error")
      assert.strictEqual(
        yield* applet(stream.response),
        "pool \"small\": a second applet was attached to the response channel that applet fills"
      )
      assert.strictEqual(
        yield* applet(stream.request),
        "pool \"small\": an applet was attached to a request channel that its stream fills"
      )
      const foreign: ByteChannel.ByteChannel = {
        side: "request",
        criticality: "rx",
        buffer: undefined,
        wakeFillerUnsafe: () => {}
      }
      assert.strictEqual(
        yield* applet(foreign),
        "pool \"?\": an applet was attached to a request channel that its stream fills"
      )
      assert.strictEqual(thrownBy(() => ByteChannel.allocUnsafe(foreign)), "a channel was used that no stream made")
      const intruder = yield* Task.make(() => Effect.asVoid(ByteChannel.alloc(stream.request)))
      const said = yield* Effect.forkChild(messageOf(intruder.await), { startImmediately: true })
      yield* Headgate.Stepper.settle
      const exit = said.pollUnsafe()
      assert.deepStrictEqual(
        exit,
        Exit.succeed(
          "pool \"small\": the request channel is filled by web, and a run of another entity allocates it"
        )
      )
    }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options))))

  it("of our own asks to be reported", () => {
    assert.strictEqual(String(new BrokenInvariant("x")), "BrokenInvariant: x")
  })
})

it.effect("a run that waits for its buffer, and a pool that is closed, say so", () =>
  Effect.gen(function*() {
    assert.strictEqual(
      new BufferPending({ pool: "small", stream: "web", side: "request" }).message,
      "the request channel of web waits for a buffer of pool \"small\""
    )
    const scope = yield* Scope.make()
    const layer = Headgate.layerManual(options)
    const context = yield* Layer.buildWithScope(layer, scope)
    const said: Array<string> = []
    yield* Effect.gen(function*() {
      const pool = yield* BufferPool
      for (let i = 0; i < 4; i++) assert.isDefined(pool.tryTakeUnsafe("tx"))
      const waiting = yield* Effect.forkChild(messageOf(pool.withBufferSync("tx", () => {})), {
        startImmediately: true
      })
      yield* Scope.close(scope, Exit.void)
      said.push(yield* Fiber.join(waiting))
      said.push(yield* messageOf(pool.tryAcquire("tx")), yield* messageOf(pool.acquire("tx")))
      said.push(yield* messageOf(pool.withBuffer("tx", () => Effect.void)))
    }).pipe(Effect.scoped, Effect.provideContext(context))
    assert.deepStrictEqual(said, Array.from({ length: 4 }, () => "pool \"small\" is closed"))
  }).pipe(Effect.scoped))

it.effect("a run that comes to a pool that is closed is told that, and not that it may not wait", () =>
  Effect.gen(function*() {
    const said: Array<string> = []
    const scope = yield* Scope.make()
    const pool = yield* Scope.provide(BufferPool.make({ ...options, name: "gone" }), scope)
    yield* Scope.close(scope, Exit.void)
    yield* Task.make(() => Effect.map(messageOf(pool.acquire("tx")), (message) => void said.push(message)))
    yield* Headgate.Stepper.settle
    assert.deepStrictEqual(said, ["pool \"gone\" is closed"])
  }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options))))

describe("a log line", () => {
  /** Lines with their annotations, as `[level, message and error, annotations]`. */
  const recorded = <A, E, R>(test: (lines: Array<unknown>) => Effect.Effect<A, E, R>) => {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      const text = (Array.isArray(message) ? message : [message]).map(String).join(": ")
      lines.push([logLevel, text, fiber.getRef(References.CurrentLogAnnotations)])
    })
    return Effect.provide(test(lines), Logger.layer([logger]))
  }

  it.effect("of a leak says for how long, where it was taken, in which pool and at which class", () =>
    recorded((lines) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool.make({ ...options, leakThreshold: "1 second", trackOrigins: true })
        const buffer = pool.tryTakeUnsafe("channel")
        const origin = (yield* pool.snapshot).holders[0]?.origin
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual(lines, [])
        yield* TestClock.adjust("1 millis")
        if (buffer !== undefined) pool.giveBackUnsafe(buffer)
        const annotations = { pool: "small", criticality: "channel", origin }
        assert.match(String(origin), /^Error: taken here\n/)
        assert.deepStrictEqual(lines, [
          ["Warn", "a buffer has been out for 1000 ms", annotations],
          ["Info", "a buffer reported as a leak came back after 1000 ms", annotations]
        ])
      }).pipe(Effect.scoped)
    ))

  it.effect("of a leak says no place that is not known", () =>
    recorded((lines) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool.make({ ...options, leakThreshold: "1 second" })
        yield* pool.tryAcquire("tx")
        yield* TestClock.adjust("1 second")
        assert.deepStrictEqual(lines, [
          ["Warn", "a buffer has been out for 1000 ms", { pool: "small", criticality: "tx" }]
        ])
      }).pipe(Effect.scoped)
    ))

  it.effect("of a wake that threw names pool and target", () =>
    recorded((lines) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool.make(options)
        const held = yield* Effect.all(Array.from({ length: 4 }, () => pool.tryAcquire("tx")))
        const wake = () => {
          throw new Error("broken")
        }
        for (const target of ["zip", Object.create(null)]) {
          pool.waitQueue.takeOrWaitUnsafe(pool.waitQueue.waiter({ target, criticality: "tx", wake }))
        }
        if (held[0] !== undefined) pool.giveBackUnsafe(held[0])
        const text = "a wake threw; its waiter declined the buffer: Error: broken"
        assert.deepStrictEqual(lines, [
          ["Error", text, { pool: "small", target: "zip" }],
          ["Error", text, { pool: "small", target: "a target without a name" }]
        ])
      }).pipe(Effect.scoped)
    ))

  it.effect("of a run whose start threw says so", () =>
    recorded((lines) =>
      Effect.gen(function*() {
        const place = (yield* TaskScheduler).runnable(() => {
          throw new Error("no start")
        })
        place.wakeUnsafe("init")
        yield* Headgate.Stepper.settle
        assert.deepStrictEqual(lines, [["Error", "the start of a run threw: Error: no start", {}]])
      }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options)))
    ))

  it.effect("of an entity that failed unseen names it", () =>
    recorded((lines) =>
      Effect.gen(function*() {
        yield* Task.make(() => Effect.fail("unseen"), { name: "worker" })
        yield* Headgate.Stepper.settle
        assert.deepStrictEqual(lines, [["Error", "an entity failed, and nobody awaits it", { entity: "worker" }]])
      }).pipe(Effect.scoped, Effect.provide(Headgate.layerManual(options)))
    ))

  it.effect("of memory that is lost, and of a name that is taken, says so", () =>
    recorded((lines) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool.make({ ...options, name: "lost" })
        yield* pool.withBufferSync("tx", (buffer) => void structuredClone(0, { transfer: [buffer.writeView().buffer] }))
        const scope = yield* Scope.make()
        yield* Scope.provide(BufferPool.make({ ...options, name: "lost" }), scope)
        yield* BufferPool.make({ ...options, name: "lost" })
        yield* Scope.close(scope, Exit.void)
        yield* BufferPool.make({ ...options, name: "lost" })
        assert.deepStrictEqual(lines, [
          [
            "Error",
            "the memory of a buffer is lost, and is replaced: BufferMisuse: pool \"lost\": a buffer was given back whose " +
            "memory had been transferred away",
            {}
          ],
          ["Info", "pool \"lost\" now exists 2 times; to share one, share one layer constant", {}],
          ["Info", "pool \"lost\" now exists 3 times; to share one, share one layer constant", {}],
          ["Info", "pool \"lost\" now exists 3 times; to share one, share one layer constant", {}]
        ])
      }).pipe(Effect.scoped)
    ))
})

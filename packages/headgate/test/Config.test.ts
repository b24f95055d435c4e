/**
 * Options that break a rule are told by field, value and rule, all at once, wherever they come from; and what happens when
 * there is no memory for the buffers that the options promise.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Context, Effect, Exit, Fiber, Layer, Result } from "effect"
import {
  AllocationFailed,
  AppletScheduler,
  BufferPool,
  BufferUnavailable,
  ConfigError,
  Headgate,
  HeadgateConfig,
  TaskScheduler
} from "headgate"

type Problem = ConfigError["problems"][number]

const problemsOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<Problem> | string => {
  if (Exit.isSuccess(exit)) return "accepted"
  const error = Cause.squash(exit.cause)
  return error instanceof ConfigError && error._tag === "ConfigError"
    ? error.problems
    : `another error: ${String(error)}`
}

const build = <A, E>(layer: Layer.Layer<A, E>) => Effect.exit(Effect.scoped(Layer.build(layer)))

const problemsOfLayer = <A, E>(layer: Layer.Layer<A, E>) => Effect.map(build(layer), problemsOf)

const fromEnv = (env: Record<string, string>) =>
  Headgate.layerConfig.pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env }))))

/** As a program in JavaScript, or one that reads JSON, may hand it over. */
const untyped = (options: { readonly [field: string]: unknown }): Headgate.HeadgateOptions => options

const atLeast = (minimum: number) => `must be an integer of at least ${minimum}`
const aSizeText = "must be a number of bytes, alone or with a unit (B, kB, MB, GB, KiB, MiB, GiB), such as \"64 KiB\""
const aTime = "must be a duration with its unit, such as \"5 seconds\", \"250 millis\", \"2 minutes\""
const aDuration = "must be a duration above zero, such as \"1 second\" or a number of milliseconds"
const aSize = "must be an integer of bytes from 1 to 1 GiB"
const aBoolean = "must be true or false"
const aDebug = "must be true or false, and true needs ArrayBuffer.prototype.transfer (Node 22 or later)"
const aMaximum = "must be an integer of at least 0, or Infinity"

const rows: ReadonlyArray<readonly [field: string, value: unknown, rule: string]> = [
  ["limit", 0, atLeast(2)],
  ["limit", 1, atLeast(2)],
  ["limit", -8, atLeast(2)],
  ["limit", 2.5, atLeast(2)],
  ["limit", Infinity, atLeast(2)],
  ["limit", Number.NaN, atLeast(2)],
  ["limit", "8", atLeast(2)],
  ["limit", null, atLeast(2)],
  ["reserve", 0, atLeast(1)],
  ["reserve", -1, atLeast(1)],
  ["reserve", 1.5, atLeast(1)],
  ["reserve", 1024, "must be below limit (1024)"],
  ["reserve", 2000, "must be below limit (1024)"],
  ["bufferSize", 0, aSize],
  ["bufferSize", -1, aSize],
  ["bufferSize", 0.5, aSize],
  ["bufferSize", 1024 ** 3 + 1, aSize],
  ["bufferSize", "64 KiB", aSize],
  ["prealloc", -1, atLeast(0)],
  ["prealloc", 1025, "must not exceed limit (1024)"],
  ["maxWaiting", -1, aMaximum],
  ["maxWaiting", 1.5, aMaximum],
  ["ageAfter", 0, aDuration],
  ["ageAfter", -1, aDuration],
  ["ageAfter", "soon", aDuration],
  ["leakThreshold", "0 seconds", aDuration],
  ["leakThreshold", true, aDuration],
  ["runQueueDepth", 0, atLeast(1)],
  ["name", "", "must be a text that is not empty"],
  ["name", 7, "must be a text that is not empty"],
  ["maxWaiting", "8", aMaximum],
  ["ageAfter", {}, aDuration],
  ["trackOrigins", "yes", aBoolean],
  ["wipe", 1, aBoolean],
  ["debug", "true", aDebug],
  ["allocate", 1024, "must be a function of a size in bytes"]
]

const poolFields =
  "name, limit, reserve, bufferSize, prealloc, maxWaiting, ageAfter, leakThreshold, trackOrigins, wipe, debug, allocate"

describe("a bad option", () => {
  for (const [field, value, rule] of rows) {
    it.effect(`${field} = ${JSON.stringify(value) ?? String(value)} is named with its value and the rule`, () =>
      Effect.gen(function*() {
        const options = untyped({ [field]: value })
        const layers = [Headgate.layer(options), Headgate.layerManual(options)]
        for (const layer of layers) assert.deepStrictEqual(yield* problemsOfLayer(layer), [{ field, value, rule }])
        if (field === "runQueueDepth") {
          assert.deepStrictEqual(yield* problemsOfLayer(TaskScheduler.layer(options)), [{ field, value, rule }])
          assert.deepStrictEqual(yield* problemsOfLayer(AppletScheduler.layer(options)), [{ field, value, rule }])
        } else {
          assert.deepStrictEqual(yield* problemsOfLayer(BufferPool.layer(options)), [{ field, value, rule }])
          const made = yield* Effect.exit(Effect.scoped(BufferPool.make(options)))
          assert.deepStrictEqual(problemsOf(made), [{ field, value, rule }])
        }
      }))
  }

  it.effect("that there is not is named with those that there are, and no prototype of an object is one", () =>
    Effect.gen(function*() {
      const rule = `is not an option; those are ${poolFields}`
      assert.deepStrictEqual(yield* problemsOfLayer(BufferPool.layer(untyped({ limt: 8 }))), [
        { field: "limt", value: 8, rule }
      ])
      assert.deepStrictEqual(yield* problemsOfLayer(BufferPool.layer(untyped({ toString: 8 }))), [
        { field: "toString", value: 8, rule }
      ])
      assert.deepStrictEqual(yield* problemsOfLayer(Headgate.layer(untyped({ limt: undefined }))), [
        { field: "limt", value: undefined, rule: `${rule}, runQueueDepth` }
      ])
    }))

  it.effect("does not hide another: all problems are told, one a line", () =>
    Effect.gen(function*() {
      const bad = untyped({ limit: 0, reserve: "two", bufferSize: 64 * 1024, wipe: "no", speed: 11 })
      const exit = yield* build(BufferPool.layer(bad))
      assert.deepStrictEqual(Exit.isFailure(exit) && String(Cause.squash(exit.cause)).split("\n"), [
        "ConfigError: limit = 0: must be an integer of at least 2",
        "reserve = \"two\": must be an integer of at least 1",
        "wipe = \"no\": must be true or false",
        `speed = 11: is not an option; those are ${poolFields}`
      ])
    }))

  it.effect("that no number by itself breaks, but two together, is told for both rules", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* problemsOfLayer(BufferPool.layer({ limit: 4, reserve: 4, prealloc: 5 })), [
        { field: "reserve", value: 4, rule: "must be below limit (4)" },
        { field: "prealloc", value: 5, rule: "must not exceed limit (4)" }
      ])
    }))
})

describe("a good option", () => {
  it.effect("is taken as it is; one left out, or undefined, is the default", () =>
    Effect.gen(function*() {
      const seen = (options: Headgate.HeadgateOptions) =>
        Layer.build(Headgate.layer(options)).pipe(
          Effect.flatMap((context) => Context.get(context, BufferPool).snapshot),
          Effect.map(({ allocated, bufferSize, limit, reserve }) => [limit, reserve, bufferSize, allocated]),
          Effect.scoped
        )
      assert.deepStrictEqual(yield* seen({}), [1024, 3, 65536, 4])
      assert.deepStrictEqual(yield* seen({ limit: undefined, reserve: undefined }), [1024, 3, 65536, 4])
      assert.deepStrictEqual(yield* seen({ limit: 2 }), [2, 1, 65536, 2])
      assert.deepStrictEqual(yield* seen({ limit: 3 }), [3, 2, 65536, 3])
      assert.deepStrictEqual(yield* seen({ limit: 9, reserve: 8, bufferSize: 1, prealloc: 9 }), [9, 8, 1, 9])
    }))

  it.effect("may be at the very edge of what its rule allows", () =>
    Effect.gen(function*() {
      const edges: ReadonlyArray<Headgate.HeadgateOptions> = [
        { maxWaiting: 0 },
        { maxWaiting: Infinity },
        { prealloc: 0 },
        { reserve: 1 },
        { runQueueDepth: 1 },
        { ageAfter: "Infinity", leakThreshold: 0.5 },
        { ageAfter: 1_000_000n, leakThreshold: "1 millis" }
      ]
      for (const options of edges) assert.strictEqual(yield* problemsOfLayer(Headgate.layer(options)), "accepted")
    }))
})

describe("resize", () => {
  const pool = BufferPool.layer({ limit: 8, reserve: 3, bufferSize: 16 })

  for (
    const [limit, problem] of [
      [0, { field: "limit", value: 0, rule: atLeast(2) }],
      [-1, { field: "limit", value: -1, rule: atLeast(2) }],
      [4.5, { field: "limit", value: 4.5, rule: atLeast(2) }],
      [Number.NaN, { field: "limit", value: Number.NaN, rule: atLeast(2) }],
      [3, { field: "limit", value: 3, rule: "must be above reserve (3)" }],
      [2, { field: "limit", value: 2, rule: "must be above reserve (3)" }]
    ] as const
  ) {
    it.effect(`to ${limit} is refused, and the pool is as it was`, () =>
      Effect.gen(function*() {
        const before = yield* BufferPool.snapshot
        assert.deepStrictEqual(problemsOf(yield* Effect.exit(BufferPool.resize(limit))), [problem])
        assert.deepStrictEqual(yield* BufferPool.snapshot, before)
      }).pipe(Effect.provide(pool)))
  }

  it.effect("to a limit above the reserve is done", () =>
    Effect.gen(function*() {
      yield* BufferPool.resize(4)
      assert.strictEqual((yield* BufferPool.snapshot).limit, 4)
    }).pipe(Effect.provide(pool)))
})

describe("options from the environment", () => {
  const texts: ReadonlyArray<readonly [variable: string, value: string, rule: string]> = [
    ["HEADGATE_LIMIT", "0", atLeast(2)],
    ["HEADGATE_LIMIT", "-8", atLeast(2)],
    ["HEADGATE_LIMIT", "2.5", atLeast(2)],
    ["HEADGATE_LIMIT", "2.25", atLeast(2)],
    ["HEADGATE_LIMIT", "many", "must be a number"],
    ["HEADGATE_LIMIT", "0x10", "must be a number"],
    ["HEADGATE_LIMIT", "1e3", "must be a number"],
    ["HEADGATE_RESERVE", "0", atLeast(1)],
    ["HEADGATE_BUFFER_SIZE", "0", aSize],
    ["HEADGATE_BUFFER_SIZE", "2 GiB", aSize],
    ["HEADGATE_BUFFER_SIZE", "64 KB", aSizeText],
    ["HEADGATE_BUFFER_SIZE", "64 constructor", aSizeText],
    ["HEADGATE_PREALLOC", "-1", atLeast(0)],
    ["HEADGATE_MAX_WAITING", "1.5", aMaximum],
    ["HEADGATE_AGE_AFTER", "0 seconds", aDuration],
    ["HEADGATE_AGE_AFTER", "5", aTime],
    ["HEADGATE_AGE_AFTER", "soon", aTime],
    ["HEADGATE_RUN_QUEUE_DEPTH", "0", atLeast(1)],
    ["HEADGATE_LEAK_THRESHOLD", "3 fortnights", aTime],
    ["HEADGATE_TRACK_ORIGINS", "yes", aBoolean],
    ["HEADGATE_WIPE", "1", aBoolean],
    ["HEADGATE_DEBUG", "TRUE", aBoolean]
  ]

  for (const [field, value, rule] of texts) {
    it.effect(`${field}=${JSON.stringify(value)} is named with its value and the rule`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* problemsOfLayer(fromEnv({ [field]: value })), [{ field, value, rule }])
      }))
  }

  it.effect("are told all at once when they do not hold", () =>
    Effect.gen(function*() {
      const problems = yield* problemsOfLayer(
        fromEnv({ HEADGATE_LIMIT: "0", HEADGATE_BUFFER_SIZE: "64 KB", HEADGATE_WIPE: "maybe" })
      )
      assert.deepStrictEqual(typeof problems === "string" ? problems : problems.map(({ field }) => field), [
        "HEADGATE_LIMIT",
        "HEADGATE_BUFFER_SIZE",
        "HEADGATE_WIPE"
      ])
    }))

  it.effect("are told together with those that do not fit together", () =>
    Effect.gen(function*() {
      const problems = yield* problemsOfLayer(
        fromEnv({ HEADGATE_LIMIT: "3", HEADGATE_RESERVE: "5", HEADGATE_BUFFER_SIZE: "0" })
      )
      assert.deepStrictEqual(typeof problems === "string" ? problems : problems.map(({ field }) => field), [
        "HEADGATE_BUFFER_SIZE",
        "HEADGATE_RESERVE"
      ])
      const failed = yield* Effect.flip(
        Effect.scoped(BufferPool.make({ limit: 3, reserve: 5, bufferSize: 0 }))
      )
      assert.strictEqual(failed.message.split("\n").length, 2)
    }))

  it.effect("are not said not to fit to one that is wrong by itself", () =>
    Effect.gen(function*() {
      const wrong = yield* problemsOfLayer(
        fromEnv({ HEADGATE_LIMIT: "1", HEADGATE_RESERVE: "5", HEADGATE_PREALLOC: "9", HEADGATE_WIPE: "maybe" })
      )
      assert.deepStrictEqual(wrong, [
        { field: "HEADGATE_LIMIT", value: "1", rule: atLeast(2) },
        { field: "HEADGATE_WIPE", value: "maybe", rule: aBoolean }
      ])
    }))

  it.effect("must fit together, too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* problemsOfLayer(fromEnv({ HEADGATE_LIMIT: "4", HEADGATE_RESERVE: "4", HEADGATE_PREALLOC: "5" })),
        [
          { field: "HEADGATE_RESERVE", value: 4, rule: "must be below limit (4)" },
          { field: "HEADGATE_PREALLOC", value: 5, rule: "must not exceed limit (4)" }
        ]
      )
      const problems = yield* problemsOfLayer(fromEnv({ HEADGATE_LIMIT: "8", HEADGATE_RESERVE: "8" }))
      assert.deepStrictEqual(
        typeof problems === "string" ? problems : problems.map(({ rule, value }) => [value, rule]),
        [[8, "must be below limit (8)"]]
      )
    }))

  it.effect("that are all there are all used", () =>
    Effect.gen(function*() {
      const env = {
        HEADGATE_LIMIT: "64",
        HEADGATE_RESERVE: "6",
        HEADGATE_BUFFER_SIZE: "1.5 MiB",
        HEADGATE_PREALLOC: "12",
        HEADGATE_MAX_WAITING: "100",
        HEADGATE_AGE_AFTER: "2 seconds",
        HEADGATE_RUN_QUEUE_DEPTH: "50",
        HEADGATE_LEAK_THRESHOLD: "3 min",
        HEADGATE_TRACK_ORIGINS: "true",
        HEADGATE_WIPE: "true",
        HEADGATE_DEBUG: "false"
      }
      const { ageAfter, leakThreshold, ...plain } = yield* HeadgateConfig.load.pipe(
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))
      )
      assert.deepStrictEqual(plain, {
        limit: 64,
        reserve: 6,
        bufferSize: 1536 * 1024,
        prealloc: 12,
        maxWaiting: 100,
        runQueueDepth: 50,
        trackOrigins: true,
        wipe: true,
        debug: false
      })
      assert.deepStrictEqual([String(ageAfter), String(leakThreshold)], ["2000 millis", "180000 millis"])
    }))

  it.effect("that cannot be read are one problem, with what their source says", () =>
    Effect.gen(function*() {
      const broken = ConfigProvider.make(() => Effect.fail(new ConfigProvider.SourceError({ message: "no such disk" })))
      const problems = yield* problemsOfLayer(Headgate.layerConfig.pipe(Layer.provide(ConfigProvider.layer(broken))))
      if (typeof problems === "string") return assert.fail(problems)
      assert.deepStrictEqual(problems.map(({ field, value }) => [field, value]), [["HEADGATE_*", "?"]])
      assert.match(String(problems[0]?.rule), /no such disk/)
    }))

  it.effect("that are not there, or empty, are left to their defaults", () =>
    Effect.gen(function*() {
      const options = yield* HeadgateConfig.load.pipe(
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: { LIMIT: "7", HEADGATE_LIMIT: "" } })))
      )
      assert.isTrue(Object.values(options).every((value) => value === undefined))
    }))
})

describe("a text", () => {
  const parsed = <A>(parse: (text: string) => Result.Result<A, string>, texts: ReadonlyArray<string>) =>
    texts.map((text) => Result.match(parse(text), { onFailure: (rule) => rule, onSuccess: String }))

  it("is a size with or without a unit and spaces, of any number of digits, if it is whole bytes", () => {
    const sizes = ["65536", "64KiB", " 64 KiB ", "1.25 MiB", "12 B", "0.5 kB", "3 MB", "2 GB", "1 GiB", "-1"]
    assert.deepStrictEqual(parsed(HeadgateConfig.parseSize, sizes), [
      "65536",
      "65536",
      "65536",
      "1310720",
      "12",
      "500",
      "3000000",
      "2000000000",
      "1073741824",
      "-1"
    ])
    const none = ["", "KiB", "x64", "64 KiB/s", "64 KiB 2", "6 4", "1. KiB", ".5 KiB", "64 kib", "1e3"]
    assert.deepStrictEqual(parsed(HeadgateConfig.parseSize, none), none.map(() => aSizeText))
    const broken = ["0.3 B", "1.0001 KiB", "99999999 GiB"]
    assert.deepStrictEqual(
      parsed(HeadgateConfig.parseSize, broken),
      broken.map(() => "must be a whole number of bytes")
    )
  })

  it("is a duration with a short or a long unit, of any number of digits, or Infinity", () => {
    const durations = ["250 millis", "250ms", " 15  s ", "1.25s", "2m", "10 min", "12h", "3 d", "5 seconds", "Infinity"]
    assert.deepStrictEqual(parsed(HeadgateConfig.parseDuration, durations), [
      "250 millis",
      "250 millis",
      "15000 millis",
      "1250 millis",
      "120000 millis",
      "600000 millis",
      "43200000 millis",
      "259200000 millis",
      "5000 millis",
      "Infinity"
    ])
    const none = ["", "s", "x5 s", "5 s/2", "5 s 2", "1. s", "5 constructor", "soon"]
    assert.deepStrictEqual(parsed(HeadgateConfig.parseDuration, none), none.map(() => aTime))
  })
})

describe("memory that cannot be had", () => {
  /** Makes `count` buffers and then throws, until more is granted. */
  const memoryFor = (count: number) => {
    const memory = {
      left: count,
      allocate: (size: number) => {
        if (memory.left === 0) throw new RangeError("no memory")
        memory.left--
        return new Uint8Array(size)
      }
    }
    return memory
  }

  const options = { name: "tight", limit: 8, reserve: 3, bufferSize: 16, prealloc: 6, ageAfter: "Infinity" } as const

  for (const k of [1, 2, 3, 4, 5, 6]) {
    it.effect(`for buffer ${k} of those that the layer creates is an AllocationFailed with the numbers`, () =>
      Effect.gen(function*() {
        const exit = yield* build(BufferPool.layer({ ...options, allocate: memoryFor(k - 1).allocate }))
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        if (!(error instanceof AllocationFailed)) throw new Error(`not an AllocationFailed: ${String(error)}`)
        assert.deepInclude(error, { pool: "tight", bufferSize: 16, allocated: k - 1 })
        assert.strictEqual(
          error.message,
          `pool "tight" could not create a buffer of 16 bytes beside ${k - 1} others: RangeError: no memory`
        )
      }))
  }

  for (const k of [7, 8]) {
    it.effect(`for buffer ${k}, later, is a shortage: counted, told, and over at the first give-back with memory again`, () => {
      const memory = memoryFor(k - 1)
      return Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = Array.from({ length: k - 1 }, () => pool.tryTakeUnsafe("tx")).filter((buffer) =>
          buffer !== undefined
        )
        assert.strictEqual(held.length, k - 1)

        const error = yield* Effect.flip(Effect.scoped(pool.tryAcquire("tx")))
        if (!(error instanceof BufferUnavailable)) throw new Error(`not a BufferUnavailable: ${String(error)}`)
        assert.deepInclude(error, { used: k - 1, limit: 8, queued: 0 })
        assert.deepInclude(error.cause, { bufferSize: 16, allocated: k - 1 })
        const counted = (yield* pool.snapshot).counters
        assert.deepStrictEqual([counted.creationsFailed, counted.unavailable], [1, 1])

        const waiting = yield* Effect.forEach(
          [1, 2],
          () =>
            Effect.forkChild(Effect.andThen(pool.acquire("tx"), Effect.never).pipe(Effect.scoped), {
              startImmediately: true
            })
        )
        const during = yield* pool.snapshot
        assert.deepStrictEqual([during.capacity, during.free, during.classes.tx.waiting], [k - 1, 0, 2])

        const [first, second] = held
        if (first === undefined || second === undefined) throw new Error("two are held")
        pool.giveBackUnsafe(first)
        const without = yield* pool.snapshot
        assert.deepStrictEqual([without.used, without.classes.tx.waiting, without.counters.handOffs], [k - 1, 1, 1])

        memory.left = 100
        pool.giveBackUnsafe(second)
        const after = yield* pool.snapshot
        assert.deepStrictEqual([after.capacity, after.classes.tx.waiting, after.counters.handOffs], [8, 0, 2])
        yield* Fiber.interruptAll(waiting)
        for (const buffer of held.slice(2)) pool.giveBackUnsafe(buffer)
        const all = Array.from({ length: 9 }, () => pool.tryTakeUnsafe("tx"))
        assert.strictEqual(all.filter((buffer) => buffer !== undefined).length, 8)
      }).pipe(Effect.provide(BufferPool.layer({ ...options, debug: true, allocate: memory.allocate })))
    })
  }

  it.effect("and comes back serves all that it can serve in one give-back", () => {
    const memory = memoryFor(6)
    return Effect.gen(function*() {
      const pool = yield* BufferPool
      const held = Array.from({ length: 6 }, () => pool.tryTakeUnsafe("tx"))
      const waiters = Array.from(
        { length: 3 },
        (_, target) => pool.waitQueue.waiter({ target, criticality: "tx", wake: () => true })
      )
      for (const waiter of waiters) assert.strictEqual(pool.waitQueue.takeOrWaitUnsafe(waiter), "queued")
      memory.left = 100
      const [first] = held
      if (first === undefined) throw new Error("six are held")
      pool.giveBackUnsafe(first)
      assert.deepStrictEqual(waiters.map(({ state }) => state), ["granted", "granted", "granted"])
      assert.strictEqual((yield* pool.snapshot).used, 8)
    }).pipe(Effect.provide(BufferPool.layer({ ...options, debug: true, allocate: memory.allocate })))
  })
})

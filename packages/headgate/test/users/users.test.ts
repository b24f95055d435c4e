/**
 * Programs as users write them, without an annotation for Headgate's sake: each must stay possible, this short, and give
 * exactly this. (09 and 10 are tests themselves.)
 */
import { assert, describe, expectTypeOf, it, vi } from "@effect/vitest"
import { Effect } from "effect"
import type { AllocationFailed, BufferPool, ConfigError, PoolClosed, WaitRefused } from "headgate"
import * as typed from "./02-typed-deps.ts"
import * as timeout from "./03-timeout.ts"
import * as stream from "./04-stream.ts"
import * as applet from "./05-applet.ts"
import * as ownEntity from "./06-own-entity.ts"
import * as pools from "./07-pools.ts"
import * as config from "./08-config.ts"
import * as layers from "./11-layers.ts"
import * as errors from "./12-errors.ts"

describe("programs as users write them", () => {
  it("01: a hundred jobs get by with the five buffers that rx may have of eight, and print it", async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => {})
    const first = await import("./01-first.ts")
    const printed = log.mock.calls
    log.mockRestore()
    const result = { jobs: 100, bytes: 590, highWater: 5, used: 0 }
    assert.deepStrictEqual(printed, [[result]])
    assert.deepStrictEqual(await Effect.runPromise(first.program), result)
  })

  it("02: services and errors of a body come through, and all errors can be handled", async () => {
    assert.deepStrictEqual(await Effect.runPromise(typed.program), [1, "full at 1"])
    type Saved = ReturnType<typeof typed.save>
    expectTypeOf<Effect.Success<Saved>>().toEqualTypeOf<number>()
    expectTypeOf<Effect.Error<Saved>>().toEqualTypeOf<typed.StoreFull | PoolClosed | WaitRefused>()
    expectTypeOf<Effect.Services<Saved>>().toEqualTypeOf<BufferPool | typed.Store>()
    expectTypeOf<ReturnType<typeof typed.handled>>()
      .toEqualTypeOf<Effect.Effect<string | number, never, BufferPool | typed.Store>>()
  })

  it("03: a timeout ends a wait, and who gave up is in no queue", async () => {
    assert.deepStrictEqual(await Effect.runPromise(timeout.program), {
      acquired: "timed out",
      lent: "TimeoutError",
      waiting: 0,
      used: 3
    })
  })

  it("04: a stream without a buffer runs again when the buffer is its own", async () => {
    assert.deepStrictEqual(await Effect.runPromise(stream.program), { log: ["init", "resource", "hello"], used: 0 })
  })

  it("05: an applet runs without a buffer, and again with one", async () => {
    assert.deepStrictEqual(await Effect.runPromise(applet.program), {
      log: ["stream: \"\"", "applet: no buffer yet", "applet: here is one", "stream: \"stats: ok\""],
      used: 0
    })
  })

  it("05: an applet's run may be written in any style: verdicts and errors are inferred", async () => {
    assert.deepStrictEqual(await Effect.runPromise(applet.styles), { failed: "boom", runs: 3 })
    expectTypeOf<Effect.Success<typeof applet.styles>["failed"]>().toEqualTypeOf<string>()
    expectTypeOf<Effect.Error<typeof applet.styles>>().toEqualTypeOf<ConfigError | AllocationFailed>()
  })

  it("06: an entity of one's own waits with its own waiter and finds its buffer at the door", async () => {
    assert.deepStrictEqual(await Effect.runPromise(ownEntity.program), {
      log: ["init: queued", "resource: ByteBuffer(default: 0 of 16 bytes)"],
      used: 0
    })
  })

  it("07: two pools never mix, and a stream uses the one that it is made with", async () => {
    assert.deepStrictEqual(await Effect.runPromise(pools.program), {
      rooms: [1024, 16],
      takesOfChunks: 2,
      takesOfDefault: 1
    })
  })

  it("07: a layer called twice is two pools, one constant is one", async () => {
    assert.deepStrictEqual(await Effect.runPromise(pools.identity), { layerCalledTwice: false, oneConstant: true })
  })

  it("08: options come from the environment, plain or nested, or from the app's own variables", async () => {
    const found = Effect.all([config.fromEnvironment, config.nested, config.ownVariables])
    assert.deepStrictEqual(await Effect.runPromise(found), [
      { bufferSize: 16 * 1024, limit: 7, reserve: 3 },
      { bufferSize: 64 * 1024, limit: 9, reserve: 3 },
      { bufferSize: 64 * 1024, limit: 32, reserve: 3 }
    ])
  })

  it("08: what does not hold is told at once, by variable, value and rule", async () => {
    assert.deepStrictEqual(await Effect.runPromise(config.badValues), [
      "HEADGATE_LIMIT = \"many\": must be a number",
      "HEADGATE_RESERVE = \"-1\": must be an integer of at least 1",
      "HEADGATE_BUFFER_SIZE = \"16 KB\": must be a number of bytes, alone or with a unit (B, kB, MB, GB, KiB, MiB, " +
      "GiB), such as \"64 KiB\""
    ])
    assert.deepStrictEqual(await Effect.runPromise(config.unknownOption), [["limt", 9]])
  })

  it("08: sizes have the standard units, are whole, and are never guessed", () => {
    assert.deepStrictEqual(config.sizes, [
      64 * 1024,
      1.5 * 1024 ** 2,
      1024 ** 3,
      16384,
      undefined,
      undefined,
      undefined
    ])
  })

  it("11: services over one pool constant share it", async () => {
    assert.deepStrictEqual(await Effect.runPromise(layers.program), { put: 3, got: 5, takes: 2 })
  })

  it("12: errors say why, in numbers", async () => {
    assert.deepStrictEqual(await Effect.runPromise(errors.program), {
      tried: "2 of 2 lent, 0 waiting",
      refused: "maxWaiting",
      resized: "limit = 0: must be an integer of at least 2"
    })
  })

  it("12: a bad option fails, and a broken promise is a defect; both name what is wrong", async () => {
    assert.deepStrictEqual(await Effect.runPromise(errors.mistakes), {
      badOption: "ConfigError: reserve = 2: must be below limit (2)",
      lateWrite: "BufferMisuse: pool \"default\": write on a buffer that was given back"
    })
  })
})

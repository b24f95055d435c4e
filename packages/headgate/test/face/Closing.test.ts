/** The end of a pool: one step, in which everybody who waits is told, and nothing is taken from anybody. */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import * as Headgate from "headgate/Headgate"
import { BufferMisuse, PoolClosed } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import { causeOf, classes, hold, isBuffer, must, patient, row, type Services, start } from "./harness.ts"

const tagOf = (exit: Exit.Exit<unknown, unknown> | undefined): string => {
  const [reason] = exit !== undefined && Exit.isFailure(exit) ? exit.cause.reasons : []
  return reason?._tag === "Fail" && reason.error instanceof PoolClosed ? "PoolClosed" : causeOf(exit)
}

/** A manual world whose layer the test closes itself. */
const closing = <A, E>(
  options: Headgate.HeadgateOptions,
  test: (close: Effect.Effect<void>) => Effect.Effect<A, E, Services>
): Effect.Effect<A, E> =>
  Effect.scoped(Effect.gen(function*() {
    const scope = yield* Scope.make()
    const layer = Headgate.layerManual({ limit: 4, reserve: 1, bufferSize: 16, debug: true, ...options })
    const context = yield* Layer.buildWithScope(Layer.orDie(layer), scope)
    return yield* Effect.provideContext(test(Scope.close(scope, Exit.void)), context)
  }))

describe("closing a pool", () => {
  it.effect("ends every wait with PoolClosed, 100 fibers in every class, and leaves nobody parked (acceptance case 13)", () =>
    closing({}, (close) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* hold(4)
        const fibers = yield* Effect.forEach(
          Array.from({ length: 100 }, (_, i) => must(classes[i % 4])),
          (criticality, i) =>
            start<unknown, unknown, Scope.Scope>(
              i % 3 === 0
                ? pool.withBuffer(criticality, () => Effect.void)
                : i % 3 === 1
                ? pool.withBufferSync(criticality, () => 1)
                : pool.acquire(criticality)
            )
        )
        expect(yield* row).toEqual([4, 0, 100, 0])
        yield* close
        expect(fibers.map((fiber) => tagOf(fiber.pollUnsafe()))).toEqual(fibers.map(() => "PoolClosed"))
        expect(yield* row).toEqual([4, 0, 0, 0])
        const doors: ReadonlyArray<Effect.Effect<unknown, unknown, Scope.Scope>> = [
          pool.withBuffer("tx", () => Effect.void),
          pool.withBufferSync("tx", () => 1),
          pool.acquire("tx"),
          pool.tryAcquire("tx")
        ]
        for (const door of doors) expect(tagOf(yield* Effect.exit(door))).toBe("PoolClosed")
        expect(pool.tryTakeUnsafe("tx")).toBeUndefined()
        expect(pool.isClosedUnsafe()).toBe(true)
      })))

  it.effect("wakes streams and applets too: their next run is told, and waiters of one's own hear of it once", () =>
    closing({}, (close) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        yield* hold(4)
        const stream = yield* ByteStream.make({
          process: (self) => Effect.asVoid(ByteChannel.alloc(self.response))
        })
        const waiting = yield* start(stream.await)
        yield* Stepper.settle
        const own = classes.map((criticality) => patient(pool, criticality, criticality, news))
        for (const waiter of own) pool.waitQueue.takeOrWaitUnsafe(waiter)
        expect(yield* row).toEqual([4, 0, 5, 0])
        yield* close
        expect([yield* row, news.sort()]).toEqual([[4, 0, 0, 0], [
          "channel closed",
          "endpoint closed",
          "rx closed",
          "tx closed"
        ]])
        expect(own.map(({ state }) => state)).toEqual(["idle", "idle", "idle", "idle"])
        expect(own.map(pool.waitQueue.takeOrWaitUnsafe)).toEqual(["closed", "closed", "closed", "closed"])
        expect([yield* Stepper.runTasks, tagOf(waiting.pollUnsafe())]).toEqual([1, "PoolClosed"])
        expect([yield* Stepper.settle, news.length]).toEqual([0, 4])
      })))

  it.effect("leaves holders valid buffers, and destroys each area at its give-back", () =>
    closing({ prealloc: 4 }, (close) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(3)
        for (const buffer of held) buffer.write("kept")
        expect(yield* pool.snapshot).toMatchObject({ allocated: 4, used: 3, closed: false })
        yield* close
        expect(yield* pool.snapshot).toMatchObject({ allocated: 3, used: 3, closed: true })
        for (const [i, buffer] of held.entries()) {
          buffer.write("!")
          expect(buffer.toText()).toBe("kept!")
          pool.giveBackUnsafe(buffer)
          expect(yield* pool.snapshot).toMatchObject({ allocated: 2 - i, used: 2 - i, closed: true })
          expect(() => pool.giveBackUnsafe(buffer)).toThrow(BufferMisuse)
        }
      })))

  it.effect("leaves a pinned area to its pins: it goes at the last unpin", () =>
    closing({}, (close) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const [buffer] = yield* hold(1)
        pool.pinUnsafe(must(buffer))
        yield* close
        pool.giveBackUnsafe(must(buffer))
        expect(yield* pool.snapshot).toMatchObject({ allocated: 1, used: 1 })
        pool.unpinUnsafe(must(buffer))
        expect(yield* pool.snapshot).toMatchObject({ allocated: 0, used: 0 })
      })))

  it.effect("takes no grant away: who was served before, and has not come yet, gets its very buffer", () =>
    closing({}, (close) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const held = yield* hold(4)
        let got: ByteBuffer | undefined
        const fiber = yield* start(pool.withBuffer("tx", (buffer) =>
          Effect.sync(() => {
            got = buffer
            return buffer.write("late")
          })))
        const own = patient(pool, "tx", "own", news)
        expect(pool.waitQueue.takeOrWaitUnsafe(own)).toBe("queued")
        pool.giveBackUnsafe(must(held[0]))
        pool.giveBackUnsafe(must(held[1]))
        expect([yield* row, fiber.pollUnsafe(), own.state, news]).toEqual([
          [4, 0, 0, 2],
          undefined,
          "granted",
          ["own granted"]
        ])
        yield* close
        expect([causeOf(fiber.pollUnsafe()), got?.length]).toEqual(["success", 0])
        const door = pool.waitQueue.takeOrWaitUnsafe(own)
        expect(isBuffer(door)).toBe(true)
        if (isBuffer(door)) pool.giveBackUnsafe(door)
        expect([yield* row, news]).toEqual([[2, 2, 0, 0], ["own granted"]])
        expect(pool.waitQueue.takeOrWaitUnsafe(own)).toBe("closed")
      })))

  it.effect("is final: resize and trim do nothing any more", () =>
    closing({}, (close) =>
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* hold(2)
        yield* close
        const before = yield* pool.snapshot
        yield* pool.resize(100)
        yield* pool.trim
        expect(yield* pool.snapshot).toEqual(before)
        expect(before).toMatchObject({ limit: 4, allocated: 2, used: 2, closed: true })
      })))

  it.live("tells everybody, more than one turn tells, though nothing else happens any more", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const pool = yield* Scope.provide(BufferPool.make({ name: "turns", limit: 2, reserve: 1, bufferSize: 16 }), scope)
      const held = [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
      const waiting = yield* Effect.forEach(
        Array.from({ length: 200 }),
        () => start(Effect.exit(pool.withBuffer("tx", () => Effect.void)))
      )
      yield* Scope.close(scope, Exit.void)
      for (const fiber of waiting) expect(tagOf(yield* Fiber.join(fiber))).toBe("PoolClosed")
      for (const buffer of held) pool.giveBackUnsafe(buffer)
    }).pipe(Effect.scoped))
})

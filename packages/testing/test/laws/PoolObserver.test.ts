/**
 * The observer: what is under test sees the pool that it would see anyway, and whatever is wrong is found in the step in which
 * it goes wrong, by the name of its law, be it a pool that lies or a user that breaks its promises.
 */
import { assert, describe, expect, it } from "@effect/vitest"
import { ThrownOnPurpose } from "@headgate/testing/Faults"
import type * as Laws from "@headgate/testing/Laws"
import { observe, Owner, type PoolObserver } from "@headgate/testing/PoolObserver"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { BufferPool, type BufferPoolOptions, type PoolSnapshot } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import type { Criticality } from "headgate/Criticality"
import type { News, WaitQueue } from "headgate/WaitQueue"

type Pool = BufferPool["Service"]

const make = (options: BufferPoolOptions = {}): Effect.Effect<Pool, never, Scope.Scope> =>
  Effect.orDie(BufferPool.make({ limit: 3, reserve: 1, bufferSize: 8, ageAfter: "Infinity", ...options }))

const taken = (pool: Pool, criticality: Criticality = "tx"): ByteBuffer => {
  const buffer = pool.tryTakeUnsafe(criticality)
  assert(buffer !== undefined)
  return buffer
}

const takeAll = (pool: Pool): ReadonlyArray<ByteBuffer> => [1, 2, 3].map(() => taken(pool))

const waiter = (
  pool: Pool,
  target: string,
  wake: (news: News) => boolean = () => true,
  criticality: Criticality = "tx"
) => pool.waitQueue.waiter({ target, criticality, wake })

const ask = (pool: Pool, target: string, wake?: (news: News) => boolean) => {
  const asking = waiter(pool, target, wake)
  assert.strictEqual(pool.waitQueue.takeOrWaitUnsafe(asking), "queued")
  return asking
}

/** What was found, one line each. */
const found = (observer: PoolObserver): ReadonlyArray<string> =>
  observer.findings().map(({ fact, law, numbers, step, waiter }) =>
    [law, fact, JSON.stringify(numbers), `after ${step}`, waiter ?? "nobody"].join("; ")
  )

const lawsOf = (observer: PoolObserver): ReadonlyArray<Laws.LawName> => [
  ...new Set(observer.findings().map(({ law }) => law))
]

describe("an observed pool", () => {
  it.effect("is the same pool: its numbers, its targets, its order, its refusals", () =>
    Effect.gen(function*() {
      const real = yield* make()
      const { pool } = observe(real)
      const [first] = takeAll(pool)
      const news: Array<string> = []
      const queued = ["one", "two"].map((target) => ask(pool, target, (what) => news.push(`${target} ${what}`) > 0))
      const { waiting, ...numbers } = yield* pool.snapshot
      expect(numbers).toMatchObject({ used: 3, free: 0, classes: { tx: { waiting: 2 } } })
      expect(waiting.map(({ state, target }) => `${String(target)} ${state}`)).toEqual(["one queued", "two queued"])
      expect(yield* pool.waitQueue.waiting).toEqual(waiting)
      assert(first !== undefined)
      pool.giveBackUnsafe(first)
      expect([news, queued.map(({ state, target }) => [target, state])]).toEqual([
        ["one granted"],
        [["one", "granted"], ["two", "queued"]]
      ])
      const foreign = waiter(yield* make(), "foreign")
      expect(() => pool.waitQueue.takeOrWaitUnsafe(foreign)).toThrow("did not make")
      expect(() => pool.waitQueue.leaveUnsafe(foreign)).toThrow("did not make")
      expect((yield* Effect.flip(pool.resize(1))).problems).toHaveLength(1)
      expect((yield* Effect.scoped(Effect.flip(pool.tryAcquire("rx"))))._tag).toBe("BufferUnavailable")
    }))

  it.effect("shows who holds and who waits, through every public form", () =>
    Effect.gen(function*() {
      const observer = observe(yield* make())
      const { pool } = observer
      const holders = Effect.scoped(Effect.gen(function*() {
        yield* pool.acquire("rx")
        return yield* pool.withBuffer("channel", (buffer) =>
          Effect.sync(() => {
            pool.pinUnsafe(buffer)
            return [buffer, observer.state().leases] as const
          }))
      }))
      const [pinned, leases] = yield* Effect.provideService(holders, Owner, "the holder")
      const [outer, inner] = leases
      expect(leases).toMatchObject([{ criticality: "rx", stage: "held" }, { criticality: "channel", pins: 1 }])
      expect(outer?.holder).toBe(inner?.holder)
      expect(observer.state()).toMatchObject({ used: 1, leases: [{ stage: "released", pins: 1 }] })
      pool.unpinUnsafe(pinned)
      expect(yield* pool.withBufferSync("rx", () => observer.state().leases.length)).toBe(1)
      expect(yield* Effect.scoped(Effect.as(pool.tryAcquire("tx"), observer.state().leases.length))).toBe(0)
      expect([observer.state().leases, observer.findings()]).toEqual([[], []])
    }))
})

describe("a pool that lies is refused", () => {
  const lying = (pool: Pool, lie: (snapshot: PoolSnapshot) => PoolSnapshot): Pool => ({
    ...pool,
    snapshot: Effect.map(pool.snapshot, lie)
  })

  const lies: ReadonlyArray<{
    readonly law: Laws.LawName
    readonly of: string
    readonly lie: (snapshot: PoolSnapshot) => PoolSnapshot
  }> = [
    { law: "L1", of: "its capacity", lie: (pool) => ({ ...pool, capacity: pool.allocated - 1 }) },
    { law: "L3", of: "how many are lent", lie: (pool) => ({ ...pool, used: pool.used - 1 }) },
    { law: "L4", of: "its limit, and so of what is free", lie: (pool) => ({ ...pool, capacity: 5, limit: 5 }) },
    {
      law: "L5",
      of: "its order, from the third waiter on",
      lie: (pool) => pool.waiting.length > 2 ? { ...pool, waiting: pool.waiting.toReversed() } : pool
    },
    {
      law: "L6",
      of: "who waits: the first one twice",
      lie: (pool) => ({ ...pool, waiting: [...pool.waiting, ...pool.waiting.slice(0, 1)] })
    },
    {
      law: "L7",
      of: "what is lent at rx",
      lie: (pool) => ({ ...pool, classes: { ...pool.classes, rx: { ...pool.classes.rx, lent: 3 } } })
    },
    {
      law: "L8",
      of: "its capacity while nobody waits",
      lie: (pool) => pool.waiting.length === 0 ? { ...pool, capacity: 2, allocated: 2, used: 0 } : pool
    }
  ]
  it.effect.each(lies)("by $law when it lies of $of", ({ law, lie }) =>
    Effect.gen(function*() {
      const real = yield* make()
      const honest = observe(real)
      const observer = observe(lying(honest.pool, lie))
      const { pool } = observer
      takeAll(pool)
      for (const target of ["one", "two", "three"]) ask(pool, target)
      expect(lawsOf(observer)).toContain(law)
      expect(honest.findings()).toEqual([])
    }))

  it.effect("by L2 when two of its buffers share memory", () =>
    Effect.gen(function*() {
      const apart = observe(yield* make({ allocate: (size) => new Uint8Array(size) }))
      takeAll(apart.pool)
      expect(apart.findings()).toEqual([])
      const memory = new Uint8Array(8)
      const observer = observe(yield* make({ allocate: () => memory }))
      taken(observer.pool)
      expect(observer.findings()).toEqual([])
      taken(observer.pool)
      expect(found(observer)).toEqual([
        "L2; an area has one owner at most, or is unused; {\"area\":0}; after a take at tx; nobody"
      ])
    }))

  /** A pool whose queue does something else. */
  const withQueue = (pool: Pool, change: (queue: WaitQueue["Service"]) => Partial<WaitQueue["Service"]>): Pool => ({
    ...pool,
    waitQueue: { ...pool.waitQueue, ...change(pool.waitQueue) }
  })

  it.effect("by L11 when one's leaving costs another its place", () =>
    Effect.gen(function*() {
      const both: Array<ReturnType<typeof waiter>> = []
      const observer = observe(withQueue(yield* make(), (queue) => ({
        waiter: (options) => {
          both.push(queue.waiter(options))
          return both.at(-1) ?? queue.waiter(options)
        },
        leaveUnsafe: () => both.forEach((each) => queue.leaveUnsafe(each))
      })))
      takeAll(observer.pool)
      const one = ask(observer.pool, "one")
      ask(observer.pool, "two")
      observer.pool.waitQueue.leaveUnsafe(one)
      expect(found(observer)).toEqual([
        "L11; nobody loses its place by what another does; {\"waiter\":1}; after one at tx leaves; two at tx"
      ])
    }))

  it.effect("by L4 when it grants and tells nobody: an entity, or a fiber", () =>
    Effect.gen(function*() {
      const entities = observe(withQueue(yield* make(), (queue) => ({
        waiter: (options) => queue.waiter({ ...options, wake: () => true })
      })))
      const [first] = takeAll(entities.pool)
      const one = ask(entities.pool, "one")
      assert(first !== undefined)
      entities.pool.giveBackUnsafe(first)
      entities.rest()
      expect(found(entities)).toEqual([
        "L4; who is granted a buffer is told so; {\"waiter\":0,\"lease\":3}; after everything came to rest; one at tx"
      ])
      entities.pool.waitQueue.leaveUnsafe(one)

      const real = yield* make()
      const fibers = observe(real)
      const [buffer] = takeAll(real)
      yield* Effect.forkScoped(real.withBuffer("tx", () => Effect.never), { startImmediately: true })
      assert(buffer !== undefined)
      real.giveBackUnsafe(buffer)
      // Its wake is due, and nothing has run yet.
      fibers.rest()
      expect(found(fibers)).toMatchObject([
        expect.stringMatching(/^L4; a fiber that is granted a buffer is woken and takes it; .*; fiber #\d+ at tx$/)
      ])
    }))

  it.effect("by L4 when it tells of a grant twice, by L6 when it wakes who left, by L11 when it wakes inside a wake", () =>
    Effect.gen(function*() {
      const wakes: Array<(news: News) => boolean> = []
      const strange = withQueue(yield* make(), (queue) => ({
        waiter: (options) => {
          wakes.push(options.wake)
          return queue.waiter(options)
        }
      }))
      const wake = (which: number, news: News) => wakes[which]?.(news)
      const twice = observe(strange)
      const [first] = takeAll(twice.pool)
      const one = ask(twice.pool, "one")
      assert(first !== undefined)
      twice.pool.giveBackUnsafe(first)
      wake(0, "granted")
      expect(found(twice)).toEqual([
        "L4; a wake tells of a grant that its waiter has and was not told of; {\"waiter\":0,\"handOff\":1}; " +
        "after the wake of one at tx answered: accept; one at tx"
      ])
      twice.pool.waitQueue.leaveUnsafe(one)

      const late = observe(strange)
      taken(late.pool)
      const two = ask(late.pool, "two")
      late.pool.waitQueue.leaveUnsafe(two)
      wake(1, "closed")
      expect(found(late)).toMatchObject([expect.stringMatching(/^L6; who left is not woken;.*two at tx$/)])

      const nested = observe(strange)
      ask(nested.pool, "three", () => {
        wake(3, "closed")
        return true
      })
      ask(nested.pool, "four")
      wake(2, "closed")
      expect(found(nested)).toMatchObject([expect.stringMatching(/^L11; no wake runs inside another;.*four at tx$/)])
    }))
})

describe("a user of the pool is refused", () => {
  it.effect("by L2 when it uses a buffer that it gave back", () =>
    Effect.gen(function*() {
      const observer = observe(yield* make())
      const buffer = taken(observer.pool)
      observer.pool.giveBackUnsafe(buffer)
      expect(() => observer.pool.giveBackUnsafe(buffer)).toThrow("given back twice")
      expect(found(observer)).toEqual([
        "L2; a buffer is used only by whom it was lent to, and while it is; {\"misused\":1}; after giveBack; nobody"
      ])
      const writer = observe(yield* make())
      const stale = taken(writer.pool)
      writer.pool.giveBackUnsafe(stale)
      expect(() => stale.write("x")).toThrow("given back")
      expect(writer.findings()).toEqual([])
      writer.look("a late write")
      expect(writer.findings()).toMatchObject([{ law: "L2", step: "a late write" }])
    }))

  it.effect("by L3 and L6 when it has ended and left something behind", () =>
    Effect.gen(function*() {
      const observer = observe(yield* make())
      const { pool } = observer
      yield* Effect.provideService(
        Effect.sync(() => {
          takeAll(pool)
          ask(pool, "the waiter")
        }),
        Owner,
        "somebody"
      )
      observer.ended("somebody else")
      expect(observer.findings()).toEqual([])
      observer.ended("somebody")
      expect(found(observer)).toEqual([
        "L6; who is queued at tx is a living waiter of that class; {\"waiter\":0}; after the end of somebody; " +
        "the waiter at tx (somebody)"
      ])
      const holding = observe(yield* make())
      yield* Effect.provideService(Effect.sync(() => taken(holding.pool, "rx")), Owner, "a holder")
      holding.ended("a holder")
      expect(found(holding)).toEqual([
        "L3; who has ended holds nothing, and it holds a buffer at rx; {}; after the end of a holder; a holder"
      ])
    }))

  it.effect("by L3 when all have ended and something is lent, or somebody waits", () =>
    Effect.gen(function*() {
      const real = yield* make()
      const behind = taken(real)
      const observer = observe(real)
      observer.end()
      expect(found(observer)).toEqual([
        "L3; when all have ended nothing is lent; {\"used\":1}; after the end of all; nobody"
      ])
      real.giveBackUnsafe(behind)
      const other = observe(real)
      other.end()
      expect(other.findings()).toEqual([])
      yield* Effect.provideService(Effect.sync(() => takeAll(other.pool)), Owner, "somebody")
      ask(other.pool, "one")
      other.end()
      const lent =
        "L3; when all have ended nothing is lent, and a buffer is at tx; {\"used\":3}; after the end of all; somebody"
      expect(found(other)).toEqual([
        lent,
        lent,
        lent,
        "L3; when all have ended nobody waits; {\"waiter\":0,\"used\":3}; after the end of all; one at tx"
      ])
    }))

  it.effect("by L4 when it accepted a grant and does not come", () =>
    Effect.gen(function*() {
      const observer = observe(yield* make())
      const [first] = takeAll(observer.pool)
      const late = ask(observer.pool, "the sleeper")
      assert(first !== undefined)
      observer.pool.giveBackUnsafe(first)
      expect(observer.findings()).toEqual([])
      observer.rest()
      expect(found(observer)).toEqual([
        "L4; who answers true to a grant comes to the door or leaves; {\"waiter\":0,\"lease\":3}; " +
        "after everything came to rest; the sleeper at tx"
      ])
      observer.pool.waitQueue.leaveUnsafe(late)
    }))

  it.effect("by L8 when its fiber asks against the order, and when all who hold wait", () =>
    Effect.gen(function*() {
      const observer = observe(yield* make({ reserve: 2 }))
      const { pool } = observer
      yield* pool.withBuffer("rx", () => pool.withBuffer("endpoint", () => Effect.void))
      expect(observer.findings()).toEqual([])
      yield* Effect.provideService(
        pool.withBuffer("endpoint", () => pool.withBuffer("endpoint", () => Effect.void)),
        Owner,
        "the fiber"
      )
      expect(observer.findings()).toMatchObject([{
        law: "L8",
        fact: "a fiber that holds a buffer at endpoint asks only at a smaller margin, and it asks at endpoint",
        numbers: { held: 1, asked: 1 },
        waiter: expect.stringMatching(/^the fiber \(fiber #\d+\)$/)
      }])

      const stuck = observe(yield* make())
      const doors = ["one", "two", "three"].map((target) => {
        const first = waiter(stuck.pool, target)
        stuck.pool.waitQueue.takeOrWaitUnsafe(first)
        return waiter(stuck.pool, target)
      })
      for (const second of doors) stuck.pool.waitQueue.takeOrWaitUnsafe(second)
      expect(stuck.findings()).toEqual([])
      stuck.rest()
      expect(found(stuck)).toEqual([
        "L8; somebody who holds a buffer does not wait for another; {\"waiter\":1,\"queued\":3,\"lent\":3}; " +
        "after everything came to rest; one at tx"
      ])
      for (const second of doors) stuck.pool.waitQueue.leaveUnsafe(second)
    }))

  it.effect("by L11 when its wake throws, unless on purpose", () =>
    Effect.gen(function*() {
      const throwing = (error: Error) =>
        Effect.gen(function*() {
          const observer = observe(yield* make())
          const [first] = takeAll(observer.pool)
          ask(observer.pool, "the thrower", () => {
            throw error
          })
          assert(first !== undefined)
          observer.pool.giveBackUnsafe(first)
          return found(observer)
        })
      expect(yield* throwing(new ThrownOnPurpose())).toEqual([])
      expect(yield* throwing(new Error("a mistake"))).toEqual([
        "L11; a wake does not throw; {\"waiter\":0,\"handOff\":1}; after the wake of the thrower at tx answered: throw; " +
        "the thrower at tx"
      ])
    }))

  it.effect("once: what follows the first finding is its consequence", () =>
    Effect.gen(function*() {
      const observer = observe(yield* make())
      const buffer = taken(observer.pool)
      observer.pool.giveBackUnsafe(buffer)
      expect(() => observer.pool.giveBackUnsafe(buffer)).toThrow()
      expect(() => observer.pool.giveBackUnsafe(buffer)).toThrow()
      taken(observer.pool)
      observer.end()
      expect(observer.findings()).toHaveLength(1)
    }))
})

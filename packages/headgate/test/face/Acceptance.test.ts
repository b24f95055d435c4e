/**
 * Cases that the pools of other languages are tested with, each under its number and as far as this design has it. Those
 * that stand elsewhere, and those that the design decides otherwise, are in `history/catalogue.ts`. Rows are
 * `[used, free, queued, granted]`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import { AllocationFailed, BufferMisuse, BufferUnavailable, WaitRefused } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import { Gate, Waiter } from "../../src/internal/gate.ts"
import {
  broken,
  causeOf,
  classes,
  give,
  hold,
  isBuffer,
  logged,
  manual,
  must,
  patient,
  row,
  start,
  stepped
} from "./harness.ts"

const noMemory = new Error("no memory")

describe("1: the counters after every step", () => {
  it.effect("are exact, and what comes back is lent as empty as it was", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const rows: Array<unknown> = []
        const note = (what: string) =>
          Effect.map(pool.snapshot, ({ allocated, capacity, counters, free, highWater, used }) => {
            rows.push([what, used, free, allocated, capacity, highWater, counters.takes, counters.created])
          })
        const take = (at: "rx" | "tx") => Effect.tap(Effect.sync(() => must(pool.tryTakeUnsafe(at))), () => note(at))
        yield* note("made")
        const first = yield* take("tx")
        const second = yield* take("rx")
        first.write("something")
        yield* Effect.andThen(give(first), note("give"))
        const third = yield* take("tx")
        expect([third.length, third.room, third.toText(), third.readViews()]).toEqual([0, 16, "", []])
        const last = [yield* take("tx"), yield* take("tx")]
        expect(pool.tryTakeUnsafe("tx")).toBeUndefined()
        yield* note("none")
        for (const buffer of [second, third, ...last]) yield* Effect.andThen(give(buffer), note("give"))
        yield* Effect.andThen(pool.trim, note("trim"))
        expect(rows).toEqual([
          ["made", 0, 4, 2, 4, 0, 0, 2],
          ["tx", 1, 3, 2, 4, 1, 1, 2],
          ["rx", 2, 2, 3, 4, 2, 2, 3],
          ["give", 1, 3, 3, 4, 2, 2, 3],
          ["tx", 2, 2, 3, 4, 2, 3, 3],
          ["tx", 3, 1, 3, 4, 3, 4, 3],
          ["tx", 4, 0, 4, 4, 4, 5, 4],
          ["none", 4, 0, 4, 4, 4, 5, 4],
          ["give", 3, 1, 4, 4, 4, 5, 4],
          ["give", 2, 2, 4, 4, 4, 5, 4],
          ["give", 1, 3, 4, 4, 4, 5, 4],
          ["give", 0, 4, 4, 4, 4, 5, 4],
          ["trim", 0, 4, 2, 4, 4, 5, 4]
        ])
      })
    ))
})

describe("4: exhaustion", () => {
  it.effect("has an error of its own, which says limit, use, queue and class, in fields and in words", () =>
    manual(
      { name: "full" },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* hold(4)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", "waiting", []))
        const error = yield* Effect.flip(Effect.scoped(pool.tryAcquire("rx")))
        expect(error).toBeInstanceOf(BufferUnavailable)
        expect(error).toMatchObject({ pool: "full", criticality: "rx", limit: 4, used: 4, reserve: 1, queued: 1 })
        expect(error.message).toBe(
          "pool \"full\" has no buffer to take: 4 of 4 buffers lent, 1 in reserve, asked at \"rx\", 1 waiting " +
            "(the oldest for 0 ms)"
        )
        expect((yield* pool.snapshot).counters).toMatchObject({ unavailable: 1, refused: 0 })
      })
    ))
})

describe("5: a timeout", () => {
  it("of a wait comes neither early nor late", () => {
    const { clock, fork, pool, run, scheduler } = stepped({ limit: 2, ageAfter: Infinity })
    for (let i = 0; i < 2; i++) pool.tryTakeUnsafe("tx")
    const fiber = fork(Effect.timeout(pool.withBuffer("tx", () => Effect.die("must not be served")), 100))
    const states: Array<string> = []
    for (const ms of [0, 99, 1]) {
      clock.advance(ms)
      scheduler.drain()
      states.push(causeOf(fiber.pollUnsafe()))
    }
    expect(states).toEqual(["running", "running", expect.stringContaining("TimeoutError")])
    expect(run(pool.snapshot)).toMatchObject({ used: 2, classes: { tx: { waiting: 0 } } })
  })
})

describe("6: after a timeout", () => {
  it("the queue is without whoever gave up, and the next is served by the next give-back", () => {
    const { clock, fork, pool, run, scheduler } = stepped({ limit: 2, ageAfter: Infinity })
    const held = [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
    const impatient = fork(Effect.timeout(pool.withBuffer("tx", () => Effect.void), 100))
    const next = fork(pool.withBuffer("tx", () => Effect.succeed("served")))
    scheduler.drain()
    expect(run(pool.snapshot).classes.tx.waiting).toBe(2)
    clock.advance(100)
    scheduler.drain()
    expect([causeOf(impatient.pollUnsafe()), run(pool.snapshot).classes.tx.waiting]).toEqual([
      expect.stringContaining("TimeoutError"),
      1
    ])
    pool.giveBackUnsafe(must(held[0]))
    scheduler.drain()
    expect([next.pollUnsafe(), run(pool.snapshot)]).toEqual([
      Exit.succeed("served"),
      expect.objectContaining({ used: 1, waiting: [] })
    ])
  })
})

describe("7: two fibers that are queued", () => {
  it.effect("are interrupted in either order: nobody is queued, and the next is served", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        for (const order of [[0, 1], [1, 0]]) {
          const held = yield* hold(4)
          const fibers = [
            yield* start(pool.withBuffer("tx", () => Effect.void)),
            yield* start(Effect.scoped(pool.acquire("tx")))
          ]
          const rows = [yield* row]
          for (const at of order) {
            must(fibers[at]).interruptUnsafe()
            rows.push(yield* row)
          }
          expect(rows).toEqual([[4, 0, 2, 0], [4, 0, 1, 0], [4, 0, 0, 0]])
          for (const buffer of held) yield* give(buffer)
          expect([yield* pool.withBuffer("rx", () => Effect.succeed("served")), yield* row]).toEqual([
            "served",
            [0, 4, 0, 0]
          ])
        }
      })
    ))
})

describe("8: code of the user's that throws", () => {
  it.effect.each([1, 2, 3, 4])(
    "at its call %s wedges nothing: its buffer goes on, the releaser does not hear of it, and it is reported once",
    (k) =>
      logged((lines) =>
        Effect.gen(function*() {
          const pool = yield* BufferPool
          const news: Array<number> = []
          const held = yield* hold(4)
          for (let i = 1; i <= 5; i++) {
            const waiter = pool.waitQueue.waiter({
              target: i,
              criticality: "tx",
              wake: () => {
                if (i === k) throw new Error("a hook that throws")
                news.push(i)
                return true
              }
            })
            pool.waitQueue.takeOrWaitUnsafe(waiter)
          }
          for (const buffer of held) yield* give(buffer)
          expect([news, yield* row]).toEqual([[1, 2, 3, 4, 5].filter((i) => i !== k), [4, 0, 0, 4]])
          expect((yield* pool.snapshot).counters).toMatchObject({ handOffs: 5, passedOn: 1, wakesThrown: 1 })
          expect(lines).toEqual([expect.stringContaining("a wake threw")])
        }).pipe((test) => manual({}, test))
      )
  )
})

describe("10: counters beyond 2^31, and near 2^53", () => {
  it("stay exact, whatever is counted", () => {
    const max = Number.MAX_SAFE_INTEGER
    let now = 0
    const gate = new Gate({
      limit: max,
      reserve: 2,
      maxWaiting: Infinity,
      create: () => new Uint8Array(1),
      recycle: () => true,
      recycleAll: false,
      now: () => now,
      timeTakes: false,
      checked: true,
      schedule: () => {},
      report: (error) => expect.unreachable(String(error))
    })
    for (const start of [2 ** 31 - 2, 2 ** 32 - 2, max - 10]) {
      gate.takes =
        gate.handOffs =
        gate.passedOn =
        gate.waitedMs =
          start
      gate.resize(max)
      const [first, second, third] = [must(gate.take(0)), must(gate.take(0)), must(gate.take(0))]
      expect([gate.free, gate.takes]).toEqual([max - 3, start + 3])
      gate.resize(3)
      const [a, b] = [new Waiter("a", "tx", () => true, false), new Waiter("b", "tx", () => true, false)]
      for (const waiter of [a, b]) expect(gate.takeOrWait(waiter)).toBe("queued")
      now++
      gate.giveBack(first)
      gate.leave(a)
      expect([gate.handOffs, gate.passedOn, gate.waitedMs, b.grantNumber]).toEqual([
        start + 2,
        start + 1,
        start + 2,
        start + 2
      ])
      gate.leave(b)
      for (const area of [second, third]) gate.giveBack(area)
      expect([gate.free, gate.allocated]).toEqual([3, 3])
    }
  })

  it("and a wait of 50 days or more is counted among the longest, not among the shortest", () => {
    let now = 0
    const gate = new Gate({
      limit: 2,
      reserve: 1,
      maxWaiting: Infinity,
      create: () => new Uint8Array(1),
      recycle: () => true,
      recycleAll: false,
      now: () => now,
      timeTakes: false,
      checked: true,
      schedule: () => {},
      report: (error) => expect.unreachable(String(error))
    })
    const held = [must(gate.take(0)), must(gate.take(0))]
    for (const waited of [2 ** 31, 2 ** 32, 2 ** 32 + 3, 2 ** 40]) {
      const waiter = new Waiter("patient", "tx", () => true, false)
      expect(gate.takeOrWait(waiter)).toBe("queued")
      now += waited
      gate.giveBack(must(held.shift()))
      const door = gate.takeOrWait(waiter)
      if (typeof door === "string") expect.unreachable(door)
      else held.push(door)
    }
    expect(gate.waits).toEqual([...Array.from({ length: 21 }, () => 0), 4])
  })
})

describe("11: memory that cannot be had", () => {
  it.effect.each([1, 2, 3])(
    "while the pool is made, at creation %s of the reserve's: it is not made",
    (k) =>
      Effect.gen(function*() {
        let creations = 0
        const allocate = (size: number) => {
          if (++creations === k) throw noMemory
          return new Uint8Array(size)
        }
        const made = BufferPool.make({ name: "never made", limit: 6, reserve: 2, bufferSize: 16, allocate })
        const error = yield* Effect.flip(Effect.scoped(made))
        expect(error).toBeInstanceOf(AllocationFailed)
        expect(error).toMatchObject({ pool: "never made", bufferSize: 16, allocated: k - 1, cause: noMemory })
      })
  )

  it.effect("for a reason that cannot be printed: the message says so, and does not throw", () =>
    Effect.gen(function*() {
      const allocate = () => {
        throw Object.create(null)
      }
      const error = yield* Effect.flip(Effect.scoped(BufferPool.make({ name: "never made", limit: 2, allocate })))
      expect(error.message).toContain(
        "could not create a buffer of 65536 bytes beside 0 others: a value that cannot be"
      )
    }))

  it.effect.each([4, 5, 6])(
    "later, at creation %s: the buffer is not counted, and the next who waits has a chance",
    (k) => {
      let creations = 0
      const allocate = (size: number) => {
        if (++creations === k) throw noMemory
        return new Uint8Array(size)
      }
      return manual(
        { limit: 6, reserve: 2, allocate },
        Effect.gen(function*() {
          const pool = yield* BufferPool
          const news: Array<string> = []
          const held = yield* hold(k - 1)
          expect([creations, yield* row]).toEqual([k - 1, [k - 1, 7 - k, 0, 0]])
          const error = yield* Effect.flip(Effect.scoped(pool.tryAcquire("tx")))
          expect(error).toBeInstanceOf(BufferUnavailable)
          expect(error).toMatchObject({ used: k - 1, limit: 6, cause: expect.any(AllocationFailed) })
          expect([yield* row, (yield* pool.snapshot).allocated]).toEqual([[k - 1, 7 - k, 0, 0], k - 1])
          const again = yield* hold(7 - k)
          expect(yield* row).toEqual([6, 0, 0, 0])
          pool.waitQueue.takeOrWaitUnsafe(patient(pool, "tx", "next", news))
          for (const buffer of [...again, ...held]) pool.giveBackUnsafe(buffer)
          expect([yield* row, news, (yield* pool.snapshot).counters.creationsFailed]).toEqual([
            [1, 5, 0, 1],
            ["next granted"],
            1
          ])
        })
      )
    }
  )

  it.effect("for a fiber: it waits as in any shortage, and the next give-back serves it", () => {
    let memory = 3
    const allocate = (size: number) => {
      if (--memory < 0) throw noMemory
      return new Uint8Array(size)
    }
    return manual(
      { limit: 6, reserve: 2, allocate },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(3)
        const fiber = yield* start(pool.withBuffer("tx", () => Effect.succeed("served")))
        expect([yield* row, (yield* pool.snapshot).capacity]).toEqual([[3, 0, 1, 0], 3])
        yield* give(held[0])
        expect([yield* row, (yield* pool.snapshot).capacity]).toEqual([[3, 3, 0, 1], 6])
        expect([yield* Stepper.flush, causeOf(fiber.pollUnsafe()), yield* row]).toEqual([1, "success", [2, 4, 0, 0]])
      })
    )
  })
})

describe("15: a buffer on its way from its releaser to who waits", () => {
  it("is never to be seen as free, at any step of the scheduler, from the first wait to the last", () => {
    const { fork, pool, scheduler } = stepped({ limit: 2, reserve: 1, ageAfter: Infinity })
    let served = 0
    const fibers = Array.from(
      { length: 20 },
      () => fork(pool.withBuffer("tx", () => Effect.andThen(Effect.yieldNow, Effect.sync(() => served++))))
    )
    let looks = 0
    let grants = 0
    while (scheduler.step()) {
      const { classes: { tx }, free } = Effect.runSync(pool.snapshot)
      const waiting = Effect.runSync(pool.waitQueue.waiting)
      if (tx.waiting > 0) {
        looks++
        expect(free).toBe(0)
      }
      grants += waiting.length - tx.waiting
    }
    expect([served, fibers.every((fiber) => fiber.pollUnsafe() !== undefined)]).toEqual([20, true])
    expect(looks).toBeGreaterThan(50)
    expect(grants, "grants were seen before their fibers came").toBeGreaterThan(10)
  })
})

describe("16: while somebody waits, who asks without waiting", () => {
  it.effect("gets nothing at that class or a less critical one, whatever is nominally free", () =>
    manual(
      { limit: 4, reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const results: Array<unknown> = []
        for (const [at, waiting] of [[0, undefined], [1, "rx"], [2, "endpoint"], [3, "channel"], [4, "tx"]] as const) {
          const held = yield* hold(at)
          const waiter = waiting === undefined ? undefined : patient(pool, waiting, waiting, [])
          if (waiter !== undefined) pool.waitQueue.takeOrWaitUnsafe(waiter)
          const had = classes.filter((criticality) => {
            const buffer = pool.tryTakeUnsafe(criticality)
            if (buffer !== undefined) pool.giveBackUnsafe(buffer)
            return buffer !== undefined
          })
          results.push([yield* row, ...had])
          if (waiter !== undefined) pool.waitQueue.leaveUnsafe(waiter)
          for (const buffer of held) yield* give(buffer)
        }
        expect(results).toEqual([
          [[0, 4, 0, 0], "tx", "channel", "endpoint", "rx"],
          [[1, 3, 1, 0], "tx", "channel", "endpoint"],
          [[2, 2, 1, 0], "tx", "channel"],
          [[3, 1, 1, 0], "tx"],
          [[4, 0, 1, 0]]
        ])
      })
    ))
})

describe("17: who needs several free buffers behind its own", () => {
  it.effect("is woken once, by the give-back that completes them", () =>
    manual(
      { limit: 5, reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const news: Array<string> = []
        const told: Array<number> = []
        const held = yield* hold(5)
        pool.waitQueue.takeOrWaitUnsafe(patient(pool, "rx", "waiting", news))
        for (const buffer of held) {
          yield* give(buffer)
          told.push(news.length)
        }
        expect([told, yield* row]).toEqual([[0, 0, 0, 1, 1], [1, 4, 0, 1]])
      })
    ))
})

describe("18: closing among give-backs", () => {
  it("keeps the counts and stays closed, in all six orders", () => {
    const ends: Array<unknown> = []
    for (const order of ["cab", "cba", "acb", "bca", "abc", "bac"]) {
      const { pool, run, scope } = stepped({ limit: 2, ageAfter: Infinity })
      const [a, b] = [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
      const news: Array<string> = []
      const waiter = patient(pool, "tx", "waiting", news)
      expect(pool.waitQueue.takeOrWaitUnsafe(waiter)).toBe("queued")
      for (const what of order) {
        if (what === "c") run(Scope.close(scope, Exit.void))
        else pool.giveBackUnsafe(what === "a" ? a : b)
        expect(broken(run(pool.snapshot), run(pool.waitQueue.waiting))).toEqual([])
      }
      const { allocated, closed, used } = run(pool.snapshot)
      const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
      const got = isBuffer(door) ? "its grant" : door
      if (isBuffer(door)) pool.giveBackUnsafe(door)
      ends.push([order, closed, allocated, used, ...news, got])
      expect([pool.tryTakeUnsafe("tx"), run(pool.snapshot).allocated, run(pool.snapshot).used]).toEqual([
        undefined,
        0,
        0
      ])
    }
    expect(ends).toEqual([
      ["cab", true, 0, 0, "waiting closed", "closed"],
      ["cba", true, 0, 0, "waiting closed", "closed"],
      ["acb", true, 1, 1, "waiting granted", "its grant"],
      ["bca", true, 1, 1, "waiting granted", "its grant"],
      ["abc", true, 1, 1, "waiting granted", "its grant"],
      ["bac", true, 1, 1, "waiting granted", "its grant"]
    ])
  })
})

describe("21: a lower limit", () => {
  const grid = <A, E>(test: (lent: number, limit: number) => Effect.Effect<A, E>) =>
    Effect.forEach([0, 1, 2, 3, 4], (lent) => Effect.forEach([2, 3, 4, 5], (limit) => test(lent, limit)))

  it.effect("takes at once what is not lent, and the rest as it comes back", () =>
    Effect.gen(function*() {
      const capacities = yield* grid((lent, limit) =>
        manual(
          { name: `${lent} of ${limit}`, limit: 5, reserve: 1, prealloc: 5 },
          Effect.gen(function*() {
            const pool = yield* BufferPool
            const held = yield* hold(lent)
            yield* pool.resize(limit)
            const { allocated, capacity } = yield* pool.snapshot
            for (const buffer of held) yield* give(buffer)
            expect(yield* pool.snapshot).toMatchObject({ limit, capacity: limit, used: 0 })
            return `${capacity}/${allocated}`
          })
        )
      )
      expect(capacities).toEqual([
        ["2/2", "3/3", "4/4", "5/5"],
        ["2/2", "3/3", "4/4", "5/5"],
        ["2/2", "3/3", "4/4", "5/5"],
        ["3/3", "3/3", "4/4", "5/5"],
        ["4/4", "4/4", "4/4", "5/5"]
      ])
    }))

  it.effect("or a higher one never opens a closed pool again", () =>
    Effect.asVoid(grid((lent, limit) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const options = { name: `closed, ${lent} of ${limit}`, limit: 4, reserve: 1, bufferSize: 16 }
        const pool = yield* Scope.provide(Effect.orDie(BufferPool.make(options)), scope)
        const held = Array.from({ length: lent }, () => must(pool.tryTakeUnsafe("tx")))
        yield* Scope.close(scope, Exit.void)
        const before = yield* pool.snapshot
        yield* pool.resize(limit)
        expect([yield* pool.snapshot, pool.tryTakeUnsafe("tx")]).toEqual([before, undefined])
        for (const buffer of held) pool.giveBackUnsafe(buffer)
        expect(yield* pool.snapshot).toMatchObject({ closed: true, allocated: 0, used: 0 })
      }).pipe(Effect.orDie)
    )))
})

describe("22: another limit", () => {
  it.effect("growing serves exactly as many as fit; shrinking below what is lent absorbs what comes back", () =>
    manual(
      { limit: 4, reserve: 1 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(4)
        const fibers = yield* Effect.forEach([0, 1, 2, 3, 4], () => start(pool.withBuffer("tx", () => Effect.never)))
        expect(yield* row).toEqual([4, 0, 5, 0])
        yield* pool.resize(7)
        expect(yield* row).toEqual([7, 0, 2, 3])
        expect([yield* Stepper.flush, yield* row]).toEqual([3, [7, 0, 2, 0]])
        yield* pool.resize(3)
        const capacities: Array<unknown> = []
        for (const buffer of held) {
          pool.giveBackUnsafe(buffer)
          capacities.push([(yield* pool.snapshot).capacity, ...(yield* row)])
        }
        expect(capacities).toEqual([[6, 6, 0, 2, 0], [5, 5, 0, 2, 0], [4, 4, 0, 2, 0], [3, 3, 0, 2, 0]])
        must(fibers[0]).interruptUnsafe()
        expect([yield* row, (yield* pool.snapshot).capacity]).toEqual([[3, 0, 1, 1], 3])
      })
    ))

  it.effect("that is not above the reserve is refused with field, value and rule, and changes nothing", () =>
    manual(
      { limit: 4, reserve: 2 },
      Effect.gen(function*() {
        const before = yield* BufferPool.snapshot
        for (const limit of [2, 1, 0, -1, 1.5, Number.NaN]) {
          const error = yield* Effect.flip(BufferPool.resize(limit))
          expect(error.problems.map(({ value }) => value)).toContainEqual(limit)
        }
        expect(yield* BufferPool.snapshot).toEqual(before)
      })
    ))
})

describe("26: giving back too often", () => {
  it.effect("is a defect that names the pool, and never more capacity", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const [first, second] = yield* hold(2)
        yield* give(first)
        const before = yield* pool.snapshot
        for (let i = 0; i < 3; i++) {
          expect(() => pool.giveBackUnsafe(must(first))).toThrow(BufferMisuse)
          expect(() => pool.giveBackUnsafe(must(first))).toThrow("pool \"default\": a buffer was given back twice")
        }
        const { counters: { misuse, ...counters }, ...after } = yield* pool.snapshot
        expect({ ...after, counters }).toEqual({ ...before, counters: { ...before.counters, misuse: undefined } })
        expect([misuse, yield* row]).toEqual([6, [1, 3, 0, 0]])
        yield* give(second)
        const scoped = yield* Effect.exit(
          Effect.scoped(Effect.flatMap(pool.acquire("tx"), (buffer) => Effect.sync(() => pool.giveBackUnsafe(buffer))))
        )
        expect([scoped._tag, yield* row], "a finalizer after a give-back by hand is harmless").toEqual(["Success", [
          0,
          4,
          0,
          0
        ]])
      })
    ))
})

describe("28: the head of a queue is cancelled", () => {
  it.effect("with buffers free that neither may take: the next moves up, and has the next that may be taken", () =>
    manual(
      { limit: 4, reserve: 3 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(2)
        const [head, next] = [
          yield* start(pool.withBuffer("rx", () => Effect.void)),
          yield* start(pool.withBuffer("rx", () => Effect.void))
        ]
        expect(yield* row).toEqual([2, 2, 2, 0])
        head.interruptUnsafe()
        expect([yield* row, causeOf(next.pollUnsafe())]).toEqual([[2, 2, 1, 0], "running"])
        yield* give(held[0])
        expect(yield* row).toEqual([1, 3, 1, 0])
        yield* give(held[1])
        expect([yield* row, yield* Stepper.flush, causeOf(next.pollUnsafe())]).toEqual([[1, 3, 0, 1], 1, "success"])
      })
    ))

  it.effect("after its grant: the next in line is served in the same step, in its own class or in another", () =>
    manual(
      { limit: 4, reserve: 1 },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        for (const [mine, others] of [["tx", "tx"], ["tx", "endpoint"], ["channel", "endpoint"]] as const) {
          const held = yield* hold(4)
          const head = yield* start(pool.withBuffer(mine, () => Effect.die("must not be served")))
          const next = yield* start(pool.withBuffer(others, () => Effect.succeed("served")))
          const before = (yield* pool.snapshot).counters
          yield* give(held[0])
          expect(yield* row).toEqual([4, 0, 1, 1])
          head.interruptUnsafe()
          expect(yield* row).toEqual([4, 0, 0, 1])
          expect([yield* Stepper.flush, next.pollUnsafe()]).toEqual([1, Exit.succeed("served")])
          const after = (yield* pool.snapshot).counters
          expect([after.handOffs - before.handOffs, after.passedOn - before.passedOn]).toEqual([2, 1])
          for (const buffer of held.slice(1)) pool.giveBackUnsafe(buffer)
          expect(yield* row).toEqual([0, 4, 0, 0])
        }
      })
    ))
})

describe("29: a caller that is interrupted", () => {
  it.effect("already gets nothing, even if buffers are free", () =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const doors: ReadonlyArray<() => Effect.Effect<unknown, unknown>> = [
          () => pool.withBuffer("tx", () => Effect.die("must not run")),
          () => pool.withBufferSync("tx", () => must<never>(undefined)),
          () => Effect.scoped(pool.acquire("tx")),
          () => Effect.scoped(pool.tryAcquire("tx"))
        ]
        for (const door of doors) {
          const fiber = yield* start(Effect.withFiber((fiber) => {
            fiber.interruptUnsafe()
            return door()
          }))
          expect(causeOf(fiber.pollUnsafe())).toContain("Interrupt")
        }
        expect([(yield* pool.snapshot).counters.takes, yield* row]).toEqual([0, [0, 4, 0, 0]])
      })
    ))

  it.effect("in the step in which it was granted, before or after, passes the buffer on in that step", () =>
    Effect.gen(function*() {
      for (const first of ["interrupt", "give back"] as const) {
        for (const at of classes) {
          yield* manual(
            { name: `${first} ${at}` },
            Effect.gen(function*() {
              const pool = yield* BufferPool
              const held = yield* hold(4)
              const target = yield* start(Effect.scoped(pool.acquire(at)))
              const next = yield* start(Effect.scoped(Effect.as(pool.acquire("rx"), "served")))
              expect(yield* row).toEqual([4, 0, 2, 0])
              if (first === "interrupt") target.interruptUnsafe()
              for (const buffer of held.splice(0)) pool.giveBackUnsafe(buffer)
              if (first === "give back") target.interruptUnsafe()
              expect([yield* row, causeOf(target.pollUnsafe()).includes("Interrupt")]).toEqual([[1, 3, 0, 1], true])
              expect(broken(yield* pool.snapshot, yield* pool.waitQueue.waiting)).toEqual([])
              expect([yield* Stepper.flush, next.pollUnsafe(), yield* row]).toEqual([1, Exit.succeed("served"), [
                0,
                4,
                0,
                0
              ]])
            })
          )
        }
      }
    }))
})

describe("32: load at the knee and beyond", () => {
  /** One arrival every `everyMs`, a thousand of them; each holds one of four buffers for 40 ms, so four make 100 a second. */
  const load = (everyMs: number) => {
    const { clock, fork, pool, run, scheduler } = stepped({ limit: 4, maxWaiting: 8, ageAfter: Infinity }, 2048)
    const counts = { served: 0, refused: 0, longestWaitMs: 0 }
    const arrival = Effect.suspend(() => {
      const arrived = clock.currentTimeMillisUnsafe()
      return pool.withBuffer("tx", () => {
        counts.longestWaitMs = Math.max(counts.longestWaitMs, clock.currentTimeMillisUnsafe() - arrived)
        return Effect.andThen(Effect.sleep(40), Effect.sync(() => counts.served++))
      })
    }).pipe(Effect.catch((error) => Effect.sync(() => error instanceof WaitRefused && counts.refused++)))
    for (let i = 0; i < 1000; i++) {
      fork(arrival)
      for (let ms = 0; ms < everyMs; ms++) {
        clock.advance(1)
        scheduler.drain()
      }
    }
    for (let ms = 0; ms < 200; ms++) {
      clock.advance(1)
      scheduler.drain()
    }
    expect(run(pool.snapshot)).toMatchObject({ used: 0, waiting: [] })
    return counts
  }

  it("arriving as fast as it can be served, everybody is, and nobody waits", () => {
    expect(load(10)).toEqual({ served: 1000, refused: 0, longestWaitMs: 0 })
  })

  it("arriving faster, what is too much is refused at once, and as many are served as before: no collapse", () => {
    // A hundred a second for eight seconds and for two, and eight that still waited at the end.
    expect(load(8)).toEqual({ served: 808, refused: 192, longestWaitMs: 80 })
    expect(load(2)).toEqual({ served: 208, refused: 792, longestWaitMs: 80 })
  })
})

describe("33: a queue of bounded length", () => {
  it.effect.each([0, 1, 3])("of %s refuses the next fiber at once, in each class for itself", (maxWaiting) =>
    manual(
      { maxWaiting },
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const held = yield* hold(4)
        for (const [i, at] of classes.entries()) {
          for (let n = 0; n < maxWaiting; n++) yield* start(pool.withBuffer(at, () => Effect.void))
          expect(yield* row).toEqual([4, 0, (i + 1) * maxWaiting, 0])
          for (
            const door of [
              pool.withBuffer(at, () => Effect.void),
              pool.withBufferSync(at, () => 1),
              Effect.scoped(pool.acquire(at))
            ]
          ) {
            const error = yield* Effect.flip<unknown, unknown, never>(door)
            expect(error).toBeInstanceOf(WaitRefused)
            expect(error).toMatchObject({ why: "maxWaiting", criticality: at, queued: (i + 1) * maxWaiting })
          }
        }
        for (const buffer of held) yield* give(buffer)
        expect([yield* Stepper.settle, yield* row]).toEqual([4 * maxWaiting, [0, 4, 0, 0]])
      })
    ))
})

describe("35: a body that ends in any way", () => {
  const ends: ReadonlyArray<readonly [string, () => Effect.Effect<void, string>]> = [
    ["success", () => Effect.void],
    ["a failure", () => Effect.fail("failed")],
    ["a defect", () => Effect.die("died")],
    ["a throw", () => must<never>(undefined)],
    ["an interrupt", () => Effect.interrupt]
  ]
  it.effect.each(ends)("with %s gives its buffer to who waits, in that step", ([, body]) =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        yield* hold(3)
        const bodies: ReadonlyArray<(use: () => Effect.Effect<void, string>) => Effect.Effect<void, unknown>> = [
          (use) => pool.withBuffer("tx", use),
          (use) => Effect.scoped(Effect.flatMap(pool.acquire("tx"), use)),
          (use) => Effect.scoped(Effect.flatMap(pool.tryAcquire("tx"), use))
        ]
        for (const whole of bodies) {
          const gate = yield* Deferred.make<void>()
          const news: Array<string> = []
          const fiber = yield* start(whole(() => Effect.andThen(Deferred.await(gate), Effect.suspend(body))))
          const next = patient(pool, "tx", "next", news)
          expect([pool.waitQueue.takeOrWaitUnsafe(next), yield* row]).toEqual(["queued", [4, 0, 1, 0]])
          yield* Deferred.succeed(gate, undefined)
          expect([causeOf(fiber.pollUnsafe()) === "running", news, yield* row]).toEqual([
            false,
            ["next granted"],
            [4, 0, 0, 1]
          ])
          pool.waitQueue.leaveUnsafe(next)
        }
        const sync = pool.withBufferSync("tx", () => must<never>(undefined))
        expect([causeOf(yield* Effect.exit(sync)), yield* row]).toEqual([
          expect.stringContaining("expected a value"),
          [3, 1, 0, 0]
        ])
      })
    ))
})

describe("36: memory that comes back", () => {
  it.effect("is lent again last in, first out: the warmest", () =>
    manual(
      { debug: false, prealloc: 4 },
      Effect.gen(function*() {
        const memoryOf = (buffer: ByteBuffer) => buffer.writeView().buffer
        const held = yield* hold(4)
        const memories = held.map(memoryOf)
        expect(new Set(memories).size).toBe(4)
        for (const at of [2, 0, 3, 1]) yield* give(held[at])
        const again = yield* hold(4)
        expect(again.map((buffer) => memories.indexOf(memoryOf(buffer)))).toEqual([1, 3, 0, 2])
      })
    ))
})

describe("37: owners that fill their buffers and look again later", () => {
  it.each([1, 2, 3, 4, 5])("never see another's bytes, nor write into another's (order %s)", (seed) => {
    const { fork, pool, scheduler } = stepped({ limit: 5, bufferSize: 64, ageAfter: Infinity })
    const wrong: Array<string> = []
    const owner = (id: number) =>
      pool.withBuffer(must(classes[id % 4]), (buffer) =>
        Effect.gen(function*() {
          if (buffer.length !== 0) wrong.push(`${id} was lent ${buffer.length} bytes`)
          for (let written = 0; written < 64; written += 16) {
            buffer.write(new Uint8Array(16).fill(id))
            yield* Effect.yieldNow
          }
          if (buffer.toBytes().some((byte) => byte !== id)) wrong.push(`${id} reads another's bytes`)
        }))
    const fibers = Array.from({ length: 64 }, (_, id) => fork(owner(id)))
    let random = seed
    const next = () => (random = (random * 48271) % 2147483647)
    while (scheduler.step(next())) { /* every fiber yields after three operations, and any of them goes on */ }
    expect([wrong, fibers.filter((fiber) => fiber.pollUnsafe() === undefined)]).toEqual([[], []])
    expect(Effect.runSync(pool.snapshot)).toMatchObject({ used: 0, highWater: 5, counters: { takes: 64 } })
  })
})

describe("40: the order in which classes are served", () => {
  it.effect.each(
    [
      [undefined, ["tx 1", "tx 2", "channel 1", "channel 2", "endpoint 1", "endpoint 2", "rx 1", "rx 2"]],
      ["endpoint", ["tx 1", "tx 2", "endpoint 1", "endpoint 2", "channel 1", "channel 2", "rx 1", "rx 2"]],
      ["rx", ["tx 1", "tx 2", "rx 1", "rx 2", "channel 1", "channel 2", "endpoint 1", "endpoint 2"]]
    ] as const
  )("is literally this, first in, first out inside each, while %s is favoured", ([favoured, order]) =>
    manual(
      {},
      Effect.gen(function*() {
        const pool = yield* BufferPool
        const served: Array<string> = []
        const held = yield* hold(4)
        for (const n of [1, 2]) {
          for (const at of ["rx", "channel", "tx", "endpoint"] as const) {
            yield* start(pool.withBufferSync(at, () => void served.push(`${at} ${n}`)))
          }
        }
        pool.waitQueue.favourUnsafe(favoured)
        expect([served, yield* row]).toEqual([[], [4, 0, 8, 0]])
        yield* give(held[0])
        yield* give(held[1])
        yield* Stepper.settle
        expect([served, yield* row]).toEqual([order, [2, 2, 0, 0]])
      })
    ))
})

/**
 * The laws for entities: Headgate's own keep them, histories meet what they are about, and each wrong entity is caught by the
 * law that it breaks.
 */
import { describe, expect, it } from "@effect/vitest"
import { type History, laws, type Subject } from "@headgate/testing/EntityLaws"
import * as Laws from "@headgate/testing/Laws"
import * as PoolCommands from "@headgate/testing/PoolCommands"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as fc from "fast-check"
import * as Applet from "headgate/Applet"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import { TaskScheduler } from "headgate/TaskScheduler"
import type { News } from "headgate/WaitQueue"
import { caught } from "./examples/caught.ts"
import * as Filter from "./examples/Filter.ts"
import * as FrameDecoder from "./examples/FrameDecoder.ts"

const runs = Number(process.env["HEADGATE_RUNS"] ?? 150)
const seed = Number(process.env["HEADGATE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

/** Plays many histories, and sums up what they have met. */
const met = <A, E>(subject: Subject<A, E>): { readonly [what: string]: number } => {
  const check = laws(subject)
  const sums: { [what: string]: number } = {}
  const property = fc.property(PoolCommands.histories(), (history) => {
    const { exercised, happened, starts } = Effect.runSync(check(history))
    for (const [what, times] of Object.entries({ ...exercised, ...happened, starts })) {
      sums[what] = (sums[what] ?? 0) + times
    }
  })
  fc.assert(property, { numRuns: runs, seed })
  console.info(`HEADGATE_SEED=${seed} ${JSON.stringify(sums)}`)
  return sums
}

const missing = (sums: { readonly [what: string]: number }, least: number, what: ReadonlyArray<string>) =>
  what.filter((name) => (sums[name] ?? 0) < least * Math.min(1, runs / 150))

/** A stream that copies requests into responses, and an applet that answers another one. */
const streams = Effect.gen(function*() {
  const echo = yield* ByteStream.make({
    name: "echo",
    response: "tx",
    process: (self) =>
      Effect.gen(function*() {
        if (self.request.buffer === undefined) return
        const buffer = yield* ByteChannel.alloc(self.response)
        const text = yield* ByteChannel.takeText(self.request)
        if (text.length <= buffer.room) buffer.write(text)
      })
  })
  const page = yield* ByteStream.make({ name: "page", fillers: { response: "applet" }, process: () => Effect.void })
  yield* Applet.make({
    name: "pager",
    channel: page.response,
    run: (input) =>
      Effect.sync(() => {
        if (Option.isNone(input) || input.value.room < 4) return "wait"
        input.value.write("page")
        return "again"
      })
  })
  return { echo, page }
})

describe("Headgate's own entities", () => {
  const subject: Subject<Effect.Success<typeof streams>, never> = {
    make: streams,
    options: { debug: true, bufferSize: 8 },
    does: {
      "a request comes": ({ echo }) =>
        Effect.sync(() => {
          if (ByteChannel.allocUnsafe(echo.request) !== "held") return
          if (echo.request.buffer !== undefined && echo.request.buffer.room > 0) echo.request.buffer.write("x")
          else ByteChannel.releaseUnsafe(echo.request)
          echo.wakeUnsafe("io")
        }),
      "a response goes": ({ echo }) => ByteChannel.takeText(echo.response),
      "the page is asked for": ({ page }) => Effect.sync(() => page.response.wakeFillerUnsafe("message")),
      "the page goes": ({ page }) => ByteChannel.takeText(page.response),
      "the echo ends": ({ echo }) => echo.end
    }
  }
  it(`keep the laws: streams and applets (${runs} histories)`, () => {
    const sums = met(subject)
    expect(missing(sums, 15, [...Laws.names, "starts", ...Object.keys(subject.does)])).toEqual([])
  })
})

describe("fibers", () => {
  const hold = (ms: number) => () => Effect.sleep(ms)
  const subject: Subject<BufferPool["Service"], never> = {
    make: Effect.service(BufferPool),
    options: { limit: 4, reserve: 2, maxWaiting: 4, debug: true },
    does: {
      withBuffer: (pool) => pool.withBuffer("rx", hold(10)),
      withBufferSync: (pool) => pool.withBufferSync("endpoint", (buffer) => buffer.write("x")),
      acquire: (pool) => Effect.scoped(Effect.andThen(pool.acquire("rx"), pool.withBuffer("channel", hold(100)))),
      tryAcquire: (pool) => Effect.scoped(Effect.andThen(pool.tryAcquire("tx"), Effect.sleep(10))),
      within: (pool) => Effect.timeout(pool.withBuffer("channel", hold(1000)), 5),
      resize: (pool) => pool.resize(5),
      trim: (pool) => pool.trim
    }
  }
  it(`keep the laws, whichever way they take a buffer (${runs} histories)`, () => {
    const sums = met(subject)
    expect(missing(sums, 15, [...Laws.names, ...Object.keys(subject.does)])).toEqual([])
  })

  // Both were found by 20 000 histories. Each event is a kind, and which of those it may happen to.
  const happened = (does: typeof subject.does, events: ReadonlyArray<readonly [History[number]["kind"], number]>) =>
    Effect.runSync(laws({ ...subject, does })(events.map(([kind, pick]) => ({ kind, pick })))).happened
  const asks: typeof subject.does = {
    acquire: (pool) => Effect.scoped(Effect.andThen(pool.acquire("rx"), Effect.sleep(10))),
    withBufferSync: (pool) => pool.withBufferSync("endpoint", (buffer) => buffer.write("x")),
    resize: (pool) => pool.resize(5)
  }

  it("are granted one lease, however long it is on its way to its fiber", () => {
    expect(happened(asks, [
      ["act", 2],
      ["rivalWaits", 0],
      ["rivalTakes", 0],
      ["rivalTakes", 0],
      ["act", 0],
      ["rest", 0],
      ["rivalGivesBack", 0],
      ["rivalGivesBack", 0],
      ["act", 4],
      ["rivalGivesBack", 0],
      ["rivalTakes", 0],
      ["rivalWaits", 22],
      ["rest", 0]
    ])).toMatchObject({ acquire: 1, withBufferSync: 1, resize: 1 })
  })

  it("are not judged by what a rival answered just before they ran", () => {
    expect(happened(asks, [
      ["act", 0],
      ["rivalTakes", 0],
      ["rivalTakes", 0],
      ["act", 2],
      ["rivalDeclines", 30],
      ["rivalTakes", 0],
      ["rest", 0],
      ["rivalTakes", 0],
      ["rivalWaits", 55],
      ["rivalGivesBack", 0],
      ["act", 4],
      ["rivalGivesBack", 0],
      ["rivalGivesBack", 0],
      ["sleep", 0]
    ])).toMatchObject({ acquire: 1, withBufferSync: 1, resize: 1, rivalDeclines: 1 })
  })
})

describe("the examples", () => {
  it(`meet every law: the decoder (${runs} histories)`, () => {
    const sums = met({ make: FrameDecoder.make(), does: { decode: (it) => it.decode(Uint8Array.of(1, 65)) } })
    expect(missing(sums, 15, [...Laws.names, "decode", "interrupt"])).toEqual([])
  })
  it(`meet every law: the filter (${runs} histories)`, () => {
    const sums = met({ make: Filter.make(), does: { feed: (it) => it.feed("a b") } })
    expect(missing(sums, 15, [...Laws.names, "feed", "starts"])).toEqual([])
  })
})

describe("a wrong entity", () => {
  /** Waits in its own name for what it is asked to do, and does it when its buffer comes. */
  const waiting = (
    comes: (pool: BufferPool["Service"], buffer: ByteBuffer) => void,
    woken: (news: News, come: () => void) => boolean,
    leaves = true
  ) =>
    Effect.gen(function*() {
      const pool = yield* BufferPool
      const come = () => {
        const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
        if (typeof door !== "string") comes(pool, door)
      }
      const waiter = pool.waitQueue.waiter({
        target: "it",
        criticality: "channel",
        wake: (news) => woken(news, come)
      })
      if (leaves) yield* Effect.addFinalizer(() => Effect.sync(() => pool.waitQueue.leaveUnsafe(waiter)))
      return { come: () => Effect.sync(come) }
    })

  const at = (which: (pool: BufferPool["Service"], buffer: ByteBuffer) => void) =>
    waiting(which, (news, come) => {
      if (news === "granted") come()
      return true
    })

  const givesBack = (pool: BufferPool["Service"], buffer: ByteBuffer) => pool.giveBackUnsafe(buffer)

  const does = { come: (it: { readonly come: () => Effect.Effect<void> }) => it.come() }

  it("is not found wrong if it is not", () => {
    const sums = met({ make: at(givesBack), does })
    expect(missing(sums, 15, Laws.names)).toEqual([])
  })

  it("is caught by L2 if it gives its buffer back twice", () => {
    const twice = at((pool, buffer) => {
      pool.giveBackUnsafe(buffer)
      pool.giveBackUnsafe(buffer)
    })
    expect(caught(laws({ make: twice, does }))).toMatchObject({
      law: "L2",
      fact: "a buffer is used only by whom it was lent to, and while it is",
      numbers: { misused: 1 },
      step: "giveBack"
    })
  })

  it("is caught by L3 if it ends and keeps its buffer", () => {
    expect(caught(laws({ make: at(() => {}), does }))).toMatchObject({
      law: "L3",
      fact: "who has ended holds nothing, and it holds a buffer at channel",
      waiter: "entity 0"
    })
  })

  it("is caught by L4 if it promises to come and does not", () => {
    expect(caught(laws({ make: waiting(givesBack, () => true), does }))).toMatchObject({
      law: "L4",
      fact: "who answers true to a grant comes to the door or leaves",
      waiter: "it at channel (entity 0)"
    })
  })

  it("is caught by L4 if it is interrupted and does not leave, and only then", () => {
    const sleeper = Effect.map(BufferPool, (pool) => ({
      come: () =>
        Effect.suspend(() => {
          let resume = () => {}
          const waiter = pool.waitQueue.waiter({
            target: "it",
            criticality: "tx",
            wake: () => {
              resume()
              return true
            }
          })
          const take = Effect.sync(() => {
            const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
            if (typeof door !== "string") pool.giveBackUnsafe(door)
            return door
          })
          const told = Effect.callback<void>((resumeFiber) => {
            resume = () => resumeFiber(Effect.void)
          })
          return Effect.flatMap(take, (door) => door === "queued" ? Effect.andThen(told, take) : Effect.void)
        })
    }))
    const history: History = [
      ...[0, 0, 0].map((pick) => ({ kind: "rivalTakes", pick }) as const),
      { kind: "act", pick: 0 },
      { kind: "rest", pick: 0 }
    ]
    const check = laws({ make: sleeper, does })
    expect(Effect.runSync(check(history)).happened).toEqual({ rivalTakes: 3, come: 1, rest: 1 })
    const interrupted = check([...history, { kind: "interrupt", pick: 0 }])
    expect(Effect.runSync(Effect.flip(interrupted))).toMatchObject({
      law: "L4",
      fact: "who answers true to a grant comes to the door or leaves",
      waiter: "it at tx (entity 0)"
    })
  })

  it("is caught by L6 if it ends and stays in the queue", () => {
    const stays = waiting(givesBack, (news, come) => {
      if (news === "granted") come()
      return true
    }, false)
    expect(caught(laws({ make: stays, does }))).toMatchObject({
      law: "L6",
      fact: "who is queued at channel is a living waiter of that class",
      waiter: "it at channel (entity 0)"
    })
  })

  it("is caught by L6 if it ends with a grant", () => {
    const stays = waiting(givesBack, () => true, false)
    const history: History = [
      ...[0, 0, 0].map((pick) => ({ kind: "rivalTakes", pick }) as const),
      { kind: "act", pick: 0 },
      { kind: "rest", pick: 0 },
      { kind: "rivalGivesBack", pick: 0 },
      { kind: "end", pick: 0 }
    ]
    expect(Effect.runSync(Effect.flip(laws({ make: stays, does })(history)))).toMatchObject({
      law: "L6",
      fact: "who has ended has no grant",
      numbers: { handOff: 1 },
      waiter: "it at channel (entity 0)",
      history: [
        "a rival takes at tx",
        "a rival takes at tx",
        "a rival takes at tx",
        expect.stringMatching(/^come of entity 0/),
        "rest",
        "a rival gives back",
        "the end of entity 0"
      ]
    })
  })

  it("is caught by L8 if it holds what it has until it has another, and so do all", () => {
    const hoarder = Effect.gen(function*() {
      const pool = yield* BufferPool
      const held: Array<ByteBuffer> = []
      const target = { toString: () => "a hoarder" }
      const come = () => {
        const waiter = pool.waitQueue.waiter({ target, criticality: "tx", wake: () => true })
        const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
        if (typeof door !== "string") held.push(door)
        if (held.length === 2) { for (const buffer of held.splice(0)) pool.giveBackUnsafe(buffer) }
      }
      return { come: () => Effect.sync(come) }
    })
    const history: History = [0, 1, 0, 1].flatMap((pick) => [{ kind: "act", pick }, { kind: "rest", pick }] as const)
    const wrong = laws({ make: hoarder, does, options: { limit: 2, reserve: 1 } })
    expect(Effect.runSync(Effect.flip(wrong(history)))).toMatchObject({
      law: "L8",
      fact: "somebody who holds a buffer does not wait for another",
      numbers: { queued: 2, lent: 2 },
      waiter: "a hoarder at tx (entity 0)"
    })
  })

  it("is caught by L8 if it never rests", () => {
    const restless = Effect.gen(function*() {
      const scheduler = yield* TaskScheduler
      const runnable = scheduler.runnable(() => {
        runnable.wakeUnsafe("other")
        runnable.finishedUnsafe()
      })
      return { come: () => Effect.sync(() => runnable.wakeUnsafe("io")) }
    })
    expect(Effect.runSync(Effect.flip(laws({ make: restless, does })([{ kind: "act", pick: 0 }])))).toMatchObject({
      law: "L8",
      fact: "everything comes to rest",
      numbers: { tasks: 20_000 }
    })
  })

  it("is caught by L11 if its wake throws", () => {
    const throws = waiting(givesBack, () => {
      throw new Error("its own mistake")
    })
    expect(caught(laws({ make: throws, does }))).toMatchObject({
      law: "L11",
      fact: "a wake does not throw",
      waiter: "it at channel (entity 0)"
    })
  })

  it("is caught by L6 if it ends and keeps its place in a run queue", () => {
    const stays = Effect.map(TaskScheduler, (scheduler) => {
      const runnable = scheduler.runnable(() => runnable.finishedUnsafe())
      return { come: () => Effect.sync(() => runnable.wakeUnsafe("io")) }
    })
    expect(caught(laws({ make: stays, does }))).toMatchObject({
      law: "L6",
      fact: "when all have ended nobody has a place in the run queue",
      numbers: { entry: 0 }
    })
  })

  it("says in its message which law, after which step, who and with what numbers", () => {
    const error = Effect.runSync(Effect.flip(
      laws({ make: FrameDecoder.make("rx", "rx"), does: { decode: (it) => it.decode(Uint8Array.of(1, 65)) } })([
        { kind: "act", pick: 0 }
      ])
    ))
    expect(error.message.replaceAll(/#\d+/g, "#7")).toBe(
      "L8 is broken: it is not true that a fiber that holds a buffer at rx asks only at a smaller margin, and it asks at rx\n" +
        "  who: entity 0 (fiber #7)\n" +
        "  after: entity 0 (fiber #7) asks at rx\n" +
        "  with: held 1, asked 1\n" +
        "  history: decode of entity 0 (fiber #7); the rivals give everything back"
    )
  })
})

describe("a subject that cannot be tried", () => {
  const does = { nothing: () => Effect.void }

  it("fails as its options do", () => {
    const error = Effect.runSync(Effect.flip(laws({ make: Effect.void, does, options: { limit: 1 } })([])))
    expect(error).toMatchObject({ _tag: "ConfigError", problems: [{ field: "limit", value: 1 }] })
  })

  it("fails as its make does", () => {
    expect(Effect.runSync(Effect.flip(laws({ make: Effect.fail("no port"), does })([])))).toBe("no port")
  })

  it("dies if its make awaits what nothing here resolves", () => {
    const make = Effect.promise(() => new Promise(() => {}))
    const exit = Effect.runSyncExit(laws({ make, does })([]))
    expect(Exit.isFailure(exit) && String(exit.cause)).toContain(
      "make does not end: nothing here resolves promises or fires real timers"
    )
  })

  it("dies as its deeds die", () => {
    const exit = Effect.runSyncExit(
      laws({ make: Effect.void, does: { die: () => Effect.die(new Error("a bug of its own")) } })([
        { kind: "act", pick: 0 }
      ])
    )
    expect(Exit.isFailure(exit) && String(exit.cause)).toContain("a bug of its own")
  })
})

/**
 * The laws once more, with streams, applets and waiters of one's own in any order that data can make, by hand: after every
 * step L1, L4, L6, L7, what is lent is accounted for to the last buffer, and no channel keeps a buffer that is empty and
 * unpinned.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as fc from "fast-check"
import * as Applet from "headgate/Applet"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import * as Headgate from "headgate/Headgate"
import type { PoolClosed } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import { broken, classes, isBuffer, must, patient } from "./harness.ts"

const runs = Number(process.env["HEADGATE_RUNS"] ?? 300)
const seed = Number(process.env["HEADGATE_SEED"] ?? Date.now() % 2 ** 31)

/** What a stream does in one run, and an applet with its buffer. */
const deeds = ["fill", "allocate", "fill and empty", "try", "release", "rest", "end", "fail"] as const
type Deed = typeof deeds[number]

const happenings = [
  "run tasks",
  "run applets",
  "flush",
  "wake",
  "empty a channel",
  "allocate outside and release",
  "allocate outside and fill",
  "hold",
  "give",
  "pin",
  "unpin",
  "queue",
  "collect",
  "leave",
  "end",
  "resize",
  "favour",
  "trim"
] as const
type Happening = { readonly what: typeof happenings[number]; readonly which: number }

interface Play {
  readonly limit: number
  readonly reserve: number
  readonly streams: number
  readonly deeds: ReadonlyArray<Deed>
  readonly happenings: ReadonlyArray<Happening>
}

const play: fc.Arbitrary<Play> = fc.integer({ min: 2, max: 6 }).chain((limit) =>
  fc.record({
    limit: fc.constant(limit),
    reserve: fc.integer({ min: 1, max: limit - 1 }),
    streams: fc.integer({ min: 1, max: 4 }),
    deeds: fc.array(fc.constantFrom(...deeds, "fill", "fill", "allocate", "rest"), { minLength: 1, maxLength: 30 }),
    happenings: fc.array(
      fc.record({ what: fc.constantFrom(...happenings, "run tasks", "run applets", "wake"), which: fc.nat(11) }),
      { maxLength: 120, size: "max" }
    )
  })
)

const at = <A>(items: ReadonlyArray<A>, which: number): A | undefined => items[which % Math.max(1, items.length)]
const takeAt = <A>(items: Array<A>, which: number): A | undefined =>
  items.splice(which % Math.max(1, items.length), 1)[0]

/** Plays it; what it returns broke a law, empty if all held. */
const wrongOf = ({ deeds, happenings, limit, reserve, streams: count }: Play, seen: Map<string, number>) =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const stepper = yield* Stepper
    const wrong: Array<string> = []
    const note = (what: string) => void seen.set(what, (seen.get(what) ?? 0) + 1)
    let turn = 0
    const deed = (): Deed => must(at(deeds, turn++))

    const streams: Array<ByteStream.ByteStream<string | PoolClosed>> = []
    const applets: Array<Applet.Applet<string>> = []
    const inRun = (self: ByteStream.Self, does: Deed, side: "request" | "response") =>
      Effect.gen(function*() {
        note(does)
        if (does === "end") return yield* self.end
        if (does === "fail") return yield* Effect.fail("as the play wants")
        if (does === "release") return void (yield* ByteChannel.release(self[side]))
        if (does === "rest") return
        if (does === "try") return yield* Effect.ignore(ByteChannel.tryAlloc(self[side]))
        const buffer = yield* ByteChannel.alloc(self[side])
        if (does !== "allocate" && buffer.room > 0) buffer.write("x")
        if (does === "fill and empty") buffer.consume(buffer.length)
      })
    for (let i = 0; i < count; i++) {
      const withApplet = i % 2 === 1
      const stream = yield* ByteStream.make({
        name: `stream ${i}`,
        process: (self) =>
          withApplet || turn % 2 === 0 ? inRun(self, deed(), "request") : inRun(self, deed(), "response"),
        response: reserve === 1 ? "tx" : "channel",
        fillers: withApplet ? { response: "applet" } : {}
      })
      yield* Effect.forkScoped(Effect.exit(stream.await), { startImmediately: true })
      streams.push(stream)
      if (!withApplet) continue
      const applet = yield* Applet.make({
        name: `applet ${i}`,
        channel: stream.response,
        run: (input) =>
          Effect.gen(function*() {
            const does = deed()
            note(`applet: ${does}`)
            if (does === "fail") return yield* Effect.fail("as the play wants")
            if (does === "end") return "done"
            if (does.startsWith("fill")) Option.map(input, (buffer) => buffer.room > 0 ? buffer.write("y") : 0)
            return does === "try" ? "again" : "wait"
          })
      })
      yield* Effect.forkScoped(Effect.exit(applet.await), { startImmediately: true })
      applets.push(applet)
    }

    const channels = streams.flatMap(({ request, response }) => [request, response])
    const held: Array<ByteBuffer> = []
    const pins: Array<ByteBuffer> = []
    const waiters = classes.map((criticality) => patient(pool, criticality, `own waiter at ${criticality}`, []))
    const collect = (which: number): void => {
      const waiter = must(at(waiters, which))
      if (waiter.state !== "granted") return
      const door = pool.waitQueue.takeOrWaitUnsafe(waiter)
      if (isBuffer(door)) held.push(door)
    }
    const happen = ({ what, which }: Happening): Effect.Effect<unknown, unknown> => {
      switch (what) {
        case "run tasks":
          return stepper.runTasks
        case "run applets":
          return stepper.runApplets
        case "flush":
          return stepper.flush
        case "wake":
          return Effect.sync(() => at([...streams, ...applets], which)?.wakeUnsafe("io"))
        case "empty a channel":
          return ByteChannel.takeText(must(at(channels, which)))
        case "allocate outside and release":
        case "allocate outside and fill":
          return Effect.sync(() => {
            const channel = must(at(channels, which))
            if (ByteChannel.allocUnsafe(channel) !== "held") return
            const buffer = must(channel.buffer)
            if (what === "allocate outside and fill" && buffer.room > 0) buffer.write("z")
            else ByteChannel.releaseUnsafe(channel)
          })
        case "hold":
          return Effect.sync(() => {
            const buffer = pool.tryTakeUnsafe(must(at(classes, which)))
            if (buffer !== undefined) held.push(buffer)
          })
        case "give":
          return Effect.sync(() => {
            const buffer = takeAt(held, which)
            if (buffer !== undefined) pool.giveBackUnsafe(buffer)
          })
        case "pin":
          return Effect.sync(() => {
            const buffer = at([...held, ...channels.flatMap(({ buffer }) => buffer ?? [])], which)
            if (buffer === undefined) return
            pool.pinUnsafe(buffer)
            pins.push(buffer)
          })
        case "unpin":
          return Effect.sync(() => {
            const buffer = takeAt(pins, which)
            if (buffer !== undefined) pool.unpinUnsafe(buffer)
          })
        case "queue":
          return Effect.sync(() => {
            const waiter = must(at(waiters, which))
            const door = waiter.state === "granted" ? "granted" : pool.waitQueue.takeOrWaitUnsafe(waiter)
            if (isBuffer(door)) held.push(door)
          })
        case "collect":
          return Effect.sync(() => collect(which))
        case "leave":
          return Effect.sync(() => pool.waitQueue.leaveUnsafe(must(at(waiters, which))))
        case "end":
          return which < 8 ? Effect.void : must(at(streams, which)).end
        case "resize":
          return pool.resize(reserve + 1 + which % 6)
        case "favour":
          return Effect.sync(() => pool.waitQueue.favourUnsafe(which < 4 ? classes[which] : undefined))
        case "trim":
          return pool.trim
      }
    }

    let capacity = Infinity
    const look = (after: string) =>
      Effect.gen(function*() {
        const snapshot = yield* pool.snapshot
        const waiting = yield* pool.waitQueue.waiting
        const inChannels = channels.flatMap(({ buffer }) => buffer ?? [])
        const granted = waiting.filter(({ state }) => state === "granted").length
        const stale = new Set(pins.filter((buffer) => !held.includes(buffer) && !inChannels.includes(buffer))).size
        wrong.push(...broken(snapshot, waiting, capacity).map((law) => `after ${after}: ${law}`))
        if (snapshot.used !== inChannels.length + held.length + granted + stale) {
          wrong.push(
            `after ${after}: ${snapshot.used} used, but ${inChannels.length} in channels, ${held.length} held, ` +
              `${granted} granted, ${stale} pinned`
          )
        }
        for (const buffer of inChannels) {
          if (buffer.length === 0 && !pins.includes(buffer)) {
            wrong.push(`after ${after}: a channel keeps an empty buffer`)
          }
        }
        capacity = snapshot.capacity
        if (granted > 0) note("looks with a grant")
        if (waiting.length > granted) note("looks with a queue")
      })

    for (const happening of happenings) {
      yield* Effect.ignore(happen(happening))
      yield* look(`${happening.what} ${happening.which}`)
      if (wrong.length > 0) return wrong
    }
    pool.waitQueue.favourUnsafe(undefined)
    for (const waiter of waiters) pool.waitQueue.leaveUnsafe(waiter)
    for (const buffer of held.splice(0)) pool.giveBackUnsafe(buffer)
    for (const buffer of pins.splice(0)) pool.unpinUnsafe(buffer)
    yield* look("all is given back")
    for (const stream of streams) {
      yield* stream.end
      yield* look(`the end of ${stream.name}`)
    }
    const { allocated, used } = yield* pool.snapshot
    if (used !== 0 || (yield* pool.waitQueue.waiting).length > 0) {
      wrong.push(`L3: ${used} used at the end of ${allocated}`)
    }
    return wrong
  }).pipe((world) => {
    const scope = Scope.makeUnsafe()
    const layer = Headgate.layerManual({
      name: "plays",
      limit,
      reserve,
      bufferSize: 4,
      debug: true,
      ageAfter: "Infinity"
    })
    const whole = Effect.flatMap(
      Layer.buildWithScope(Layer.orDie(layer), scope),
      (context) => Effect.provideContext(Scope.provide(world, scope), context)
    )
    const wrong = Effect.runSync(whole)
    Effect.runSync(Scope.close(scope, Exit.void))
    return wrong
  })

describe("streams, applets and waiters of one's own", () => {
  it(`keep the laws after every step, and no channel keeps what is empty (${runs} plays)`, () => {
    console.info(`HEADGATE_SEED=${seed}`)
    const seen = new Map<string, number>()
    fc.assert(
      fc.property(play, (play) => {
        expect(wrongOf(play, seen)).toEqual([])
      }),
      { numRuns: runs, seed }
    )
    console.info(JSON.stringify(Object.fromEntries([...seen].sort())))
    for (const what of [...deeds, "applet: fill", "applet: try", "looks with a grant", "looks with a queue"]) {
      expect.soft(seen.get(what) ?? 0, what).toBeGreaterThan(0)
    }
  })
})

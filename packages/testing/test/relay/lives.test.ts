import { assert, describe, it } from "@effect/vitest"
import type { Options, SimulatedPeer } from "@headgate/testing/SimulatedPeer"
import { Effect, Exit, References } from "effect"
import { TestClock } from "effect/testing"
import { BufferPool, Stepper } from "headgate"
import {
  checkBytes,
  checkContract,
  checkHonest,
  checkLaws,
  connect,
  drain,
  isOver,
  type Link,
  outcome,
  pass,
  relaySnapshot,
  runs,
  seed,
  send,
  settled,
  turns,
  world
} from "./world.ts"

/** One seed decides everything (mulberry32). */
const randomOf = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return Math.floor(((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32 * below)
  }
}

type Random = (below: number) => number

const sizes = [2, 7, 64, 200]

const someSize = (random: Random): number => sizes[random(sizes.length)] ?? 1

const somePeer = (random: Random): Options => ({
  sendBuffer: someSize(random),
  receiveBuffer: someSize(random),
  hostBuffer: someSize(random),
  acceptAbove: 0,
  landing: random(2) === 0 ? "plain" : "readiness",
  done: random(2) === 0 ? "sync" : "async"
})

/** How a host lives: how often it does anything, and whether it ever reads. */
interface Habits {
  readonly reads: boolean
  readonly kills: boolean
}

/** One thing that happens to one end of a connection. */
const happens = (random: Random, peer: SimulatedPeer, habits: Habits, link: Link): void => {
  const { host } = peer
  const count = 1 + random(100)
  switch (random(12)) {
    case 0:
    case 1:
      if (!host.hasEnded && !host.isGone && host.sentBytes < 400) send(peer, count)
      return
    case 2:
      if (random(6) === 0 && !host.isGone) host.end()
      return
    case 3:
      if (habits.kills && random(15) === 0 && !host.isGone) host.reset()
      return
    case 4:
      if (habits.kills && random(60) === 0) link.fiber.interruptUnsafe()
      return
    case 5:
      return void peer.tellReset(random(2) === 0 ? "write first" : "reset first")
    case 6:
      return void (habits.reads && host.read(count))
    default:
      return void [peer.arrive, peer.deliver, peer.deliverLate, peer.accept, peer.transmit, peer.acknowledgeEnd][
        random(6)
      ]?.call(peer, count)
  }
}

const life = (seed: number) =>
  Effect.gen(function*() {
    const random = randomOf(seed)
    const links: Array<Link> = []
    const ends: Array<{ readonly link: Link; readonly peer: SimulatedPeer; readonly habits: Habits }> = []
    for (let at = 3 + random(10); at > 0; at--) {
      const link = yield* connect({ client: somePeer(random), target: somePeer(random) })
      links.push(link)
      const kills = random(2) === 0
      for (const peer of [link.client, link.target]) ends.push({ link, peer, habits: { kills, reads: random(8) > 0 } })
    }
    for (let step = 0; step < 40 * links.length; step++) {
      const one = ends[random(ends.length)]
      if (one !== undefined) happens(random, one.peer, one.habits, one.link)
      checkLaws(yield* BufferPool.snapshot)
      const next = random(10)
      if (next < 3) yield* Stepper.runTasks
      if (next === 3) yield* Effect.yieldNow
      if (next === 4 && random(10) === 0) yield* TestClock.adjust(random(1000))
    }
    // Hosts that never read stay so; the others do what is left, and end.
    for (const { habits, peer: { host } } of ends) if (!host.isGone && (habits.reads || random(2) === 0)) host.end()
    const readers = links.filter((link) => ends.every((one) => one.link !== link || one.habits.reads))
    yield* drain(...readers)
    yield* pass(5000)
    for (const { peer } of ends) {
      peer.tellReset()
      peer.accept()
    }
    yield* drain(...readers)
    // Each wait has its bound: one for a buffer, one for a byte, and each may begin once more behind the other.
    // A reset lets go of what the kernel had not taken; nothing else moves any more.
    const letGo = () => {
      for (const { peer } of ends) if (peer.isAborted) peer.accept()
    }
    for (let waits = 0; waits < 4 && !links.every(isOver); waits++) {
      yield* pass(15_000)
      letGo()
    }
    letGo()
    yield* turns(2)
    const results = new Array<string>()
    for (const link of links) {
      assert.isTrue(isOver(link), "a connection outlived every bound")
      checkBytes(link.client, link.target, false)
      checkBytes(link.target, link.client, false)
      const exit = link.fiber.pollUnsafe()
      if (exit !== undefined && Exit.isSuccess(exit)) {
        const ended = yield* outcome(link)
        if (ended.end === "completed") yield* drain(link)
        checkHonest(link, ended)
        if (ended.end === "completed") {
          checkBytes(link.client, link.target, true)
          checkBytes(link.target, link.client, true)
        }
        results.push(ended.end)
      } else {
        // Interrupted between an orderly end of both directions and its news: there was nothing to abort any more.
        const isOrderly = [link.client, link.target].every(({ hasToldEnd, isEnded }) => hasToldEnd && isEnded)
        assert.isTrue(isOrderly || (link.client.isAborted && link.target.isAborted))
        results.push("interrupted")
      }
    }
    checkContract(...links)
    checkLaws(yield* BufferPool.snapshot)
    const { ended } = yield* relaySnapshot
    assert.strictEqual(Object.values(ended).reduce((sum, count) => sum + count), links.length)
    return results
  })

const lifeOf = (seed: number) => {
  const random = randomOf(~seed)
  const limit = 2 + random(4)
  return settled(life(seed)).pipe(
    Effect.provide(world({
      limit,
      reserve: 1 + random(limit - 1),
      bufferSize: sizes[random(3)] ?? 1,
      relay: {
        turnBytes: [1, 10, 100, 1000][random(4)] ?? 1,
        stallGrace: 250,
        stallTimeout: "3 seconds",
        queueTimeout: "10 seconds",
        idleTimeout: "20 seconds"
      }
    })),
    Effect.provide(TestClock.layer()),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}

describe("lives", () => {
  it(
    `whatever happens, every byte arrives once and in order, or both sides see an abort (HEADGATE_SEED=${seed})`,
    async () => {
      const seen = new Map<string, number>()
      for (let at = 0; at < runs(300); at++) {
        const one = (seed + at) | 0
        const exit = await Effect.runPromiseExit(lifeOf(one))
        if (Exit.isFailure(exit)) {
          throw new Error(`life ${at}: HEADGATE_RUNS=1 HEADGATE_SEED=${one}`, { cause: exit.cause })
        }
        for (const end of exit.value) seen.set(end, (seen.get(end) ?? 0) + 1)
      }
      if (runs(300) < 300) return
      for (const end of ["completed", "reset", "idle", "stalled", "interrupted"]) {
        assert.isAbove(seen.get(end) ?? 0, 10, `too few ended ${end}: ${JSON.stringify([...seen])}`)
      }
    },
    runs(300) * 600
  )
})

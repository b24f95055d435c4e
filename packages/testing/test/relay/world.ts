/** A relay over simulated peers, by hand: who is connected, what has moved, and what must hold. */
import {
  drain as drainPeers,
  type Options,
  pattern,
  sampleUnsent,
  SimulatedPeer
} from "@headgate/testing/SimulatedPeer"
import { Effect, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  BufferPool,
  type ByteBuffer,
  type Criticality,
  Headgate,
  type Peer,
  type PoolSnapshot,
  Relay,
  type RelayOptions,
  type RelayOutcome,
  type RelaySnapshot,
  Stepper,
  TaskScheduler
} from "headgate"
import * as assert from "node:assert/strict"

export type World = Relay | BufferPool | Stepper | TaskScheduler

export interface WorldOptions extends Headgate.HeadgateOptions {
  readonly relay?: RelayOptions
}

/** Nothing runs but by `turn`. Always with every check on. */
export const world = ({ relay, ...options }: WorldOptions = {}) =>
  Layer.provideMerge(
    Relay.layer({ sampleUnsent, ...relay }),
    Headgate.layerManual({ limit: 4, reserve: 1, bufferSize: 64, debug: true, ...options })
  )

/** One connection through the relay. */
export interface Link {
  readonly client: SimulatedPeer
  readonly target: SimulatedPeer
  readonly fiber: Fiber.Fiber<RelayOutcome>
}

export interface LinkOptions {
  readonly client?: Options
  readonly target?: Options
}

export const connectPeers = <C extends Peer, T extends Peer>(client: C, target: T) =>
  Effect.map(
    Effect.forkChild(Relay.use((relay) => relay.run(client, target)), { startImmediately: true }),
    (fiber) => ({ client, target, fiber })
  )

export const connect = (options: LinkOptions = {}): Effect.Effect<Link, never, Relay> =>
  connectPeers(
    new SimulatedPeer({ label: "client", ...options.client }),
    new SimulatedPeer({ label: "target", ...options.target })
  )

/** Runs of streams, and the event loop once around: all that is due now happens. */
export const turn: Effect.Effect<void, never, Stepper> = Effect.gen(function*() {
  yield* Stepper.settle
  yield* Effect.yieldNow
  yield* Stepper.settle
  yield* Effect.yieldNow
})

export const turns = (count: number) => Effect.repeat(turn, { times: count - 1 })

/** Moves all that can be moved, host readers included, until nothing is left. */
export const drain = (...links: ReadonlyArray<Link>) =>
  drainPeers(links.flatMap(({ client, target }) => [client, target]), turn)

/** Lets time pass in sweeps of the policies; `each` is called before each. */
export const pass = (ms: number, each: () => void = () => {}) =>
  Effect.gen(function*() {
    for (let at = 0; at < ms; at += 250) {
      each()
      yield* Stepper.settle
      yield* TestClock.adjust(Math.min(250, ms - at))
      yield* Stepper.settle
    }
    yield* turn
  })

export const outcome = (link: { readonly fiber: Fiber.Fiber<RelayOutcome> }) =>
  Effect.gen(function*() {
    yield* turns(2)
    assert.ok(link.fiber.pollUnsafe() !== undefined, "the connection is not over")
    return yield* Fiber.join(link.fiber)
  })

export const isOver = (link: { readonly fiber: Fiber.Fiber<RelayOutcome> }): boolean =>
  link.fiber.pollUnsafe() !== undefined

export const relaySnapshot: Effect.Effect<RelaySnapshot, never, Relay> = Relay.use((relay) => relay.snapshot)

/** The host writes the next `count` bytes of its pattern. */
export const send = (peer: SimulatedPeer, count: number, stream = 0): void =>
  peer.host.write(pattern(stream, peer.host.sentBytes, count))

const joined = (parts: ReadonlyArray<Uint8Array>): Buffer => Buffer.concat(parts)

/** What came out of `to` is what went into `from`, from its first byte on; all of it if `all`. */
export const checkBytes = (from: SimulatedPeer, to: SimulatedPeer, all: boolean): void => {
  const sent = joined(from.host.sent)
  const received = joined(to.host.received)
  assert.ok(received.equals(sent.subarray(0, received.length)), `bytes were lost, repeated or out of order`)
  if (all) assert.equal(received.length, sent.length, "bytes are missing at the end")
}

export const checkContract = (...links: ReadonlyArray<Pick<Link, "client" | "target">>): void => {
  for (const { client, target } of links) {
    assert.deepEqual([client.violations, target.violations], [[], []])
    assert.ok(client.dones <= client.writes && target.dones <= target.writes)
  }
}

/** An end is orderly on both sides, or abort on both; and nobody saw an end that its source did not make. */
export const checkHonest = (link: Pick<Link, "client" | "target">, { end }: RelayOutcome): void => {
  const sides = [[link.client, link.target], [link.target, link.client]] as const
  for (const [from, to] of sides) {
    assert.equal(
      from.isAborted,
      end !== "completed",
      `${end}, and ${from.label} is ${from.isAborted ? "" : "not "}aborted`
    )
    if (!to.host.sawEnd) continue
    assert.ok(from.host.hasEnded, `${to.label} saw an end that its source did not make`)
    to.host.read()
    checkBytes(from, to, true)
  }
}

const classes: ReadonlyArray<Criticality> = ["tx", "channel", "endpoint", "rx"]

/** L1, L4 and L7, from a picture alone. */
export const checkLaws = (pool: PoolSnapshot): void => {
  const { allocated, capacity, free, limit, reserve, used } = pool
  assert.ok(0 <= used && used <= allocated && allocated <= capacity && capacity <= limit, "L1")
  const ordinary = (at: number) => Math.floor(at * reserve / 3)
  const favoured = pool.favoured === undefined ? 0 : classes.indexOf(pool.favoured)
  let lent = 0
  for (let at = 3; at >= 0; at--) {
    const one = pool.classes[classes[at] ?? "tx"]
    const margin = at === 0 || at > favoured ? ordinary(at) : ordinary(favoured)
    assert.ok(one.waiting === 0 || free <= margin, `L4: ${one.waiting} wait at ${classes[at]} beside ${free} free`)
    lent += one.lent
    assert.ok(lent <= allocated - ordinary(at), `L7: ${lent} lent at ${classes[at]} or less critical of ${allocated}`)
  }
}

/** After everything: nothing lent, nothing pinned, nobody waits, nobody is connected, nothing lies about. */
export const checkQuiet = Effect.gen(function*() {
  yield* turns(2)
  const pool = yield* BufferPool.snapshot
  const waiting = yield* BufferPool.use(({ waitQueue }) => waitQueue.waiting)
  const { connections, overdraftBytes, waitingDirections } = yield* relaySnapshot
  assert.deepEqual(
    {
      used: pool.used,
      holders: pool.holders,
      waiting: waiting.length,
      misuse: pool.counters.misuse,
      connections,
      overdraftBytes,
      waitingDirections,
      entities: (yield* TaskScheduler.use((tasks) => tasks.snapshot)).entities
    },
    {
      used: 0,
      holders: [],
      waiting: 0,
      misuse: 0,
      connections: 0,
      overdraftBytes: 0,
      waitingDirections: 0,
      entities: 0
    }
  )
})

/** A program, with its scope closed before the last look. */
export const settled = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.tap(Effect.scoped(program), () => checkQuiet)

/** The pool taken as far as a class may: whoever comes then waits. Given back one by one, or at the scope's end. */
export const takeAll = (criticality: Criticality) =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const taken: Array<ByteBuffer> = []
    for (let one = pool.tryTakeUnsafe(criticality); one !== undefined; one = pool.tryTakeUnsafe(criticality)) {
      taken.push(one)
    }
    const giveBack = (count: number) => Effect.sync(() => taken.splice(0, count).forEach(pool.giveBackUnsafe))
    yield* Scope.addFinalizer(yield* Effect.scope, giveBack(Infinity))
    return giveBack
  })

export const seed: number = Number(process.env["HEADGATE_SEED"] ?? Math.floor(Math.random() * 0x7fffffff))
export const runs = (standard: number): number => Number(process.env["HEADGATE_RUNS"] ?? standard)

import { assert, describe, it } from "@effect/vitest"
import { SimulatedPeer, type Told } from "@headgate/testing/SimulatedPeer"
import { Effect, Exit, Fiber, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import { BufferPool, Headgate, type Peer, type PeerEvents, Relay, Stepper } from "headgate"
import {
  checkBytes,
  checkContract,
  checkHonest,
  connect,
  connectPeers,
  drain,
  isOver,
  type Link,
  outcome,
  relaySnapshot,
  send,
  settled,
  takeAll,
  turn,
  turns,
  world
} from "./world.ts"

const arrive = (peer: SimulatedPeer, count: number): void => {
  send(peer, count)
  peer.arrive()
  if (!peer.deliver()) peer.deliverLate()
}

const endedAs = (link: Link, end: string) =>
  Effect.gen(function*() {
    const ended = yield* outcome(link)
    assert.strictEqual(ended.end, end)
    checkHonest(link, ended)
    checkContract(link)
  })

describe("ends", () => {
  it.effect("a reset while waiting for a buffer: out of the queue, and the next is served in the same step", () =>
    Effect.gen(function*() {
      const giveBack = yield* takeAll("rx")
      const [first, second] = [yield* connect(), yield* connect()]
      for (const { client } of [first, second]) arrive(client, 10)
      assert.strictEqual((yield* relaySnapshot).waitingDirections, 2)
      first.client.host.reset()
      first.client.tellReset()
      assert.strictEqual((yield* BufferPool.snapshot).classes.rx.waiting, 1)
      yield* giveBack(1)
      assert.strictEqual((yield* BufferPool.snapshot).classes.rx.waiting, 0)
      yield* endedAs(first, "reset")
      second.client.host.end()
      second.target.host.end()
      yield* drain(second)
      checkBytes(second.client, second.target, true)
      yield* endedAs(second, "completed")
    }).pipe(settled, Effect.provide(world())))

  it.effect("a grant that reaches a connection that is ending goes on before any peer's method is called", () =>
    Effect.gen(function*() {
      const giveBack = yield* takeAll("rx")
      const pool = yield* BufferPool
      const seen: Array<number> = []
      const trace = (what: Told) => {
        if ("asked" in what) seen.push(Effect.runSync(pool.snapshot).counters.passedOn)
      }
      const [first, second] = [yield* connect({ client: { trace }, target: { trace } }), yield* connect()]
      for (const { client } of [first, second]) arrive(client, 10)
      yield* turn
      // The buffer is the first's own, but its run has not begun.
      yield* giveBack(1)
      assert.strictEqual((yield* BufferPool.snapshot).classes.rx.waiting, 1)
      seen.length = 0
      first.target.host.reset()
      first.target.tellReset()
      assert.deepStrictEqual(seen, [1, 1])
      assert.strictEqual((yield* BufferPool.snapshot).classes.rx.waiting, 0)
      yield* drain(second)
      checkBytes(second.client, second.target, true)
      yield* endedAs(first, "reset")
      second.client.host.reset()
      second.client.tellReset()
    }).pipe(settled, Effect.provide(world())))

  it.effect("a reset while writing: the area is pinned until the write is done, then it is back", () =>
    Effect.gen(function*() {
      for (const order of ["write first", "reset first"] as const) {
        const link = yield* connect({ target: { sendBuffer: 1 } })
        arrive(link.client, 30)
        assert.isTrue(link.target.hasWriteInFlight)
        link.client.host.reset()
        link.client.tellReset(order)
        assert.isTrue(link.target.isAborted)
        const during = yield* BufferPool.snapshot
        assert.deepStrictEqual([during.used, during.holders.map(({ pins }) => pins)], [1, [1]])
        link.target.accept()
        assert.strictEqual((yield* BufferPool.snapshot).used, 0)
        yield* endedAs(link, "reset")
      }
    }).pipe(settled, Effect.provide(world())))

  it.effect("the side that is written to resets: the write is refused, and its bytes do not count as relayed", () =>
    Effect.gen(function*() {
      for (const order of ["write first", "reset first"] as const) {
        const link = yield* connect({ target: { sendBuffer: 1 } })
        arrive(link.client, 30)
        link.target.host.reset()
        link.target.tellReset(order)
        link.target.accept()
        assert.strictEqual((yield* outcome(link)).requestBytes, 0)
        yield* endedAs(link, "reset")
      }
    }).pipe(settled, Effect.provide(world())))

  it.effect("a write that is refused ends the connection by itself, before any reset is told", () =>
    Effect.gen(function*() {
      const link = yield* connect({ target: { sendBuffer: 1 } })
      arrive(link.client, 30)
      link.target.host.reset()
      link.target.accept()
      yield* endedAs(link, "reset")
    }).pipe(settled, Effect.provide(world())))

  it.effect("a reset while bytes lie in the overdraft: they go with it", () =>
    Effect.gen(function*() {
      const link = yield* connect({ target: { sendBuffer: 1 } })
      arrive(link.client, 200)
      assert.strictEqual((yield* relaySnapshot).overdraftBytes, 136)
      link.target.host.reset()
      link.target.tellReset()
      assert.strictEqual((yield* relaySnapshot).overdraftBytes, 0)
      yield* endedAs(link, "reset")
    }).pipe(settled, Effect.provide(world())))

  it.effect("a reset behind an orderly end is still a reset on both sides", () =>
    Effect.gen(function*() {
      const link = yield* connect()
      arrive(link.client, 10)
      link.client.host.end()
      yield* drain(link)
      assert.isTrue(link.target.host.sawEnd)
      arrive(link.target, 10)
      link.target.host.reset()
      link.target.tellReset()
      link.client.accept()
      assert.isTrue(link.client.isAborted && link.target.isAborted)
      assert.isFalse(link.client.host.sawEnd)
      yield* endedAs(link, "reset")
    }).pipe(settled, Effect.provide(world())))

  it.effect("an end whose done never comes does not hold a buffer, and the reset that follows ends it", () =>
    Effect.gen(function*() {
      const link = yield* connect()
      arrive(link.client, 10)
      link.client.host.end()
      link.client.deliver()
      link.target.accept()
      yield* turn
      assert.strictEqual((yield* BufferPool.snapshot).used, 0)
      link.target.host.reset()
      link.target.tellReset()
      yield* endedAs(link, "reset")
    }).pipe(settled, Effect.provide(world())))

  it.effect("the outcome is told after the end, never in the middle of it", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const [client, target] = [new SimulatedPeer(), new SimulatedPeer()]
      const life = Relay.use((relay) => relay.run(client, target)).pipe(
        Effect.andThen(relaySnapshot),
        Effect.map(({ connections, ended }) =>
          seen.push([connections, ended.reset, client.isAborted, target.isAborted])
        )
      )
      yield* Effect.forkChild(life, { startImmediately: true })
      client.host.reset()
      client.tellReset()
      assert.deepStrictEqual(seen, [])
      yield* turns(2)
      assert.deepStrictEqual(seen, [[0, 1, true, true]])
    }).pipe(settled, Effect.provide(world())))

  it.effect("an interrupt resets both, and gives back what was waited for, written, and overdrawn", () =>
    Effect.gen(function*() {
      const link = yield* connect({ target: { sendBuffer: 1 }, client: { sendBuffer: 1 } })
      for (const one of [link.client, link.target]) arrive(one, 100)
      yield* Fiber.interrupt(link.fiber)
      assert.isTrue(link.client.isAborted && link.target.isAborted)
      assert.strictEqual((yield* relaySnapshot).ended.shutdown, 1)
      assert.strictEqual((yield* BufferPool.snapshot).used, 2)
      link.client.accept()
      link.target.accept()
      checkContract(link)
    }).pipe(settled, Effect.provide(world())))

  it.effect("an interrupt at any operation leaves either nothing begun, or both sides reset", () =>
    Effect.gen(function*() {
      for (let steps = 0; steps < 40; steps++) {
        const [client, target] = [new SimulatedPeer(), new SimulatedPeer()]
        const fiber = yield* Relay.use((relay) => relay.run(client, target)).pipe(
          Effect.provideService(Scheduler.MaxOpsBeforeYield, 3),
          Effect.forkChild({ startImmediately: true })
        )
        for (let at = 0; at < steps; at++) yield* Effect.yieldNow
        if (steps % 2 === 0) yield* Stepper.runTasks
        fiber.interruptUnsafe()
        yield* Fiber.await(fiber)
        assert.strictEqual(client.isAborted, target.isAborted)
        assert.strictEqual(client.isReading, false)
        assert.strictEqual((yield* relaySnapshot).connections, 0)
        assert.deepStrictEqual([...client.violations, ...target.violations], [])
      }
      assert.isAbove((yield* relaySnapshot).ended.shutdown, 10)
    }).pipe(settled, Effect.provide(world())))

  it.effect("a relay whose scope closes resets its connections, and those still to come", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const relay = yield* Scope.provide(Relay.make(), scope)
      const make = (client: SimulatedPeer, target: SimulatedPeer) =>
        Effect.map(
          Effect.forkChild(relay.run(client, target), { startImmediately: true }),
          (fiber) => ({ client, target, fiber })
        )
      const open = yield* make(new SimulatedPeer(), new SimulatedPeer({ sendBuffer: 1 }))
      arrive(open.client, 100)
      yield* Scope.close(scope, Exit.void)
      open.target.accept()
      yield* endedAs(open, "shutdown")
      const late = yield* make(new SimulatedPeer(), new SimulatedPeer())
      yield* endedAs(late, "shutdown")
      assert.strictEqual((yield* relay.snapshot).connections, 0)
    }).pipe(settled, Effect.provide(world())))

  it.effect("a pool that closes under way: what waits and what comes is reset, what is written stays pinned until done", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const pool = yield* Scope.provide(
        BufferPool.make({ name: "closing", limit: 4, reserve: 1, bufferSize: 64, debug: true }),
        scope
      )
      const relay = yield* Effect.provideService(Relay.make(), BufferPool, pool)
      const make = () => {
        const [client, target] = [new SimulatedPeer(), new SimulatedPeer({ sendBuffer: 1 })]
        return Effect.map(
          Effect.forkChild(relay.run(client, target), { startImmediately: true }),
          (fiber) => ({ client, target, fiber })
        )
      }
      const links = [yield* make(), yield* make(), yield* make(), yield* make(), yield* make()]
      const [a, b, c, waits, idle] = links
      if (a === undefined || b === undefined || c === undefined || waits === undefined || idle === undefined) return
      for (const { client } of [a, b, c, waits]) arrive(client, 30)
      assert.strictEqual((yield* relay.snapshot).waitingDirections, 1)
      yield* Scope.close(scope, Exit.void)
      yield* turn
      yield* endedAs(waits, "shutdown")
      arrive(idle.client, 1)
      yield* endedAs(idle, "shutdown")
      assert.isFalse(isOver(a))
      // What is in flight lands where it was to go; the next buffer cannot be had.
      yield* drain(a, b, c)
      for (const link of [a, b, c]) {
        checkBytes(link.client, link.target, true)
        arrive(link.client, 1)
        yield* endedAs(link, "shutdown")
      }
      assert.deepStrictEqual((yield* pool.snapshot).holders, [])
      assert.strictEqual((yield* relay.snapshot).connections, 0)
    }).pipe(settled, Effect.provide(world())))
})

/** A peer as it must not be: what `does` throws, or calls back. */
class RudePeer implements Peer {
  readonly label = "a rude peer"
  readonly does: Partial<Peer>
  events: PeerEvents | undefined = undefined
  aborted = 0
  dones: Array<(accepted: boolean) => void> = []

  constructor(does: Partial<Peer>) {
    this.does = does
  }
  attach(events: PeerEvents): void {
    this.events = events
    this.does.attach?.(events)
  }
  readStart(): void {
    this.does.readStart?.()
  }
  readStop(): void {
    this.does.readStop?.()
  }
  write(views: ReadonlyArray<Uint8Array>, done: (accepted: boolean) => void): void {
    this.dones.push(done)
    this.does.write?.(views, done)
  }
  end(done: () => void): void {
    this.does.end?.(done)
  }
  abort(): void {
    this.aborted++
    this.does.abort?.()
  }
  unacceptedBytes(): number {
    return this.does.unacceptedBytes?.() ?? 0
  }
  unsentBytes(): number | undefined {
    return this.does.unsentBytes?.()
  }
}

const fails = (): never => {
  throw new TypeError("rude")
}

describe("peers that break the contract", () => {
  const cases: ReadonlyArray<readonly [string, Partial<Peer>]> = [
    ["attach", { attach: fails }],
    ["readStart", { readStart: fails }],
    ["readStop", { readStop: fails }],
    ["write", { write: fails }],
    ["end", { end: fails }],
    ["unacceptedBytes", { unacceptedBytes: fails }],
    ["abort", { write: fails, abort: fails }]
  ]
  for (const [method, does] of cases) {
    it.effect(`a peer whose ${method} throws resets its own connection, and nothing else`, () =>
      Effect.gen(function*() {
        const rude = new RudePeer(does)
        const link = yield* connectPeers(rude, new SimulatedPeer({ sendBuffer: 1, receiveBuffer: 1000 }))
        const other = yield* connect()
        rude.events?.onBytes(new Uint8Array(200))
        arrive(link.target, 10)
        link.target.host.end()
        link.target.deliver()
        link.target.accept()
        yield* TestClock.adjust("10 seconds")
        rude.dones.splice(0).forEach((done) => done(true))
        rude.events?.onReset(undefined)
        const ended = yield* outcome(link)
        assert.strictEqual(ended.end, "reset")
        assert.instanceOf(ended.cause, TypeError)
        assert.strictEqual(rude.aborted, 1)
        assert.isTrue(link.target.isAborted)
        while (link.target.accept()) { /* what is in flight lands */ }
        arrive(other.client, 100)
        other.client.host.end()
        other.target.host.end()
        yield* drain(other)
        checkBytes(other.client, other.target, true)
        assert.strictEqual((yield* outcome(other)).end, "completed")
      }).pipe(settled, Effect.provide(world({ relay: { stallGrace: 1 } }))))
  }

  it.effect("events from inside readStart, write and end keep their order, and lose nothing", () =>
    Effect.gen(function*() {
      let left = 300
      const rude: RudePeer = new RudePeer({
        readStart: () => {
          for (; left > 0; left -= 50) rude.events?.onBytes(new Uint8Array(50).fill(left / 50))
          rude.events?.onEnd()
        },
        write: (_, done) => done(true),
        end: (done) => done()
      })
      const link = yield* connectPeers(rude, new SimulatedPeer({ sendBuffer: 7, hostBuffer: 7 }))
      for (let at = 0; at < 200; at++) {
        link.target.advance()
        yield* turn
      }
      const received = Buffer.concat(link.target.host.received)
      assert.deepStrictEqual([...received], Array.from({ length: 300 }, (_, at) => 6 - Math.floor(at / 50)))
      assert.isTrue(link.target.host.sawEnd)
      link.target.host.end()
      link.target.deliver()
      assert.strictEqual((yield* outcome(link)).end, "completed")
    }).pipe(settled, Effect.provide(world())))

  it.effect("a write that is done twice resets the connection, and unpins nothing that is another's", () =>
    Effect.gen(function*() {
      const rude = new RudePeer({})
      const link = yield* connectPeers(new SimulatedPeer(), rude)
      arrive(link.client, 10)
      const done = rude.dones[0]
      done?.(true)
      assert.strictEqual((yield* BufferPool.snapshot).used, 0)
      done?.(true)
      const ended = yield* outcome(link)
      assert.strictEqual(ended.end, "reset")
      done?.(true)
    }).pipe(settled, Effect.provide(world())))

  it.effect("bytes behind an end reset the connection: they cannot follow the end that was passed on", () =>
    Effect.gen(function*() {
      const rude = new RudePeer({})
      const link = yield* connectPeers(rude, new SimulatedPeer())
      rude.events?.onEnd()
      rude.events?.onBytes(new Uint8Array(1))
      assert.strictEqual((yield* outcome(link)).end, "reset")
      assert.deepStrictEqual(link.target.violations, [])
    }).pipe(settled, Effect.provide(world())))
})

it.effect("a relay without a Stepper runs by itself", () =>
  Effect.gen(function*() {
    const [client, target] = [new SimulatedPeer(), new SimulatedPeer()]
    const fiber = yield* Effect.forkChild(Relay.use((relay) => relay.run(client, target)), { startImmediately: true })
    for (const one of [client, target]) {
      send(one, 1000)
      one.host.end()
    }
    for (let at = 0; at < 100; at++) {
      client.advance()
      target.advance()
      yield* Effect.yieldNow
    }
    assert.strictEqual((yield* Fiber.join(fiber)).end, "completed")
    checkBytes(client, target, true)
    checkBytes(target, client, true)
    assert.strictEqual((yield* BufferPool.snapshot).used, 0)
  }).pipe(
    Effect.provide(Relay.layer()),
    Effect.provide(Headgate.layer({ limit: 2, bufferSize: 64, debug: true }))
  ))

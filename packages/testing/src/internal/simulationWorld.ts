/**
 * One simulated life of a relay: pool, schedulers and relay as an application has them, on a scheduler and a clock that
 * only this file moves, and peers that only this file moves.
 *
 * Invariant: after each step (an event, a task, a movement, a move of the clock) the observer looks, and the first law
 * that is broken ends the run. Nothing depends on anything but the script.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { BufferPool, type PoolSnapshot } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as Headgate from "headgate/Headgate"
import { Relay, type RelayOutcome, type RelaySnapshot } from "headgate/Relay"
import { TaskScheduler } from "headgate/TaskScheduler"
import type { End, EndScript, Event, LinkScript, Options, Report, Script, Side, Violation } from "../RelaySimulation.ts"
import {
  connect,
  type ConnectRefused,
  make,
  pattern,
  sampleUnsent,
  type SimulatedPeer,
  type Told
} from "../SimulatedPeer.ts"
import { Observer, sweepMs } from "./simulationLaws.ts"
import { Link, move, movements, type SelfMoving, unseen, wordsOf } from "./simulationLink.ts"
import { randomOf } from "./simulationSeeds.ts"
import { PickedScheduler, StandingClock } from "./simulationTime.ts"
import { streamOf } from "./simulationWatch.ts"

/** What does not come to rest after so many steps never does. */
const mostSteps = 200_000

export class World {
  private readonly script: Script
  private readonly scheduler: PickedScheduler
  private readonly clock = new StandingClock()
  private readonly poolScope = Scope.makeUnsafe()
  private readonly relayScope = Scope.makeUnsafe()
  private readonly context: Context.Context<Headgate.Services>
  private readonly pool: BufferPool["Service"]
  private readonly relay: Relay["Service"]
  private readonly pictures: Effect.Effect<[PoolSnapshot, RelaySnapshot]>
  private readonly observer: Observer
  private readonly links = new Map<number, Link>()
  /** Those that are not over, or not yet at rest. */
  private living: ReadonlyArray<Link> = []
  private readonly random: ((below: number) => number) | undefined
  private readonly log: Array<string> = []
  private readonly violations: Array<Violation> = []
  private readonly held: Array<ByteBuffer> = []
  private readonly ends: { [E in End]: number } = {
    completed: 0,
    reset: 0,
    idle: 0,
    queueTimeout: 0,
    stalled: 0,
    shutdown: 0,
    interrupted: 0,
    refused: 0
  }
  private steps = 0
  private failing = 0
  private isShutDown = false

  constructor(script: Script, options: Options) {
    this.script = script
    this.scheduler = new PickedScheduler(script.yieldEvery ?? 2048)
    this.random = script.shuffle === undefined ? undefined : randomOf(script.shuffle)
    this.observer = new Observer(script, (law, fact, numbers) => {
      this.violations.push({ law, step: this.steps, atMs: this.clock.now, fact, numbers })
    })
    const { ageAfterMs, ...pool } = script.pool
    const headgate = Headgate.layer({
      ...pool,
      name: "simulated",
      ageAfter: ageAfterMs ?? "Infinity",
      debug: true,
      allocate: (size) => this.allocate(size)
    })
    this.context = this.now(Layer.buildWithScope(headgate, this.poolScope))
    this.pool = this.now(Effect.provide(BufferPool, this.context))
    const { idleTimeoutMs, queueTimeoutMs, samples, stallGraceMs, stallTimeoutMs, turnBytes } = script.relay
    const relay = (options.relay ?? Relay.make)({
      turnBytes,
      idleTimeout: idleTimeoutMs,
      queueTimeout: queueTimeoutMs,
      stallGrace: stallGraceMs,
      stallTimeout: stallTimeoutMs,
      sampleUnsent: samples ? sampleUnsent : undefined
    })
    this.relay = this.now(Effect.provide(Scope.provide(relay, this.relayScope), this.context))
    this.pictures = Effect.zip(this.pool.snapshot, this.relay.snapshot)
  }

  /** From the first event to the last connection's end. */
  live(): Report {
    for (const event of this.script.events) {
      if (!this.step(() => this.happen(event))) return this.report()
    }
    this.aftermath()
    return this.report()
  }

  private report(): Report {
    const { longestWaitMs, nearestToBound, waits, waitsBounded } = this.observer
    const { requestBytes, responseBytes } = Effect.runSync(this.relay.snapshot)
    return {
      script: this.script,
      log: this.log,
      violations: this.violations,
      ends: this.ends,
      steps: this.steps,
      virtualMs: this.clock.now,
      bytes: requestBytes + responseBytes,
      handOffs: Effect.runSync(this.pool.snapshot).counters.handOffs,
      waits,
      waitsBounded,
      longestWaitMs,
      nearestToBound
    }
  }

  // ---- steps ------------------------------------------------------------------------------------------------------------

  /** One step, and the look after it; false once a law is broken. */
  private step(body: () => void): boolean {
    if (this.isOver) return false
    try {
      body()
    } catch (error) {
      this.breaks("throws", `nothing throws: ${error}`)
    }
    this.look()
    return !this.isOver
  }

  private get isOver(): boolean {
    return this.violations.length > 0
  }

  private look(): void {
    this.steps++
    const [pool, relay] = Effect.runSync(this.pictures)
    const { limit } = this.script.pool
    this.observer.look({
      atMs: this.clock.now,
      pool,
      relay,
      isOrdinary: this.held.length === 0 && !this.isShutDown && pool.limit === limit && pool.capacity === limit
    })
  }

  private breaks(law: Violation["law"], fact: string, numbers: Violation["numbers"] = {}): void {
    this.violations.push({ law, step: this.steps, atMs: this.clock.now, fact, numbers })
  }

  private happen(event: Event): void {
    switch (event.does) {
      case "open":
        return this.open(event.link)
      case "run": {
        for (let at = 0; at < event.tasks && this.task(); at++) { /* task does it */ }
        return
      }
      case "pass":
        return this.pass(event.ms)
      case "interrupt":
        return this.links.get(event.link)?.fiber.interruptUnsafe()
      case "shutdown":
        return this.shutDown()
      case "resize":
        return void this.fork(Effect.ignore(this.pool.resize(event.limit)))
      case "trim":
        return void this.fork(this.pool.trim)
      case "failCreations": {
        this.failing += event.count
        return
      }
      case "hold": {
        for (let at = 0; at < event.count; at++) {
          const buffer = this.pool.tryTakeUnsafe(event.criticality)
          if (buffer !== undefined) this.held.push(buffer)
        }
        return
      }
      case "giveBack":
        return this.held.splice(0, event.count).forEach(this.pool.giveBackUnsafe)
      default:
        return this.atEnd(event)
    }
  }

  private atEnd(event: Extract<Event, { readonly side: Side }>): void {
    const peer = this.links.get(event.link)?.[event.side]
    if (peer === undefined) return
    const { host } = peer
    switch (event.does) {
      case "write": {
        if (host.hasEnded || host.isGone) return
        return host.write(pattern(streamOf(event.link, event.side), host.sentBytes, event.bytes))
      }
      case "end":
        return host.isGone ? undefined : host.end()
      case "reset":
        return host.isGone ? undefined : host.reset()
      case "speed": {
        host.readsPerSecond = event.readsPerSecond
        return
      }
      case "move":
        return void move(peer, event.what, event.bytes)
    }
  }

  // ---- connections ------------------------------------------------------------------------------------------------------

  private open(index: number): void {
    const script = this.script.links[index]
    if (script === undefined || this.links.has(index)) return
    const client = make({ ...this.endOptions(script.client, index, "client"), label: `link ${index}` })
    const link = new Link(index, client, (link) => this.fork(this.life(link, script)))
    this.links.set(index, link)
    this.living = [...this.living, link]
    link.fiber.addObserver((exit) => this.left(link, exit))
  }

  private life(link: Link, script: LinkScript): Effect.Effect<RelayOutcome, ConnectRefused> {
    const options = this.endOptions(script.target, link.index, "target")
    return Effect.gen({ self: this }, function*() {
      const target = yield* connect({ ...options, takes: script.connectMs, refused: script.refused })
      this.connected(link, target)
      const outcome = yield* this.relay.run(link.client, target)
      this.observer.ended(link.index, outcome, this.clock.now)
      return outcome
    })
  }

  private connected(link: Link, target: SimulatedPeer): void {
    link.target = target
    link.peers = [link.client, target]
    this.observer.connected(link.index, link.client, target, this.clock.now)
  }

  /** What an application does when a connection is over, whatever came of it: its sockets are closed. */
  private left(link: Link, exit: Exit.Exit<RelayOutcome, ConnectRefused>): void {
    const aborted = link.peers.filter(({ isAborted }) => isAborted).length
    link.end = this.endOf(exit)
    this.ends[link.end]++
    this.log.push(`${this.clock.now} link ${link.index} is over: ${link.end}`)
    if (link.end === "interrupted" && link.wasRelayed && aborted !== (link.isOrderly ? 0 : 2)) {
      this.breaks("honest", "who is interrupted resets both sides, unless both had ended in order", { aborted })
    }
    this.observer.left(link.index)
    for (const peer of link.peers) peer.close()
  }

  private endOf(exit: Exit.Exit<RelayOutcome, ConnectRefused>): End {
    if (Exit.isSuccess(exit)) return exit.value.end
    if (Cause.hasInterruptsOnly(exit.cause)) return "interrupted"
    if (Cause.hasDies(exit.cause)) this.breaks("throws", `nothing dies: ${Cause.squash(exit.cause)}`)
    return "refused"
  }

  private endOptions(options: EndScript, link: number, side: Side) {
    const trace = (what: Told) => void this.log.push(`${this.clock.now} ${side} ${link} ${wordsOf(what)}`)
    return { ...options, label: `${side} of link ${link}`, trace }
  }

  private shutDown(): void {
    this.isShutDown = true
    this.fork(Scope.close(this.relayScope, Exit.void))
  }

  // ---- time -------------------------------------------------------------------------------------------------------------

  private pass(ms: number): void {
    const end = this.clock.now + ms
    this.settle()
    while (this.clock.now < end && !this.isOver) {
      const next = Math.min(end, this.clock.now + sweepMs, this.clock.nextAt)
      const elapsed = next - this.clock.now
      this.step(() => {
        for (const { peers } of this.living) for (const peer of peers) peer.elapse(elapsed)
        this.clock.advanceTo(next)
      })
      this.settle()
    }
  }

  /** All that can happen without time, in an order that the script decides. */
  private settle(): void {
    const until = this.steps + mostSteps
    for (let isMoving = true; isMoving && !this.isOver;) {
      isMoving = false
      while (this.scheduler.hasTasks && this.step(() => this.task())) isMoving = true
      this.inSomeOrder(
        this.living,
        ({ peers }) =>
          this.inSomeOrder(peers, (peer) =>
            this.inSomeOrder(movements, (movement) => {
              if (!this.isOver && this.moves(peer, movement)) isMoving = true
            }))
      )
      if (this.steps > until) this.breaks("settled", "everything comes to rest without time", { steps: mostSteps })
    }
    if (this.isOver) return
    this.look()
    this.observer.rest()
    this.living = this.living.filter((link) => !link.isStill)
  }

  /** In what is unseen the relay has no part: that is looked at when all is at rest. */
  private moves(peer: SimulatedPeer, movement: SelfMoving): boolean {
    try {
      if (!move(peer, movement, undefined)) return false
    } catch (error) {
      this.breaks("throws", `nothing throws: ${error}`)
    }
    if (!unseen.has(movement)) this.look()
    return true
  }

  private task(): boolean {
    return this.scheduler.step(this.random?.(1024) ?? 0)
  }

  /** From a place on, to either side: not every order, but each two in both. */
  private inSomeOrder<A>(items: ReadonlyArray<A>, visit: (item: A) => void): void {
    const { length } = items
    const from = this.random?.(length) ?? 0
    const stride = this.random?.(2) === 1 ? length - 1 : 1
    for (let count = 0, at = from; count < length; count++, at = (at + stride) % length) {
      const item = items[at]
      if (item !== undefined) visit(item)
    }
  }

  // ---- the end ----------------------------------------------------------------------------------------------------------

  private aftermath(): void {
    this.step(() => {
      this.failing = 0
      this.held.splice(0).forEach(this.pool.giveBackUnsafe)
      for (const { host } of this.living.flatMap(({ peers }) => peers)) {
        if (host.readsPerSecond === 0) continue
        host.readsPerSecond = Infinity
        if (!host.isGone) host.end()
      }
    })
    const { idleTimeoutMs, queueTimeoutMs, stallTimeoutMs } = this.script.relay
    const longestMs = 2 * (idleTimeoutMs + queueTimeoutMs + stallTimeoutMs)
    for (let quietMs = 0, moved = 0; quietMs < longestMs && !this.isOver && !this.isQuiet; quietMs += 1000) {
      this.pass(1000)
      const { movedBytes } = this
      if (movedBytes !== moved) quietMs = 0
      moved = movedBytes
    }
    if (this.isOver) return
    const open = [...this.links.values()].filter(({ end }) => end === undefined).length
    if (open > 0) return this.breaks("settled", "every connection ends", { open, afterMs: longestMs })
    this.step(() => this.shutDown())
    this.pass(0)
    if (!this.isOver) this.nothingLeft()
  }

  private get isQuiet(): boolean {
    return [...this.links.values()].every(({ end }) => end !== undefined)
  }

  private get movedBytes(): number {
    return [...this.links.values()].flatMap(({ peers }) => peers).reduce(
      (sum, { toldBytes, transmittedBytes }) => sum + toldBytes + transmittedBytes,
      0
    )
  }

  private nothingLeft(): void {
    const { holders, used, waiting } = Effect.runSync(this.pool.snapshot)
    const relay = Effect.runSync(this.relay.snapshot)
    const tasks = this.now(Effect.provide(TaskScheduler.use((tasks) => tasks.snapshot), this.context))
    const ended = Object.values(relay.ended).reduce((sum, count) => sum + count, 0)
    const relayed = [...this.links.values()].filter(({ wasRelayed }) => wasRelayed).length
    this.nothing("buffers, waiters and entities", {
      used,
      holders: holders.length,
      waiting: waiting.length,
      entities: tasks.entities
    })
    this.nothing("connections and bytes", {
      connections: relay.connections,
      waitingDirections: relay.waitingDirections,
      overdraftBytes: relay.overdraftBytes,
      uncounted: relayed - ended
    })
    this.now(Scope.close(this.poolScope, Exit.void))
    this.nothing("timers and tasks", { timers: this.clock.pending, tasks: Number(this.scheduler.hasTasks) })
    for (const link of this.links.values()) this.whole(link)
  }

  /** A connection that was completed has all its bytes at a host that reads. */
  private whole({ client, end, target }: Link): void {
    if (end !== "completed" || target === undefined) return
    for (const [from, to] of [[client, target], [target, client]] as const) {
      to.elapse(60_000)
      while (to.transmit() || to.host.read() > 0) { /* the rest */ }
      if (to.host.hasReset || (to.host.sawEnd && to.host.receivedBytes === from.host.sentBytes)) continue
      this.breaks("bytes", "what was completed has arrived", {
        sent: from.host.sentBytes,
        received: to.host.receivedBytes
      })
    }
  }

  private nothing(what: string, numbers: Violation["numbers"]): void {
    if (Object.values(numbers).some((number) => number !== 0)) {
      this.breaks("settled", `no ${what} are left`, numbers)
    }
  }

  // ---- running effects --------------------------------------------------------------------------------------------------

  private fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runFork(
      effect.pipe(
        Effect.provideService(Clock.Clock, this.clock),
        Effect.provideService(References.MinimumLogLevel, "None")
      ),
      { scheduler: this.scheduler }
    )
  }

  /** Runs what needs no time to its end. */
  private now<A, E>(effect: Effect.Effect<A, E>): A {
    const fiber = this.fork(effect)
    while (fiber.pollUnsafe() === undefined && this.scheduler.step()) { /* its tasks, and others' */ }
    const exit = fiber.pollUnsafe()
    if (exit === undefined) throw new Error("a set-up that needs no time was not over")
    if (Exit.isSuccess(exit)) return exit.value
    throw Cause.squash(exit.cause)
  }

  private allocate(size: number): Uint8Array<ArrayBuffer> {
    if (this.failing === 0) return new Uint8Array(size)
    this.failing--
    throw new Error("no memory")
  }
}

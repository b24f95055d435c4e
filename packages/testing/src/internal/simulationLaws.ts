/**
 * What an observer of a simulated relay sees after each step, and what must hold then.
 *
 * It looks only where anybody could: at the pictures of pool and relay, and at the peers. So it can be wrong about nothing
 * but the rules, which are written here once more, from the design alone.
 */
import type { PoolSnapshot } from "headgate/BufferPool"
import type { RelayOutcome, RelaySnapshot } from "headgate/Relay"
import * as Laws from "../Laws.ts"
import type { RelayLaw, Script } from "../RelaySimulation.ts"
import type { SimulatedPeer } from "../SimulatedPeer.ts"
import { pictured } from "./simulationPicture.ts"
import { type Flow, Watched } from "./simulationWatch.ts"

/** The relay looks at every connection so often. */
export const sweepMs = 250
const sampleMs = 1000
/** What leaves the kernel is noticed of those that have been quiet for this part of `idleTimeout`, at the next sample. */
const quietPart = 1 / 8
const progressBytes = 64 * 1024
const overdraftLimitBytes = 128 * 1024

type Numbers = { readonly [name: string]: number }
type Break = (law: RelayLaw | Laws.LawName, fact: string, numbers: Numbers) => void

/** What is seen at one moment. */
export interface Sight {
  readonly atMs: number
  readonly pool: PoolSnapshot
  readonly relay: RelaySnapshot
  /** Nothing takes part but the relay, at its ordinary limit: then the stall policy promises a longest wait. */
  readonly isOrdinary: boolean
}

export class Observer {
  waits = 0
  waitsBounded = 0
  longestWaitMs = 0
  nearestToBound = 0
  readonly watched = new Map<number, Watched>()
  private readonly script: Script
  private readonly breaks: Break
  private readonly slowestHoldMs: number
  private before: Sight | undefined = undefined

  constructor(script: Script, breaks: Break) {
    this.script = script
    this.breaks = breaks
    const kernels = script.links.flatMap(({ client, target }) => [client.sendBuffer ?? 0, target.sendBuffer ?? 0])
    const held = Math.max(...kernels) / 3 + script.pool.bufferSize
    this.slowestHoldMs = script.relay.stallTimeoutMs * Math.ceil(held / progressBytes)
  }

  connected(link: number, client: SimulatedPeer, target: SimulatedPeer, atMs: number): void {
    this.watched.set(link, new Watched(link, client, target, atMs))
  }

  /** After every step. */
  look(now: Sight): void {
    const { before } = this
    const sinceMs = now.atMs - (before?.atMs ?? 0)
    this.pool(before?.pool, now.pool)
    this.queue(now)
    for (const watched of this.watched.values()) this.connection(watched, now, sinceMs)
    this.memory(now)
    this.stuck(now)
    if (before !== undefined) this.evicted(before, now)
    this.before = now
  }

  /** When nothing moves any more without time. */
  rest(): void {
    for (const watched of this.watched.values()) {
      if (watched.isAborted) continue
      for (const flow of watched.flows) this.resting(flow)
    }
  }

  /** The outcome of a connection is known; it ended at this moment. */
  ended(link: number, outcome: RelayOutcome, atMs: number): void {
    const watched = this.watched.get(link)
    if (watched === undefined) return
    this.honest(watched, outcome)
    if (outcome.end === "stalled") this.justlyEvicted(watched, atMs)
    if (outcome.end === "idle") this.justlyIdle(watched, atMs)
    if (outcome.end === "queueTimeout") this.justlyTimedOut(watched, atMs)
    this.left(link)
  }

  /** It is over; what its hosts have received is judged once more. */
  left(link: number): void {
    const watched = this.watched.get(link)
    if (watched === undefined) return
    for (const flow of watched.flows) this.bytes(flow)
    this.watched.delete(link)
  }

  private unless(holds: boolean, law: RelayLaw, fact: string, numbers: Numbers): void {
    if (!holds) this.breaks(law, fact, numbers)
  }

  // ---- the pool ---------------------------------------------------------------------------------------------------------

  private pool(before: PoolSnapshot | undefined, after: PoolSnapshot): void {
    if (before !== undefined && isSame(before, after)) return
    const state = pictured(after)
    const nothing: Laws.Step = { does: "flush", max: 0 }
    for (const { fact, law, numbers } of Laws.check(state, nothing, state)) this.breaks(law, fact, numbers)
    if (before === undefined) return
    const was = before.waiting.filter(({ state }) => state === "queued").map(({ target }) => target)
    const is = after.waiting.filter(({ state }) => state === "queued").map(({ target }) => target)
    const stayed = was.filter((target) => is.includes(target))
    const old = is.filter((target) => was.includes(target))
    if (stayed.some((target, place) => old[place] !== target)) {
      this.breaks("L5", "those who stay in the queue keep their order", { queued: is.length, stayed: stayed.length })
    }
  }

  // ---- waits ------------------------------------------------------------------------------------------------------------

  private queue({ atMs, isOrdinary, pool, relay }: Sight): void {
    const listed = new Map(pool.waiting.map((one) => [`${one.target} ${one.criticality}`, one]))
    this.unless(
      relay.waitingDirections === listed.size,
      "accounts",
      "who waits, by the relay, is in the pool's queue",
      {
        waiting: relay.waitingDirections,
        listed: listed.size
      }
    )
    for (const watched of this.watched.values()) {
      for (const flow of watched.flows) {
        const one = listed.get(`${watched.label} ${flow.criticality}`)
        if (one !== undefined && !flow.isListed) {
          watched.waits++
          flow.listedFrom = atMs
        }
        flow.isListed = one !== undefined
        if (flow.isListed) flow.listedUntil = atMs
        if (one?.state === "queued") this.waiting(flow, atMs - one.forMs, atMs, pool, isOrdinary)
        else flow.wait = undefined
      }
    }
  }

  /**
   * The wait that the stall policy promises, for those who wait for a relay alone with its pool. It grows with what others
   * are lent meanwhile, whether handed on to them or, beside a waiter that is not entitled, simply taken.
   */
  private waiting(flow: Flow, since: number, atMs: number, pool: PoolSnapshot, isOrdinary: boolean): void {
    const { takes } = pool.counters
    if (flow.wait?.since !== since) {
      flow.wait = { since, takes, isBounded: isOrdinary }
      this.waits++
      if (isOrdinary) this.waitsBounded++
    }
    flow.wait.isBounded &&= isOrdinary
    const waitedMs = atMs - since
    this.longestWaitMs = Math.max(this.longestWaitMs, waitedMs)
    const { queueTimeoutMs, stallGraceMs } = this.script.relay
    this.unless(waitedMs <= queueTimeoutMs + sweepMs, "timeouts", "nobody waits longer than queueTimeout", { waitedMs })
    const lent = takes - flow.wait.takes
    const margin = Math.floor((flow.criticality === "rx" ? 3 : 1) * pool.reserve / 3)
    const rounds = Math.floor(lent / (pool.limit - margin)) + 1
    const promisedMs = stallGraceMs + sweepMs + rounds * (this.slowestHoldMs + stallGraceMs + 2 * sweepMs)
    if (!flow.wait.isBounded) return
    this.nearestToBound = Math.max(this.nearestToBound, waitedMs / promisedMs)
    this.unless(waitedMs <= promisedMs, "waits", `a wait at ${flow.criticality} ends as the stall policy promises`, {
      waitedMs,
      promisedMs,
      lent
    })
  }

  // ---- one connection ---------------------------------------------------------------------------------------------------

  private connection(watched: Watched, { atMs }: Sight, sinceMs: number): void {
    watched.note(atMs, sinceMs)
    for (const peer of [watched.client, watched.target]) {
      const [fault] = peer.violations
      if (fault !== undefined) this.breaks("port", `${peer.label} is never asked: ${fault}`, {})
    }
    for (const flow of watched.flows) {
      this.bytes(flow)
      if (watched.isAborted) continue
      flow.note(atMs)
      this.placed(flow)
    }
    const { idleTimeoutMs } = this.script.relay
    const quietMs = idleTimeoutMs * quietPart
    const noticedMs = quietMs + Math.min(sampleMs, quietMs) + sweepMs
    const latestMs = idleTimeoutMs + noticedMs + 2 * sweepMs
    if (watched.isAborted || this.isOver(watched)) return
    this.unless(watched.idleMs <= latestMs, "timeouts", "who is idle for idleTimeout is reset", {
      idleMs: watched.idleMs
    })
  }

  /** Both ends have been passed on: the relay has nothing more to do with it. */
  private isOver({ client, target }: Watched): boolean {
    return client.isEnded && target.isEnded
  }

  private bytes(flow: Flow): void {
    const { host } = flow.sink
    const wrong = flow.wrongByte()
    this.unless(wrong === undefined, "bytes", `the ${flow.side}'s bytes arrive once and in order`, {
      wrong: wrong ?? 0
    })
    if (!host.sawEnd) return
    const { hasEnded, sentBytes } = flow.source.host
    this.unless(hasEnded, "honest", `an end of the ${flow.side} that is seen was made`, {})
    this.unless(
      flow.sink.transmittedBytes === sentBytes,
      "honest",
      `an end of the ${flow.side} comes behind every byte`,
      {
        sent: sentBytes,
        before: flow.sink.transmittedBytes
      }
    )
  }

  private placed(flow: Flow): void {
    const { bufferSize } = this.script.pool
    const inside = flow.insideBytes
    const numbers = { inside, bufferSize }
    this.unless(inside >= 0, "memory", "what is passed on was told before", numbers)
    this.unless(inside <= bufferSize + overdraftLimitBytes, "memory", "a direction holds a buffer and 128 KiB", numbers)
    const { isReading } = flow.source
    this.unless(!isReading || inside <= bufferSize, "memory", `with an overdraft the ${flow.side} is not read`, numbers)
    this.unless(!isReading || !flow.isListed, "memory", `while it waits the ${flow.side} is not read`, {})
  }

  private memory({ pool, relay }: Sight): void {
    let inside = 0
    let overdrawn = 0
    let directions = 0
    for (const { flows, isAborted } of this.watched.values()) {
      if (isAborted) continue
      for (const { insideBytes } of flows) {
        inside += insideBytes
        overdrawn += Math.max(0, insideBytes - this.script.pool.bufferSize)
        directions++
      }
    }
    const { overdraftBytes } = relay
    const numbers = { inside, used: pool.used, overdraftBytes, overdrawn }
    this.unless(
      inside <= pool.used * pool.bufferSize + overdraftBytes,
      "memory",
      "what the relay holds is in buffers or in the overdraft",
      numbers
    )
    this.unless(
      overdrawn <= overdraftBytes && overdraftBytes <= inside && overdraftBytes <= directions * overdraftLimitBytes,
      "accounts",
      "the overdraft is what it holds beyond its buffers",
      numbers
    )
  }

  private resting({ insideBytes, isListed, side, sink, source }: Flow): void {
    const reads = source.isReading || source.hasToldEnd || source.host.hasReset
    const isServed = isListed || (insideBytes > 0 ? sink.hasWriteInFlight : reads)
    const ends = !source.hasToldEnd || insideBytes > 0 || sink.isEnding
    this.unless(isServed && ends, "rest", `the ${side} reads, waits, writes or has ended`, {
      inside: insideBytes,
      reading: Number(source.isReading),
      writing: Number(sink.hasWriteInFlight),
      ended: Number(source.hasToldEnd)
    })
  }

  // ---- ends -------------------------------------------------------------------------------------------------------------

  private honest({ client, flows, target }: Watched, { end, requestBytes, responseBytes }: RelayOutcome): void {
    const aborted = Number(client.isAborted) + Number(target.isAborted)
    this.unless(aborted === (end === "completed" ? 0 : 2), "honest", `${end} is told to both sides alike`, { aborted })
    this.unless(
      requestBytes === target.acceptedBytes && responseBytes === client.acceptedBytes,
      "accounts",
      "bytes count as relayed when the other side has taken them",
      { requestBytes, responseBytes, toTarget: target.acceptedBytes, toClient: client.acceptedBytes }
    )
    if (end !== "completed") return
    for (const { insideBytes, side, sink, source } of flows) {
      const isWhole = source.hasToldEnd && sink.isEnded && insideBytes === 0
      this.unless(isWhole, "honest", `the ${side} was completed with all its bytes and its end`, {
        inside: insideBytes
      })
    }
  }

  private evicted(before: Sight, now: Sight): void {
    const evicted = now.relay.ended.stalled - before.relay.ended.stalled
    if (evicted === 0) return
    const queued = before.pool.waiting.filter(({ state }) => state === "queued")
    const oldestMs = Math.max(0, ...queued.map(({ forMs }) => forMs))
    const numbers = { evicted, queued: queued.length, oldestMs }
    const { stallGraceMs } = this.script.relay
    this.unless(
      oldestMs >= stallGraceMs,
      "evictions",
      "somebody has waited stallGrace when others are evicted",
      numbers
    )
    this.unless(evicted <= queued.length, "evictions", "as many are evicted as wait, at most", numbers)
  }

  /**
   * A write of which not a byte moves is evicted while others wait: one goes with each sweep, and there may be as many before
   * it as there are directions.
   */
  private stuck({ atMs, pool }: Sight): void {
    const turnsMs = 2 * this.watched.size * sweepMs
    const { stallGraceMs, stallTimeoutMs } = this.script.relay
    const longestMs = Math.max(0, ...pool.waiting.map(({ forMs, state }) => state === "queued" ? forMs : 0))
    if (longestMs < stallGraceMs + turnsMs + sweepMs) return
    for (const { flows, isAborted } of this.watched.values()) {
      const stuckMs = isAborted ? 0 : Math.max(...flows.map((flow) => flow.stuckMs(atMs)))
      this.unless(
        stuckMs < stallTimeoutMs + sampleMs + 2 * sweepMs + turnsMs,
        "evictions",
        "who is stuck goes while others wait",
        { stuckMs, longestMs }
      )
    }
  }

  /**
   * No 64 KiB in `stallTimeout`: of what the kernel took, to the byte; of what left it, since the first sample that could
   * show it.
   */
  private justlyEvicted({ flows }: Watched, atMs: number): void {
    const { samples, stallGraceMs, stallTimeoutMs } = this.script.relay
    const blindMs = stallGraceMs + sampleMs + 2 * sweepMs
    const progress = flows.filter(({ isWriting }) => isWriting).map((flow) =>
      Math.max(
        flow.between(atMs - stallTimeoutMs, atMs).accepted,
        samples ? flow.between(Math.min(atMs, atMs - stallTimeoutMs + blindMs), atMs).delivered : 0
      )
    )
    const least = Math.min(...progress)
    this.unless(least < progressBytes, "evictions", "who is evicted made no progress with a write", {
      progress: least,
      writes: progress.length
    })
  }

  /** Bytes that left the kernel are activity, if a look before and a look after could show it. */
  private justlyIdle({ flows, movedAt, waitedMs, waits }: Watched, atMs: number): void {
    const { idleTimeoutMs, samples } = this.script.relay
    const quietMs = atMs - movedAt - waitedMs + waits * sweepMs
    this.unless(quietMs >= idleTimeoutMs, "timeouts", "who is reset as idle was so for idleTimeout, waits aside", {
      quietMs,
      idleTimeoutMs
    })
    const looksMs = sampleMs + 2 * sweepMs
    const fromMs = atMs - idleTimeoutMs * (1 - quietPart) + looksMs
    const toMs = atMs - looksMs
    if (!samples || toMs <= fromMs) return
    const [request = 0, response = 0] = flows.map((flow) => flow.between(fromMs, toMs).delivered)
    this.unless(request + response === 0, "timeouts", "who is reset as idle takes nothing from the kernel", {
      request,
      response
    })
  }

  private justlyTimedOut({ flows }: Watched, atMs: number): void {
    const waitedMs = Math.max(
      ...flows.map(({ listedFrom, listedUntil }) => listedUntil === atMs ? atMs - listedFrom : 0)
    )
    this.unless(
      waitedMs >= this.script.relay.queueTimeoutMs,
      "timeouts",
      "who is reset for queueTimeout waited so long",
      {
        waitedMs
      }
    )
  }
}

const isSame = (before: PoolSnapshot, after: PoolSnapshot): boolean =>
  before.used === after.used && before.allocated === after.allocated && before.capacity === after.capacity &&
  before.limit === after.limit && before.favoured === after.favoured && before.closed === after.closed &&
  before.waiting.length === after.waiting.length && before.counters.takes === after.counters.takes &&
  before.counters.handOffs === after.counters.handOffs && before.counters.passedOn === after.counters.passedOn

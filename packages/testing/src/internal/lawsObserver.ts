/**
 * The doors of a pool, watched: see `PoolObserver`.
 *
 * Invariant: `before` is the picture at the last look, `step` what has happened since: one call of a door, one answer to a
 * wake, or something `unseen`. Every look judges that step and begins an unseen one. An answer inside the call of a door
 * ends with it. One in a flush has no end that is seen from here, and fibers may run behind it: if they did, what changed
 * was not one step, and is judged as a picture alone.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import { type Criticality, margin } from "headgate/Criticality"
import type * as WaitQueue from "headgate/WaitQueue"
import { ThrownOnPurpose } from "../Faults.ts"
import * as Laws from "../Laws.ts"
import type { Finding } from "../PoolObserver.ts"
import { Ledger, ObservedWaiter } from "./lawsLedger.ts"

export const Owner: Context.Reference<string | undefined> = Context.Reference<string | undefined>(
  "@headgate/testing/PoolObserver/Owner",
  { defaultValue: () => undefined }
)

type Numbers = { readonly [name: string]: number }

/** Who asks: a waiter, or a fiber. */
interface Asking {
  readonly criticality: Criticality
  readonly holder: unknown
  readonly owner: string | undefined
}

export class Observer {
  readonly pool: BufferPool["Service"]
  findings: ReadonlyArray<Finding> = []
  exercised = Laws.neverExercised
  private readonly real: BufferPool["Service"]
  private readonly ledger = new Ledger()
  private before: Laws.PoolState
  private misuse: number
  /** The step under way, and what it is in words. */
  private step: Laws.Step = { does: "unseen" }
  private words = "the beginning"
  private isWaking = false
  /** How many calls of doors are under way. */
  private doors = 0

  constructor(real: BufferPool["Service"]) {
    this.real = real
    this.before = this.state()
    this.misuse = Effect.runSync(real.snapshot).counters.misuse
    this.pool = this.watched()
  }

  state(): Laws.PoolState {
    return this.ledger.picture(Effect.runSync(this.real.snapshot))
  }

  // ---- looking ----------------------------------------------------------------------------------------------------------

  look(after: string): void {
    this.words = after
    this.step = { does: "unseen" }
    this.see()
  }

  /** Judges the step under way; what comes until the next one begins is unseen. */
  private see(): void {
    const { step } = this
    const snapshot = Effect.runSync(this.real.snapshot)
    const after = this.ledger.picture(snapshot)
    const before = isOneStep(this.before, step, after, this.doors > 0) ? this.before : after
    const misused = snapshot.counters.misuse - this.misuse
    this.before = after
    this.misuse += misused
    this.step = { does: "unseen" }
    if (this.findings.length > 0) return
    this.exercised = Laws.exercise(this.exercised, before, step, after)
    for (const violation of Laws.check(before, step, after)) this.note(violation)
    if (misused > 0) this.find("L2", "a buffer is used only by whom it was lent to, and while it is", { misused })
  }

  private note(violation: Laws.Violation, waiter?: string): void {
    const { waiter: number } = violation.numbers
    const name = waiter ?? (number === undefined ? undefined : this.ledger.nameOf(number))
    this.findings = [...this.findings, { ...violation, step: this.words, waiter: name }]
  }

  private find(law: Laws.LawName, fact: string, numbers: Numbers, waiter?: string): void {
    this.note({ law, fact, numbers }, waiter)
  }

  /** As `find`, where nothing is wrong yet: these are no step's doing. */
  private findFirst(holds: boolean, law: Laws.LawName, fact: string, numbers: Numbers, waiter?: string): void {
    if (!holds && this.findings.length === 0) this.find(law, fact, numbers, waiter)
  }

  private begin(step: Laws.Step, words: string): void {
    this.see()
    this.step = step
    this.words = words
  }

  /** One call of a door. */
  private door<A>(step: Laws.Step, words: string, call: () => A): A {
    this.begin(step, words)
    this.doors++
    try {
      return call()
    } finally {
      this.see()
      this.doors--
    }
  }

  // ---- ends -------------------------------------------------------------------------------------------------------------

  rest(): void {
    this.look("everything came to rest")
    const { leases, queues, waiters } = this.before
    for (const { grant = -1, state, waiter } of waiters) {
      if (state === "granted") this.findFirst(false, "L4", this.lostWake(waiter), { waiter, lease: grant })
    }
    const queued = Object.values(queues).flat()
    const waiting = new Set(waiters.filter(({ state }) => state === "queued").map(({ holder }) => holder))
    const [first = -1] = queued
    this.findFirst(
      queued.length === 0 || leases.some(({ holder }) => !waiting.has(holder)),
      "L8",
      "somebody who holds a buffer does not wait for another",
      { waiter: first, queued: queued.length, lent: leases.length }
    )
  }

  /** What is not so when somebody still has a grant and nothing can run. */
  private lostWake(number: number): string {
    const own = this.ledger.waiters.find((waiter) => waiter.number === number)
    if (own === undefined) return "a fiber that is granted a buffer is woken and takes it"
    return own.accepted === own.grantNumber
      ? "who answers true to a grant comes to the door or leaves"
      : "who is granted a buffer is told so"
  }

  ended(owner: string): void {
    const own = this.ledger.waiters.filter((waiter) => waiter.owner === owner)
    for (const waiter of own) waiter.isDead = true
    this.look(`the end of ${owner}`)
    for (const { criticality } of this.ledger.held((loan) => loan.owner === owner)) {
      this.findFirst(false, "L3", `who has ended holds nothing, and it holds a buffer at ${criticality}`, {}, owner)
    }
    for (const waiter of own) {
      this.findFirst(
        waiter.state !== "granted",
        "L6",
        "who has ended has no grant",
        { waiter: waiter.number, handOff: waiter.grantNumber }
      )
    }
  }

  /** All that is left is named. */
  end(): void {
    this.look("the end of all")
    if (this.findings.length > 0) return
    const { queues, used } = this.before
    const held = this.ledger.held(() => true)
    for (const { criticality, owner } of held) {
      this.find("L3", `when all have ended nothing is lent, and a buffer is at ${criticality}`, { used }, owner)
    }
    if (used > held.length) this.find("L3", "when all have ended nothing is lent", { used })
    for (const waiter of Object.values(queues).flat()) {
      this.find("L3", "when all have ended nobody waits", { waiter, used })
    }
  }

  // ---- the doors --------------------------------------------------------------------------------------------------------

  private watched(): BufferPool["Service"] {
    const { real } = this
    const sync = <A, E>(step: Laws.Step, words: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
      Effect.suspend(() => this.door(step, words, () => Effect.runSyncExit(effect)))
    return {
      name: real.name,
      bufferSize: real.bufferSize,
      reserve: real.reserve,
      waitQueue: this.waitQueue(),
      withBuffer: (criticality, use) =>
        this.asking(criticality, (asking) =>
          real.withBuffer(criticality, (buffer) => {
            this.arrived(buffer, asking)
            return Effect.onExit(use(buffer), () => Effect.sync(() => this.look(`the use of ${nameOf(asking)}`)))
          })),
      withBufferSync: (criticality, use) =>
        this.asking(criticality, (asking) =>
          real.withBufferSync(criticality, (buffer) => {
            this.arrived(buffer, asking)
            return use(buffer)
          })),
      acquire: (criticality) =>
        this.asking(
          criticality,
          (asking) => Effect.tap(real.acquire(criticality), (buffer) => Effect.sync(() => this.arrived(buffer, asking)))
        ),
      tryAcquire: (criticality) =>
        Effect.withFiber((fiber) => {
          const asking = askingOf(fiber, criticality)
          return Effect.tap(real.tryAcquire(criticality), (buffer) => Effect.sync(() => this.arrived(buffer, asking)))
        }),
      snapshot: Effect.map(real.snapshot, (snapshot) => ({ ...snapshot, waiting: withTheirTargets(snapshot.waiting) })),
      resize: (limit) => sync({ does: "resize", limit }, `resize(${limit})`, real.resize(limit)),
      trim: sync({ does: "trim" }, "trim", real.trim),
      tryTakeUnsafe: (criticality) => this.tryTake(criticality),
      unavailableUnsafe: (criticality) => real.unavailableUnsafe(criticality),
      isClosedUnsafe: () => real.isClosedUnsafe(),
      giveBackUnsafe: (buffer) =>
        this.door(this.onLease("giveBack", buffer), "giveBack", () => real.giveBackUnsafe(buffer)),
      pinUnsafe: (buffer) => this.pin("pin", buffer, 1, () => real.pinUnsafe(buffer)),
      unpinUnsafe: (buffer) => this.pin("unpin", buffer, -1, () => real.unpinUnsafe(buffer))
    }
  }

  private onLease(does: "giveBack" | "pin" | "unpin", buffer: ByteBuffer): Laws.Step {
    return { does, lease: this.ledger.loan(buffer)?.lease ?? -1 }
  }

  private pin(does: "pin" | "unpin", buffer: ByteBuffer, change: number, call: () => void): void {
    const loan = this.ledger.loan(buffer)
    const count = (by: number) => {
      if (loan !== undefined) loan.pins += by
    }
    // Before the call: wakes inside it see what it has done.
    this.door(this.onLease(does, buffer), does, () => {
      count(change)
      try {
        call()
      } catch (error) {
        count(-change)
        throw error
      }
    })
  }

  private tryTake(criticality: Criticality): ByteBuffer | undefined {
    const asking = askingOf(Fiber.getCurrent(), criticality)
    return this.door({ does: "take", criticality, holder: -1 }, `a take at ${criticality}`, () => {
      const buffer = this.real.tryTakeUnsafe(criticality)
      if (buffer !== undefined) this.ledger.lend(buffer, asking)
      return buffer
    })
  }

  /** A fiber asks, and will wait if need be. */
  private asking<A, E, R>(
    criticality: Criticality,
    then: (asking: Asking) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    return Effect.withFiber((fiber) => {
      const asking = askingOf(fiber, criticality)
      this.look(`${nameOf(asking)} asks at ${criticality}`)
      const { reserve } = this.real
      const asked = margin(criticality, reserve)
      for (const loan of this.ledger.held(({ holder }) => holder === asking.holder)) {
        const held = margin(loan.criticality, reserve)
        this.findFirst(
          held > asked,
          "L8",
          `a fiber that holds a buffer at ${loan.criticality} asks only at a smaller margin, and it asks at ${criticality}`,
          { held, asked },
          nameOf(asking)
        )
      }
      return Effect.onExit(then(asking), () => Effect.sync(() => this.look(`${nameOf(asking)} was done`)))
    })
  }

  private arrived(buffer: ByteBuffer, asking: Asking): void {
    this.ledger.lend(buffer, asking)
    this.look(`${nameOf(asking)} got a buffer at ${asking.criticality}`)
  }

  // ---- waiting ----------------------------------------------------------------------------------------------------------

  private waitQueue(): WaitQueue.WaitQueue["Service"] {
    const { waitQueue } = this.real
    return {
      pool: waitQueue.pool,
      waiter: (options) => this.waiter(options),
      takeOrWaitUnsafe: (waiter) => this.takeOrWait(waiter),
      leaveUnsafe: (waiter) => {
        if (!(waiter instanceof ObservedWaiter)) return waitQueue.leaveUnsafe(waiter)
        this.door({ does: "leave", waiter: waiter.number }, `${waiter} leaves`, () => {
          waitQueue.leaveUnsafe(realOf(waiter))
          waiter.hasLeft = true
        })
      },
      favourUnsafe: (criticality) =>
        this.door({ does: "favour", criticality }, `favour(${criticality})`, () => waitQueue.favourUnsafe(criticality)),
      pressureUnsafe: () => waitQueue.pressureUnsafe(),
      waiting: Effect.map(waitQueue.waiting, withTheirTargets)
    }
  }

  private waiter(options: WaitQueue.WaiterOptions): ObservedWaiter {
    const waiter = this.ledger.waiter(options, Fiber.getCurrent()?.getRef(Owner))
    const wake = (news: WaitQueue.News) => this.wake(waiter, news, () => options.wake(news))
    waiter.real = this.real.waitQueue.waiter({ ...options, target: waiter, wake })
    return waiter
  }

  private takeOrWait(waiter: WaitQueue.Waiter): ByteBuffer | "queued" | "full" | "closed" {
    const { waitQueue } = this.real
    if (!(waiter instanceof ObservedWaiter)) return waitQueue.takeOrWaitUnsafe(waiter)
    return this.door({ does: "takeOrWait", waiter: waiter.number }, `${waiter} comes to the door`, () => {
      const grant = waiter.state === "granted" ? waiter.lease : undefined
      const door = waitQueue.takeOrWaitUnsafe(realOf(waiter))
      waiter.hasLeft = false
      const { criticality, owner, target } = waiter
      if (typeof door !== "string") this.ledger.lend(door, { criticality, holder: target, owner }, grant)
      return door
    })
  }

  private wake(waiter: ObservedWaiter, news: WaitQueue.News, call: () => boolean): boolean {
    this.see()
    const { grantNumber, number, state } = waiter
    const numbers = { waiter: number, handOff: grantNumber }
    this.findFirst(!this.isWaking, "L11", "no wake runs inside another", numbers)
    this.findFirst(!waiter.hasLeft, "L6", "who left is not woken", numbers)
    const isNews = news === "closed" || (state === "granted" && waiter.accepted !== grantNumber)
    this.findFirst(isNews, "L4", "a wake tells of a grant that its waiter has and was not told of", numbers)
    this.isWaking = true
    try {
      const accepted = call()
      if (accepted && news === "granted") waiter.accepted = grantNumber
      this.answered(waiter, accepted ? "accept" : "decline")
      return accepted
    } catch (error) {
      this.answered(waiter, "throw")
      this.findFirst(error instanceof ThrownOnPurpose, "L11", "a wake does not throw", numbers)
      throw error
    } finally {
      this.isWaking = false
    }
  }

  private answered(waiter: ObservedWaiter, answer: Laws.Answer): void {
    this.begin({ does: "answer", waiter: waiter.number, answer }, `the wake of ${waiter} answered: ${answer}`)
  }
}

/** Outside a door, an answer explains that its own grant goes, and that others are granted. The rest is fibers' doing. */
const isOneStep = (before: Laws.PoolState, step: Laws.Step, after: Laws.PoolState, isInDoor: boolean): boolean => {
  if (step.does !== "answer" || isInDoor) return step.does !== "unseen"
  const own = before.waiters.find(({ waiter }) => waiter === step.waiter)?.grant
  const stayed = new Set(after.leases.map(({ lease }) => lease))
  const known = new Set(before.leases.map(({ lease }) => lease))
  return before.leases.every(({ lease }) => lease === own || stayed.has(lease)) &&
    after.leases.every(({ lease, stage }) => stage === "granted" || known.has(lease))
}

const askingOf = (fiber: Fiber.Fiber<unknown, unknown> | undefined, criticality: Criticality): Asking =>
  fiber === undefined
    ? { criticality, holder: {}, owner: undefined }
    // As the pool calls it in its queue.
    : { criticality, holder: `fiber #${fiber.id}`, owner: fiber.getRef(Owner) }

const nameOf = ({ holder, owner }: Asking): string => owner === undefined ? String(holder) : `${owner} (${holder})`

/** A waiter whose real one the queue has made: it does so before anybody can use it. */
const realOf = (waiter: ObservedWaiter): WaitQueue.Waiter => waiter.real ?? waiter

const withTheirTargets = (waiting: ReadonlyArray<WaitQueue.Waiting>): ReadonlyArray<WaitQueue.Waiting> =>
  waiting.map((one) => one.target instanceof ObservedWaiter ? { ...one, target: one.target.target } : one)

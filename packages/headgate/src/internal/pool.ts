/**
 * The face of a pool: leases around the gate's areas, and effects around its decisions.
 *
 * Invariant: an area that left the gate is in exactly one live lease, and every lease has somebody bound to give it back, from
 * the step in which ownership began: the frame of its loan (see `loan.ts`), the scope of who acquired it, or the caller of a door.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { BufferPoolOptions, PoolSnapshot } from "../BufferPool.ts"
import type { ByteBuffer } from "../ByteBuffer.ts"
import type { Criticality } from "../Criticality.ts"
import { order } from "../Criticality.ts"
import {
  AllocationFailed,
  BufferMisuse,
  BufferUnavailable,
  type ConfigError,
  PoolClosed,
  WaitRefused
} from "../PoolError.ts"
import type { Waiter as PublicWaiter, WaiterOptions, WaitQueue } from "../WaitQueue.ts"
import { ageing } from "./ageing.ts"
import { Lease, type Lender } from "./buffer.ts"
import { addFinalizer } from "./finalizer.ts"
import { Area, Gate, type Waiter, wakesPerTurn } from "./gate.ts"
import { Identity } from "./identity.ts"
import { Leaks } from "./leaks.ts"
import { type Bank, lentUntil, type Refusal, WithBuffer, WithBufferSync } from "./loan.ts"
import { Nesting } from "./nesting.ts"
import { failOn, poolRules, problemsOf, problemsOfPool } from "./options.ts"
import { oldestWaitMs, pictureOf, shortageOf, waitingOf } from "./picture.ts"
import { makeMemory, type Settings, settingsOf } from "./poolSettings.ts"
import { currentRun } from "./run.ts"
import * as Turns from "./turns.ts"
import { touch } from "./version.ts"
import { labelOf, PoolWaiter } from "./waiters.ts"

export class PoolImpl extends Identity implements Lender, Bank {
  readonly gate: Gate
  readonly name: string
  readonly bufferSize: number
  readonly reserve: number
  readonly waitQueue: WaitQueue["Service"]
  private readonly settings: Settings
  readonly leaks: Leaks
  private readonly fork: (effect: Effect.Effect<unknown>) => unknown
  private readonly nesting: Nesting | undefined
  private unavailable = 0
  private refused = 0
  private misuses = 0

  constructor(settings: Settings, clock: Clock.Clock, turns: Turns.Turns, context: Context.Context<never>) {
    super()
    this.settings = settings
    this.name = settings.name
    this.bufferSize = settings.bufferSize
    this.reserve = settings.reserve
    this.fork = Effect.runForkWith(context)
    this.gate = new Gate({
      limit: settings.limit,
      reserve: settings.reserve,
      maxWaiting: settings.maxWaiting,
      create: () => makeMemory(settings),
      recycle: (area) => this.recycle(area),
      recycleAll: settings.debug || settings.wipe || settings.trackOrigins || settings.leakThresholdMs !== undefined,
      now: () => clock.currentTimeMillisUnsafe(),
      timeTakes: settings.leakThresholdMs !== undefined,
      checked: settings.debug,
      schedule: turns({
        perTurn: wakesPerTurn,
        run: (max) => this.gate.flush(max),
        pending: () => this.gate.pendingWakes > 0
      }),
      report: (error, waiter) =>
        this.fork(
          Effect.logError("a wake threw; its waiter declined the buffer", error).pipe(
            Effect.annotateLogs({ pool: settings.name, target: labelOf(waiter.target) })
          )
        )
    })
    this.leaks = new Leaks(this.gate, settings.name, this.fork)
    this.nesting = settings.debug ? new Nesting(this.gate.ordinaryMargins) : undefined
    this.waitQueue = {
      pool: settings.name,
      waiter: (options) => this.waiter(options),
      takeOrWaitUnsafe: (waiter) => this.takeOrWaitUnsafe(waiter),
      leaveUnsafe: (waiter) => this.gate.leave(this.own(waiter)),
      favourUnsafe: (criticality) => this.gate.favour(criticality === undefined ? undefined : this.level(criticality)),
      pressureUnsafe: () => ({ queued: this.gate.queued, oldestWaitMs: oldestWaitMs(this.gate) }),
      waiting: Effect.sync(() => waitingOf(this.gate))
    }
  }

  // ---- effects --------------------------------------------------------------------------------------------------------

  readonly withBuffer = <A, E, R>(
    criticality: Criticality,
    use: (buffer: ByteBuffer) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | Refusal, R> => new WithBuffer(this, criticality, use)

  readonly withBufferSync = <A>(
    criticality: Criticality,
    use: (buffer: ByteBuffer) => A
  ): Effect.Effect<A, Refusal> => new WithBufferSync(this, criticality, use)

  readonly acquire = (criticality: Criticality): Effect.Effect<ByteBuffer, Refusal, Scope.Scope> =>
    Effect.withFiber((fiber): Effect.Effect<ByteBuffer, Refusal> => {
      const scope = scopeOf(fiber)
      const lease = this.takeFree(criticality)
      return lease === undefined
        ? lentUntil(this, criticality, (granted) => this.untilClosed(scope, granted))
        : this.untilClosed(scope, lease)
    })

  readonly tryAcquire = (
    criticality: Criticality
  ): Effect.Effect<ByteBuffer, BufferUnavailable | PoolClosed, Scope.Scope> =>
    Effect.withFiber((fiber): Effect.Effect<ByteBuffer, BufferUnavailable | PoolClosed> => {
      const scope = scopeOf(fiber)
      const failedBefore = this.gate.creationsFailed
      const lease = this.tryTake(criticality)
      if (lease !== undefined) {
        this.note(lease)
        return this.untilClosed(scope, lease)
      }
      if (this.gate.closed) return Effect.fail(new PoolClosed({ pool: this.name }))
      return Effect.fail(this.unavailableAt(criticality, this.gate.creationsFailed > failedBefore))
    })

  readonly resize = (limit: number): Effect.Effect<void, ConfigError> =>
    Effect.suspend(() => {
      const problems = problemsOf({ limit }, poolRules)
      if (problems.length === 0 && !(limit > this.reserve)) {
        problems.push({ field: "limit", value: limit, rule: `must be above reserve (${this.reserve})` })
      }
      return Effect.andThen(failOn(problems), Effect.sync(() => this.gate.resize(limit)))
    })

  readonly trim: Effect.Effect<void> = Effect.sync(() => this.gate.trim())

  readonly snapshot: Effect.Effect<PoolSnapshot> = Effect.sync(() =>
    pictureOf(this.gate, this.settings, {
      unavailable: this.unavailable,
      refused: this.refused,
      misuse: this.misuses,
      leaks: this.leaks.reported
    })
  )

  // ---- doors for callbacks --------------------------------------------------------------------------------------------

  readonly tryTakeUnsafe = (criticality: Criticality): ByteBuffer | undefined => this.tryTake(criticality)

  readonly unavailableUnsafe = (criticality: Criticality): BufferUnavailable => this.unavailableAt(criticality, false)

  readonly isClosedUnsafe = (): boolean => {
    touch()
    return this.gate.closed
  }

  readonly giveBackUnsafe = (buffer: ByteBuffer): void => {
    const lease = this.lease(buffer)
    if (!lease.live) throw this.misuse("a buffer was given back twice")
    this.end(lease)
  }

  readonly pinUnsafe = (buffer: ByteBuffer): void => {
    const lease = this.lease(buffer)
    if (!lease.live) throw this.misuse("a buffer was pinned that had been given back")
    lease.pins++
    this.gate.pin(lease.area)
  }

  readonly unpinUnsafe = (buffer: ByteBuffer): void => {
    touch()
    const lease = this.lease(buffer)
    if (lease.pins === 0) throw this.misuse("a buffer was unpinned that nothing pins")
    lease.pins--
    this.gate.unpin(lease.area)
    lease.holder?.maybeEmpty(lease)
  }

  toJSON() {
    const { allocated, limit, queued, used } = this.gate
    return { pool: this.name, limit, allocated, used, queued }
  }

  misuse(fact: string): BufferMisuse {
    touch()
    this.misuses++
    return new BufferMisuse({ pool: this.name, fact })
  }

  // ---- leases ---------------------------------------------------------------------------------------------------------

  /** The lease that a buffer of this pool is. */
  lease(buffer: ByteBuffer): Lease {
    if (buffer instanceof Lease && buffer.lender === this) return buffer
    throw this.misuse(`a buffer of pool "${buffer.pool}" was handed to this one`)
  }

  private open(area: Area): Lease {
    if (this.settings.trackOrigins) area.origin = new Error("taken here").stack
    return new Lease(area, this)
  }

  /** Ends a lease that may have ended already: finalizers never die. */
  end(lease: Lease): void {
    touch()
    if (!lease.live) return
    if (lease.area.reported) this.leaks.returned(lease.area)
    lease.expire()
    this.gate.giveBack(lease.area)
  }

  /** Memory that comes back, before anybody else can own it; false if the caller has transferred it away and no other is to be had. */
  private recycle(area: Area): boolean {
    const { debug, wipe } = this.settings
    area.origin = undefined
    area.reported = false
    if (area.bytes.length === 0) {
      const misuse = this.misuse("a buffer was given back whose memory had been transferred away")
      this.fork(Effect.logError("the memory of a buffer is lost, and is replaced", misuse))
      try {
        area.bytes = makeMemory(this.settings)
      } catch {
        return false
      }
    }
    if (wipe) area.bytes.fill(0)
    // Old views become empty, so a use after give-back cannot touch the next owner's bytes.
    if (debug) area.bytes = new Uint8Array(area.bytes.buffer.transfer())
    return true
  }

  private tryTake(criticality: Criticality): Lease | undefined {
    const area = this.gate.take(this.level(criticality))
    return area === undefined ? undefined : this.open(area)
  }

  /** What is free, without a wait. With `debug`, a fiber that nests against the order dies here, whether it would wait or not. */
  takeFree(criticality: Criticality): Lease | undefined {
    if (this.nesting !== undefined) this.mustBeInOrder(this.nesting, criticality)
    const lease = this.tryTake(criticality)
    if (lease !== undefined) this.note(lease)
    return lease
  }

  private mustBeInOrder(nesting: Nesting, criticality: Criticality): void {
    const fiber = Fiber.getCurrent()
    const refusal = fiber === undefined ? undefined : nesting.refusal(fiber, criticality, this.level(criticality))
    if (refusal !== undefined) throw this.misuse(refusal)
  }

  /** A lease of this fiber: whoever waits later must be seen to hold it. */
  private note(lease: Lease): void {
    const fiber = this.nesting === undefined ? undefined : Fiber.getCurrent()
    if (fiber !== undefined) this.nesting?.add(fiber, lease)
  }

  /** The scope owns it from here on; a scope that is closed ends it at once. */
  private untilClosed(scope: Scope.Scope, lease: Lease): Effect.Effect<ByteBuffer> {
    const isOpen = addFinalizer(scope, lease, () => {
      this.end(lease)
      return Effect.void
    })
    if (!isOpen) this.end(lease)
    return Effect.succeed(lease)
  }

  // ---- waiting --------------------------------------------------------------------------------------------------------

  queue(waiter: Waiter): Lease | "queued" | Refusal {
    touch()
    if (this.gate.closed) return new PoolClosed({ pool: this.name })
    if (currentRun() !== undefined) return this.refusedAt(waiter.criticality, "insideRun")
    const door = this.gate.takeOrWait(waiter)
    if (door === "full") return this.refusedAt(waiter.criticality, "maxWaiting")
    return door === "queued" ? door : this.entered(door)
  }

  collect(waiter: Waiter): Lease | Refusal {
    return this.entered(this.gate.takeOrWait(waiter))
  }

  leave(waiter: Waiter): void {
    this.gate.leave(waiter)
  }

  private entered(door: Area | "queued" | "full" | "closed"): Lease | PoolClosed {
    if (!(door instanceof Area)) return new PoolClosed({ pool: this.name })
    const lease = this.open(door)
    this.note(lease)
    return lease
  }

  private waiter(options: WaiterOptions): PublicWaiter {
    this.level(options.criticality)
    return new PoolWaiter(this, options)
  }

  private takeOrWaitUnsafe(waiter: PublicWaiter): ByteBuffer | "queued" | "full" | "closed" {
    const door = this.gate.takeOrWait(this.own(waiter))
    return door instanceof Area ? this.open(door) : door
  }

  private own(waiter: PublicWaiter): Waiter {
    if (waiter instanceof PoolWaiter && waiter.pool === this) return waiter
    throw this.misuse("a waiter was used that this pool's wait queue did not make")
  }

  private level(criticality: Criticality): number {
    // As `level` says, for what may be no class at all: a switch costs a third of two look-ups by name.
    switch (criticality) {
      case "tx":
        return 0
      case "channel":
        return 1
      case "endpoint":
        return 2
      case "rx":
        return 3
    }
    throw this.misuse(`there is no criticality ${JSON.stringify(criticality)}; there are ${order.join(", ")}`)
  }

  // ---- refusals -------------------------------------------------------------------------------------------------------

  private refusedAt(criticality: Criticality, why: "insideRun" | "maxWaiting"): WaitRefused {
    touch()
    this.refused++
    return new WaitRefused({ ...shortageOf(this.gate, this.name, criticality), why })
  }

  private unavailableAt(criticality: Criticality, creationFailed: boolean): BufferUnavailable {
    this.unavailable++
    return new BufferUnavailable({
      ...shortageOf(this.gate, this.name, criticality),
      cause: creationFailed ? this.allocationFailed() : undefined
    })
  }

  allocationFailed(): AllocationFailed {
    const { allocated, lastFailure: cause } = this.gate
    return new AllocationFailed({ pool: this.name, bufferSize: this.bufferSize, allocated, cause })
  }
}

const scopeOf = (fiber: Fiber.Fiber<unknown, unknown>): Scope.Scope => Context.getUnsafe(fiber.context, Scope.Scope)

// ---- making a pool ----------------------------------------------------------------------------------------------------

/** How many living pools there are of each name, in this process. */
const names = new Map<string, number>()

const oneLess = (name: string): void => {
  touch()
  const living = (names.get(name) ?? 1) - 1
  if (living === 0) names.delete(name)
  else names.set(name, living)
}

/** One more of that name, until the scope closes; says how many there were before. */
const counted = (name: string): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      touch()
      const living = names.get(name) ?? 0
      names.set(name, living + 1)
      return living
    }),
    () => Effect.sync(() => oneLess(name))
  )

const named = (name: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(counted(name), (living) =>
    living === 0
      ? Effect.void
      : Effect.logInfo(`pool "${name}" now exists ${living + 1} times; to share one, share one layer constant`))

export const make = (
  options: BufferPoolOptions
): Effect.Effect<PoolImpl, ConfigError | AllocationFailed, Scope.Scope> =>
  Effect.gen(function*() {
    yield* failOn(problemsOfPool(options, poolRules))
    const settings = settingsOf(options)
    const turns = yield* Turns.current
    const pool = new PoolImpl(settings, yield* Clock.Clock, turns, yield* Effect.context<never>())
    yield* Effect.addFinalizer(() => Effect.sync(() => close(pool.gate, turns)))
    if (!pool.gate.preallocate(Math.max(settings.reserve + 1, settings.prealloc))) return yield* pool.allocationFailed()
    yield* named(settings.name)
    if (settings.ageAfterMs !== Infinity) yield* Effect.forkScoped(ageing(pool.gate, settings.ageAfterMs))
    if (settings.leakThresholdMs !== undefined) yield* Effect.forkScoped(pool.leaks.watch(settings.leakThresholdMs))
    return pool
  })

const close = (gate: Gate, turns: Turns.Turns): void => {
  gate.close()
  if (turns === Turns.byHand) { while (gate.pendingWakes > 0) gate.flush(wakesPerTurn) }
}

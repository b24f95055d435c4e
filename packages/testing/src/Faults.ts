/**
 * What goes wrong in real life, on purpose and the same every time: memory that cannot be had, waiters that do not want what
 * they waited for, holders that take their time, a scheduler that others keep busy. For tests of your own entities beside
 * them; all go through the public doors.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import type { Criticality } from "headgate/Criticality"
import type { PoolClosed, WaitRefused } from "headgate/PoolError"
import { TaskScheduler } from "headgate/TaskScheduler"
import type { News, Waiter, WaitQueue } from "headgate/WaitQueue"

/**
 * What a fault throws. An observer does not hold it against anybody.
 *
 * @category errors
 * @since 0.1.0
 */
export class ThrownOnPurpose extends Error {
  override readonly name = "ThrownOnPurpose"
}

// ---- memory -------------------------------------------------------------------------------------------------------------

/**
 * Memory that cannot always be had: its `allocate` is the pool's option of that name.
 *
 * The first `reserve + 1` creations are the pool's own, while it is made: if one of them fails, there is no pool but
 * `AllocationFailed`.
 *
 * @category models
 * @since 0.1.0
 */
export class FaultyAllocator {
  /** Creations asked for, and how many of them failed. */
  asked = 0
  failed = 0
  private failing = 0
  private readonly fails: (creation: number) => boolean

  /** `fails` says of each creation, counted from 0, whether it fails; left out, only `failNext` makes them. */
  constructor(fails: (creation: number) => boolean = () => false) {
    this.fails = fails
  }

  /** The next `times` creations fail, whatever `fails` says. */
  failNext(times: number): void {
    this.failing = times
  }

  readonly allocate = (size: number): Uint8Array<ArrayBuffer> => {
    const creation = this.asked++
    if (this.failing === 0 && !this.fails(creation)) return new Uint8Array(size)
    this.failing = Math.max(0, this.failing - 1)
    this.failed++
    throw new ThrownOnPurpose(`no memory for creation ${creation}`)
  }
}

// ---- waiters ------------------------------------------------------------------------------------------------------------

/**
 * A waiter that does not want what it is granted: it declines, or throws, which declines too. What it declines goes on to the
 * next, and it is out of the queue until `ask` brings it back.
 *
 * @category models
 * @since 0.1.0
 */
export class DecliningWaiter {
  /** What it was told, in order. */
  readonly news: Array<News> = []
  readonly waiter: Waiter
  private readonly queue: WaitQueue["Service"]
  private readonly pool: BufferPool["Service"]

  constructor(pool: BufferPool["Service"], options: {
    readonly criticality: Criticality
    /** How it declines. Default `decline`, which is to answer `false`. */
    readonly how?: "decline" | "throw" | undefined
    readonly target?: unknown
  }) {
    const { criticality, how = "decline", target = "a declining waiter" } = options
    this.pool = pool
    this.queue = pool.waitQueue
    this.waiter = this.queue.waiter({
      target,
      criticality,
      wake: (news) => {
        this.news.push(news)
        if (how === "throw") throw new ThrownOnPurpose(`${String(target)} throws`)
        return false
      }
    })
  }

  /** Comes to the door. If a buffer may be taken there and then, it goes straight back. */
  readonly ask = (): "queued" | "taken" | "closed" => {
    const door = this.queue.takeOrWaitUnsafe(this.waiter)
    if (door === "queued" || door === "closed") return door
    if (door !== "full") this.pool.giveBackUnsafe(door)
    return "taken"
  }

  readonly leave = (): void => this.queue.leaveUnsafe(this.waiter)
}

// ---- holders ------------------------------------------------------------------------------------------------------------

/**
 * Waits for a buffer, and holds it for so long: with a `TestClock` for exactly so long.
 *
 * @category constructors
 * @since 0.1.0
 */
export const slowHolder = (
  criticality: Criticality,
  holds: Duration.Input
): Effect.Effect<void, PoolClosed | WaitRefused, BufferPool> =>
  BufferPool.withBuffer(criticality, () => Effect.sleep(holds))

/**
 * So many slow holders, for as long as the scope: each takes a buffer again as soon as it gave one back, until the pool is
 * closed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const slowHolders = (options: {
  readonly count: number
  readonly criticality: Criticality
  readonly holds: Duration.Input
}): Effect.Effect<void, never, BufferPool | Scope.Scope> => {
  const again = Effect.ignore(Effect.forever(slowHolder(options.criticality, options.holds)))
  return Effect.forEach(
    Array.from({ length: options.count }),
    () => Effect.forkScoped(again, { startImmediately: true }),
    { discard: true }
  )
}

/**
 * The same as a layer: `SlowHolders` beside whatever is under test.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSlowHolders = (options: {
  readonly count: number
  readonly criticality: Criticality
  readonly holds: Duration.Input
}): Layer.Layer<never, never, BufferPool> => Layer.effectDiscard(slowHolders(options))

// ---- schedulers ---------------------------------------------------------------------------------------------------------

/**
 * A run queue that others keep busy: so many entries that take no buffer, each of which is woken again by each of its runs,
 * until it has made `runs` of them. HAProxy estimates from the length of its run queues how many buffers are about to be
 * used; entries like these have no part in that.
 *
 * @category constructors
 * @since 0.1.0
 */
export const busyRunQueue = (options: {
  readonly entries: number
  /** Of each. With a `Stepper` it may be Infinity, but then `settle` has no end. */
  readonly runs: number
}): Effect.Effect<void, never, TaskScheduler | Scope.Scope> =>
  Effect.gen(function*() {
    const scheduler = yield* TaskScheduler
    for (let entry = 0; entry < options.entries; entry++) {
      let left = options.runs
      const runnable = scheduler.runnable(() => {
        if (--left > 0) runnable.wakeUnsafe("other")
        runnable.finishedUnsafe()
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => runnable.endUnsafe("done")))
      if (left > 0) runnable.wakeUnsafe("init")
    }
  })

/**
 * The same as a layer.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerBusyRunQueue = (options: {
  readonly entries: number
  readonly runs: number
}): Layer.Layer<never, never, TaskScheduler> => Layer.effectDiscard(busyRunQueue(options))

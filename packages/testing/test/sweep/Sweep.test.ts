/**
 * The sweep finds what is wrong, where it is wrong, and nothing where nothing is: on ways to hold a permit that people write,
 * on those that Effect has, and on programs that cannot be swept.
 */
import { describe, expect, it, vi } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as PartitionedSemaphore from "effect/PartitionedSemaphore"
import * as Pool from "effect/Pool"
import * as Queue from "effect/Queue"
import * as Semaphore from "effect/Semaphore"
import * as TxSemaphore from "effect/TxSemaphore"
import * as Sweep from "../../src/Sweep.ts"

/** One permit. */
interface Permit {
  /** Runs an effect with it. */
  readonly use: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  readonly free: () => number
}

/** `uncontended`, or with one who holds the permit for 10 ms, and one who waits behind. */
const sweepPermit = (
  make: (world: Sweep.World) => Permit,
  isContended: boolean,
  options?: Sweep.SweepOptions<{ readonly program: Effect.Effect<unknown>; readonly permit: Permit }>
): Sweep.Report =>
  Sweep.sweep((world) => {
    const permit = make(world)
    if (isContended) {
      world.fork("holder", permit.use(Effect.sleep(10)))
      world.fork("behind", Effect.andThen(Effect.sleep(5), permit.use(Effect.void)))
    }
    return { program: permit.use(Effect.yieldNow), permit }
  }, ({ permit }) =>
    permit.free() === 1 || `${permit.free()} permits are free, not 1`, options)

// ---- as people write them -----------------------------------------------------------------------------------------------

interface Waiter {
  granted: boolean
  resume: () => void
}

/** Hands its permit to whoever waits longest. */
class Turnstile {
  free = 1
  readonly waiting = new Set<Waiter>()
  readonly release = Effect.sync(() => this.releaseUnsafe())

  releaseUnsafe(): void {
    const [next] = this.waiting
    if (next === undefined) {
      this.free++
      return
    }
    this.waiting.delete(next)
    next.granted = true
    next.resume()
  }

  tryTake(): boolean {
    if (this.free === 0) return false
    this.free--
    return true
  }

  /** Waits for the permit; `onLeave` says what becomes of it if the wait is interrupted. */
  take(onLeave: (waiter: Waiter) => void): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.tryTake()) return resume(Effect.void)
      const waiter: Waiter = { granted: false, resume: () => resume(Effect.void) }
      this.waiting.add(waiter)
      return Effect.sync(() => onLeave(waiter))
    })
  }

  /** Leaves the queue. */
  readonly leave = (waiter: Waiter): void => void this.waiting.delete(waiter)

  /** Leaves the queue, and passes on what it was granted. */
  readonly leaveOrPassOn = (waiter: Waiter): void => waiter.granted ? this.releaseUnsafe() : this.leave(waiter)
}

const permitOf = (turnstile: Turnstile, use: Permit["use"]): Permit => ({ use, free: () => turnstile.free })

/** Taken in one operation, and its return promised in a later one. */
const naive = (): Permit => {
  const turnstile = new Turnstile()
  const taken = turnstile.take(turnstile.leave)
  return permitOf(turnstile, (effect) => Effect.andThen(taken, Effect.ensuring(effect, turnstile.release)))
}

/** `acquireRelease` lets the wait be interrupted, and with it the moment between the permit and its finalizer. */
const interruptibleAcquire = (): Permit => {
  const turnstile = new Turnstile()
  const scoped = Effect.acquireRelease(turnstile.take(turnstile.leave), () => turnstile.release, {
    interruptible: true
  })
  return permitOf(turnstile, (effect) => Effect.scoped(Effect.andThen(scoped, effect)))
}

/** As it must be written, but for a wake that comes later than the grant, and for who leaves in between. */
const deferredWake = (onLeave: (turnstile: Turnstile) => (waiter: Waiter) => void) => (): Permit => {
  const turnstile = new Turnstile()
  const waited = (restore: <A>(effect: Effect.Effect<A>) => Effect.Effect<A>) =>
    Effect.withFiber((fiber) => {
      if (turnstile.tryTake()) return Effect.void
      const waiter: Waiter = { granted: false, resume: () => {} }
      turnstile.waiting.add(waiter)
      const told = Effect.callback<void>((resume) => {
        const wake = () => fiber.currentDispatcher.scheduleTask(() => resume(Effect.void), 0)
        if (waiter.granted) wake()
        else waiter.resume = wake
      })
      return Effect.onInterrupt(restore(told), () => Effect.sync(() => onLeave(turnstile)(waiter)))
    })
  return permitOf(
    turnstile,
    (effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.andThen(waited(restore), Effect.ensuring(restore(effect), turnstile.release))
      )
  )
}

const forgetsTheGrant = deferredWake((turnstile) => turnstile.leave)
const passesTheGrantOn = deferredWake((turnstile) => turnstile.leaveOrPassOn)

const ofSemaphore = (use: (semaphore: Semaphore.Semaphore) => Permit["use"]) => (): Permit => {
  const semaphore = Semaphore.makeUnsafe(1)
  return { use: use(semaphore), free: () => Effect.runSync(semaphore.takeIfAvailable(1)) ? 1 : 0 }
}

const takeThenRelease = ofSemaphore((semaphore) => (effect) =>
  Effect.andThen(semaphore.take(1), Effect.ensuring(effect, semaphore.release(1)))
)

/** The mask is there, and the take is outside it. */
const takeInsideRestore = ofSemaphore((semaphore) => (effect) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.andThen(restore(semaphore.take(1)), Effect.ensuring(restore(effect), semaphore.release(1)))
  )
)

// ---- as Effect offers them ------------------------------------------------------------------------------------------------

const ofPool = (world: Sweep.World): Permit => {
  const pool = world.run(Pool.make({ acquire: Effect.succeed("a thing"), size: 1 }))
  const taken = Effect.scoped(Effect.timeoutOption(Pool.get(pool), 1))
  return { use: (effect) => Pool.use(pool, () => effect), free: () => Option.isSome(world.run(taken)) ? 1 : 0 }
}

/** The token goes from the queue to its taker in one operation, and back in another. */
const ofTokens = (world: Sweep.World): Permit => {
  const tokens = world.run(Queue.unbounded<string>())
  const put = Effect.sync(() => void Queue.offerUnsafe(tokens, "token"))
  Effect.runSync(put)
  return {
    use: (effect) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.andThen(restore(Queue.take(tokens)), Effect.ensuring(restore(effect), put))
      ),
    free: () => Effect.runSync(Queue.size(tokens))
  }
}

const ofPartitioned = (): Permit => {
  const semaphore = PartitionedSemaphore.makeUnsafe<string>({ permits: 1 })
  return { use: semaphore.withPermits("key", 1), free: () => Effect.runSync(semaphore.available) }
}

const ofTransactions = (): Permit => {
  const semaphore = Effect.runSync(TxSemaphore.make(1))
  return {
    use: (effect) => TxSemaphore.withPermit(semaphore, effect),
    free: () => Effect.runSync(TxSemaphore.available(semaphore))
  }
}

/** The operations at which an interruption did harm. */
const placesOf = (report: Sweep.Report) =>
  [...new Set(report.failures.map(({ operation }) => operation))].sort((a, b) => a - b)

const swept = (make: (world: Sweep.World) => Permit) => {
  const alone = sweepPermit(make, false)
  const contended = sweepPermit(make, true)
  return {
    operations: [alone.operations, contended.operations],
    alone: placesOf(alone),
    contended: placesOf(contended)
  }
}

// The numbers of operations are those of Effect 4.1.
describe("what is wrong is found", () => {
  it.each<readonly [string, () => Permit, ReturnType<typeof swept>]>([
    ["a callback, then ensuring", naive, { operations: [9, 9], alone: [3, 4], contended: [2] }],
    [
      "acquireRelease around an interruptible wait",
      interruptibleAcquire,
      { operations: [22, 22], alone: [11], contended: [10] }
    ],
    ["a cleanup that forgets the grant", forgetsTheGrant, { operations: [11, 17], alone: [], contended: [6] }],
    [
      "Semaphore.take, then ensuring",
      takeThenRelease,
      { operations: [10, 14], alone: [3, 4], contended: [7, 8] }
    ],
    ["Semaphore.take inside restore", takeInsideRestore, { operations: [13, 17], alone: [5], contended: [9] }]
  ])("%s", (_, make, found) => {
    expect(swept(make)).toEqual(found)
  })

  it("between any two steps, too, and at the same operation, whatever the yields", () => {
    const { failures } = sweepPermit(takeInsideRestore, true)
    expect(failures.filter(({ point }) => point.before === undefined)).toMatchObject([
      { point: { yieldAfter: 3, step: 22 }, operation: 9 },
      { point: { yieldAfter: 3, step: 23 }, operation: 9 },
      { point: { yieldAfter: 3, step: 24 }, operation: 9 }
    ])
  })

  it("without any interruption: a wakeup that is lost between a look and a registration", () => {
    const report = Sweep.sweep((world) => {
      const turnstile = new Turnstile()
      const looked = Effect.suspend(() => turnstile.tryTake() ? Effect.void : Effect.andThen(Effect.void, registered))
      const registered = Effect.callback<void>((resume) => {
        turnstile.waiting.add({ granted: false, resume: () => resume(Effect.void) })
      })
      turnstile.tryTake()
      world.fork("holder", Effect.andThen(Effect.yieldNow, turnstile.release))
      return Effect.uninterruptible(looked)
    }, () => true)
    const undisturbed = report.failures.filter(({ operation }) => operation === 0)
    expect(undisturbed.map(({ point }) => point)).toEqual([{ yieldAfter: 3 }, { yieldAfter: 4 }, { yieldAfter: 5 }])
    expect(undisturbed[0]?.broken).toEqual(["the program is not over, and nothing is left that could happen"])
  })

  it("in a child of the program: inside a timeout", () => {
    const report = Sweep.sweep(() => {
      const { free, use } = takeThenRelease()
      return { program: Effect.timeout(use(Effect.yieldNow), 1000), free }
    }, ({ free }) => free() === 1)
    expect(report.failures.filter(({ point }) => point.before !== undefined)).toMatchObject([
      { point: { before: 7 }, operation: 7 },
      { point: { before: 8 }, operation: 8 }
    ])
  })

  it("in the course of an operation, if that is asked for", () => {
    expect(sweepPermit(ofTokens, false).failures).toEqual([])
    expect(sweepPermit(ofTokens, false, { during: true }).failures).toEqual([
      { point: { during: 4 }, operation: 4, broken: ["0 permits are free, not 1"] }
    ])
  })
})

/** The permit is taken by the operation that masks its fiber. */
const takenByTheMask = (): Permit => {
  let free = 1
  const giveBack = Effect.sync(() => {
    free++
  })
  const use = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.uninterruptibleMask((restore) => {
      free--
      return Effect.ensuring(restore(effect), giveBack)
    })
  return { use, free: () => free }
}

describe("where nothing is wrong nothing is found", () => {
  it("an operation that masks its fiber is interrupted by nothing that it calls before the mask", () => {
    Sweep.assertSwept(sweepPermit(takenByTheMask, false, { during: true }))
  })

  it.each<readonly [string, (world: Sweep.World) => Permit]>([
    ["a cleanup that passes the grant on", passesTheGrantOn],
    ["Semaphore.withPermits", ofSemaphore((semaphore) => semaphore.withPermits(1))],
    [
      "Semaphore.takeScoped",
      ofSemaphore((semaphore) => (effect) => Effect.scoped(Effect.andThen(semaphore.takeScoped(1), effect)))
    ],
    ["Pool.use", ofPool]
  ])("%s, even in the course of an operation", (_, make) => {
    for (const isContended of [false, true]) Sweep.assertSwept(sweepPermit(make, isContended, { during: true }))
  })
})

describe("what Effect 4.1.0 loses", () => {
  it.each<readonly [string, () => Permit, ReturnType<typeof swept>]>([
    ["PartitionedSemaphore.withPermits", ofPartitioned, { operations: [13, 13], alone: [6], contended: [] }],
    [
      "TxSemaphore.withPermit",
      ofTransactions,
      { operations: [49, 72], alone: [25, 26, 27, 28], contended: [50, 51, 67, 68, 69, 70] }
    ]
  ])("%s: its permit, under one interruption", (name, make, found) => {
    expect(
      swept(make),
      `if nothing is found, Effect has mended ${name} (PR 8391): move this row to those where nothing is wrong, and say so ` +
        "in docs/verification.md"
    ).toEqual(found)
  })
})

// ---- programs of all kinds ----------------------------------------------------------------------------------------------

/** Two operations more than nothing. */
const steps = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

const long = Effect.forEach(Array.from({ length: 10 }), () => Effect.sync(() => {}), { discard: true })

const holds = () => true

const loop: Effect.Effect<never> = Effect.suspend(() => loop)

/** Why a program is refused. */
const refusalOf = (make: Parameters<typeof Sweep.sweep>[0], options?: Parameters<typeof Sweep.sweep>[2]): string => {
  try {
    return `it was swept: ${Sweep.coverageLine(Sweep.sweep(make, holds, options))}`
  } catch (error) {
    if (error instanceof Sweep.SweepMisuse) return error.message
    throw error
  }
}

describe("a program that cannot be swept is refused, and told why", () => {
  it.each([
    ["works for ever", Effect.forever(Effect.sync(() => {})), /^the program is not over after 20000 operations/],
    ["never lets go", loop, /^the program is not over after 20000 operations/],
    ["sleeps for ever", Effect.forever(Effect.sleep(1)), /^the program is not over after 20000 operations/],
    [
      "waits for ever",
      Effect.never,
      /^the program is not over, and nothing is left that could happen, though nothing was/
    ],
    ["waits for a promise", Effect.promise(() => Promise.resolve(1)), /stand-in where it waits for a promise, a real/],
    ["is a value", Effect.succeed(1), /^the program has no operations that could be interrupted/]
  ])("one that %s", (_, program, message) => {
    expect(refusalOf(program)).toMatch(message)
  })

  it("one that is not the same each time", () => {
    let runs = 0
    expect(refusalOf(Effect.suspend(() => ++runs % 2 === 0 ? Effect.void : steps))).toMatch(
      /^the program is not the same each time: it had 6 operations in 2 steps, then 2 in 0. Make everything anew/
    )
  })

  it("one that changes later", () => {
    let runs = 0
    expect(refusalOf(Effect.suspend(() => ++runs > 2 ? Effect.void : steps))).toMatch(
      /^the program is not the same each time: a run that was to be interrupted before operation 3 ended before/
    )
  })

  it("companions that never end, have one name, or are set up in vain", () => {
    const made = (setUp: (world: Sweep.World) => void) => (world: Sweep.World) => {
      setUp(world)
      return steps
    }
    expect(refusalOf(made(({ fork }) => fork("server", Effect.never)))).toMatch(/^companion "server" is not over/)
    expect(refusalOf(made(({ fork }) => ["a", "a"].forEach((name) => fork(name, steps))))).toMatch(
      /^two companions have the name "a"/
    )
    expect(refusalOf(made(({ run }) => run(Effect.fail("no memory"))))).toBe("a set-up did not succeed: no memory")
    expect(refusalOf(made(({ run }) => run(Effect.never)))).toBe("a set-up did not succeed: it never ends")
  })

  it("a run that does not exist", () => {
    expect(refusalOf(steps, { only: { before: 99 } })).toMatch(
      /^there is no run that is interrupted before operation 99/
    )
  })
})

describe("what may go wrong in a run", () => {
  const brokenOf = (make: Parameters<typeof Sweep.sweep>[0]) =>
    Sweep.sweep(make, holds).failures.map(({ broken }) => broken)

  it.each<readonly [string, () => Sweep.Verdict, ReadonlyArray<string>]>([
    ["false", () => false, ["the invariant does not hold"]],
    ["words", () => "one is missing", ["one is missing"]],
    ["several", () => ["one is missing", "one is left"], ["one is missing", "one is left"]],
    [
      "a throw",
      () => {
        throw new Error("expected 1 to be 0")
      },
      ["expected 1 to be 0"]
    ]
  ])("an invariant says so by %s", (_, invariant, broken) => {
    expect(Sweep.sweep(steps, invariant).failures[0]).toEqual({ point: {}, operation: 0, broken })
  })

  it.each<readonly [string, () => Sweep.Verdict]>([
    ["nothing", () => {}],
    ["true", () => true],
    ["an empty list", () => []]
  ])("an invariant says by %s that it holds", (_, invariant) => {
    expect(Sweep.sweep(steps, invariant).failures).toEqual([])
  })

  it("an invariant between steps is looked at in every step, and not only at the end", () => {
    const make = () => {
      const made = { held: 0 }
      const held = Effect.acquireUseRelease(
        Effect.sync(() => void made.held++),
        () => steps,
        () => Effect.sync(() => void made.held--)
      )
      return Object.assign(made, { program: held })
    }
    const none = ({ held }: { readonly held: number }) => held === 0 || `${held} held`
    expect(Sweep.sweep(make, none).failures).toEqual([])
    expect(Sweep.sweep(make, holds, { always: none }).failures[0]?.broken).toEqual(["1 held"])
  })

  it("the program dies, a companion is not served or fails, what was set up does not end", () => {
    expect(brokenOf(Effect.suspend(() => Effect.die(new Error("a bug"))))[0]).toEqual([
      "the program died: Error: a bug"
    ])
    expect(brokenOf(Effect.andThen(steps, Effect.fail("as it should")))).toEqual([])
    expect(
      brokenOf(({ fork }) => {
        fork("other", Effect.die("a bug"))
        return steps
      })[0]
    ).toEqual(["companion \"other\" failed: a bug"])
    expect(
      brokenOf(({ run }) => {
        run(Effect.addFinalizer(() => Effect.never))
        return steps
      })[0]
    ).toEqual(["what was set up does not come to its end"])
    const unserved = brokenOf(({ fork }) => {
      const told = Deferred.makeUnsafe<void>()
      fork("other", Deferred.await(told))
      return Effect.andThen(steps, Deferred.succeed(told, undefined))
    })
    expect(unserved[0]).toEqual(["companion \"other\" is not over, and nothing is left that could happen"])
  })
})

describe("a sweep", () => {
  it("is as easy as the documentation says", () => {
    const report = Sweep.sweep((world) => {
      const semaphore = Semaphore.makeUnsafe(1)
      world.fork("holder", semaphore.withPermit(Effect.sleep("1 second")))
      return { program: semaphore.withPermit(Effect.yieldNow), semaphore }
    }, ({ semaphore }) => Effect.runSync(semaphore.takeIfAvailable(1)))
    Sweep.assertSwept(report)
    expect(report.operations).toBe(12)
  })

  it("interrupts the program once in each run, at each of its operations", () => {
    const seen = new Set<string>()
    const report = Sweep.sweep(() => {
      const trace: Array<string> = []
      const note = (what: string) => Effect.sync(() => void trace.push(what))
      const program = Effect.andThen(note("a"), Effect.andThen(note("b"), Effect.andThen(note("c"), note("d"))))
      return { program: Effect.onInterrupt(program, () => note("!")), trace }
    }, ({ trace }) => void seen.add(trace.join("")))
    expect([...seen].sort()).toEqual(["!", "a!", "ab!", "abc!", "abcd"])
    expect(report).toEqual({ operations: 11, runs: 44, yieldsUpTo: 11, failures: [] })
  })

  it("does not make set-ups yield: they are not what is swept", () => {
    const after = (setUp: Effect.Effect<void>) =>
      Sweep.sweep(({ run }) => {
        run(setUp)
        return steps
      }, holds)
    expect(after(long)).toEqual(after(Effect.void))
  })

  it("makes cleanups yield, too, however long they are", () => {
    const { operations, yieldsUpTo } = Sweep.sweep(Effect.onInterrupt(Effect.yieldNow, () => long), holds)
    expect([operations, yieldsUpTo]).toEqual([6, 20])
  })

  it("counts the operations of the program and its children, and not those of companions", () => {
    const alone = Sweep.sweep(steps, holds)
    const accompanied = Sweep.sweep(({ fork }) => {
      fork("other", steps)
      return steps
    }, holds)
    expect(accompanied.operations).toBe(alone.operations)
    const parent = Effect.all([steps, steps], { concurrency: 2 })
    expect(Sweep.sweep(parent, holds).operations).toBeGreaterThan(2 * alone.operations)
  })

  it("lets time pass only when nothing else can happen", () => {
    const times: Array<number> = []
    const report = Sweep.sweep((world) => {
      world.elapse(1000)
      const program = Effect.andThen(Effect.sleep("1 day"), Effect.sync(() => void times.push(world.now())))
      return Effect.ensuring(program, steps)
    }, holds)
    expect(report.failures).toEqual([])
    expect(new Set(times)).toEqual(new Set([1000 + 86_400_000]))
  })

  it("lets a set-up step by hand", () => {
    const seen: Array<ReadonlyArray<string>> = []
    Sweep.sweep((world) => {
      const trace: Array<string> = []
      const note = (what: string) => Effect.sync(() => void trace.push(what))
      world.fork("other", note("begins").pipe(Effect.andThen(Effect.yieldNow), Effect.andThen(note("goes on"))))
      seen.push([...trace, String(world.step()), ...trace, String(world.step())])
      return steps
    }, holds)
    expect(seen[0]).toEqual(["begins", "true", "begins", "goes on", "false"])
  })

  it("says in words what was wrong, where, and how to see just that run", () => {
    const report = sweepPermit(takeInsideRestore, true)
    expect(() => Sweep.assertSwept(report)).toThrow(Sweep.SweepFailed)
    expect(new Sweep.SweepFailed(report).message.split("\n")).toEqual([
      "interrupted before operation 9: companion \"behind\" is not over, and nothing is left that could happen; " +
      "0 permits are free, not 1",
      "  just this run, with its log lines: sweep(…, { only: { before: 9 } })",
      "and 3 more: interrupted before step 22, with a yield after every 3 operations; interrupted before step 23, with a " +
      "yield after every 3 operations; interrupted before step 24, with a yield after every 3 operations",
      "17 operations, 129 runs: interrupted before each operation, and between any two steps with a yield after every k " +
      "operations, k = 3…64 (all alike from 11 on)"
    ])
    expect(Sweep.failureLine(report.failures[1] ?? { point: {}, operation: 0, broken: [] })).toMatch(
      /^interrupted before step 22, with a yield after every 3 operations \(at operation 9\): companion "behind"/
    )
  })

  it("replays each of its failures, and just that", () => {
    const { failures } = sweepPermit(takeInsideRestore, true, { during: true })
    expect(failures.length).toBeGreaterThan(5)
    for (const failure of failures) {
      const again = sweepPermit(takeInsideRestore, true, { only: failure.point })
      expect(again).toMatchObject({ runs: 1, failures: [failure] })
    }
    expect(sweepPermit(takeInsideRestore, true, { only: { before: 3 } }).failures).toEqual([])
  })

  it("drops log lines, but for those of a replay", () => {
    const printed = vi.spyOn(console, "log").mockImplementation(() => {})
    const program = Effect.log("here")
    Sweep.sweep(program, holds)
    expect(printed).not.toHaveBeenCalled()
    Sweep.sweep(program, holds, { only: { during: 1 } })
    Sweep.sweep(program, holds, { only: {} })
    expect(printed).toHaveBeenCalledTimes(2)
    printed.mockRestore()
  })
})

/** The explorer on programs whose faults are known: what it must find, what it must not, and what it says of itself. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { assert, describe, it } from "vitest"
import {
  assertExplored,
  coverageLine,
  explore,
  type Explored,
  type ExploreOptions,
  promiseLine,
  replay,
  type Report,
  type World
} from "../../src/Explorer.ts"
import { brokenAssumptions } from "../../src/internal/explorer/assumptions.ts"
import { through, type Way } from "./gates.ts"

const kindOf = ({ failure }: Report): string => failure?.kind ?? "nothing"

/** One fiber under test. */
const alone = (body: (world: World) => Effect.Effect<unknown, unknown>) => (world: World): Explored => ({
  program: Effect.flatMap(world.fork("one", body(world)), (fiber) => world.await(fiber))
})

describe("what is found", () => {
  it("the hand-off that is right holds under every schedule, and under every single interruption", () => {
    const quiet = explore(through("handOff", { fibers: 2 }))
    assert.strictEqual(kindOf(quiet), "nothing")
    assert.deepStrictEqual(quiet.coverage, { kind: "complete" })
    const interrupted = explore(through("handOff", { fibers: 2 }), { interrupts: 1 })
    assert.strictEqual(kindOf(interrupted), "nothing")
    assert.deepStrictEqual(interrupted.coverage, { kind: "complete" })
  })

  const planted: ReadonlyArray<readonly [Way, ExploreOptions, string]> = [
    ["registersLate", {}, "deadlock"],
    ["registersLate", { preemptions: 2 }, "deadlock"],
    ["resumedInline", { interrupts: 1, preemptions: 0 }, "leak"],
    ["grantForgotten", { interrupts: 1 }, "leak"],
    ["grantForgotten", { interrupts: 1, preemptions: 1 }, "leak"]
  ]
  for (const [way, options, kind] of planted) {
    it(`${way} is a ${kind}, found within 100 schedules and replayed by its id (${promiseLine(options)})`, () => {
      const report = explore(through(way, { fibers: 2 }), options)
      assert.strictEqual(kindOf(report), kind)
      assert.isAtMost(report.schedules + report.pruned, 100)
      const again = replay(through(way, { fibers: 2 }), report.failure?.id ?? "")
      assert.strictEqual(kindOf(again), kind)
      assert.deepStrictEqual(again.trace, report.failure?.trace)
    })
  }

  it("a lost update inside a chain of maps, which Effect passes on without asking but once in 32 operations", () => {
    const report = explore((world) => {
      let n = 0
      const increment = Effect.sync(() => n).pipe(Effect.map((read) => read + 1), Effect.map((next) => void (n = next)))
      return {
        program: Effect.gen(function*() {
          const a = yield* world.fork("a", increment)
          const b = yield* world.fork("b", increment)
          yield* world.await(a, b)
        }),
        atEnd: () => n === 2 ? undefined : `an increment was lost: ${n}`
      }
    }, { preemptions: 1 })
    assert.strictEqual(kindOf(report), "leak")
  })

  it("a bound that is too small for a fault is said, not hidden", () => {
    const report = explore(through("registersLate", { fibers: 2 }), { preemptions: 0 })
    assert.strictEqual(kindOf(report), "nothing")
    assert.match(coverageLine(report), /^all schedules within 0 preemptions: /)
  })

  it("a schedule that is reported keeps to the bound on preemptions, however it was shrunk", () => {
    // Undoing the first choice of the schedule that is found leaves one that pauses the first fiber.
    const report = explore((world) => {
      const order: Array<string> = []
      const say = (name: string) => Effect.sync(() => void order.push(name))
      return {
        program: Effect.gen(function*() {
          const a = yield* world.fork("a", Effect.andThen(say("a"), Effect.andThen(say("a"), say("a"))))
          const b = yield* world.fork("b", Effect.void)
          const c = yield* world.fork("c", say("c"))
          yield* world.await(a, b, c)
        }),
        atEnd: () => order.indexOf("c") < 3 ? `${order.join(", ")}` : undefined
      }
    }, { preemptions: 0 })
    assert.strictEqual(kindOf(report), "leak")
    assert.notMatch(report.failure?.trace.join() ?? "", /pauses/)
  })

  it("random schedules find a lost grant, which a third fiber waits for or nobody has, and a seed finds it again", () => {
    const options = { interrupts: 1, random: { schedules: 10_000, seed: 7 } }
    const report = explore(through("grantForgotten", { fibers: 3 }), options)
    assert.include(["deadlock", "leak"], kindOf(report))
    assert.isAtMost(report.schedules, 100)
    assert.deepStrictEqual(explore(through("grantForgotten", { fibers: 3 }), options), report)
  })

  it("a trace speaks in the program's own names", () => {
    const { failure } = explore(through("registersLate", { fibers: 2 }))
    assert.deepStrictEqual(failure?.trace.map((line) => line.replace(/^ *\d+ */, "").replace(/\d+ \("/, "N (\"")), [
      "fiber 1 starts",
      "fiber 1 pauses at operation N (\"inside\"); fiber 2 starts",
      "fiber 2 pauses at operation 6; fiber 1 goes on",
      "fiber 2 goes on"
    ])
  })
})

describe("what is not found, because it cannot happen", () => {
  it("a value that a fiber is resumed with is lost to no interruption: its first operation is part of the resumption", () => {
    /** Sound only because `wake` and what follows it are one step. */
    const gate = (world: World): Explored => {
      let free = 1
      const queue: Array<() => void> = []
      const release = Effect.sync(() => {
        const next = queue.shift()
        if (next === undefined) free++
        else next()
      })
      const woken = Effect.callback<"again" | "yours">((resume, signal) => {
        if (free > 0) return resume(Effect.succeed("again"))
        const wake = () => resume(Effect.succeed("yours"))
        queue.push(wake)
        signal.addEventListener("abort", () => {
          if (queue.includes(wake)) queue.splice(queue.indexOf(wake), 1)
        })
      })
      const take: Effect.Effect<void> = Effect.suspend(() => {
        if (free === 0) {
          return Effect.flatMap(Effect.interruptible(woken), (how) => how === "yours" ? Effect.void : take)
        }
        free--
        return Effect.void
      })
      const visit = Effect.uninterruptibleMask((restore) =>
        Effect.andThen(take, Effect.ensuring(restore(Effect.yieldNow), release))
      )
      return {
        program: Effect.gen(function*() {
          const a = yield* world.fork("a", visit)
          const b = yield* world.fork("b", visit)
          yield* world.await(a, b)
        }),
        atEnd: () => free === 1 ? undefined : `${free} are free`
      }
    }
    assert.strictEqual(kindOf(explore(gate, { interrupts: 1, preemptions: 1 })), "nothing")
  })

  it("a child that is forked while its parent is preempted starts", () => {
    const report = explore((world) => ({
      program: Effect.gen(function*() {
        const parent = yield* world.fork(
          "parent",
          Effect.flatMap(world.fork("child", Effect.void), (child) => world.await(child))
        )
        const other = yield* world.fork("other", Effect.andThen(Effect.yieldNow, Effect.yieldNow))
        yield* world.await(parent, other)
      })
    }), { preemptions: 2 })
    assert.strictEqual(kindOf(report), "nothing")
    assert.deepStrictEqual(report.coverage, { kind: "bounded" })
  })
})

describe("kinds of failure", () => {
  it("an invariant is broken at the step that breaks it, not at the end", () => {
    let value = 0
    const report = explore((world) => {
      value = 0
      const write = (to: number) => Effect.sync(() => void (value = to))
      return {
        program: Effect.flatMap(
          world.fork("writer", Effect.andThen(write(1), write(0))),
          (fiber) => world.await(fiber)
        ),
        invariant: () => value === 0 ? undefined : `value is ${value}`
      }
    })
    assert.strictEqual(kindOf(report), "invariant")
    assert.strictEqual(report.failure?.message, "value is 1")
    assert.strictEqual(report.schedules, 1)
  })

  it("who waits for what never comes is named, with what it says it is at", () => {
    const report = explore(alone((world) =>
      Effect.suspend(() => {
        world.at("waits for a lost key")
        return Effect.never
      })
    ))
    assert.strictEqual(kindOf(report), "deadlock")
    assert.match(report.failure?.message ?? "", /one at operation \d+ \("waits for a lost key"\)/)
  })

  it("a loop without an end is a livelock, and says what to raise or to bound", () => {
    const report = explore(alone(() => Effect.forever(Effect.void)), { maxSteps: 200 })
    assert.strictEqual(kindOf(report), "livelock")
    assert.match(report.failure?.message ?? "", /maxSteps \(200\).*bound the program's loops/)
  })

  it("a program that does not succeed, and a fiber that dies, are failures", () => {
    assert.strictEqual(kindOf(explore(() => ({ program: Effect.fail("no") }))), "failure")
    assert.strictEqual(kindOf(explore(() => ({ program: Effect.interrupt }))), "failure")
    assert.strictEqual(kindOf(explore(alone(() => Effect.die("no")))), "failure")
    assert.strictEqual(kindOf(explore(alone(() => Effect.fail("the program's own affair")))), "nothing")
  })

  it("a fiber that outlives the program is a leak", () => {
    const report = explore(() => ({ program: Effect.forkDetach(Effect.never) }))
    assert.strictEqual(kindOf(report), "leak")
    assert.match(
      report.failure?.message ?? "",
      /^the program is over, and these fibers are not: root\/1 at operation 1$/
    )
  })

  it("a run that fails, and does not when it is run again, is nondeterministic", () => {
    let runs = 0
    const report = explore((world) => ({
      program: Effect.flatMap(world.fork("one", Effect.void), (fiber) => world.await(fiber)),
      atEnd: () => ++runs === 1 ? "the first run" : undefined
    }))
    assert.strictEqual(kindOf(report), "nondeterminism")
    assert.match(
      report.failure?.message ?? "",
      /a run was a leak: the first run; and the same schedule, run again, went/
    )
  })

  it("a program that remembers earlier runs is nondeterministic", () => {
    let runs = 0
    const report = explore((world) => {
      runs++
      const names = runs % 2 === 0 ? ["a", "b"] : ["b", "a"]
      return {
        program: Effect.flatMap(
          Effect.forEach(names, (name) => world.fork(name, Effect.void)),
          (all) => world.await(...all)
        )
      }
    })
    assert.strictEqual(kindOf(report), "nondeterminism")
    assert.match(report.failure?.message ?? "", /an earlier run left behind/)
  })

  const foreign: ReadonlyArray<readonly [string, Effect.Effect<unknown, unknown>]> = [
    ["a promise", Effect.promise(() => Promise.resolve(1))],
    ["setTimeout", Effect.callback<void>((resume) => void setTimeout(() => resume(Effect.void), 1))],
    ["queueMicrotask", Effect.callback<void>((resume) => queueMicrotask(() => resume(Effect.void)))]
  ]
  for (const [door, effect] of foreign) {
    it(`${door} inside is foreign, and named`, () => {
      const report = explore(alone(() => effect))
      assert.strictEqual(kindOf(report), "foreign")
      assert.include(report.failure?.message, `used ${door},`)
    })
  }

  it("after an exploration real timers and promises are as they were", async () => {
    explore(alone(() => Effect.promise(() => Promise.resolve(1))))
    assert.strictEqual(await new Promise((resolve) => setTimeout(() => resolve("here"), 0)), "here")
  })
})

describe("what a program leaves open", () => {
  it("every combination of answers is explored, once", () => {
    const seen: Array<string> = []
    const report = explore((world) => ({
      program: Effect.sync(() => {
        const drink = world.choose("to drink", ["tea", "coffee", "milk"])
        seen.push(`${drink}${world.choose("with", ["sugar", "nothing"])}`)
      })
    }))
    assert.deepStrictEqual(seen, ["00", "01", "10", "11", "20", "21"])
    assert.strictEqual(report.schedules, 6)
  })

  it("faults happen at any place, as often as is allowed", () => {
    const seen: Array<string> = []
    const program = (world: World): Explored => ({
      program: Effect.sync(() => {
        seen.push([1, 2, 3].map((place) => world.fault(`${place} fails`) ? place : "-").join(""))
      })
    })
    explore(program, { faults: 1 })
    assert.deepStrictEqual(seen, ["---", "--3", "-2-", "1--"])
    assert.strictEqual(explore(program, { faults: 2 }).schedules, 7)
    assert.strictEqual(explore(program).schedules, 1)
  })

  const sleepers = (order: Array<string>) => (world: World): Explored => ({
    program: Effect.gen(function*() {
      order.push("|")
      const wait = (name: string, ms: number) =>
        Effect.andThen(Effect.sleep(ms), Effect.sync(() => void order.push(name)))
      const late = yield* world.fork("late", wait("late", 20))
      const soon = yield* world.fork("soon", wait("soon", 10))
      yield* world.await(late, soon)
    })
  })

  it("idle time moves only when nothing else can happen, and in order", () => {
    const order: Array<string> = []
    explore(sleepers(order), { preemptions: 0 })
    assert.deepStrictEqual(new Set(order.join("").split("|").filter((run) => run !== "")), new Set(["soonlate"]))
  })

  it("racy time may move at once: a sleep of 20 may be over before a sleep of 10 has begun", () => {
    const order: Array<string> = []
    explore(sleepers(order), { preemptions: 0, timers: "racy" })
    assert.deepStrictEqual(
      new Set(order.join("").split("|").filter((run) => run !== "")),
      new Set(["soonlate", "latesoon"])
    )
  })
})

describe("random schedules", () => {
  const orders = (seed: number, preemptions = Infinity): ReadonlyArray<string> => {
    const seen: Array<string> = []
    explore((world) => {
      const order: Array<string> = []
      const thrice = (name: string) => Effect.forEach([1, 2, 3], () => Effect.sync(() => order.push(name)))
      return {
        program: Effect.gen(function*() {
          const fibers = yield* Effect.forEach(["a", "b", "c"], (name) => world.fork(name, thrice(name)))
          yield* world.await(...fibers)
          seen.push(order.join(""))
        })
      }
    }, { preemptions, random: { schedules: 100, seed } })
    return seen
  }

  it("of neighbouring seeds are not the same ones", () => {
    const [one, two] = [orders(1), orders(2)]
    assert.isAbove(new Set(one).size, 20)
    assert.notDeepEqual(one.slice(1), two.slice(0, -1))
    assert.deepStrictEqual(orders(1), one)
  })

  it("keep to the bound on preemptions", () => {
    assert.isTrue(orders(1, 0).every((order) => /^(aaa|bbb|ccc){3}$/.test(order)))
    assert.isFalse(orders(1, 1).every((order) => /^(aaa|bbb|ccc){3}$/.test(order)))
  })
})

describe("reductions", () => {
  const bounds: ReadonlyArray<readonly [string, ExploreOptions]> = [
    ["2 preemptions", { preemptions: 2 }],
    ["1 preemption, 1 interruption", { preemptions: 1, interrupts: 1 }]
  ]
  for (const way of ["handOff", "grantForgotten"] as const) {
    for (const [bound, options] of bounds) {
      if (way === "grantForgotten" && options.interrupts === 1) continue
      it(`${way} within ${bound}: the same distinct traces with and without, from fewer schedules`, () => {
        const reduced = explore(through(way, { fibers: 2 }), options)
        const all = explore(through(way, { fibers: 2 }), { ...options, reductions: false })
        assert.strictEqual(reduced.traces, all.traces)
        assert.isBelow(reduced.schedules, all.schedules)
        assert.deepStrictEqual(reduced.coverage, all.coverage)
      })
    }
  }

  /** Two fibers of one access each, so that all schedules can be counted without reductions, too. */
  const counters = (world: World): Explored => {
    let accesses = 0
    const count = Effect.andThen(Effect.sync(() => void accesses++), Effect.void)
    return {
      program: Effect.gen(function*() {
        const a = yield* world.fork("a", count)
        const b = yield* world.fork("b", count)
        yield* world.await(a, b)
      }),
      probe: () => accesses
    }
  }

  for (const interrupts of [0, 1]) {
    it(`sleep sets, ${interrupts} interruptions: the same distinct traces with and without, without a bound`, () => {
      const reduced = explore(counters, { interrupts })
      const all = explore(counters, { interrupts, reductions: false, maxSchedules: 1_000_000 })
      assert.deepStrictEqual(all.coverage, { kind: "complete" })
      assert.strictEqual(reduced.traces, all.traces)
      assert.isBelow(reduced.schedules + reduced.pruned, all.schedules)
    })
  }

  it("a look at the time, and a sleep, are never skipped", () => {
    const slept = (world: World): Explored => {
      const order: Array<string> = []
      const sleeper = (name: string, ms: number) =>
        Effect.andThen(Effect.sleep(ms), Effect.sync(() => void order.push(name)))
      return {
        program: Effect.gen(function*() {
          const a = yield* world.fork("a", sleeper("a", 10))
          const b = yield* world.fork("b", sleeper("b", 10))
          yield* world.await(a, b)
        }),
        atEnd: () => order[0] === "a" ? undefined : "b was first",
        probe: () => order.length
      }
    }
    assert.strictEqual(kindOf(explore(slept)), "leak")
  })

  it("a look at whether a fiber is over is never skipped", () => {
    const seen = new Set<boolean>()
    explore((world) => {
      let other: Fiber.Fiber<void> | undefined
      let isOver = false
      const look = Effect.sync(() => {
        isOver = other?.pollUnsafe() !== undefined
      })
      return {
        program: Effect.gen(function*() {
          const looker = yield* world.fork("looker", Effect.andThen(look, Effect.void))
          other = yield* world.fork("other", Effect.void)
          yield* world.await(looker, other)
          seen.add(isOver)
        }),
        probe: () => 0
      }
    })
    assert.deepStrictEqual(seen, new Set([false, true]))
  })

  it("a step that touches shared state is never skipped: a touch that the probe misses can be told", () => {
    const racing = (tells: boolean) => (world: World): Explored => {
      let shared = 0
      const increment = Effect.suspend(() => {
        if (tells) world.touch()
        const read = shared
        const write = Effect.sync(() => {
          if (tells) world.touch()
          shared = read + 1
        })
        return Effect.andThen(write, Effect.void)
      })
      return {
        program: Effect.gen(function*() {
          const a = yield* world.fork("a", increment)
          const b = yield* world.fork("b", increment)
          yield* world.await(a, b)
        }),
        atEnd: () => shared === 2 ? undefined : `an increment was lost: ${shared}`,
        probe: () => 0
      }
    }
    assert.strictEqual(kindOf(explore(racing(true))), "leak")
    // What the docstring of `probe` warns of, so that the test above shows something.
    assert.strictEqual(kindOf(explore(racing(false))), "nothing")
    const unprobed = (world: World) => ({ ...racing(false)(world), probe: undefined })
    assert.strictEqual(kindOf(explore(unprobed)), "leak")
  })
})

describe("bad input", () => {
  it("an option that cannot be used is named, with its value and the rule", () => {
    const cases: ReadonlyArray<readonly [ExploreOptions, RegExp]> = [
      [{ preemptions: -1 }, /preemptions is -1: it must be an integer of at least 0/],
      [{ interrupts: 0.5 }, /interrupts is 0.5/],
      [{ maxSteps: 0 }, /maxSteps is 0: it must be an integer of at least 1/],
      [{ random: { schedules: 0 } }, /random.schedules is 0/],
      [{ random: { schedules: 1, seed: NaN } }, /random.seed is NaN: it must be an integer of at least 0/]
    ]
    for (const [options, message] of cases) {
      assert.throws(() => explore(through("handOff", { fibers: 2 }), options), message)
    }
  })

  it("what is no id, and an id of another program, are refused and said", () => {
    const { failure } = explore(through("registersLate", { fibers: 2 }))
    assert.throws(
      () => replay(through("registersLate", { fibers: 2 }), "25 steps"),
      /id is "25 steps": it must be the id/
    )
    assert.throws(() => replay(through("handOff", { fibers: 3 }), failure?.id ?? ""), /made by another program/)
    assert.throws(() => replay(alone(() => Effect.void), failure?.id ?? ""), /made by another program/)
  })

  it("an id without a choice fits its own program only, too; and knows how long a run may be", () => {
    const leaks = (operations: number) => (): Explored => ({
      program: Effect.forEach(Array.from({ length: operations }), () => Effect.void, { discard: true }),
      atEnd: () => "a leak"
    })
    const id = explore(leaks(1)).failure?.id ?? ""
    assert.strictEqual(kindOf(replay(leaks(1), id)), "leak")
    assert.throws(() => replay(leaks(2), id), /made by another program/)
    const long = explore(leaks(6000), { maxSteps: 20_000 }).failure?.id ?? ""
    assert.strictEqual(kindOf(replay(leaks(6000), long)), "leak")
  })

  it("an exploration that was cut off does not pass", () => {
    const report = explore(through("handOff", { fibers: 3 }), { maxSchedules: 50 })
    assert.deepStrictEqual(report.coverage, { kind: "incomplete" })
    assert.throws(() => assertExplored(report), /not explored to the end: NOT all schedules: .*Raise maxSchedules/)
  })

  it("a name that is used twice is refused", () => {
    const report = explore((world) => ({
      program: Effect.andThen(world.fork("a", Effect.void), world.fork("a", Effect.void))
    }))
    assert.strictEqual(kindOf(report), "failure")
    assert.include(report.failure?.message, `fork: name is "a" again; every fiber needs its own`)
  })

  it("a failure is raised with its trace and the line that replays it", () => {
    const report = explore(through("registersLate", { fibers: 2 }))
    assert.throws(
      () => assertExplored(report),
      /^deadlock after \d+ schedules: [^]*fiber 1 starts[^]*\nreplay\(make, "i0f0s5000-/
    )
  })
})

describe("the runtime", () => {
  it("the installed Effect does what the explorer takes for granted", () => {
    assert.deepStrictEqual(brokenAssumptions(), [])
  })

  it("a fiber that is resumed inside another's operation may pause there, and its resumer goes on", () => {
    // Only if `opened` can still run after the opener has gone on does anybody see 1 before 2.
    const orders = new Set<string>()
    explore((world) => {
      const order: Array<string> = []
      return {
        program: Effect.gen(function*() {
          const door = yield* Deferred.make<void>()
          const opened = yield* world.fork(
            "opened",
            Effect.andThen(Deferred.await(door), Effect.sync(() => void order.push("1")))
          )
          const opener = yield* world.fork(
            "opener",
            Effect.andThen(Deferred.succeed(door, undefined), Effect.sync(() => void order.push("2")))
          )
          yield* world.await(opened, opener)
          orders.add(order.join(""))
        })
      }
    })
    assert.deepStrictEqual(orders, new Set(["12", "21"]))
  })

  it("an interruption that finds a fiber uninterruptible waits until it is not, and nothing is taken for a deadlock", () => {
    let masked = 0
    const report = explore(
      alone(() => Effect.uninterruptible(Effect.andThen(Effect.void, Effect.sync(() => void masked++)))),
      {
        interrupts: 1
      }
    )
    assert.strictEqual(kindOf(report), "nothing")
    assert.isAbove(masked, 1)
  })

  it("fibers that a race forks are preempted, too", () => {
    const winners = new Set<string>()
    explore(
      alone(() =>
        Effect.map(
          Effect.race(
            Effect.as(Effect.andThen(Effect.yieldNow, Effect.void), "left"),
            Effect.as(Effect.andThen(Effect.yieldNow, Effect.void), "right")
          ),
          (winner) => void winners.add(winner)
        )
      ),
      { preemptions: 1 }
    )
    assert.deepStrictEqual(winners, new Set(["left", "right"]))
  })

  it("a fiber that the program itself interrupts ends before whoever did it goes on", () => {
    const report = explore((world) => ({
      program: Effect.gen(function*() {
        const victim = yield* world.fork("victim", Effect.never)
        const killer = yield* world.fork("killer", Fiber.interrupt(victim))
        yield* world.await(killer)
        if (victim.pollUnsafe() === undefined) yield* Effect.die("the victim lives")
        yield* Fiber.await(victim)
      })
    }))
    assert.strictEqual(kindOf(report), "nothing")
  })
})

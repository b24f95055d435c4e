/**
 * Little programs at random, each explored with the reductions and without: every outcome that some schedule has is found
 * among those that are left. HEADGATE_SEED replays one program, HEADGATE_FULL=1 tries many more.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { assert, describe, it } from "vitest"
import { explore, type Explored, type ExploreOptions, promiseLine, type World } from "../../src/Explorer.ts"
import { randomFrom } from "../../src/internal/explorer/search.ts"

const first = Number(process.env["HEADGATE_SEED"] ?? 1)
const programs = process.env["HEADGATE_SEED"] !== undefined ? 1 : process.env["HEADGATE_FULL"] === "1" ? 600 : 30

/** What the fibers of a program share, all of it counted. */
class Shared {
  accesses = 0
  readonly log: Array<string> = []
  readonly fibers: Array<Fiber.Fiber<unknown>> = []
  private isOpen = false
  private waiting: Array<() => void> = []

  touch(what: string): void {
    this.accesses++
    this.log.push(what)
  }

  wait(who: string): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.touch(`${who} waits`)
      const wake = () => resume(Effect.void)
      if (this.isOpen) return wake()
      this.waiting.push(wake)
      return Effect.sync(() => {
        this.touch(`${who} leaves`)
        this.waiting = this.waiting.filter((other) => other !== wake)
      })
    })
  }

  open(who: string): void {
    this.touch(`${who} opens`)
    this.isOpen = true
    for (const wake of this.waiting.splice(0)) wake()
  }
}

interface Here {
  readonly shared: Shared
  readonly world: World
  readonly who: string
  /** A number below 3. */
  readonly n: number
  /** Another fiber, if it has been forked. */
  readonly other: () => Fiber.Fiber<unknown> | undefined
}

/** What a fiber may do. */
const statements: { readonly [name: string]: (here: Here) => Effect.Effect<unknown> } = {
  nothing: () => Effect.void,
  yields: () => Effect.yieldNow,
  touches: ({ shared, who }) => Effect.sync(() => shared.touch(who)),
  maps: ({ shared, who }) => Effect.map(Effect.as(Effect.void, 1), () => shared.touch(who)),
  waits: ({ shared, who }) => shared.wait(who),
  opens: ({ shared, who }) => Effect.sync(() => shared.open(who)),
  isMasked: ({ shared, who }) =>
    Effect.uninterruptible(Effect.andThen(Effect.void, Effect.sync(() => shared.touch(who)))),
  cleansUp: ({ shared, who }) => Effect.ensuring(Effect.void, Effect.sync(() => shared.touch(`${who} cleans up`))),
  sleeps: ({ n }) => Effect.sleep([10, 20, 10][n] ?? 0),
  readsTheTime: ({ shared, who }) => Effect.map(Clock.currentTimeMillis, (now) => shared.touch(`${who} at ${now}`)),
  chooses: ({ shared, who, world }) =>
    Effect.sync(() => {
      if (world.choose(who, ["no", "yes"]) === 1) shared.touch(who)
    }),
  fails: ({ shared, who, world }) =>
    Effect.sync(() => {
      if (world.fault(who)) shared.touch(who)
    }),
  races: ({ shared, who }) =>
    Effect.race(Effect.sync(() => shared.touch(`${who} left`)), Effect.sync(() => shared.touch(`${who} right`))),
  timesOut: ({ shared, who }) =>
    Effect.timeoutOption(Effect.andThen(Effect.sync(() => shared.touch(who)), Effect.sleep(15)), 10),
  interrupts: ({ other }) => meeting(other, Fiber.interrupt),
  polls: ({ other, shared, who }) =>
    Effect.sync(() => shared.touch(`${who} sees ${other()?.pollUnsafe() === undefined ? "nothing" : "an end"}`)),
  awaits: ({ other }) => meeting(other, Fiber.await)
}

const meeting = (
  other: Here["other"],
  does: (fiber: Fiber.Fiber<unknown>) => Effect.Effect<unknown>
): Effect.Effect<unknown> =>
  Effect.suspend(() => {
    const fiber = other()
    return fiber === undefined ? Effect.void : does(fiber)
  })

const written = (random: () => number, names: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const below = (n: number) => Math.floor(random() * n)
  const fibers = random() < 0.25 ? 3 : 2
  return Array.from(
    { length: fibers },
    () => Array.from({ length: 1 + below(fibers === 3 ? 2 : 3) }, () => `${names[below(names.length)]} ${below(3)}`)
  )
}

const compiled = (text: ReadonlyArray<ReadonlyArray<string>>, outcomes: Set<string>) => (world: World): Explored => {
  const shared = new Shared()
  const { fibers } = shared
  const statement = (fiber: number, line: string): Effect.Effect<unknown> => {
    const [name = "", n = ""] = line.split(" ")
    // Only who was forked before is awaited: nobody waits in a circle.
    const index = name === "awaits" ? fiber - 1 : (fiber + 1 + Number(n)) % text.length
    const other = () => index === fiber ? undefined : fibers[index]
    return statements[name]?.({ shared, world, who: `${fiber}`, n: Number(n), other }) ?? Effect.die(`no ${name}`)
  }
  return {
    program: Effect.gen(function*() {
      for (const [index, lines] of text.entries()) {
        const body = lines.map((line) => statement(index, line)).reduce((all, next) => Effect.andThen(all, next))
        fibers.push(yield* world.fork(`fiber ${index}`, body))
      }
      yield* world.await(...fibers)
      const ends = fibers.map((fiber) => Exit.isSuccess(fiber.pollUnsafe() ?? Exit.void))
      outcomes.add(`${shared.log.join(", ")}; ${ends.join(", ")}`)
    }),
    probe: () => shared.accesses
  }
}

describe("the reductions lose no outcome", () => {
  const all = Object.keys(statements)
  const rows: ReadonlyArray<readonly [string, ReadonlyArray<string>, ExploreOptions]> = [
    ["any schedule", ["touches", "waits", "opens", "isMasked", "cleansUp", "chooses", "yields"], {}],
    ["fibers that meddle, and time", all, { preemptions: 2 }],
    ["timers at any time", ["touches", "maps", "sleeps", "readsTheTime", "timesOut", "polls"], {
      timers: "racy",
      preemptions: 1
    }],
    ["interruptions and faults", all.filter((name) => name !== "races" && name !== "timesOut"), {
      interrupts: 1,
      faults: 1,
      preemptions: 1
    }]
  ]
  for (const [what, names, options] of rows) {
    it(`${what}: ${programs} programs (${promiseLine(options)})`, { timeout: 0 }, () => {
      assert.includeMembers(all, [...names])
      let compared = 0
      for (let seed = first; seed < first + programs; seed++) {
        const text = written(randomFrom(seed), names)
        const told = `HEADGATE_SEED=${seed}: ${JSON.stringify(text)}`
        const every = new Set<string>()
        const kept = new Set<string>()
        const whole = explore(compiled(text, every), { ...options, reductions: false, maxSchedules: 4000 })
        // Too large to know: a program that fails is compared by how it fails.
        if (whole.coverage.kind === "incomplete" && whole.failure === undefined) continue
        const reduced = explore(compiled(text, kept), options)
        compared++
        assert.strictEqual(reduced.failure?.kind, whole.failure?.kind, told)
        if (whole.failure !== undefined) continue
        assert.deepStrictEqual(kept, every, told)
        assert.strictEqual(reduced.traces, whole.traces, told)
      }
      if (programs > 1) assert.isAbove(compared / programs, 0.4)
    })
  }
})

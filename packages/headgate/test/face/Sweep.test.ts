/**
 * L9, exhaustively: every public effect that takes or gives a buffer, or makes or ends an entity, is interrupted at each of
 * its operations, and between any two slices of every yield budget from 3 to 64, in each position that it can be in.
 * Whatever happens, nothing is leaked, nobody stays in a queue, and whoever stands behind is served.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as Applet from "headgate/Applet"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import * as Headgate from "headgate/Headgate"
import type { BufferPending, BufferUnavailable, PoolClosed } from "headgate/PoolError"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"
import { broken, causeOf, interruptingAt, must, type Pool, stepped, StepScheduler } from "./harness.ts"

const work = (buffer: ByteBuffer) =>
  Effect.gen(function*() {
    buffer.write("x")
    yield* Effect.yieldNow
    buffer.consume(1)
  })

/** Each of the pool's effects as a whole: what it takes, it gives back, unless it is left too early. */
const subjects: { readonly [name: string]: (pool: Pool) => Effect.Effect<unknown, unknown> } = {
  withBuffer: (pool) => pool.withBuffer("channel", work),
  withBufferSync: (pool) => pool.withBufferSync("channel", (buffer) => buffer.write("x")),
  acquire: (pool) => Effect.scoped(Effect.flatMap(pool.acquire("channel"), work)),
  tryAcquire: (pool) => Effect.scoped(Effect.flatMap(pool.tryAcquire("channel"), work))
}

type Position = "uncontended" | "queued" | "being granted" | "being granted, interrupted at once"
const positions: ReadonlyArray<Position> = [
  "uncontended",
  "queued",
  "being granted",
  "being granted, interrupted at once"
]

interface Case {
  readonly subject: (pool: Pool) => Effect.Effect<unknown, unknown>
  readonly position: Position
  readonly maxOps: number
  /** Interrupt at this operation of the subject. */
  readonly operation?: number
  /** Interrupt after so many steps of the scheduler. */
  readonly slice?: number
}

/** Plays one case on a pool of 2 with a second waiter behind; returns how far the subject came, in operations and slices. */
const play = ({ operation, position, slice, subject, maxOps }: Case) => {
  const { fork, pool, scheduler } = stepped({ limit: 2, reserve: 1, ageAfter: Infinity }, maxOps)
  const held = position === "uncontended" ? [] : [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
  let operations = 0
  const tracer = interruptingAt(operation ?? -1, (seen) => {
    operations = seen
  })
  const effect = operation === undefined ? subject(pool) : Effect.provideService(subject(pool), Tracer.Tracer, tracer)
  const target = fork(effect)
  let behind = 0
  let slices = 0
  let interrupted = false
  const interrupt = () => {
    if (!interrupted) target.interruptUnsafe(-1)
    interrupted = true
  }
  const step = (): boolean => {
    if (slices === slice) interrupt()
    slices++
    const went = scheduler.step()
    look(pool)
    return went
  }
  const queued = position === "queued" || position.startsWith("being granted")
  if (queued) { for (let more = 20; more > 0 && step(); more--); }
  const waiter = fork(pool.withBuffer("rx", () => Effect.sync(() => behind++)))
  if (position === "queued") { while (step()); }
  for (const lease of held) {
    pool.giveBackUnsafe(lease)
    if (position === "being granted, interrupted at once") interrupt()
    look(pool)
  }
  while (step());
  const last = { operations, slices }
  expect(target.pollUnsafe(), "the subject has ended").toBeDefined()
  expect([behind, causeOf(waiter.pollUnsafe())], "who stands behind is served").toEqual([1, "success"])
  expect(Effect.runSync(pool.snapshot)).toMatchObject({ used: 0, classes: { channel: { waiting: 0 } } })
  expect(Effect.runSync(pool.waitQueue.waiting)).toEqual([])
  return last
}

const look = (pool: Pool) => {
  expect(broken(Effect.runSync(pool.snapshot), Effect.runSync(pool.waitQueue.waiting))).toEqual([])
}

describe("interrupting at every operation", () => {
  describe.each(Object.entries(subjects))("of %s", (name, subject) => {
    it.each(positions)("%s: leaks nothing and forgets nobody", (position) => {
      const budgets = [3, 4, 5, 7, 2048]
      for (const maxOps of budgets) {
        let last = Infinity
        let cases = 0
        for (let operation = 1; operation <= last; operation++) {
          last = play({ subject, position, maxOps, operation }).operations + 1
          if (last < operation) break
          if (++cases > 300) throw new Error("the subject has no end")
        }
        expect(cases, `${name} at ${maxOps} operations per slice`).toBeGreaterThan(3)
      }
    })
  })
})

describe("interrupting between any two slices, at every yield budget from 3 to 64", () => {
  describe.each(Object.entries(subjects))("of %s", (_, subject) => {
    it.each(positions)("%s: leaks nothing and forgets nobody", (position) => {
      for (let maxOps = 3; maxOps <= 64; maxOps++) {
        let last = Infinity
        for (let slice = 0; slice < last; slice++) last = play({ subject, position, maxOps, slice }).slices
      }
    })
  })
})

describe("acquire in a scope that goes on", () => {
  it("keeps nothing there when an operation of it is interrupted, but for the one between its end and its caller", () => {
    for (const position of positions) {
      const kept: Array<number> = []
      let interrupted = 0
      for (let operation = 1, last = Infinity; operation <= last; operation++) {
        const { fork, pool, scheduler } = stepped({ limit: 2, reserve: 1, ageAfter: Infinity }, 2048)
        const held = position === "uncontended" ? [] : [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
        let operations = 0
        const tracer = interruptingAt(operation, (seen) => {
          operations = seen
        })
        let seen = false
        const scope = Scope.makeUnsafe()
        const acquire = Effect.map(pool.acquire("channel"), () => {
          seen = true
        })
        const target = fork(Effect.provideService(Scope.provide(acquire, scope), Tracer.Tracer, tracer))
        scheduler.drain()
        for (const lease of held) pool.giveBackUnsafe(lease)
        if (position === "being granted, interrupted at once") target.interruptUnsafe(-1)
        scheduler.drain()
        if (Exit.isFailure(must(target.pollUnsafe()))) interrupted++
        const { used } = Effect.runSync(pool.snapshot)
        if (!seen && used > 0) kept.push(operation)
        expect(used, `${position}, operation ${operation} of ${operations}`).toBeLessThanOrEqual(1)
        fork(Scope.close(scope, Exit.void))
        scheduler.drain()
        expect(Effect.runSync(pool.snapshot).used).toBe(0)
        last = operations
      }
      expect(interrupted).toBeGreaterThan(8)
      expect(kept.length, `kept at operations ${kept}`).toBeLessThanOrEqual(1)
    }
  })

  it("keeps nothing there when its timeout comes in the step of its grant; all else goes back with the scope", () => {
    for (const maxOps of [3, 4, 5, 7, 12, 64]) {
      for (let slice = 0; slice < 24; slice++) {
        for (let gap = -6; gap <= 12; gap++) {
          const { clock, fork, pool, scheduler } = stepped({ limit: 2, reserve: 1, ageAfter: Infinity }, maxOps)
          const held = [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
          const scope = Scope.makeUnsafe()
          const raced = fork(Effect.timeout(Scope.provide(pool.acquire("channel"), scope), 10))
          for (let steps = 0; steps < 60; steps++) {
            if (steps === slice) { for (const lease of held.splice(0)) pool.giveBackUnsafe(lease) }
            if (steps === slice + gap) clock.advance(10)
            scheduler.step()
          }
          clock.advance(10)
          scheduler.drain()
          const { used } = Effect.runSync(pool.snapshot)
          const label = `${maxOps} operations per slice, buffer at ${slice}, time ${gap} later`
          const exit = must(raced.pollUnsafe())
          if (Exit.isSuccess(exit)) expect(used, label).toBe(1)
          else if (gap <= 0) expect(used, label).toBe(0)
          fork(Scope.close(scope, Exit.void))
          scheduler.drain()
          expect(Effect.runSync(pool.snapshot).used, label).toBe(0)
        }
      }
    }
  })
})

// ---- entities -----------------------------------------------------------------------------------------------------------

const small: Headgate.HeadgateOptions = { limit: 2, reserve: 1, bufferSize: 8, debug: true, ageAfter: Infinity }
let worlds = 0

/** Pool and schedulers by hand, on a scheduler of the test's own. */
const entities = (maxOps: number) => {
  const scheduler = new StepScheduler(maxOps)
  const scope = Scope.makeUnsafe()
  const layer = Headgate.layerManual({ ...small, name: `sweep ${++worlds}` })
  const built = Effect.runFork(Layer.buildWithScope(Layer.orDie(layer), scope), { scheduler })
  scheduler.drain()
  const exit = must(built.pollUnsafe())
  if (Exit.isFailure(exit)) throw new Error(String(exit.cause))
  const context = exit.value
  const fork = <A, E>(
    effect: Effect.Effect<A, E, Headgate.Services | Stepper | Scope.Scope>,
    inside: Scope.Scope = scope
  ): Fiber.Fiber<A, E> => Effect.runFork(Effect.provideContext(Scope.provide(effect, inside), context), { scheduler })
  const run = <A, E>(effect: Effect.Effect<A, E, Headgate.Services | Stepper | Scope.Scope>): A => {
    const fiber = fork(effect)
    scheduler.drain()
    const exit = fiber.pollUnsafe()
    if (exit === undefined || Exit.isFailure(exit)) throw new Error(`a set-up did not succeed: ${causeOf(exit)}`)
    return exit.value
  }
  const settle = () => {
    for (let steps = 1; steps > 0;) {
      scheduler.drain()
      steps = run(Stepper.settle)
    }
  }
  return { context, scheduler, scope, fork, run, settle, pool: run(BufferPool) }
}

type Door = (
  channel: ByteChannel.ByteChannel
) => Effect.Effect<ByteBuffer, BufferPending | BufferUnavailable | PoolClosed, Scope.Scope>
const doors: ReadonlyArray<{ readonly name: string; readonly door: Door }> = [
  { name: "alloc", door: ByteChannel.alloc },
  { name: "tryAlloc", door: ByteChannel.tryAlloc }
]

/**
 * A stream's run allocates its response, with the run's scope or one of its own, and is interrupted at an operation of it.
 * Returns how many operations the run had.
 */
const playRun = (
  door: Door,
  position: Position,
  maxOps: number,
  operation: number
): number => {
  const { fork, pool, run, settle } = entities(maxOps)
  const held = position === "uncontended" ? [] : [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
  let operations = 0
  const tracer = interruptingAt(operation, (seen) => {
    operations = seen
  })
  const stream = run(ByteStream.make({
    process: (self) =>
      Effect.provideService(
        Effect.andThen(Effect.scoped(Effect.flatMap(door(self.response), work)), door(self.response)),
        Tracer.Tracer,
        tracer
      ).pipe(Effect.asVoid, Effect.catchTag("BufferUnavailable", () => Effect.void))
  }))
  let behind = 0
  if (position !== "uncontended") {
    settle()
    fork(pool.withBuffer("rx", () => Effect.sync(() => behind++)))
    for (const lease of held) pool.giveBackUnsafe(lease)
    if (position === "being granted, interrupted at once") fork(stream.end)
  } else fork(pool.withBuffer("rx", () => Effect.sync(() => behind++)))
  stream.wakeUnsafe("io")
  settle()
  expect(behind, "who stands behind is served").toBe(1)
  expect(run(pool.snapshot)).toMatchObject({ used: 0 })
  expect(run(pool.waitQueue.waiting)).toEqual([])
  expect(stream.response.buffer).toBeUndefined()
  return operations
}

describe("interrupting a run at every operation", () => {
  describe.each(doors)("of ByteChannel.$name", ({ door, name }) => {
    it.each(positions)("%s: leaks nothing and forgets nobody", (position) => {
      for (const maxOps of [3, 4, 5, 7, 2048]) {
        let cases = 0
        for (let operation = 1, last = Infinity; operation <= last; operation++, cases++) {
          last = playRun(door, position, maxOps, operation)
          if (cases > 300) throw new Error("the run has no end")
        }
        expect(cases, name).toBeGreaterThan(3)
      }
    })
  })
})

describe("a scheduler's turn between any two slices of a task's making", () => {
  it("loses no wake, at every yield budget from 3 to 64", () => {
    for (let maxOps = 3; maxOps <= 64; maxOps++) {
      const { context, fork, scheduler, settle } = entities(maxOps)
      let runs = 0
      const made = fork(Task.make(() => Effect.sync(() => runs++)))
      do Effect.runSync(Context.get(context, Stepper).runTasks)
      while (scheduler.step())
      settle()
      expect(causeOf(made.pollUnsafe())).toBe("success")
      expect(runs, `${maxOps} operations per slice`).toBe(1)
    }
  })
})

describe("ByteChannel outside a run", () => {
  it.each(doors)("$name, interrupted at every operation, leaks nothing and forgets nobody", ({ door }) => {
    for (const position of positions) {
      for (let maxOps = 3; maxOps <= 64; maxOps++) {
        for (let operation = 1, last = Infinity; operation <= last; operation++) {
          const { fork, pool, run, settle } = entities(maxOps)
          const held = position === "uncontended"
            ? []
            : [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
          const stream = run(ByteStream.make({ process: () => Effect.void }))
          settle()
          if (position.startsWith("being granted")) {
            expect(ByteChannel.allocUnsafe(stream.response)).toBe("queued")
            for (const lease of held.splice(0)) pool.giveBackUnsafe(lease)
          }
          let operations = 0
          const tracer = interruptingAt(operation, (seen) => {
            operations = seen
          })
          const whole = Effect.scoped(Effect.andThen(door(stream.response), Effect.yieldNow))
          const target = fork(Effect.provideService(whole, Tracer.Tracer, tracer))
          if (position === "being granted, interrupted at once") target.interruptUnsafe(-1)
          settle()
          for (const lease of held) pool.giveBackUnsafe(lease)
          settle()
          expect(run(pool.snapshot)).toMatchObject({ used: 0 })
          expect(run(pool.waitQueue.waiting)).toEqual([])
          last = operations
        }
        if (position !== "uncontended" && maxOps > 8) break
      }
    }
  })
})

describe("interrupting at every operation", () => {
  /** Interrupts what `subject` makes of a stream at each operation, and hands the world to `after`. */
  const sweep = (
    subject: (stream: ByteStream.ByteStream) => Effect.Effect<unknown, unknown, Headgate.Services | Scope.Scope>,
    after: (world: ReturnType<typeof entities>, stream: ByteStream.ByteStream, label: string) => void,
    from = 1
  ): number => {
    let cases = 0
    for (const maxOps of [3, 4, 5, 7, 2048]) {
      for (let operation = from, last = Infinity; operation <= last; operation++, cases++) {
        const world = entities(maxOps)
        const stream = world.run(ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } }))
        world.settle()
        let operations = 0
        const tracer = interruptingAt(operation, (seen) => {
          operations = seen
        })
        const inner = Scope.makeUnsafe()
        const target = world.fork(Effect.provideService(subject(stream), Tracer.Tracer, tracer), inner)
        world.settle()
        expect(target.pollUnsafe()).toBeDefined()
        world.fork(Scope.close(inner, Exit.void))
        world.settle()
        after(world, stream, `operation ${operation} of ${operations}, ${maxOps} per slice`)
        last = operations
      }
    }
    return cases
  }

  it("of an entity's end from elsewhere: what has begun to end does end", () => {
    const cases = sweep((stream) => stream.end, ({ fork, run, settle }, stream, label) => {
      const ended = run(Effect.flatMap(TaskScheduler, ({ snapshot }) => snapshot)).entities === 0
      const waiting = fork(stream.await)
      settle()
      expect(causeOf(waiting.pollUnsafe()), label).toBe(ended ? "success" : "running")
    })
    expect(cases).toBeGreaterThan(20)
  })

  it("of Task.make: once its scope is closed, no entity is left", () => {
    sweep(() => Task.make(() => Effect.void), ({ run }, _, label) => {
      expect(run(Effect.flatMap(TaskScheduler, ({ snapshot }) => snapshot)).entities, label).toBe(1)
    })
  })

  it("of Applet.make: once its scope is closed, the channel does not take a dead one for its filler", () => {
    sweep((stream) => Applet.make({ channel: stream.response, run: () => Effect.void }), (world, stream, label) => {
      const { pool } = world
      const held = [must(pool.tryTakeUnsafe("tx")), must(pool.tryTakeUnsafe("tx"))]
      const door = ByteChannel.allocUnsafe(stream.response)
      for (const lease of held) pool.giveBackUnsafe(lease)
      world.settle()
      expect([door, world.run(pool.snapshot).used, world.run(pool.waitQueue.waiting).length], label).toSatisfy(
        ([, used, waiting]) => used === 0 && waiting === 0
      )
    })
  })
})

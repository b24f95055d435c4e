/**
 * What the explorer found in Effect 4.1.0, each with its cause and the smallest program that shows it. The first of them is
 * told at length in partitionedSemaphore.ts.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pool from "effect/Pool"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as TxSemaphore from "effect/TxSemaphore"
import { describe } from "vitest"
import type { Explored, World } from "../../../src/Explorer.ts"
import { stillThere } from "./knownFault.ts"
import { happensSomewhere, losesInterrupted, operations, turns } from "./production.ts"

describe("transactional permits", () => {
  const transactional =
    (use: (semaphore: TxSemaphore.TxSemaphore) => Effect.Effect<void>) => (world: World): Explored => {
      let back: number | undefined
      return {
        program: Effect.gen(function*() {
          const semaphore = yield* TxSemaphore.make(1)
          const visitor = yield* world.fork("visitor", use(semaphore))
          yield* world.await(visitor)
          back = yield* TxSemaphore.available(semaphore)
        }),
        atEnd: () => back === 1 ? undefined : `${back} of 1 permits are back`
      }
    }
  const isGone = (semaphore: TxSemaphore.TxSemaphore) =>
    Effect.map(TxSemaphore.available(semaphore), (available) => available === 0)

  // The transaction commits in a mask of its own, inside an interruptible region: an interruption is raised where its mask
  // ends, after the commit and before the release is installed.
  for (
    const [name, use] of [
      ["withPermit", (semaphore) => TxSemaphore.withPermit(semaphore, Effect.void)],
      ["withPermitScoped", (semaphore) => Effect.scoped(TxSemaphore.withPermitScoped(semaphore))]
    ] satisfies ReadonlyArray<readonly [string, (semaphore: TxSemaphore.TxSemaphore) => Effect.Effect<void>]>
  ) {
    stillThere({
      of: `TxSemaphore.${name}`,
      what: "an interruption loses the permit",
      make: transactional(use),
      options: { interrupts: 1 },
      kind: "leak",
      interruptions: 1,
      pauses: 0,
      inProduction: () => losesInterrupted(TxSemaphore.make(1), use, isGone)
    })
  }
})

describe("messages", () => {
  // The message leaves the subscription in one operation and is delivered in the next: an interruption between has it.
  // `Queue.take` does both in one.
  stillThere({
    of: "PubSub.take",
    what: "an interruption loses the message",
    make: (world) => {
      const got: Array<string> = []
      return {
        program: Effect.scoped(Effect.gen(function*() {
          const pubsub = yield* PubSub.bounded<string>(1)
          const subscription = yield* PubSub.subscribe(pubsub)
          yield* PubSub.publish(pubsub, "message")
          const record = (message: string) => void got.push(message)
          const reader = yield* world.fork("reader", Effect.map(PubSub.take(subscription), record))
          yield* world.await(reader)
          got.push(...yield* PubSub.takeUpTo(subscription, 1))
        })),
        atEnd: () => got.length === 1 ? undefined : `the message was taken ${got.length} times`
      }
    },
    options: { interrupts: 1 },
    kind: "leak",
    interruptions: 1,
    pauses: 0,
    inProduction: () => {
      const got: Array<string> = []
      return losesInterrupted(
        Effect.gen(function*() {
          got.length = 0
          const pubsub = yield* PubSub.bounded<string>(1)
          const subscription = yield* Scope.provide(PubSub.subscribe(pubsub), yield* Scope.make())
          yield* PubSub.publish(pubsub, "message")
          return subscription
        }),
        (subscription) => Effect.map(PubSub.take(subscription), (message) => void got.push(message)),
        (subscription) => Effect.map(PubSub.takeUpTo(subscription, 1), (left) => got.length + left.length === 0)
      )
    }
  })

  const drained = Effect.gen(function*() {
    const got: Array<number> = []
    const queue = yield* Queue.bounded<number>(1)
    const reader = yield* Effect.forkChild(Effect.map(Queue.take(queue), (message) => void got.push(message)))
    yield* Effect.yieldNow
    yield* Queue.offer(queue, 1)
    // Waits until the reader has made room: and goes on inside the reader's own operation.
    yield* Queue.offer(queue, 2)
    yield* Fiber.interrupt(reader)
    return [...got, ...yield* Queue.clear(queue)]
  })

  // `take` makes room before it delivers: the producer that waited for room is resumed inside it, and if that interrupts the
  // reader, the interruption is raised instead of the delivery.
  stillThere({
    of: "Queue.take",
    what: "the producer that it makes room for interrupts the reader, and the message is lost",
    make: () => {
      let all: ReadonlyArray<number> = []
      return {
        program: Effect.map(drained, (messages) => {
          all = messages
        }),
        atEnd: () => all.length === 2 ? undefined : `of the messages 1 and 2 there is only ${all}`
      }
    },
    options: { preemptions: 0 },
    kind: "leak",
    interruptions: 0,
    pauses: 0,
    inProduction: async () => (await Effect.runPromise(drained)).length < 2
  })
})

describe("pools", () => {
  const refused = Effect.fail("refused")

  // Who finds no item registers itself in a later operation, and looks again for a healthy item only: an acquisition that
  // failed in between has woken nobody, and its failure is left for a borrower who never comes to look.
  stillThere({
    of: "Pool.use",
    what: "an acquisition that fails while a borrower is about to wait is told to nobody",
    make: (world) => ({
      program: Effect.scoped(Effect.gen(function*() {
        const pool = yield* Pool.make({ acquire: refused, size: 1 })
        const borrower = yield* world.fork("borrower", Effect.ignore(Pool.use(pool, () => Effect.void)))
        yield* world.await(borrower)
      }))
    }),
    options: { preemptions: 1 },
    kind: "deadlock",
    interruptions: 0,
    pauses: 1,
    inProduction: () =>
      happensSomewhere(async (count) => {
        const scope = Effect.runSync(Scope.make())
        const pool = await Effect.runPromise(Scope.provide(Pool.make({ acquire: refused, size: 1 }), scope))
        const borrower = Effect.runFork(Effect.andThen(operations(count), Pool.use(pool, () => Effect.void)))
        await turns(20)
        const isForgotten = borrower.pollUnsafe() === undefined
        borrower.interruptUnsafe()
        await Effect.runPromise(Scope.close(scope, Exit.void))
        return isForgotten
      })
  })

  const growing = <E>(acquire: Effect.Effect<void, E>) =>
    Pool.makeWithStrategy({
      acquire,
      min: 0,
      max: 1,
      strategy: { run: () => Effect.void, onAcquire: () => Effect.void, reclaim: () => Effect.undefined }
    })

  // One resize at a time, by a semaphore. A borrower that finds it taken trusts the resize under way; if that has already
  // seen that nothing is to be done and only has to give the semaphore back, nobody grows the pool, and the borrower waits.
  stillThere({
    of: "Pool.use of a pool that grows",
    what: "a borrower trusts a resize that is already over, and waits for ever beside an empty pool",
    make: (world) => ({
      program: Effect.scoped(Effect.gen(function*() {
        const pool = yield* growing(Effect.void)
        const use = Pool.use(pool, () => Effect.void)
        const impatient = yield* world.fork("impatient", use)
        yield* Effect.yieldNow
        yield* Fiber.interrupt(impatient)
        const borrower = yield* world.fork("borrower", use)
        yield* world.await(borrower)
      }))
    }),
    options: { preemptions: 1 },
    kind: "deadlock",
    interruptions: 0,
    pauses: 1,
    inProduction: () =>
      happensSomewhere(async (count) => {
        const scope = Effect.runSync(Scope.make())
        let isFirst = true
        const acquire = Effect.suspend(() => {
          if (!isFirst) return Effect.void
          isFirst = false
          return Effect.andThen(operations(count), refused)
        })
        const pool = await Effect.runPromise(Scope.provide(growing(acquire), scope))
        Effect.runFork(Pool.use(pool, () => Effect.void))
        await turns(1)
        const borrower = Effect.runFork(Pool.use(pool, () => Effect.void))
        await turns(20)
        const isForgotten = borrower.pollUnsafe() === undefined
        borrower.interruptUnsafe()
        await Effect.runPromise(Scope.close(scope, Exit.void))
        return isForgotten
      })
  })
})

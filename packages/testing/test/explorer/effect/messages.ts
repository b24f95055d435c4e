/** Queues and hubs: of the messages that were accepted each arrives, once, and nobody waits beside one. */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import type { Explored, World } from "../../../src/Explorer.ts"

export type Victims = "nobody" | "producers" | "consumers"

interface Cast {
  readonly producers: number
  readonly consumers: number
  /** Whom an interruption may hit: with both, a message may rightly have nobody who sent it or nobody to go to. */
  readonly victims?: Victims | undefined
}

/** What is wrong with what arrived, given what was accepted. */
const complaint = (accepted: ReadonlyArray<number>, arrived: ReadonlyArray<number>): string | undefined => {
  if (new Set(arrived).size < arrived.length) return `a message arrived twice: ${arrived}`
  const lost = accepted.filter((message) => !arrived.includes(message))
  return lost.length === 0 ? undefined : `${lost} was accepted and is lost: ${arrived} arrived`
}

/** Producers that offer one message each, consumers that take one each, or whatever there is; the rest is taken at the end. */
export const queued =
  (capacity: number, take: "take" | "takeAll", { consumers, producers, victims = "nobody" }: Cast) =>
  (world: World): Explored => {
    const accepted: Array<number> = []
    const arrived: Array<number> = []
    return {
      program: Effect.gen(function*() {
        const queue = yield* Queue.bounded<number>(capacity)
        const taking = take === "take"
          ? Effect.map(Queue.take(queue), (message) => void arrived.push(message))
          : Effect.map(Queue.takeAll(queue), (messages) => void arrived.push(...messages))
        const offering = (message: number) =>
          Effect.map(Queue.offer(queue, message), (isAccepted) => void (isAccepted && accepted.push(message)))
        const readers: Array<Fiber.Fiber<void>> = []
        const writers: Array<Fiber.Fiber<void>> = []
        for (let n = 1; n <= consumers; n++) {
          readers.push(yield* world.fork(`consumer ${n}`, taking, { victim: victims === "consumers" }))
        }
        for (let n = 1; n <= producers; n++) {
          writers.push(yield* world.fork(`producer ${n}`, offering(n), { victim: victims === "producers" }))
        }
        if (victims === "producers") {
          yield* world.await(...writers)
          // Whoever takes now, in whose operation this may be, has what it took before it can be interrupted: see Faults.
          yield* Effect.yieldNow
          arrived.push(...yield* Queue.clear(queue))
          yield* Fiber.interruptAll(readers)
        } else {
          yield* world.await(...readers)
          // Deadlocked if a message is lost.
          while (arrived.length < producers) yield* taking
          yield* world.await(...writers)
        }
      }),
      atEnd: () => complaint(accepted, arrived)
    }
  }

/** Producers of one message each, somebody who ends the queue, and a consumer who collects until then. */
export const ended = (capacity: number, producers: number) => (world: World): Explored => {
  const accepted: Array<number> = []
  const arrived: Array<number> = []
  return {
    program: Effect.gen(function*() {
      const queue = yield* Queue.bounded<number, Cause.Done>(capacity)
      const collecting = Effect.map(Queue.collect(queue), (messages) => void arrived.push(...messages))
      const fibers: Array<Fiber.Fiber<unknown>> = [yield* world.fork("collector", collecting, { victim: false })]
      for (let n = 1; n <= producers; n++) {
        const offering = Effect.map(Queue.offer(queue, n), (isAccepted) => void (isAccepted && accepted.push(n)))
        fibers.push(yield* world.fork(`producer ${n}`, offering))
      }
      fibers.push(yield* world.fork("ender", Queue.end(queue), { victim: false }))
      yield* world.await(...fibers)
    }),
    atEnd: () => complaint(accepted, arrived)
  }
}

/** Publishers of one message each, and subscribers who must all get all of them in the same order. */
export const published =
  (capacity: number, take: "take" | "takeAll", { consumers, producers, victims = "nobody" }: Cast) =>
  (world: World): Explored => {
    const accepted: Array<number> = []
    const arrived: ReadonlyArray<Array<number>> = Array.from({ length: consumers }, () => [])
    return {
      program: Effect.scoped(Effect.gen(function*() {
        const hub = yield* PubSub.bounded<number>(capacity)
        const publishing = (message: number) =>
          Effect.map(PubSub.publish(hub, message), (isAccepted) => void (isAccepted && accepted.push(message)))
        const subscriptions: Array<readonly [PubSub.Subscription<number>, Array<number>]> = []
        const readers: Array<Fiber.Fiber<void>> = []
        const writers: Array<Fiber.Fiber<void>> = []
        for (const [index, got] of arrived.entries()) {
          const subscription = yield* PubSub.subscribe(hub)
          const taking = take === "take"
            ? Effect.map(PubSub.take(subscription), (message) => void got.push(message))
            : Effect.map(PubSub.takeAll(subscription), (messages) => void got.push(...messages))
          subscriptions.push([subscription, got])
          readers.push(yield* world.fork(`subscriber ${index + 1}`, taking, { victim: victims === "consumers" }))
        }
        for (let n = 1; n <= producers; n++) {
          writers.push(yield* world.fork(`publisher ${n}`, publishing(n), { victim: victims === "producers" }))
        }
        yield* world.await(...readers)
        if (victims === "producers") {
          yield* world.await(...writers)
          for (const [subscription, got] of subscriptions) got.push(...yield* PubSub.takeUpTo(subscription, producers))
        } else {
          // Deadlocked if a message is lost.
          for (const [subscription, got] of subscriptions) {
            while (got.length < producers) got.push(yield* PubSub.take(subscription))
          }
          yield* world.await(...writers)
        }
      })),
      atEnd: () => {
        for (const got of arrived) {
          const wrong = complaint(accepted, got)
          if (wrong !== undefined) return wrong
        }
        const orders = new Set(arrived.map((got) => got.join()))
        return orders.size <= 1 ? undefined : `subscribers saw different orders: ${[...orders].join("; ")}`
      }
    }
  }

/**
 * An ordinary program: what a process has behind it in which anybody asks for a buffer.
 *
 * Effect's interpreter meets each kind of effect at the same few places. In a process that has only ever seen the three or four
 * of one benchmark V8 compiles these places for just them, and whatever is made of the most usual kinds wins; in an application
 * they have seen dozens. So this is run first, in the processes of all contestants that are effects.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"

const conversation = Effect.gen(function*() {
  const queue = yield* Queue.unbounded<number>()
  const done = yield* Deferred.make<number>()
  const reader = yield* Effect.forkChild(Effect.gen(function*() {
    let sum = 0
    for (let n = 0; n < 10; n++) sum += yield* Queue.take(queue)
    yield* Deferred.succeed(done, sum)
  }))
  for (let n = 0; n < 10; n++) yield* Queue.offer(queue, n)
  const sum = yield* Deferred.await(done)
  yield* Fiber.join(reader)
  return sum
})

const failures = Effect.fail("no").pipe(
  Effect.catch((error) => Effect.succeed(error.length)),
  Effect.tap(() => Effect.void),
  Effect.map((length) => length + 1),
  Effect.ensuring(Effect.void)
)

const resources = Effect.scoped(
  Effect.flatMap(
    Effect.acquireRelease(Ref.make(0), (ref) => Ref.set(ref, -1)),
    (ref) => Effect.andThen(Ref.update(ref, (n) => n + 1), Ref.get(ref))
  )
)

const inParallel = Effect.forEach([1, 2, 3], (n) => Effect.timeout(Effect.delay(Effect.succeed(n), 0), 1000), {
  concurrency: 2
})

const streamed = Stream.runCollect(Stream.map(Stream.range(1, 5), (n) => n * 2))

const interrupted = Effect.flatMap(Effect.forkChild(Effect.never), Fiber.interrupt)

const all = Effect.all([conversation, failures, resources, inParallel, streamed, interrupted], { discard: true })

/** Some hundred rounds of it: until the interpreter's code is compiled for what it has seen. */
export const ordinaryProgram: Effect.Effect<void> = Effect.orDie(
  Effect.provide(Effect.repeat(all, { times: 300 }), Layer.empty)
).pipe(Effect.asVoid)

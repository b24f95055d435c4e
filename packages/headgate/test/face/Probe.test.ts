/**
 * Every door counts as an access, even one that only reads: an explorer of interleavings passes over whatever does not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import * as ByteChannel from "headgate/ByteChannel"
import * as ByteStream from "headgate/ByteStream"
import * as Headgate from "headgate/Headgate"
import { accesses } from "headgate/Probe"
import { TaskScheduler } from "headgate/TaskScheduler"
import { Gate, Waiter } from "../../src/internal/gate.ts"
import { RunEntry, RunQueue } from "../../src/internal/runQueue.ts"
import { must } from "./harness.ts"

/** A pool with one buffer lent, one waiter queued and one stream whose response holds a byte: nothing runs by itself. */
const world = () => {
  const scope = Scope.makeUnsafe()
  const run = <A, E>(effect: Effect.Effect<A, E, Headgate.Services | Scope.Scope>): A =>
    Effect.runSync(Effect.provideContext(effect, Context.add(services, Scope.Scope, scope)))
  const layer = Headgate.layerManual({ limit: 3, reserve: 1, bufferSize: 8, maxWaiting: 1 })
  const services = Effect.runSync(Scope.provide(Effect.orDie(Layer.build(layer)), scope))
  const pool = run(BufferPool)
  const buffer = must(pool.tryTakeUnsafe("tx"))
  buffer.write("abc")
  const stream = run(ByteStream.make({ process: () => Effect.void }))
  assert.strictEqual(ByteChannel.allocUnsafe(stream.response), "held")
  must(stream.response.buffer).write("x")
  const waiter = pool.waitQueue.waiter({ target: "w", criticality: "rx", wake: () => true })
  assert.strictEqual(pool.waitQueue.takeOrWaitUnsafe(waiter), "queued")
  return { pool, buffer, stream, waiter, run, close: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
}

type World = ReturnType<typeof world>

const doors: { readonly [name: string]: (world: World) => unknown } = {
  "buffer.length": ({ buffer }) => buffer.length,
  "buffer.room": ({ buffer }) => buffer.room,
  "buffer.write": ({ buffer }) => buffer.write("d"),
  "buffer.consume": ({ buffer }) => buffer.consume(1),
  "buffer.commit": ({ buffer }) => buffer.commit(1),
  "buffer.readViews": ({ buffer }) => buffer.readViews(),
  "buffer.writeView": ({ buffer }) => buffer.writeView(),
  "buffer.toText": ({ buffer }) => buffer.toText(),
  "pool.tryTakeUnsafe": ({ pool }) => pool.tryTakeUnsafe("rx"),
  "pool.unavailableUnsafe": ({ pool }) => pool.unavailableUnsafe("rx"),
  "pool.isClosedUnsafe": ({ pool }) => pool.isClosedUnsafe(),
  "pool.giveBackUnsafe": ({ buffer, pool }) => pool.giveBackUnsafe(buffer),
  "pool.pinUnsafe": ({ buffer, pool }) => pool.pinUnsafe(buffer),
  "pool.unpinUnsafe of what nothing pins": ({ buffer, pool }) => assert.throws(() => pool.unpinUnsafe(buffer)),
  "pool.snapshot": ({ pool, run }) => run(pool.snapshot),
  "pool.resize": ({ pool, run }) => run(Effect.orDie(pool.resize(4))),
  "pool.trim": ({ pool, run }) => run(pool.trim),
  "waitQueue.takeOrWaitUnsafe": ({ pool, waiter }) => pool.waitQueue.takeOrWaitUnsafe(waiter),
  "waitQueue.leaveUnsafe": ({ pool, waiter }) => pool.waitQueue.leaveUnsafe(waiter),
  "waitQueue.favourUnsafe": ({ pool }) => pool.waitQueue.favourUnsafe("rx"),
  "waitQueue.pressureUnsafe": ({ pool }) => pool.waitQueue.pressureUnsafe(),
  "waitQueue.waiting": ({ pool, run }) => run(pool.waitQueue.waiting),
  "channel.buffer": ({ stream }) => stream.response.buffer,
  "channel.wakeFillerUnsafe": ({ stream }) => stream.response.wakeFillerUnsafe("io"),
  "ByteChannel.allocUnsafe of what is held": ({ stream }) => ByteChannel.allocUnsafe(stream.response),
  "ByteChannel.releaseUnsafe": ({ stream }) => ByteChannel.releaseUnsafe(stream.response),
  "stream.wakeUnsafe": ({ stream }) => stream.wakeUnsafe("io"),
  "stream.await": ({ stream }) => Effect.runFork(stream.await),
  "stream.endUnsafe": ({ stream }) => stream.endUnsafe(),
  "scheduler.runnable": ({ run }) => run(TaskScheduler.useSync((scheduler) => scheduler.runnable(() => {}))),
  "scheduler.snapshot": ({ run }) => run(TaskScheduler.use((scheduler) => scheduler.snapshot))
}

describe("counts as an access, by itself:", () => {
  it.each(Object.keys(doors))("%s", async (name) => {
    const here = world()
    const before = accesses()
    must(doors[name])(here)
    const after = accesses()
    await here.close()
    assert.isAbove(after, before)
  })
})

const gate = () =>
  new Gate({
    limit: 3,
    reserve: 1,
    maxWaiting: Infinity,
    create: () => new Uint8Array(8),
    recycle: () => true,
    recycleAll: false,
    now: () => 0,
    timeTakes: false,
    checked: true,
    schedule: () => {},
    report: () => {}
  })

describe("counts once, for each call from outside:", () => {
  const area = (of: Gate) => must(of.take(0))
  const waiter = () => new Waiter("w", "rx", () => true, false)
  const entryPoints: { readonly [name: string]: (gate: Gate) => () => unknown } = {
    preallocate: (gate) => () => gate.preallocate(2),
    take: (gate) => () => gate.take(0),
    takeOrWait: (gate) => () => gate.takeOrWait(waiter()),
    leave: (gate) => () => gate.leave(waiter()),
    giveBack: (gate) => {
      const taken = area(gate)
      return () => gate.giveBack(taken)
    },
    pin: (gate) => {
      const taken = area(gate)
      return () => gate.pin(taken)
    },
    unpin: (gate) => {
      const taken = area(gate)
      gate.pin(taken)
      return () => gate.unpin(taken)
    },
    favour: (gate) => () => gate.favour(3),
    resize: (gate) => () => gate.resize(4),
    trim: (gate) => () => gate.trim(),
    close: (gate) => () => gate.close(),
    flush: (gate) => () => gate.flush(1)
  }

  it.each(Object.keys(entryPoints))("gate.%s", (name) => {
    const call = must(entryPoints[name])(gate())
    const before = accesses()
    call()
    assert.strictEqual(accesses() - before, 1)
  })

  it("gate.giveBack to one who declines: four times, for the wake is a step of its own, and the declining another", () => {
    const of = gate()
    const held = [area(of), area(of), area(of)]
    assert.strictEqual(of.takeOrWait(new Waiter("w", "tx", () => false, false)), "queued")
    const before = accesses()
    of.giveBack(must(held[0]))
    assert.strictEqual(accesses() - before, 4)
  })

  it("a run queue's", () => {
    const queue = new RunQueue(() => {}, () => {})
    const entry = new RunEntry(() => {})
    const calls = [
      () => queue.length,
      () => queue.wake(entry, 1),
      () => queue.run(1),
      () => queue.finished(entry),
      () => queue.end(entry)
    ]
    for (const call of calls) {
      const before = accesses()
      call()
      assert.strictEqual(accesses() - before, 1, String(call))
    }
  })
})

import { assert, describe, it } from "@effect/vitest"
import { type Options, sampleUnsent } from "@headgate/testing/SimulatedPeer"
import { Effect } from "effect"
import { BufferPool } from "headgate"
import { Progress, progressBytes, victims } from "headgate/StallPolicy"
import {
  checkBytes,
  checkContract,
  connect,
  drain,
  isOver,
  type Link,
  outcome,
  pass,
  relaySnapshot,
  send,
  settled,
  turn,
  turns,
  world
} from "./world.ts"

const KiB = 1024
const MB = 1000 * 1000
const second = 1000

describe("Progress", () => {
  const known = (accepted: number, delivered: number) => ({ accepted, delivered })
  const accepted = (count: number) => ({ accepted: count, delivered: undefined })

  it("is stalled only while a write is in flight, from when it began", () => {
    const progress = new Progress(1000)
    assert.strictEqual(progress.stalledMs(5000), 0)
    progress.begin(5000, 0, false)
    assert.deepStrictEqual([progress.stalledMs(5000), progress.stalledMs(9000), progress.inFlightMs(9000)], [
      0,
      4000,
      4000
    ])
    progress.done(9000)
    assert.deepStrictEqual([progress.stalledMs(9500), progress.inFlightMs(9500)], [0, 0])
  })

  it("64 KiB accepted since the mark are progress, one byte less is not, however often it is looked at", () => {
    const progress = new Progress(1000)
    progress.begin(0, 0, false)
    for (let at = 1; at <= 10; at++) progress.look(at * 1000, accepted(progressBytes - 11 + at))
    assert.strictEqual(progress.stalledMs(10_000), 10_000)
    progress.look(11_000, accepted(progressBytes))
    assert.strictEqual(progress.stalledMs(11_000), 0)
    progress.look(12_000, accepted(2 * progressBytes - 1))
    assert.strictEqual(progress.stalledMs(12_000), 1000)
  })

  it("64 KiB delivered are progress, from the first look on", () => {
    const progress = new Progress(1000)
    progress.begin(0, 0, false)
    progress.look(1000, known(0, -4 * MB))
    assert.strictEqual(progress.stalledMs(1000), 1000)
    progress.look(2000, known(0, progressBytes - 4 * MB - 1))
    assert.strictEqual(progress.stalledMs(2000), 2000)
    progress.look(3000, known(0, progressBytes - 4 * MB))
    assert.strictEqual(progress.stalledMs(3000), 0)
  })

  it("what was delivered before a write began is not counted with it", () => {
    const progress = new Progress(1000)
    progress.begin(0, 0, false)
    progress.look(1000, known(0, 0))
    progress.done(1000)
    progress.begin(60_000, 4 * MB, false)
    progress.look(61_000, known(4 * MB, 4 * MB - progressBytes))
    assert.strictEqual(progress.stalledMs(61_000), 1000)
    progress.look(62_000, known(4 * MB, 4 * MB - 1))
    assert.strictEqual(progress.stalledMs(62_000), 2000)
    progress.look(63_000, known(4 * MB, 4 * MB))
    assert.strictEqual(progress.stalledMs(63_000), 0)
  })

  it("a sample that is lost for a while is no progress, and none is forgotten", () => {
    const progress = new Progress(1000)
    progress.begin(0, 0, false)
    progress.look(1000, known(0, 100))
    progress.look(2000, accepted(0))
    assert.strictEqual(progress.stalledMs(2000), 2000)
    progress.look(3000, known(0, 100 + progressBytes))
    assert.strictEqual(progress.stalledMs(3000), 0)
  })

  it("the mark goes on behind a slow write, and while the buffer is still held; otherwise a write begins anew", () => {
    const mark = (took: number, pause: number, stillHolds: boolean) => {
      const progress = new Progress(1000)
      progress.begin(0, 0, false)
      progress.done(took)
      progress.begin(took + pause, 100, stillHolds)
      return progress.stalledMs(took + pause)
    }
    assert.deepStrictEqual(mark(1001, 1000, false), 2001)
    assert.deepStrictEqual(mark(1001, 1001, false), 0)
    assert.deepStrictEqual(mark(1000, 0, false), 0)
    assert.deepStrictEqual(mark(1000, 0, true), 1000)
  })

  it("a held buffer with 64 KiB accepted since the mark begins anew", () => {
    const progress = new Progress(1000)
    progress.begin(0, 0, false)
    progress.done(900)
    progress.begin(900, progressBytes - 1, true)
    assert.strictEqual(progress.stalledMs(900), 900)
    progress.done(1800)
    progress.begin(1800, progressBytes, true)
    assert.strictEqual(progress.stalledMs(1800), 0)
  })
})

describe("victims", () => {
  it("are those stalled for long enough, longest first, at most as many as wait", () => {
    const all = [5, 31, 30, 29, 60, 45].map((stalledMs) => ({ stalledMs }))
    const chosen = (waiting: number) => victims(all, 30, waiting).map(({ stalledMs }) => stalledMs)
    assert.deepStrictEqual(chosen(10), [60, 45, 31, 30])
    assert.deepStrictEqual(chosen(2), [60, 45])
    assert.deepStrictEqual(chosen(0), [])
    assert.deepStrictEqual(all.map(({ stalledMs }) => stalledMs), [5, 31, 30, 29, 60, 45])
  })
})

/** Kernel buffers as Linux has them: 4 MB to send, of which a third must be free before more is taken. */
const linux: Options = { sendBuffer: 4 * MB, acceptAbove: 4 * MB / 3, hostBuffer: 64 * KiB, receiveBuffer: 1 * MB }
const tiny: Options = { sendBuffer: 4 * KiB, hostBuffer: 4 * KiB }
const small: Options = { sendBuffer: 16 * KiB, hostBuffer: 16 * KiB }

/** The target has sent so much that the client's kernel is full and a buffer is held by a write. */
const downloading = (client: Options, bytes: number) =>
  Effect.gen(function*() {
    const link = yield* connect({ client })
    send(link.target, bytes)
    yield* fill(link)
    return link
  })

/** Turn by turn, until nothing moves without the client's host. */
const fill = (link: Link) =>
  Effect.gen(function*() {
    for (let quiet = 0; quiet < 2;) {
      quiet = move(link) ? 0 : quiet + 1
      yield* turn
    }
  })

/** Everything but the client's host, which reads on its own. */
const move = ({ client, target }: Link): boolean =>
  [target.arrive(), target.deliver(), client.accept(), client.transmit()].includes(true)

/** A host that reads so many bytes per second, in quarters of a second. */
const reads = (link: Link, perSecond: number) => (): void => {
  link.client.host.read(perSecond / 4)
  while (move(link)) { /* what has room now */ }
}

const relay = (limit: number) => world({ limit, reserve: 3, bufferSize: 64 * KiB })

const answered = (link: Link): boolean => {
  link.client.advance()
  return link.client.host.receivedBytes > 0
}

describe("stall policy", () => {
  it.effect(
    "a reader of 20 kB/s behind 4 MB of kernel stays, and those that never read go",
    () =>
      Effect.gen(function*() {
        const slow = [yield* downloading(linux, 9 * MB), yield* downloading(linux, 9 * MB)]
        const never = [yield* downloading(linux, 5 * MB), yield* downloading(linux, 5 * MB)]
        const [a, b] = [yield* downloading(linux, 9 * MB), yield* downloading(linux, 9 * MB)]
        slow.push(a, b)
        const step = slow.map((link) => reads(link, 20_000))
        // A minute in which nobody waits: the samples of that time are what saves the slow.
        yield* pass(60 * second, () => step.forEach((read) => read()))
        const healthy = [yield* connect(), yield* connect()]
        for (const { target } of healthy) {
          send(target, 1000)
          target.arrive()
          target.deliver()
        }
        assert.strictEqual((yield* BufferPool.snapshot).classes.channel.waiting, 2)
        yield* pass(2 * second, () => {
          step.forEach((read) => read())
          for (const link of healthy) move(link)
          // A reset lets go of what the kernel had not taken.
          for (const link of never) if (isOver(link)) link.client.accept()
        })
        assert.isTrue(healthy.every(answered))
        for (const link of never) assert.strictEqual((yield* outcome(link)).end, "stalled")
        // Shortage for two minutes more, that nobody can mend: those who read stay.
        const hungry = [yield* downloading(linux, 9 * MB), yield* downloading(linux, 9 * MB)]
        const late = yield* connect()
        send(late.target, 1000)
        late.target.arrive()
        late.target.deliver()
        for (const link of hungry) step.push(reads(link, 20_000))
        yield* pass(110 * second, () => step.forEach((read) => read()))
        assert.isFalse([...slow, ...hungry].some(isOver))
        for (const link of [...slow, ...hungry, ...healthy, late]) {
          checkContract(link)
          checkBytes(link.target, link.client, false)
          link.target.host.reset()
          link.target.tellReset()
          link.client.accept()
        }
        for (const link of never) link.client.accept()
      }).pipe(settled, Effect.provide(relay(7)))
  )

  it.effect("bytes that the kernel took long ago do not hide a slow reader's progress", () =>
    Effect.gen(function*() {
      const link = yield* connect({ client: linux })
      send(link.target, 100)
      move(link)
      move(link)
      // Sampled while the kernel is empty; then it fills at once.
      link.client.host.read()
      yield* turn
      sampleUnsent([link.client])
      send(link.target, 9 * MB)
      yield* fill(link)
      assert.isTrue(link.client.hasWriteInFlight)
      const step = reads(link, 20_000)
      const waiting = yield* connect()
      const others = [yield* downloading(small, MB), yield* downloading(small, MB)]
      const steps = others.map((other) => reads(other, 20_000))
      send(waiting.target, 10)
      waiting.target.arrive()
      waiting.target.deliver()
      yield* pass(60 * second, () => {
        step()
        steps.forEach((read) => read())
      })
      assert.isFalse(isOver(link))
      for (const one of [link, waiting, ...others]) {
        one.target.host.reset()
        one.target.tellReset()
        one.client.accept()
      }
    }).pipe(settled, Effect.provide(relay(4))), 30_000)

  it.effect("who drips a hundred bytes a second goes, in one long write or in many short ones", () =>
    Effect.gen(function*() {
      const dripping = yield* downloading(small, MB)
      const step = reads(dripping, 100)
      // One buffer in many writes: each is done within a second, and the buffer is not given back.
      const trickling = yield* connect({ client: { sendBuffer: 50 } })
      send(trickling.target, 64 * KiB)
      trickling.target.arrive()
      trickling.target.deliver()
      const trickle = () => {
        if (isOver(trickling)) return
        trickling.client.accept()
        trickling.client.transmit()
        trickling.client.host.read()
      }
      const waiting = [yield* connect(), yield* connect()]
      assert.strictEqual((yield* BufferPool.snapshot).used, 2)
      for (const { target } of waiting) {
        send(target, 10)
        target.arrive()
        target.deliver()
      }
      yield* pass(35 * second, () => {
        step()
        trickle()
        for (const link of [dripping, trickling]) if (isOver(link)) link.client.accept()
        for (const link of waiting) move(link)
      })
      assert.isTrue(waiting.every(answered))
      assert.strictEqual((yield* outcome(dripping)).end, "stalled")
      assert.strictEqual((yield* outcome(trickling)).end, "stalled")
      for (const link of waiting) {
        link.target.host.reset()
        link.target.tellReset()
        link.client.accept()
      }
    }).pipe(
      settled,
      Effect.provide(world({ limit: 2, reserve: 1, bufferSize: 64 * KiB, relay: { turnBytes: 50 } }))
    ))

  it.effect("a buffer that bytes come into as fast as they leave is given back when others wait, and nobody is evicted", () =>
    Effect.gen(function*() {
      const trickling = [yield* connect({ client: { sendBuffer: 50 } }), yield* connect({ client: { sendBuffer: 50 } })]
      const come = ({ target }: Link) => {
        send(target, 50)
        target.arrive()
        target.deliver()
      }
      trickling.forEach(come)
      const trickle = () => {
        for (const link of trickling) {
          const { client } = link
          come(link)
          client.accept()
          client.transmit()
          client.host.read()
        }
      }
      yield* pass(10 * second, trickle)
      assert.strictEqual((yield* BufferPool.snapshot).used, 2)
      const waiting = [yield* connect(), yield* connect()]
      for (const { target } of waiting) {
        send(target, 10)
        target.arrive()
        target.deliver()
      }
      yield* pass(2 * second, () => {
        trickle()
        for (const link of waiting) move(link)
      })
      assert.isTrue(waiting.every(answered))
      yield* pass(60 * second, trickle)
      assert.isFalse(trickling.some(isOver))
      for (const link of [...trickling, ...waiting]) {
        checkContract(link)
        checkBytes(link.target, link.client, false)
        link.target.host.reset()
        link.target.tellReset()
        link.client.accept()
      }
    }).pipe(settled, Effect.provide(world({ limit: 2, reserve: 1, bufferSize: 1000 }))))

  it.effect("bytes in the overdraft stay there until the buffer is empty, when others wait for one", () =>
    Effect.gen(function*() {
      const overdrawn = [
        yield* connect({ client: { sendBuffer: 100 } }),
        yield* connect({ client: { sendBuffer: 100 } })
      ]
      const waiting = yield* connect()
      for (const { target } of [...overdrawn, waiting]) {
        send(target, 6000)
        target.arrive()
        target.deliver()
      }
      assert.strictEqual((yield* BufferPool.snapshot).classes.channel.waiting, 1)
      for (let writes = 1; !answered(waiting); writes++) {
        assert.isAtMost(writes, 11)
        for (const { client } of overdrawn) {
          client.accept()
          client.transmit()
        }
        yield* turns(2)
      }
      for (const link of [...overdrawn, waiting]) {
        checkContract(link)
        link.target.host.reset()
        link.target.tellReset()
        link.client.accept()
      }
    }).pipe(settled, Effect.provide(world({ limit: 2, reserve: 1, bufferSize: 1000, relay: { turnBytes: 100 } }))))

  it.effect("it acts although buffers are handed to others all the time", () =>
    Effect.gen(function*() {
      // Three never read, downloads hand the other buffers to each other, and uploads find none.
      const never = [yield* downloading(tiny, MB), yield* downloading(tiny, MB), yield* downloading(tiny, MB)]
      const busy: Array<Link> = []
      for (let at = 0; at < 8; at++) busy.push(yield* connect({ client: tiny }))
      const keepBusy = () => {
        for (const { client, target } of busy) {
          if (target.host.travellingBytes === 0) send(target, 32 * KiB)
          client.host.read()
          client.transmit()
          client.accept()
          target.arrive()
          target.deliver()
        }
      }
      yield* pass(25 * second, keepBusy)
      const upload = yield* connect()
      send(upload.client, 1000)
      upload.client.arrive()
      upload.client.deliver()
      const before = (yield* BufferPool.snapshot).counters.handOffs
      yield* pass(10 * second, keepBusy)
      assert.isAbove((yield* BufferPool.snapshot).counters.handOffs, before + 20)
      for (const link of never) assert.strictEqual((yield* outcome(link)).end, "stalled")
      assert.isFalse(busy.some(isOver))
      for (const link of [...busy, upload]) {
        link.target.host.reset()
        link.target.tellReset()
      }
      for (const { client, target } of [...never, ...busy, upload]) {
        client.accept()
        target.accept()
      }
    }).pipe(settled, Effect.provide(world({ limit: 8, reserve: 3, bufferSize: 8 * KiB, ageAfter: "Infinity" }))))

  it.effect("longest first, as many as wait, in one pass", () =>
    Effect.gen(function*() {
      const never: Array<Link> = []
      for (let at = 0; at < 5; at++) {
        never.push(yield* downloading(small, MB))
        yield* pass(1 * second)
      }
      yield* pass(40 * second)
      const waiting = [yield* connect(), yield* connect()]
      for (const { target } of waiting) {
        send(target, 10)
        target.arrive()
        target.deliver()
      }
      assert.strictEqual((yield* BufferPool.snapshot).classes.channel.waiting, 2)
      yield* pass(750)
      assert.isFalse(never.some(isOver))
      yield* pass(250)
      assert.deepStrictEqual(never.map(isOver), [true, true, false, false, false])
      // Their areas are still the kernel's.
      assert.strictEqual((yield* BufferPool.snapshot).classes.channel.waiting, 2)
      for (const { client } of never.slice(0, 2)) client.accept()
      yield* drain(...waiting)
      assert.isTrue(waiting.every(answered))
      yield* pass(10 * second)
      assert.deepStrictEqual(never.map(isOver), [true, true, false, false, false])
      assert.strictEqual((yield* relaySnapshot).ended.stalled, 2)
      for (const link of [...never.slice(2), ...waiting]) {
        link.target.host.reset()
        link.target.tellReset()
        link.client.accept()
      }
    }).pipe(settled, Effect.provide(world({ limit: 6, reserve: 3, bufferSize: 64 * KiB }))))

  it.effect("nobody is evicted while nobody waits, however long", () =>
    Effect.gen(function*() {
      const never = [yield* downloading(linux, 5 * MB), yield* downloading(linux, 5 * MB)]
      const free = yield* connect()
      yield* pass(120 * second, () => {
        send(free.target, 10)
        free.client.advance()
        free.target.advance()
      })
      assert.isFalse(never.some(isOver))
      for (const link of [...never, free]) {
        link.target.host.reset()
        link.target.tellReset()
        link.client.accept()
      }
    }).pipe(settled, Effect.provide(relay(7))))

  it.effect("writes in flight are sampled once a second even when nobody waits, four times when somebody does", () => {
    let samples = 0
    return Effect.gen(function*() {
      const link = yield* downloading(small, MB)
      yield* pass(1 * second)
      samples = 0
      yield* pass(10 * second)
      assert.strictEqual(samples, 10)
      const other = yield* downloading(small, MB)
      const waiting = yield* downloading(small, MB)
      yield* pass(1 * second)
      samples = 0
      yield* pass(2 * second)
      assert.strictEqual(samples, 8)
      for (const one of [link, other, waiting]) {
        one.target.host.reset()
        one.target.tellReset()
        one.client.accept()
      }
      yield* turn
      samples = 0
      yield* pass(10 * second)
      assert.strictEqual(samples, 0)
    }).pipe(
      settled,
      Effect.provide(
        world({ limit: 2, reserve: 1, bufferSize: 64 * KiB, relay: { sampleUnsent: () => void samples++ } })
      )
    )
  })

  it.effect(
    "queueTimeout outlives the wait that seven readers of 6 kB/s cause: the healthy are served, not reset",
    () =>
      Effect.gen(function*() {
        const kernel = 768 * KiB
        const options = { sendBuffer: kernel, acceptAbove: kernel / 3, hostBuffer: 64 * KiB }
        const slow: Array<Link> = []
        for (let at = 0; at < 5; at++) slow.push(yield* downloading(options, 3 * MB))
        const steps = slow.map((link) => reads(link, 6000))
        const healthy = [yield* connect(), yield* connect(), yield* connect()]
        for (const { target } of healthy) {
          send(target, 1000)
          target.arrive()
          target.deliver()
        }
        assert.strictEqual((yield* BufferPool.snapshot).classes.channel.waiting, 3)
        let servedAfter = 0
        yield* pass(110 * second, () => {
          steps.forEach((read) => read())
          for (const link of healthy) move(link)
          if (!healthy.every(answered)) servedAfter += 250
        })
        assert.isTrue(healthy.every(answered))
        assert.isAbove(servedAfter, 30 * second)
        assert.isFalse(slow.some(isOver))
        for (const link of [...slow, ...healthy]) {
          link.target.host.reset()
          link.target.tellReset()
          link.client.accept()
        }
      }).pipe(settled, Effect.provide(world({ limit: 6, reserve: 3, bufferSize: 64 * KiB })))
  )

  it.effect("newcomers' uploads are served beside downloads that never stop", () =>
    Effect.gen(function*() {
      const busy: Array<Link> = []
      for (let at = 0; at < 20; at++) busy.push(yield* connect({ client: { sendBuffer: KiB, hostBuffer: KiB } }))
      const uploads: Array<Link> = []
      const keepBusy = () => {
        for (const link of busy) {
          if (link.target.host.travellingBytes === 0) send(link.target, 16 * KiB)
          link.client.host.read()
          link.client.transmit()
          link.client.accept()
          link.target.arrive()
          link.target.deliver()
        }
        for (const link of uploads) {
          link.client.advance()
          link.target.advance()
        }
      }
      yield* pass(5 * second, keepBusy)
      for (let at = 0; at < 6; at++) {
        const upload = yield* connect()
        send(upload.client, 1000)
        uploads.push(upload)
        yield* pass(5 * second, keepBusy)
      }
      yield* pass(60 * second, keepBusy)
      assert.isFalse(uploads.some(isOver))
      assert.isTrue(uploads.every(({ target }) => target.host.receivedBytes === 1000))
      for (const link of [...busy, ...uploads]) {
        link.target.host.reset()
        link.target.tellReset()
        link.client.accept()
        link.target.accept()
      }
    }).pipe(settled, Effect.provide(world({ limit: 8, reserve: 3, bufferSize: 4 * KiB }))), 30_000)
})

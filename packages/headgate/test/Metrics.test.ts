/**
 * What is published: the pool's and the schedulers' own numbers, when somebody asks, under names that do not change.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import { BufferPool, Headgate, HeadgateMetrics, Stepper, Task } from "headgate"

type Sample = HeadgateMetrics.Sample

const labelsOf = (labels: Readonly<Record<string, string>> | undefined) =>
  Object.entries(labels ?? {}).map(([label, value]) => `${label}="${value}"`).sort().join(",")

const key = (name: string, labels: Readonly<Record<string, string>> | undefined) => `${name}{${labelsOf(labels)}}`

/** What the registry in context says of Headgate, as a scrape would see it. */
const scraped = Effect.map(Metric.snapshot, (all) =>
  new Map(
    all.filter(({ id }) => id.startsWith("headgate_")).map((one) => [
      key(one.id, one.attributes),
      {
        type: one.type,
        help: one.description,
        value: one.type === "Counter"
          ? Number(one.state.count)
          : one.type === "Gauge"
          ? Number(one.state.value)
          : undefined
      }
    ])
  ))

/** With a registry of its own. */
const isolated = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => Effect.provideService(effect, Metric.MetricRegistry, new Map()))

const ofOne = (sample: Sample) =>
  [
    key(sample.name, sample.labels),
    { type: sample.type === "counter" ? "Counter" : "Gauge", help: sample.help, value: sample.value }
  ] as const

describe("publish", () => {
  it.effect("writes nothing before it is asked to", () =>
    Effect.gen(function*() {
      yield* BufferPool.withBuffer("rx", () => Effect.void)
      assert.strictEqual((yield* scraped).size, 0)
      assert.isUndefined(yield* HeadgateMetrics.publish)
    }).pipe(Effect.provide(Headgate.layerManual({ limit: 4 })), isolated))

  it.effect("sets each gauge and each counter to the number of this moment", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool
      const held = [pool.tryTakeUnsafe("tx"), pool.tryTakeUnsafe("channel"), pool.tryTakeUnsafe("rx")]
      yield* Effect.flip(Effect.scoped(pool.tryAcquire("rx")))
      const waiter = pool.waitQueue.waiter({ target: "metrics", criticality: "rx", wake: () => false })
      pool.waitQueue.takeOrWaitUnsafe(waiter)
      yield* Task.make(() => Effect.void)
      const failing = yield* Task.make(() => Effect.fail("boom"))
      yield* Effect.forkChild(Effect.flip(failing.await), { startImmediately: true })
      yield* Stepper.runTasks
      yield* TestClock.adjust("2 seconds")
      yield* HeadgateMetrics.publish
      const found = yield* scraped
      const value = (name: string, labels: Record<string, string> = {}) =>
        found.get(key(name, "scheduler" in labels ? labels : { pool: "m", ...labels }))?.value
      assert.strictEqual(value("headgate_buffers_limit"), 4)
      assert.strictEqual(value("headgate_buffers_reserve"), 1)
      assert.strictEqual(value("headgate_buffers_used"), 3)
      assert.strictEqual(value("headgate_buffers_free"), 1)
      assert.strictEqual(value("headgate_buffers_high_water"), 3)
      assert.strictEqual(value("headgate_buffer_size_bytes"), 16)
      assert.strictEqual(value("headgate_buffers_lent", { criticality: "tx" }), 1)
      assert.strictEqual(value("headgate_buffers_lent", { criticality: "endpoint" }), 0)
      assert.strictEqual(value("headgate_waiting", { criticality: "rx" }), 1)
      assert.strictEqual(value("headgate_oldest_wait_seconds", { criticality: "rx" }), 2)
      assert.strictEqual(value("headgate_oldest_wait_seconds", { criticality: "tx" }), 0)
      assert.strictEqual(value("headgate_takes_total"), 3)
      assert.strictEqual(value("headgate_unavailable_total"), 1)
      assert.strictEqual(value("headgate_entities", { scheduler: "tasks" }), 1)
      assert.strictEqual(value("headgate_runs_total", { scheduler: "tasks" }), 2)
      assert.strictEqual(value("headgate_entities_failed_total", { scheduler: "tasks" }), 1)
      assert.strictEqual(value("headgate_runs_total", { scheduler: "applets" }), 0)
      for (const buffer of held) if (buffer !== undefined) pool.giveBackUnsafe(buffer)
      yield* HeadgateMetrics.publish
      const after = yield* scraped
      assert.strictEqual(after.get(key("headgate_buffers_used", { pool: "m" }))?.value, 0)
      assert.strictEqual(after.get(key("headgate_declined_total", { pool: "m" }))?.value, 1)
      assert.strictEqual(after.get(key("headgate_wait_seconds_total", { pool: "m" }))?.value, 2)
    }).pipe(Effect.provide(Headgate.layerManual({ name: "m", limit: 4, reserve: 1, bufferSize: 16 })), isolated))

  it.effect("writes exactly the samples, with type, help and labels, and nothing else", () =>
    Effect.gen(function*() {
      yield* BufferPool.withBuffer("rx", () => Effect.void)
      yield* HeadgateMetrics.publish
      const samples = yield* HeadgateMetrics.samples
      const sorted = (all: Iterable<readonly [string, unknown]>) => [...all].sort(([a], [b]) => a < b ? -1 : 1)
      assert.deepStrictEqual(sorted(yield* scraped), sorted(samples.map(ofOne)))
    }).pipe(Effect.provide(Headgate.layerManual()), isolated))

  it.effect("moves gauges both ways, and counters only up", () =>
    Effect.gen(function*() {
      const at = (value: number) =>
        Effect.gen(function*() {
          const shared = { name: "headgate_test", help: "for this test", labels: {}, value }
          yield* HeadgateMetrics.publishSamples([
            { ...shared, name: "headgate_test_gauge", type: "gauge" },
            { ...shared, name: "headgate_test_total", type: "counter" }
          ])
          const found = yield* scraped
          return [found.get("headgate_test_gauge{}")?.value, found.get("headgate_test_total{}")?.value]
        })
      assert.deepStrictEqual(yield* at(5), [5, 5])
      assert.deepStrictEqual(yield* at(3), [3, 5])
      assert.deepStrictEqual(yield* at(5), [5, 5])
      assert.deepStrictEqual(yield* at(8), [8, 8])
      assert.deepStrictEqual(yield* at(0), [0, 8])
    }).pipe(isolated))

  it.effect("keeps a counter where it was when a pool of that name begins anew", () =>
    Effect.gen(function*() {
      const lend = (times: number) =>
        BufferPool.withBuffer("rx", () => Effect.void).pipe(
          Effect.repeat({ times: times - 1 }),
          Effect.andThen(HeadgateMetrics.publish),
          Effect.andThen(scraped),
          Effect.map((found) => found.get("headgate_takes_total{pool=\"again\"}")?.value),
          Effect.provide(Headgate.layerManual({ name: "again" }))
        )
      assert.deepStrictEqual([yield* lend(4), yield* lend(2), yield* lend(6)], [4, 4, 6])
    }).pipe(isolated))

  it.effect("tells two pools apart by their label", () =>
    Effect.gen(function*() {
      for (const name of ["a", "b"]) {
        yield* HeadgateMetrics.publish.pipe(Effect.provide(Headgate.layerManual({ name, limit: name === "a" ? 4 : 5 })))
      }
      const found = yield* scraped
      assert.deepStrictEqual(
        ["a", "b"].map((pool) => found.get(`headgate_buffers_limit{pool="${pool}"}`)?.value),
        [4, 5]
      )
    }).pipe(isolated))
})

describe("names and labels", () => {
  it.effect("are these, in Prometheus' style, each once per set of labels, with this help", () =>
    Effect.gen(function*() {
      const samples = yield* HeadgateMetrics.samples
      const keys = samples.map(({ labels, name }) => key(name, labels))
      assert.strictEqual(new Set(keys).size, keys.length)
      for (const { name, type } of samples) {
        assert.match(name, /^headgate_[a-z_]+$/)
        assert.strictEqual(name.endsWith("_total"), type === "counter")
      }
      assert.deepStrictEqual([...new Map(samples.map(({ help, name }) => [name, help]))].sort(), [
        ["headgate_buffer_size_bytes", "Bytes of one buffer"],
        ["headgate_buffers_allocated", "Buffers that exist"],
        ["headgate_buffers_free", "Buffers that may still be lent, existing or not"],
        ["headgate_buffers_high_water", "Most buffers lent at one time"],
        ["headgate_buffers_lent", "Buffers lent, per class"],
        ["headgate_buffers_limit", "Buffers at most"],
        ["headgate_buffers_reserve", "Buffers that only the more critical classes may use"],
        ["headgate_buffers_used", "Buffers lent"],
        ["headgate_creations_failed_total", "Buffers that could not be created"],
        ["headgate_declined_total", "Grants declined by their waiter"],
        ["headgate_entities", "Entities that have not ended"],
        ["headgate_entities_failed_total", "Entities that ended by a failure"],
        ["headgate_hand_offs_total", "Buffers handed to a waiter"],
        ["headgate_leaks_total", "Leases reported as too old"],
        ["headgate_misuse_total", "Broken promises of callers"],
        ["headgate_oldest_wait_seconds", "Longest wait so far, per class"],
        ["headgate_passed_on_total", "Grants that went on to the next, not collected"],
        ["headgate_refused_total", "Fibers that were not let wait"],
        ["headgate_run_queue_length", "Entities queued to run"],
        ["headgate_runs_total", "Runs started"],
        ["headgate_takes_total", "Buffers lent since the start"],
        ["headgate_unavailable_total", "Takes that found no buffer and did not wait"],
        ["headgate_wait_seconds_total", "Time that granted waiters had waited"],
        ["headgate_waiting", "Waiters queued, per class"],
        ["headgate_wakes_thrown_total", "Wakes that threw"]
      ])
      const classes = samples.filter(({ name }) => name === "headgate_waiting").map(({ labels }) => labels)
      assert.deepStrictEqual(
        classes,
        ["tx", "channel", "endpoint", "rx"].map((criticality) => ({
          pool: "default",
          criticality
        }))
      )
    }).pipe(Effect.provide(Headgate.layerManual())))
})

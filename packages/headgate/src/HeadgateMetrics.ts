/**
 * The pool's and the schedulers' own counters as Effect `Metric`s, published when somebody reads them: run `publish` before
 * a snapshot or a scrape. Nothing is updated per operation.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { AppletScheduler } from "./AppletScheduler.ts"
import { BufferPool, type PoolSnapshot } from "./BufferPool.ts"
import { order } from "./Criticality.ts"
import { type SchedulerSnapshot, TaskScheduler } from "./TaskScheduler.ts"

/**
 * One value to publish: a Prometheus-style name, what it means, and the labels that tell it from its siblings.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sample {
  readonly name: string
  readonly help: string
  readonly type: "gauge" | "counter"
  readonly labels: { readonly [label: string]: string }
  readonly value: number
}

const gauge = (name: string, help: string, value: number, labels: Sample["labels"] = {}): Sample => ({
  name,
  help,
  type: "gauge",
  labels,
  value
})
const counter = (name: string, help: string, value: number, labels: Sample["labels"] = {}): Sample => ({
  name,
  help,
  type: "counter",
  labels,
  value
})

/**
 * What a pool has to say.
 *
 * @category samples
 * @since 0.1.0
 */
export const poolSamples = (pool: PoolSnapshot): ReadonlyArray<Sample> => [
  gauge("headgate_buffers_limit", "Buffers at most", pool.limit),
  gauge("headgate_buffers_reserve", "Buffers that only the more critical classes may use", pool.reserve),
  gauge("headgate_buffers_allocated", "Buffers that exist", pool.allocated),
  gauge("headgate_buffers_used", "Buffers lent", pool.used),
  gauge("headgate_buffers_free", "Buffers that may still be lent, existing or not", pool.free),
  gauge("headgate_buffers_high_water", "Most buffers lent at one time", pool.highWater),
  gauge("headgate_buffer_size_bytes", "Bytes of one buffer", pool.bufferSize),
  ...order.flatMap((criticality) => [
    gauge("headgate_waiting", "Waiters queued, per class", pool.classes[criticality].waiting, { criticality }),
    gauge(
      "headgate_oldest_wait_seconds",
      "Longest wait so far, per class",
      pool.classes[criticality].oldestWaitMs / 1000,
      {
        criticality
      }
    ),
    gauge("headgate_buffers_lent", "Buffers lent, per class", pool.classes[criticality].lent, { criticality })
  ]),
  counter("headgate_takes_total", "Buffers lent since the start", pool.counters.takes),
  counter("headgate_hand_offs_total", "Buffers handed to a waiter", pool.counters.handOffs),
  counter("headgate_passed_on_total", "Grants that went on to the next, not collected", pool.counters.passedOn),
  counter("headgate_declined_total", "Grants declined by their waiter", pool.counters.declined),
  counter("headgate_wakes_thrown_total", "Wakes that threw", pool.counters.wakesThrown),
  counter("headgate_unavailable_total", "Takes that found no buffer and did not wait", pool.counters.unavailable),
  counter("headgate_refused_total", "Fibers that were not let wait", pool.counters.refused),
  counter("headgate_misuse_total", "Broken promises of callers", pool.counters.misuse),
  counter("headgate_leaks_total", "Leases reported as too old", pool.counters.leaks),
  counter("headgate_creations_failed_total", "Buffers that could not be created", pool.counters.creationsFailed),
  counter("headgate_wait_seconds_total", "Time that granted waiters had waited", pool.waits.totalMs / 1000)
]

/**
 * What a scheduler has to say.
 *
 * @category samples
 * @since 0.1.0
 */
export const schedulerSamples = (scheduler: "tasks" | "applets", state: SchedulerSnapshot): ReadonlyArray<Sample> => [
  gauge("headgate_run_queue_length", "Entities queued to run", state.runQueueLength, { scheduler }),
  gauge("headgate_entities", "Entities that have not ended", state.entities, { scheduler }),
  counter("headgate_runs_total", "Runs started", state.starts, { scheduler }),
  counter("headgate_entities_failed_total", "Entities that ended by a failure", state.failed, { scheduler })
]

/**
 * All samples of the pool and the schedulers in context.
 *
 * @category samples
 * @since 0.1.0
 */
export const samples: Effect.Effect<ReadonlyArray<Sample>, never, BufferPool | TaskScheduler | AppletScheduler> = Effect
  .gen(
    function*() {
      const pool = yield* BufferPool
      const tasks = yield* TaskScheduler
      const applets = yield* AppletScheduler
      const labelled = poolSamples(yield* pool.snapshot).map((sample) => ({
        ...sample,
        labels: { pool: pool.name, ...sample.labels }
      }))
      return [
        ...labelled,
        ...schedulerSamples("tasks", yield* tasks.snapshot),
        ...schedulerSamples("applets", yield* applets.snapshot)
      ]
    }
  )

/**
 * Writes samples into the metric registry in context: gauges are set, counters raised to their value. Names, labels and
 * units follow Prometheus.
 *
 * @category publishing
 * @since 0.1.0
 */
export const publishSamples = (all: ReadonlyArray<Sample>): Effect.Effect<void> =>
  Effect.forEach(all, (sample) => {
    const options = { description: sample.help, attributes: sample.labels }
    if (sample.type === "gauge") return Metric.update(Metric.gauge(sample.name, options), sample.value)
    const metric = Metric.counter(sample.name, { ...options, incremental: true })
    return Effect.flatMap(Metric.value(metric), ({ count }) => Metric.update(metric, Math.max(0, sample.value - count)))
  }, { discard: true })

/**
 * Publishes the pool and the schedulers in context.
 *
 * @category publishing
 * @since 0.1.0
 */
export const publish: Effect.Effect<void, never, BufferPool | TaskScheduler | AppletScheduler> = Effect.flatMap(
  samples,
  publishSamples
)

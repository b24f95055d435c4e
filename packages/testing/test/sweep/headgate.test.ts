/**
 * L9 for all of `headgate`: every public effect is interrupted at every operation, and between any two steps with every yield
 * budget from 3 to 64, in every situation that it can be in. Whatever happens the laws hold after every step, and in the end
 * nothing is leaked, nobody waits, and whoever stood behind has been served.
 *
 * The table cannot miss an effect: what there is to sweep is read from the modules and from the objects themselves. Its rows
 * for entities are swept in `entities.test.ts`.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Applet from "headgate/Applet"
import { AppletScheduler } from "headgate/AppletScheduler"
import { BufferPool } from "headgate/BufferPool"
import * as ByteStream from "headgate/ByteStream"
import * as Criticality from "headgate/Criticality"
import * as Headgate from "headgate/Headgate"
import * as HeadgateConfig from "headgate/HeadgateConfig"
import * as HeadgateMetrics from "headgate/HeadgateMetrics"
import { accesses } from "headgate/Probe"
import { Relay } from "headgate/Relay"
import * as StallPolicy from "headgate/StallPolicy"
import { Stepper } from "headgate/Stepper"
import * as Task from "headgate/Task"
import { TaskScheduler } from "headgate/TaskScheduler"
import { WaitQueue } from "headgate/WaitQueue"
import { assertSwept } from "../../src/Sweep.ts"
import { entityRows, manualRows, poolRows, rowsApart } from "./headgateRows.ts"
import { options, sweepRow, sweeps } from "./stage.ts"
import { type Entry, gapsOf, membersOf, surfaceOf } from "./surface.ts"

/** One of each object that the library hands out. */
const objects = Effect.gen(function*() {
  const stream = yield* ByteStream.make({ process: () => Effect.void, fillers: { response: "applet" } })
  return {
    pool: yield* BufferPool,
    queue: yield* WaitQueue,
    tasks: yield* TaskScheduler,
    applets: yield* AppletScheduler,
    stepper: yield* Stepper,
    relay: yield* Relay.make(),
    task: yield* Task.make(() => Effect.void),
    stream,
    applet: yield* Applet.make({ channel: stream.response, run: () => Effect.void })
  }
}).pipe(Effect.provide(Headgate.layerManual(options)), Effect.scoped, Effect.runSync)

const privateToEntities = ["sleep", "turn", "resume", "exit"] as const

const members: ReadonlyArray<Entry> = [
  ...membersOf("BufferPool", objects.pool, "fork"),
  ...membersOf("WaitQueue", objects.queue),
  ...membersOf("TaskScheduler", objects.tasks),
  ...membersOf("AppletScheduler", objects.applets),
  ...membersOf("Stepper", objects.stepper),
  ...membersOf("Relay", objects.relay, "close", "sweep", "log", "provide"),
  ...membersOf("Task", objects.task, ...privateToEntities),
  ...membersOf("ByteStream", objects.stream, ...privateToEntities),
  ...membersOf("Applet", objects.applet, ...privateToEntities)
]

/** Functions that make no effect, each with a call that shows it. */
const samples: { readonly [name: string]: () => unknown } = {
  "Criticality.level": () => Criticality.level("rx"),
  "Criticality.margin": () => Criticality.margin("rx", 3),
  "Criticality.isCriticality": () => Criticality.isCriticality("rx"),
  "HeadgateConfig.parseSize": () => HeadgateConfig.parseSize("64 KiB"),
  "HeadgateConfig.parseDuration": () => HeadgateConfig.parseDuration("1 second"),
  "HeadgateMetrics.poolSamples": () => HeadgateMetrics.poolSamples(Effect.runSync(objects.pool.snapshot)),
  "HeadgateMetrics.schedulerSamples": () =>
    HeadgateMetrics.schedulerSamples("tasks", Effect.runSync(objects.tasks.snapshot)),
  "Probe.accesses": accesses,
  "StallPolicy.victims": () => StallPolicy.victims([{ stalledMs: 1 }], 1, 1),
  "WaitQueue#waiter": () => objects.queue.waiter({ target: "a sample", criticality: "rx", wake: () => false }),
  "TaskScheduler#runnable": () => objects.tasks.runnable(() => {}),
  "AppletScheduler#runnable": () => objects.applets.runnable(() => {})
}

const all = { ...poolRows, ...entityRows, ...rowsApart, ...manualRows }

describe("the table", () => {
  it("has a row for every public effect, and for nothing else", async () => {
    const surface = [...await surfaceOf(new URL("../../../headgate/src/", import.meta.url)), ...members]
    expect(gapsOf(surface, Object.keys(all), samples)).toEqual([])
  })
})

describe.each(Object.entries(poolRows))("%s, interrupted anywhere", (_, row) => {
  it.each(sweeps)("$situation (debug: $debug): leaks nothing and forgets nobody", ({ mode, situation }) => {
    assertSwept(sweepRow(row, situation, mode))
  })
})

describe.each(Object.entries(rowsApart))("%s, interrupted anywhere", (_, row) => {
  it.each(["uncontended", "inside release"] as const)("%s: leaves nothing behind", (situation) => {
    assertSwept(sweepRow(row, situation))
  })
})

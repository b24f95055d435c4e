/**
 * Headgate under every schedule, within the bounds that each test's name states: L1, L4 and L7 between all steps, L3 at the
 * end. With `HEADGATE_FULL=1` the bounds are those of `pnpm verify`.
 */
import { assert, describe } from "vitest"
import { explore, type ExploreOptions, promiseLine } from "../../src/Explorer.ts"
import { it } from "../../src/vitest.ts"
import {
  acquire,
  closing,
  endedFromOutside,
  fedByApplet,
  type Make,
  resizing,
  streams,
  visited,
  withBuffer,
  wokenTask
} from "./programs.ts"

const isFull = process.env["HEADGATE_FULL"] === "1"

/** Enough for whatever is asked for here: an exploration that is cut off fails. */
const toTheEnd = { maxSchedules: 5_000_000 }

/** One program under several bounds: those that are quick, and those for `pnpm verify`. */
const explored = (
  name: string,
  make: Make,
  quick: ReadonlyArray<ExploreOptions>,
  full: ReadonlyArray<ExploreOptions> = []
): void => {
  for (const bounds of isFull ? [...quick, ...full] : quick) it.explore(name, make, { ...toTheEnd, ...bounds })
}

const small = { limit: 2, reserve: 1 }
const two = [withBuffer("a", "rx"), withBuffer("b", "rx")]
const three = [...two, withBuffer("c", "rx")]
const mixed = [withBuffer("a", "rx"), withBuffer("b", "channel"), withBuffer("c", "tx")]
const anywhere = { interrupts: 1 }

describe("withBuffer", () => {
  explored("2 fibers at rx, limit 2, reserve 1", visited(small, two), [{}, anywhere], [{ interrupts: 2 }])
  explored("3 fibers at rx, limit 2, reserve 1", visited(small, three), [{ preemptions: 2 }, {
    ...anywhere,
    preemptions: 1
  }], [
    {},
    { ...anywhere, preemptions: 2 }
  ])
  explored("3 fibers of mixed classes, limit 2, reserve 1", visited(small, mixed), [{}, {
    ...anywhere,
    preemptions: 1
  }], [
    { ...anywhere, preemptions: 2 }
  ])
  explored(
    "4 fibers of all classes, limit 3, reserve 2",
    visited({ limit: 3, reserve: 2 }, [
      ...mixed,
      withBuffer("d", "endpoint")
    ]),
    [{ preemptions: 1 }],
    [{ preemptions: 2 }, { ...anywhere, preemptions: 1 }]
  )
})

describe("acquire in a scope", () => {
  const scoped = [acquire("a", "rx"), acquire("b", "rx")]
  explored("2 fibers at rx, limit 2, reserve 1", visited(small, scoped), [{ ...anywhere, preemptions: 2 }], [anywhere])
  explored("3 fibers of mixed classes, limit 2, reserve 1", visited(small, [...scoped, acquire("c", "channel")]), [
    { preemptions: 2 }
  ], [{ ...anywhere, preemptions: 1 }])
})

describe("what changes the pool under 2 fibers", () => {
  const resized = visited({ limit: 3, reserve: 1 }, [...two, resizing("operator", 2, 3)])
  explored("resize down and up", resized, [{}, { ...anywhere, preemptions: 1 }], [anywhere])
  explored("close", visited(small, [...two, closing("closer")]), [{}, { ...anywhere, preemptions: 1 }], [anywhere])
  explored("a creation fails", visited({ limit: 4, reserve: 1 }, two), [{ faults: 1 }, { ...anywhere, faults: 1 }], [
    { ...anywhere, faults: 2 }
  ])
  explored(
    "a creation fails while a third fiber takes at tx",
    visited({ limit: 3, reserve: 1 }, [
      ...two,
      withBuffer("c", "tx")
    ]),
    [{ faults: 1, preemptions: 2 }],
    [{ faults: 1 }]
  )
})

describe("entities", () => {
  explored("a task is woken by 2 fibers: its last run sees what both did", wokenTask(2), [{ preemptions: 2 }], [{}])
  explored("2 streams allocate and drain, limit 2, reserve 1", streams(small, "a", "b"), [{ preemptions: 1 }], [
    { preemptions: 2 },
    { ...anywhere, preemptions: 1 }
  ])
  explored("an applet answers while the last buffer is held, limit 2, reserve 1", fedByApplet(small), [{
    preemptions: 1
  }], [
    { preemptions: 2 }
  ])
  explored("an applet's reader or its rival is interrupted", fedByApplet({ limit: 3, reserve: 1 }), [
    { ...anywhere, preemptions: 0 }
  ], [{ ...anywhere, preemptions: 1 }])
  explored("a stream is ended from outside while it holds or waits", endedFromOutside, [
    { preemptions: 2 },
    { ...anywhere, preemptions: 1 }
  ])
})

describe("the probe misses nothing", () => {
  const programs: ReadonlyArray<readonly [string, Make, ExploreOptions, saves: boolean]> = [
    ["withBuffer, 2 fibers", visited(small, two), { preemptions: 2 }, true],
    ["withBuffer, 2 fibers", visited(small, two), { ...anywhere, preemptions: 1 }, true],
    ["acquire, 2 fibers", visited(small, [acquire("a", "rx"), acquire("b", "rx")]), { preemptions: 1 }, true],
    ["close against 2 fibers", visited(small, [...two, closing("closer")]), { preemptions: 1 }, true],
    // A task's every step is one that counts: there is nothing to save.
    ["a task woken by 1 fiber", wokenTask(1), {}, false],
    ["an applet that answers", fedByApplet(small), { preemptions: 1 }, true]
  ]
  for (const [name, make, bounds, saves] of programs) {
    it(`${name}: as many distinct traces with reductions as without (${promiseLine(bounds)})`, () => {
      const reduced = explore(make, { ...toTheEnd, ...bounds })
      const all = explore(make, { ...toTheEnd, ...bounds, reductions: false })
      assert.strictEqual(reduced.failure, undefined)
      assert.strictEqual(reduced.traces, all.traces)
      if (saves) assert.isBelow(reduced.schedules + reduced.pruned, all.schedules)
    })
  }
})

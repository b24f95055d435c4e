/**
 * The rules that earlier wordings of the relay got wrong, one scenario each (rows F1 to F10 of the rules that simulation
 * refuted). Each has its mutant, and tests of its own beside it:
 *
 * F1 to F4, F5  stall.test.ts, waiting.test.ts       F6, F7  also on real sockets: RelayServer, StatusServer of the node package
 * F8            stall.test.ts                        F9      waiting.test.ts, and NodePeer's bound on real sockets
 * F10           bytes.test.ts
 */
import * as RelaySimulation from "@headgate/testing/RelaySimulation"
import { assert, describe, test } from "vitest"
import { inTime, type Timed } from "../../src/internal/simulationSeeds.ts"

const KiB = 1024

interface Scenario {
  readonly pool: RelaySimulation.Script["pool"]
  readonly relay?: Partial<RelaySimulation.Script["relay"]>
  readonly links: ReadonlyArray<RelaySimulation.LinkScript>
  readonly timed: ReadonlyArray<Timed>
}

const runs = ({ links, pool, relay, timed }: Scenario): RelaySimulation.Report => {
  const report = RelaySimulation.runScript({
    pool,
    relay: {
      stallGraceMs: 1000,
      stallTimeoutMs: 5000,
      queueTimeoutMs: 60_000,
      idleTimeoutMs: 60_000,
      samples: true,
      ...relay
    },
    links,
    events: inTime(timed)
  })
  assert.deepStrictEqual(report.violations.map(RelaySimulation.show), [])
  return report
}

/** So many connections like this one. */
const many = (count: number, client: RelaySimulation.EndScript, target: RelaySimulation.EndScript = {}) =>
  Array.from({ length: count }, (): RelaySimulation.LinkScript => ({ client, target }))

/** Each opens at a time, and one of its hosts writes. */
const writes = (
  links: { readonly from: number; readonly count: number; readonly atMs: number; readonly everyMs?: number },
  side: RelaySimulation.Side,
  bytes: number
): Array<Timed> =>
  Array.from({ length: links.count }, (_, at): Array<Timed> => {
    const link = links.from + at
    const atMs = links.atMs + at * (links.everyMs ?? 0)
    return [[atMs, { does: "open", link }], [atMs, { does: "write", link, side, bytes }]]
  }).flat()

const kernel = (bytes: number, readsPerSecond?: number): RelaySimulation.EndScript => ({
  sendBuffer: bytes,
  hostBuffer: Math.min(bytes, 64 * KiB),
  acceptAbove: bytes >= 64 * KiB ? Math.floor(bytes / 3) : undefined,
  readsPerSecond
})

describe("rules", () => {
  test("F1: who never reads is evicted although buffers are handed to others all the time, and uploads are served", () => {
    const { ends, handOffs } = runs({
      pool: { limit: 8, reserve: 3, bufferSize: 8 * KiB },
      links: [...many(3, kernel(4 * KiB, 0)), ...many(8, kernel(4 * KiB, 20_000)), ...many(2, {})],
      timed: [
        ...writes({ from: 0, count: 3, atMs: 0 }, "target", 100 * KiB),
        ...writes({ from: 3, count: 8, atMs: 10, everyMs: 20 }, "target", 350 * KiB),
        ...writes({ from: 11, count: 2, atMs: 4000 }, "client", 1000),
        [16_000, { does: "pass", ms: 1 }]
      ]
    })
    assert.deepStrictEqual([ends.stalled, ends.completed], [3, 10])
    assert.isAbove(handOffs, 100)
  })

  test("F2: seven readers of a hundred bytes a second do not keep ten healthy connections waiting", () => {
    const { ends, longestWaitMs } = runs({
      pool: { limit: 8, reserve: 3, bufferSize: 64 * KiB },
      links: [...many(7, kernel(16 * KiB, 100)), ...many(10, {})],
      timed: [
        ...writes({ from: 0, count: 7, atMs: 0 }, "target", 200 * KiB),
        ...writes({ from: 7, count: 10, atMs: 1000 }, "target", 1000),
        [20_000, { does: "pass", ms: 1 }]
      ]
    })
    assert.deepStrictEqual([ends.stalled, ends.completed], [7, 10])
    assert.isAtMost(longestWaitMs, 6500)
  })

  test("F3: readers of 20 kB/s behind a large kernel buffer outlive the first shortage, for they were sampled before", () => {
    const { ends, longestWaitMs } = runs({
      pool: { limit: 6, reserve: 3, bufferSize: 64 * KiB },
      relay: { stallTimeoutMs: 10_000 },
      links: [...many(5, kernel(1024 * KiB, 20_000)), ...many(2, {})],
      timed: [
        ...writes({ from: 0, count: 5, atMs: 0 }, "target", 2000 * KiB),
        // Twelve seconds into the kernel's silence of seventeen.
        ...writes({ from: 5, count: 2, atMs: 12_000 }, "target", 1000),
        [30_000, { does: "pass", ms: 1 }]
      ]
    })
    assert.deepStrictEqual([ends.stalled, ends.completed], [0, 7])
    assert.isAbove(longestWaitMs, 2000)
  })

  test("F4: readers of 6 kB/s with everything in the kernel are not idle", () => {
    const { ends } = runs({
      pool: { limit: 6, reserve: 3, bufferSize: 64 * KiB },
      relay: { idleTimeoutMs: 20_000 },
      links: many(5, kernel(1024 * KiB, 6000)),
      timed: [...writes({ from: 0, count: 5, atMs: 0 }, "target", 500 * KiB), [80_000, { does: "pass", ms: 1 }]]
    })
    assert.deepStrictEqual([ends.idle, ends.completed], [0, 5])
  })

  test("F5: the wait for honest readers is longer than stallTimeout, and shorter than a queueTimeout that knows of it", () => {
    const { ends, longestWaitMs } = runs({
      pool: { limit: 6, reserve: 3, bufferSize: 64 * KiB },
      relay: { queueTimeoutMs: 20_000 },
      links: [...many(5, kernel(768 * KiB, 25_000)), ...many(5, {})],
      timed: [
        ...writes({ from: 0, count: 5, atMs: 0 }, "target", 1500 * KiB),
        ...writes({ from: 5, count: 5, atMs: 2000 }, "target", 1000),
        [60_000, { does: "pass", ms: 1 }]
      ]
    })
    assert.deepStrictEqual([ends.queueTimeout, ends.stalled, ends.completed], [0, 0, 10])
    assert.isAbove(longestWaitMs, 5000)
  })

  test("F6: two hundred targets that do not answer hold no buffer, and nobody waits because of them", () => {
    const { ends, waits } = runs({
      pool: { limit: 4, reserve: 1, bufferSize: 64 * KiB },
      links: [
        ...many(200, {}).map((link) => ({ ...link, connectMs: 5000, refused: true })),
        ...many(20, {}, {})
      ],
      timed: [
        ...writes({ from: 0, count: 200, atMs: 0 }, "client", 1000),
        ...writes({ from: 200, count: 20, atMs: 100, everyMs: 10 }, "client", 10_000)
      ]
    })
    assert.deepStrictEqual([ends.refused, ends.completed, waits], [200, 20, 0])
  })

  test("F8: newcomers' uploads are served beside downloads that never stop, by ageing; without it they die waiting", () => {
    const scenario = (ageAfterMs: number | undefined) =>
      runs({
        pool: { limit: 8, reserve: 3, bufferSize: 4 * KiB, ageAfterMs },
        relay: { queueTimeoutMs: 10_000 },
        links: [...many(14, kernel(KiB, 8000)), ...many(4, {})],
        timed: [
          ...writes({ from: 0, count: 14, atMs: 0, everyMs: 10 }, "target", 150 * KiB),
          ...writes({ from: 14, count: 4, atMs: 2000, everyMs: 500 }, "client", 1000),
          [16_000, { does: "pass", ms: 1 }]
        ]
      }).ends
    const { completed, queueTimeout } = scenario(1000)
    assert.deepStrictEqual([queueTimeout, completed], [0, 18])
    assert.strictEqual(scenario(undefined).queueTimeout, 4)
  })

  test("F9: a read that was under way when reading stopped is kept, 64 KiB behind the 64 KiB that could not be placed", () => {
    const late = 64 * KiB
    const { ends, log } = runs({
      pool: { limit: 2, reserve: 1, bufferSize: 64 * KiB },
      links: many(1, {}),
      timed: [
        [0, { does: "hold", criticality: "tx", count: 2 }],
        ...writes({ from: 0, count: 1, atMs: 0 }, "client", 2 * late),
        [0, { does: "run", tasks: 9 }],
        [0, { does: "move", link: 0, side: "client", what: "arrive" }],
        [0, { does: "move", link: 0, side: "client", what: "deliver" }],
        [0, { does: "move", link: 0, side: "client", what: "deliverLate" }]
      ]
    })
    assert.strictEqual(ends.completed, 1)
    assert.deepStrictEqual(log.filter((line) => line.startsWith("0 client 0 tells bytes")), [
      `0 client 0 tells bytes ${late}`,
      `0 client 0 tells bytes ${late}`
    ])
  })

  test("F10: one buffer per turn while others wait would change nothing: the waits are the same", () => {
    const scenario = (turnBytes: number | undefined) =>
      runs({
        pool: { limit: 3, reserve: 1, bufferSize: 4 * KiB },
        relay: { turnBytes },
        links: [...many(4, kernel(4 * KiB, 30_000)), ...many(10, {})],
        timed: [
          ...writes({ from: 0, count: 4, atMs: 0 }, "target", 150 * KiB),
          ...writes({ from: 4, count: 10, atMs: 1000, everyMs: 100 }, "target", 1000),
          [5000, { does: "pass", ms: 1 }]
        ]
      })
    const [one, all] = [scenario(4 * KiB), scenario(undefined)]
    assert.deepStrictEqual(one.ends, all.ends)
    assert.strictEqual(one.longestWaitMs, all.longestWaitMs)
    assert.isAbove(one.waits, 10)
  })
})

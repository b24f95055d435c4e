/** What counts as progress, from when a write is stalled, and who goes: on the policy itself, with a clock of plain numbers. */
import { assert, describe, it } from "@effect/vitest"
import { Progress, progressBytes, victims } from "headgate/StallPolicy"

const graceMs = 1000
const unknown = undefined

describe("a write", () => {
  it("between writes, and before the first, is not stalled", () => {
    const progress = new Progress(graceMs)
    assert.deepStrictEqual([progress.stalledMs(50), progress.inFlightMs(50)], [0, 0])
    progress.begin(100, 0, false)
    progress.done(200)
    assert.deepStrictEqual([progress.stalledMs(5000), progress.inFlightMs(5000)], [0, 0])
  })

  it("is stalled since it began, the first one too, however soon it comes", () => {
    const progress = new Progress(graceMs)
    progress.begin(500, 0, false)
    assert.deepStrictEqual([progress.stalledMs(600), progress.inFlightMs(600), progress.markedAt], [100, 100, 500])
  })

  it("behind a quick one begins anew; behind a slow one, within the grace time, the old mark goes on", () => {
    for (
      const [tookMs, pauseMs, stalledMs] of [
        [1000, 0, 5],
        [1001, 0, 1006],
        [1001, 1000, 2006],
        [1001, 1001, 5]
      ] as const
    ) {
      const progress = new Progress(graceMs)
      progress.begin(0, 0, false)
      progress.done(tookMs)
      const again = tookMs + pauseMs
      progress.begin(again, 10, false)
      assert.strictEqual(progress.stalledMs(again + 5), stalledMs, `after ${tookMs} ms and a pause of ${pauseMs}`)
    }
  })

  it("that still holds the buffer of the one before goes on with its mark, however much was accepted in all", () => {
    const progress = new Progress(graceMs)
    progress.begin(0, 10 * progressBytes, false)
    progress.done(1)
    progress.begin(2, 11 * progressBytes - 1, true)
    assert.strictEqual(progress.stalledMs(100), 100)
    progress.done(101)
    progress.begin(102, 11 * progressBytes, true)
    assert.strictEqual(progress.stalledMs(200), 98)
  })

  it("makes progress by 64 KiB accepted since the mark, not by less", () => {
    const progress = new Progress(graceMs)
    progress.begin(0, 7, false)
    progress.look(100, { accepted: 7 + progressBytes - 1, delivered: unknown })
    assert.strictEqual(progress.markedAt, 0)
    progress.look(200, { accepted: 7 + progressBytes, delivered: unknown })
    assert.strictEqual(progress.markedAt, 200)
    progress.look(300, { accepted: 7 + 2 * progressBytes - 1, delivered: unknown })
    assert.strictEqual(progress.markedAt, 200)
  })

  it("makes progress by 64 KiB delivered since the first look that knew, not by less", () => {
    const progress = new Progress(graceMs)
    progress.begin(0, 0, false)
    progress.look(100, { accepted: 0, delivered: unknown })
    progress.look(200, { accepted: 0, delivered: 9 * progressBytes })
    assert.strictEqual(progress.markedAt, 0)
    progress.look(300, { accepted: 0, delivered: 10 * progressBytes - 1 })
    progress.look(350, { accepted: 0, delivered: unknown })
    assert.strictEqual(progress.markedAt, 0)
    progress.look(400, { accepted: 0, delivered: 10 * progressBytes })
    assert.strictEqual(progress.markedAt, 400)
    progress.look(500, { accepted: 0, delivered: 11 * progressBytes - 1 })
    assert.strictEqual(progress.markedAt, 400)
  })
})

it("who goes is who has been stalled for as long as that, longest first, as many as wait", () => {
  const candidates = [30, 10, 50, 29, 40].map((stalledMs) => ({ stalledMs }))
  const went = (waiting: number) => victims(candidates, 30, waiting).map(({ stalledMs }) => stalledMs)
  assert.deepStrictEqual([went(0), went(2), went(9)], [[], [50, 40], [50, 40, 30]])
})

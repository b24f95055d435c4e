/** What the soak judges by: who waits longer than promised, what grows, and what streams are made of. */
import { assert, describe, it } from "vitest"
import { longestPieceBytes, pieceOf, wrongByte } from "../../soak/content.ts"
import { Dice } from "../../soak/dice.ts"
import { grown, margins, type Memory } from "../../soak/memory.ts"
import { type Picture, Waits } from "../../soak/waits.ts"

const times = { stallTimeoutMs: 1000, stallGraceMs: 100, queueTimeoutMs: 60_000 }

const nobody = { waiting: 0, oldestWaitMs: 0, lent: 0 }

/** A pool with one who has waited at `channel` for so long, everything lent. */
const pool = (forMs: number, more: Partial<Picture> = {}, takes = 0): Picture => ({
  limit: 4,
  reserve: 3,
  bufferSize: 64 * 1024,
  free: 0,
  favoured: undefined,
  waiting: [{ target: "somebody", criticality: "channel", state: "queued", forMs }],
  classes: { tx: nobody, channel: { ...nobody, waiting: 1 }, endpoint: nobody, rx: nobody },
  takes,
  ...more
})

/** A peer can hold a buffer for two stall timeouts: the kernel wants to be rid of 64 KiB before it takes the next 64 KiB. */
const waits = (lateSinceMs: (at: number) => number = () => 0) =>
  new Waits({ times, sendBufferBytes: 3 * 64 * 1024, lateSinceMs })

/** `grace + P + rounds (h + grace + 2P)`. */
const promisedMs = (rounds: number): number => 100 + 250 + rounds * (2000 + 100 + 500)

/** Looks at one wait as it begins, and when it has lasted that long. */
const after = (
  forMs: number,
  takes: number,
  more: Partial<Picture> = {},
  it = waits()
): ReadonlyArray<string> => {
  assert.deepStrictEqual(it.look(pool(0, more), 1000), [])
  return it.look(pool(forMs, more, takes), 1000 + forMs)
}

describe("a wait", () => {
  it("is as long as promised, and not a millisecond longer", () => {
    assert.deepStrictEqual(after(promisedMs(1), 0), [])
    assert.match(after(promisedMs(1) + 1, 0).join(), /^somebody at channel has waited 2951 ms, more than the 2950 ms/)
  })

  it("is longer by a round for each share of the limit that went to others", () => {
    // At channel, a reserve of 3 leaves 1 buffer: of 4, 3 can be had.
    assert.lengthOf(after(promisedMs(1) + 1, 2), 1)
    assert.lengthOf(after(promisedMs(2), 3), 0)
    assert.lengthOf(after(promisedMs(2) + 1, 3), 1)
  })

  it("counts the least limit it has seen, and a sweep for each buffer lent above it", () => {
    const it = waits()
    it.look(pool(0, { limit: 8 }), 1000)
    it.shrinks(5)
    it.look(pool(10, { limit: 3 }), 1010)
    const longest = promisedMs(2) + 5 * 250
    assert.lengthOf(it.look(pool(longest, { limit: 8 }, 2), 1000 + longest), 0)
    assert.lengthOf(it.look(pool(longest + 1, { limit: 8 }, 2), 1001 + longest), 1)
  })

  it("never lasts longer than the queue timeout, whatever went to others", () => {
    assert.lengthOf(after(60_500, 1000), 0)
    assert.lengthOf(after(60_501, 1000), 1)
  })

  it("may be longer by what the process was late", () => {
    const late = () => waits((at) => at === 1000 ? 700 : 0)
    assert.lengthOf(after(promisedMs(1) + 700, 0, {}, late()), 0)
    assert.lengthOf(after(promisedMs(1) + 701, 0, {}, late()), 1)
  })

  it("begins anew when the same one waits again", () => {
    const it = waits()
    it.look(pool(0), 1000)
    it.look(pool(0, {}, 300), 2000)
    assert.lengthOf(it.look(pool(promisedMs(1) + 1, {}, 301), 2001 + promisedMs(1)), 1)
  })

  it("is lost, when a buffer is free beyond the margin and nobody is favoured", () => {
    assert.match(waits().look(pool(0, { free: 2 }), 0).join(), /^1 wait at channel though 2 buffers are free/)
    assert.deepStrictEqual(waits().look(pool(0, { free: 1 }), 0), [])
    assert.deepStrictEqual(waits().look(pool(0, { free: 2, favoured: "rx" }), 0), [])
  })

  it("is over only when the grant is collected", () => {
    const granted = (forMs: number) =>
      pool(0, {
        waiting: [{ target: "somebody", criticality: "rx", state: "granted", forMs }],
        classes: { tx: nobody, channel: nobody, endpoint: nobody, rx: nobody }
      })
    assert.deepStrictEqual(waits().look(granted(5000), 9000), [])
    assert.match(waits().look(granted(5001), 9000).join(), /^somebody at rx has not collected its buffer for 5001 ms/)
  })

  it("is remembered by its length, and by how near it came to its bound", () => {
    const it = waits()
    after(promisedMs(1) / 2, 0, {}, it)
    assert.strictEqual(it.oldestMs, promisedMs(1) / 2)
    assert.strictEqual(it.nearest, 0.5)
  })
})

describe("memory", () => {
  const MiB = 1024 ** 2
  const of = (...heaps: ReadonlyArray<number>): ReadonlyArray<Memory> =>
    heaps.map((heap) => ({ heapBytes: heap * MiB, rssBytes: 100 * MiB }))

  it("has grown when the last quarter's median is beyond the most of the first quarter and the margin", () => {
    const most = 30 + margins.load.heapBytes / MiB
    assert.deepStrictEqual(grown("load", of(10, 30, 20), of(most, 1000, most)), [])
    assert.match(
      grown("load", of(10, 30, 20), of(1, most + 1, most + 1)).join(),
      /^the heap grew, under load, from 30 MiB/
    )
  })

  it("may grow less at rest in the heap, and beside it by as much", () => {
    const most = 30 + margins.rest.heapBytes / MiB
    assert.deepStrictEqual(grown("rest", of(30), of(most)), [])
    assert.lengthOf(grown("rest", of(30), of(most + 0.1)), 1)
    const large = [{ heapBytes: 30 * MiB, rssBytes: 100 * MiB + margins.rest.rssBytes + 1 }]
    assert.match(grown("rest", of(30), large).join(), /^memory beside the buffers grew, at rest/)
  })
})

describe("a stream", () => {
  it("has the same bytes in any pieces", () => {
    const whole = pieceOf(7, 1_000_000, 200_000)
    const pieces = [50_000, 1, 149_999].reduce(
      (got, length) => Buffer.concat([got, pieceOf(7, 1_000_000 + got.length, length)]),
      Buffer.alloc(0)
    )
    assert.isTrue(whole.equals(pieces))
    assert.strictEqual(pieceOf(7, 1_048_572, longestPieceBytes).length, longestPieceBytes)
  })

  it("is known from others, and its places from each other", () => {
    const piece = pieceOf(7, 500, 1000)
    assert.strictEqual(wrongByte(7, 500, piece), undefined)
    assert.isNumber(wrongByte(8, 500, piece))
    for (const buffers of [1, 2, 15, 16, 17]) assert.isNumber(wrongByte(7, 500 + buffers * 64 * 1024, piece))
    assert.strictEqual(wrongByte(7, 500, Buffer.from(piece.with(900, piece[900]! ^ 1))), 1400)
  })
})

it("dice are decided by all of their seeds", () => {
  const throws = (...seeds: ReadonlyArray<number>): string => {
    const dice = new Dice(...seeds)
    return Array.from({ length: 5 }, () => dice.between(0, 999)).join()
  }
  assert.strictEqual(throws(1, 2), throws(1, 2))
  assert.strictEqual(
    new Set([throws(1), throws(2), throws(1, 2), throws(2, 1), throws(1, -1), throws(1, 2, 3)]).size,
    6
  )
})

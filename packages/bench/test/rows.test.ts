/** What rows, tables, plots and the end of a run say: the parts of the bench that measure nothing. */
import { describe, expect, test } from "vitest"
import { exponentOf, exponents, type Plot, svg } from "../src/plot.ts"
import { report, type Results } from "../src/results.ts"
import { type Contestant, interleave } from "../src/rounds.ts"
import { type Comparison, faultsOf, median, type Row, rowsOf } from "../src/rows.ts"
import { number, placed, quotient, rowTable } from "../src/table.ts"

const outcome = (samples: Readonly<Record<string, ReadonlyArray<number>>>) => ({
  samples: new Map(Object.entries(samples)),
  failed: [{ contestant: "broken", why: "it broke" }],
  unavailable: [{ contestant: "HAProxy", why: "not installed" }]
})

const comparison: Comparison = {
  work: "work",
  unit: "ns",
  ours: { name: "ours", key: "ours" },
  peer: { name: "theirs", key: "theirs" }
}

const row = (samples: Readonly<Record<string, ReadonlyArray<number>>>, more: Partial<Comparison>): Row => {
  const [made] = rowsOf([{ ...comparison, ...more }], outcome(samples)).rows
  if (made === undefined) throw new Error("no row was made")
  return made
}

test("the median is the middle one, or between the two", () => {
  expect([median([3, 1, 2]), median([4, 1, 3, 2]), median([10, 9])]).toEqual([2, 2.5, 9.5])
  expect(() => median([])).toThrow("the median of no values")
})

describe("a row", () => {
  const samples = { ours: [10, 30, 20], theirs: [40, 50, 80], driver: [10, 10, 10] }

  test("is a ratio of medians, with the ratios of single rounds as its spread", () => {
    expect(row(samples, {})).toMatchObject({ ratio: 0.4, spread: [0.25, 0.6], gross: null })
  })

  test("has the driver subtracted from both sides, and says what it was before", () => {
    expect(row(samples, { net: "driver" })).toMatchObject({ ratio: 0.25, spread: [0, 0.5], gross: 0.4 })
  })

  test("holds up to and with its must, and reaches up to and with its want", () => {
    expect(row(samples, { must: 0.4, want: 0.39 })).toMatchObject({ holds: true, reached: false })
    expect(row(samples, { must: 0.39, want: 0.4 })).toMatchObject({ holds: false, reached: true })
    expect(row(samples, { sense: "at least", must: 0.4 }).holds).toBe(true)
    expect(row(samples, { sense: "at least", must: 0.41 }).holds).toBe(false)
  })

  test("without a must holds, and without a want says nothing of it", () => {
    expect(row(samples, {})).toMatchObject({ holds: true, reached: null })
  })

  test("may bound our own value instead", () => {
    expect(row({ ours: [0, 0], theirs: [0, 0] }, { judged: "ours", must: 0 })).toMatchObject({
      holds: true,
      ratio: null
    })
    expect(row({ ours: [1, 1], theirs: [0, 0] }, { judged: "ours", must: 0 }).holds).toBe(false)
  })

  test("beside a peer that costs nothing has no ratio, and does not hold by it", () => {
    expect(row({ ours: [1], theirs: [0] }, { must: 2 })).toMatchObject({ ratio: null, holds: false })
  })
})

describe("a run", () => {
  test("is no success if a row or a peer is missing that could run here, and is if it could not", () => {
    const peers = ["theirs", "broken", "HAProxy 16", "nobody"]
    const { missing, rows } = rowsOf(
      peers.map((key) => ({ ...comparison, peer: { name: key, key } })),
      outcome({ ours: [1], theirs: [2] })
    )
    expect(rows.length).toBe(1)
    expect(missing.map(({ excused, why }) => [why, excused])).toEqual([
      ["it broke", false],
      ["not installed", true],
      ["no value was reported", false]
    ])
    expect(faultsOf(rows, missing)).toEqual([
      "missing: work: broken: it broke",
      "missing: work: nobody: no value was reported"
    ])
  })

  const results = (rows: ReadonlyArray<Row>, missing: Results["missing"]): Results => ({
    name: "pool",
    machine: { processors: "", memory: "", kernel: "", date: "", versions: {}, load: [] },
    rounds: 1,
    rows,
    missing,
    growth: []
  })
  const good = row({ ours: [1], theirs: [2] }, { must: 1 })
  const bad = row({ ours: [3], theirs: [2] }, { must: 1 })
  const absent = { work: "w", contestant: "c", why: "y", excused: false }

  test.each([
    ["all musts hold", [good], [], 0],
    ["a must does not hold", [good, bad], [], 1],
    ["something is missing", [good], [absent], 1],
    ["something could not run here", [good], [{ ...absent, excused: true }], 0]
  ])("ends with its code after everything is printed: %s", (_, rows, missing, code) => {
    const lines: Array<string> = []
    expect(report(results(rows, missing), (line) => lines.push(line))).toBe(code)
    expect(lines.join("\n")).toContain(rowTable(rows))
  })
})

describe("rounds", () => {
  const contestant = (name: string, log: Array<string>, failsIn = 0): Contestant => {
    let round = 0
    return {
      name,
      run: async () => {
        log.push(name)
        if (++round === failsIn) throw new Error("wrong")
        return { [name]: round, [`${name} more`]: 10 * round }
      }
    }
  }

  test("interleave all contestants, and keep each measure's value of each round", async () => {
    const log: Array<string> = []
    const { samples } = await interleave([contestant("A", log), contestant("B", log)], { rounds: 2, print: () => {} })
    expect(log).toEqual(["A", "B", "A", "B"])
    expect([...samples]).toEqual([["A", [1, 2]], ["A more", [10, 20]], ["B", [1, 2]], ["B more", [10, 20]]])
  })

  test("a contestant that fails once is out, with what it had", async () => {
    const log: Array<string> = []
    const all = [contestant("A", log, 2), contestant("AB", log)]
    const { failed, samples } = await interleave(all, { rounds: 3, print: () => {} })
    expect(log).toEqual(["A", "AB", "A", "AB", "AB"])
    expect(failed).toEqual([{ contestant: "A", why: "wrong" }])
    expect([...samples.keys()]).toEqual(["AB", "AB more"])
  })

  test("one that cannot run here is said, and not run", async () => {
    const log: Array<string> = []
    const lines: Array<string> = []
    const { unavailable } = await interleave(
      [{ ...contestant("A", log), unavailable: "not installed" }],
      { rounds: 1, print: (line) => lines.push(line) }
    )
    expect([log, unavailable]).toEqual([[], [{ contestant: "A", why: "not installed" }]])
    expect(lines[0]).toBe("A cannot run here: not installed")
  })
})

describe("the page", () => {
  test("is changed between its marks only, and again the same way", () => {
    const page = "before\n<!-- a -->\nold\n<!-- /a -->\nafter"
    const once = placed(page, "a", "new")
    expect(once).toBe("before\n<!-- a -->\n\nnew\n\n<!-- /a -->\nafter")
    expect(placed(once, "a", "new")).toBe(once)
    expect(() => placed(page, "b", "new")).toThrow("the page has no <!-- b -->")
  })

  test("says numbers in three digits, and small ratios as fractions", () => {
    expect([0.012345, 1.2345, 99.94, 1234, 1234567].map(number)).toEqual([
      "0.0123",
      "1.23",
      "99.9",
      "1 234",
      "1 234 567"
    ])
    expect([0.5, 0.0123, 0.02].map(quotient)).toEqual(["0.5", "1/81.3", "1/50"])
  })

  test("marks a row that does not hold", () => {
    expect(rowTable([row({ ours: [3], theirs: [2] }, { must: 1 / 50, want: 1 / 100 })]).split("\n")[2])
      .toBe("| work | 3 ns | theirs | 2 ns | 1.5 (1.5 to 1.5) | ≤ 1/50 | ≤ 1/100 | **no** |")
  })
})

describe("a plot", () => {
  const points = (exponent: number) => [10, 100, 1000].map((size) => ({ size, value: 3 * size ** exponent }))

  test.each([0, 0.5, 1, 2])("finds the exponent %d of a curve that has it", (exponent) => {
    expect(exponentOf(points(exponent))).toBeCloseTo(exponent, 10)
  })

  test("finds none in one size or no size", () => {
    expect([exponentOf([]), exponentOf([{ size: 10, value: 1 }])]).toEqual([undefined, undefined])
  })

  test("tells a curve that is steep at last from one that grows evenly", () => {
    expect(exponents([...points(0), { size: 10_000, value: 30 }])).toBe("0.30, at last 1.00")
    expect(exponents(points(1).slice(0, 1))).toBeUndefined()
  })

  test("shows every curve, its exponent and where it stopped, in both themes", () => {
    const plot: Plot = {
      id: "x",
      title: "a < b",
      sizeLabel: "size",
      valueLabel: "ns",
      curves: [
        { name: "ours", points: points(0) },
        { name: "theirs", points: points(2).slice(0, 2), stopped: "over 20 s at 1000" }
      ]
    }
    for (const theme of ["light", "dark"] as const) {
      const text = svg(plot, theme)
      for (
        const part of [
          "a &lt; b",
          ">ours<",
          ">theirs<",
          "exponent 0.00, at last 0.00",
          "exponent 2.00, at last 2.00",
          "over 20 s at 1000"
        ]
      ) {
        expect(text).toContain(part)
      }
      expect(text.match(/<circle/g)?.length).toBe(5)
      expect(text).not.toContain("NaN")
    }
    expect(svg(plot, "light")).not.toBe(svg(plot, "dark"))
  })
})

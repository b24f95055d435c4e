/** Everybody in the pool bench does all of its work, and every row and curve comes out of it. Nothing is said of time. */
import { beforeAll, describe, expect, test } from "vitest"
import { inChild, poolBench } from "../src/pool/bench.ts"
import { comparisons } from "../src/pool/comparisons.ts"
import { tiny } from "../src/pool/effort.ts"
import { leavers, queues, type Report, type Subject, subjects } from "../src/pool/subjects.ts"
import type { Results } from "../src/results.ts"

const sizes = tiny.effort.sizes

describe("one round at tiny sizes", () => {
  const lines: Array<string> = []
  let results: Results
  beforeAll(async () => {
    const measure = (subject: Subject): Promise<Report> => subject.measure(tiny.effort)
    results = await poolBench({ ...tiny, measure, print: (line) => lines.push(line) })
  }, 60_000)

  test("nobody fails, and every row is there", () => {
    expect(lines.filter((line) => !line.startsWith("round"))).toEqual([])
    expect(results.missing).toEqual([])
    expect(results.rows.map(({ work }) => work)).toEqual(comparisons(sizes).map(({ work }) => work))
  })

  test("every curve has a point at every size", () => {
    expect(results.growth.map(({ curves }) => curves.length)).toEqual([
      queues.length + 1,
      queues.length,
      leavers.length,
      2
    ])
    for (const { points, stopped } of results.growth.flatMap(({ curves }) => curves)) {
      expect(points.map(({ size }) => size)).toEqual(sizes)
      expect(stopped).toBeUndefined()
    }
  })
})

test("whoever fails is missing, in a row or in a plot alone", async () => {
  const measure = (subject: Subject): Promise<Report> =>
    subject.name === "driver" || subject.name === "leave of tarn"
      ? Promise.reject(new Error("it broke"))
      : Promise.resolve({ measures: {} })
  const { missing } = await poolBench({ ...tiny, only: ["driver", "leave of tarn"], measure, print: () => {} })
  expect(missing.map(({ contestant, excused, why }) => [contestant, why, excused])).toEqual([
    ["driver", "it broke", false],
    ["leave of tarn", "it broke", false]
  ])
})

test("a process of its own reports the same measures", async () => {
  const subject = subjects.find(({ name }) => name === "hand-off of headgate")
  if (subject === undefined) throw new Error("no such subject")
  const { measures } = await inChild(subject, tiny.effort)
  expect(Object.keys(measures)).toEqual(
    sizes.flatMap((size) => [`${subject.name} ${size}`, `${subject.name} parked ${size}`])
  )
  for (const value of Object.values(measures)) expect(value).toBeGreaterThanOrEqual(0)
})

test("a process that measures nothing fails its contestant", async () => {
  await expect(inChild({ name: "nobody", flags: [], measure: () => Promise.resolve({ measures: {} }) }, tiny.effort))
    .rejects.toThrow(/its process ended with 1: .*there is no subject "nobody"/s)
})

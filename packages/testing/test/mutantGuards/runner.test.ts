/** `pnpm mutants` itself, on tables made for it: what it must not take for a catch, and what it must refuse. */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { all } from "../../mutants/all.ts"
import { gaps } from "../../mutants/rules.ts"

/** What the run says of each mutant, and its last two lines. */
const verdicts = async (table: "judged" | "endless") => {
  const script = new URL("wrongTable.ts", import.meta.url).pathname
  const { stdout } = await promisify(execFile)(process.execPath, [script, table])
  const lines = stdout.trimEnd().split("\n")
  const of = (name: string) =>
    lines.find((line) => line.startsWith(`${name} `))?.replace(/ +\d+ ms/, "").replace(/ +/g, " ")
  return { of, end: lines.slice(-2).map((line) => line.replace(/ \(\d+ s\)$/, "")) }
}

/** Milliseconds; alone each takes about five seconds. */
const onABusyMachine = 180_000

describe("a run of mutants", () => {
  it(
    "counts a catch only where a test judged, and fails for a mutant that is none, does not fit, or survives",
    async () => {
      const { end, of } = await verdicts("judged")
      expect(of("wrong")).toMatch(
        /^wrong runs \d+ runs? PoolModel: agree after every step of any history of a run queue/
      )
      expect(of("equivalent")).toBe("equivalent runs SURVIVED")
      expect(of("gone")).toMatch(/^gone runs INVALID gone: 0 places in .*runQueue\.ts read "no such line"/)
      expect(of("ambiguous")).toMatch(/^ambiguous runs INVALID ambiguous: [2-9] places/)
      for (const name of ["no-syntax", "no-module", "no-meaning"]) expect(of(name)).toContain(`${name} runs INVALID`)
      expect(end).toEqual(["mutants: 1 caught, 1 survived, 5 invalid", "failed"])
    },
    onABusyMachine
  )

  it("stops what does not end, and takes that for a catch only if the table says why", async () => {
    const { end, of } = await verdicts("endless")
    expect(of("endless")).toBe("endless runs HUNG")
    expect(of("endless-and-known")).toContain("endless-and-known runs no end PoolModel")
    expect(end).toEqual(["mutants: 1 caught, 0 survived, 1 hung", "failed"])
  }, onABusyMachine)
})

describe("the tables", () => {
  it("have a mutant for each law but the one of cost, and for each earlier rule; and would not be quiet about a gap", () => {
    expect(gaps(all)).toEqual([])
    expect(gaps([])).toHaveLength(10 + 15 + 10)
    expect(gaps(all.filter(({ law }) => law !== "L6"))).toEqual(["L6 has no mutant"])
    expect(gaps(all.map((mutant) => mutant.row === "F7" ? { ...mutant, row: "F70" } : mutant))).toEqual([
      "F7 (the status listener reads its request into a pooled buffer) has no mutant",
      "the-status-page-reads-into-a-pooled-buffer names row F70, which there is not"
    ])
  })
})

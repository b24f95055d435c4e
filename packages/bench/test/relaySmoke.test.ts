import { describe, expect, it } from "vitest"
import { script } from "../src/relay/contestants.ts"
import { measure } from "../src/relay/measure.ts"
import { smoke, smokes } from "../src/relay/smoke.ts"

const broken = (name: string) => script(name, new URL(`./fixtures/${name}.ts`, import.meta.url))
const times = { connections: 2, onTheWayBytes: 256 * 1024, warmMs: 0, windowMs: 60 }

describe("bench:relay", () => {
  it.each(smokes)("$contestant.name does its works, and all figures of them are numbers", async (one) => {
    const all = await smoke(one)
    expect(all).toHaveLength(one.works.length)
    for (const [at, figures] of all.entries()) {
      const values = Object.values(figures)
      const what = `${one.works[at]?.is}: ${JSON.stringify(figures)}`
      expect(values.length > 0 && values.every(Number.isFinite), what).toBe(true)
    }
  })
  it.each(["bulk", "pingPong", "churn"] as const)("a relay that changes a byte has no figure for %s", async (is) => {
    await expect(measure(broken("corruptingRelay"), { is, ...times })).rejects.toThrow("is not what was sent")
  })

  it("a relay that ends a stream before its end has no figure", async () => {
    const bulk = measure(broken("truncatingRelay"), { is: "bulk", ...times })
    await expect(bulk).rejects.toThrow(/ended in order after \d+ of \d+ bytes/)
  })
})

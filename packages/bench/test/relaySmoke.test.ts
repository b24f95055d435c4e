import { describe, expect, it } from "vitest"
import { smoke, smokes } from "../src/relay/smoke.ts"

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
})

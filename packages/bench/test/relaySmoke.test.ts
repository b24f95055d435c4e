import { describe, expect, it } from "vitest"
import { contestants, smoke } from "../src/relay/smoke.ts"

describe("bench:relay", () => {
  it.concurrent.each(contestants)("$name does every work, and all of its figures are numbers", async (contestant) => {
    const figures = await smoke(contestant)
    expect([...figures.keys()].toSorted()).toEqual(
      ["besideStuck", "bulk", "churn", "idle", "neverReaders", "paced", "pingPong"]
    )
    for (const [work, of] of figures) {
      expect(Object.values(of).every(Number.isFinite), `${work}: ${JSON.stringify(of)}`).toBe(true)
    }
  })
})

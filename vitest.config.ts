import { defineConfig } from "vitest/config"

export default defineConfig({
  test: {
    include: ["packages/*/test/**/*.test.ts"],
    reporters: ["default", ["json", { outputFile: "node_modules/.cache/test-results.json" }]],
    // Twice the processors of a small machine: a third of the time goes into sockets and processes that are waited for.
    maxWorkers: 4,
    // `pnpm verify` runs the same tests with the full sizes, which take as long as they take.
    testTimeout: process.env["HEADGATE_FULL"] === "1" ? 0 : 60_000
  }
})

import { defineConfig } from "vitest/config"

/** A wrong variant of a rule, for whoever wants to see what notices it: `pnpm mutants --list` names them all. */
const mutant = process.env["HEADGATE_MUTANT"]

export default defineConfig({
  plugins: mutant === undefined ? [] : [(await import("./packages/testing/mutants/all.ts")).only(mutant)],
  test: {
    include: ["packages/*/test/**/*.test.ts"],
    reporters: ["default", ["json", { outputFile: "node_modules/.cache/test-results.json" }]],
    // Twice the processors of a small machine: a third of the time goes into sockets and processes that are waited for.
    maxWorkers: 4,
    // `pnpm verify` runs the same tests with the full sizes, which take as long as they take.
    testTimeout: process.env["HEADGATE_FULL"] === "1" ? 0 : 60_000
  }
})

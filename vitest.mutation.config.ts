import { defineConfig } from "vitest/config"

/** The suites that guard `packages/headgate/src`, with small numbers of runs: each mutant runs those that reach it. */
export default defineConfig({
  test: {
    include: [
      "packages/headgate/test/**/*.test.ts",
      "packages/testing/test/{laws,relay,sweep,explorer}/**/*.test.ts",
      "packages/testing/test/{PoolModel,DesignRules}.test.ts"
    ],
    testTimeout: 60_000,
    env: { HEADGATE_RUNS: "40", HEADGATE_SEEDS: "40" }
  }
})

export * as SeedMachine from "./SeedMachine.ts"
export * as SeedScenarios from "./SeedScenarios.ts"

/**
 * A lane: one Vitest instance that stays open, and runs one test file after another, each against a mutant or none. What a
 * mutant changes is loaded anew for each; a fresh worker thread per file keeps one run's state out of the next.
 */
import { relative, resolve } from "node:path"
import { stripVTControlCharacters } from "node:util"
import { createVitest, type TestCase, type TestModule, type Vitest } from "vitest/node"
import { type Mutant, mutating, root } from "./mutant.ts"
import type { Tests } from "./suites.ts"

/** What one test file said, in words. Errors come with their causes, the innermost last. */
export type Outcome =
  | { readonly says: "passed" }
  | { readonly says: "failed"; readonly test: string; readonly errors: ReadonlyArray<string> }
  /** Nothing was judged: what was loaded is no program, or something failed outside any test. */
  | { readonly says: "broken"; readonly errors: ReadonlyArray<string> }
  | { readonly says: "hung" }

export interface Settings {
  /** Of all that is random: what a mutant's table says is said again tomorrow. */
  readonly seed: number
  /** Tests that take longer with a mutant hang; without one they may take ten times that. */
  readonly longestMs: number
}

/** Histories per property, if its tests do not say. */
const fewRuns = 100

const tickMs = 500

/** Calls `then` at the tick of that number: a machine that sleeps meanwhile, or a process that is stopped, takes no time. */
const every = (ms: number, ticks: number, then: () => void): NodeJS.Timeout => {
  let left = ticks
  return setInterval(() => --left === 0 && then(), ms)
}

export class Lane {
  private readonly settings: Settings
  private present: Mutant | undefined = undefined
  private vitest: Promise<Vitest>

  constructor(settings: Settings) {
    this.settings = settings
    this.vitest = this.open()
  }

  /** Runs the tests until the first failure. */
  async run(tests: Tests, mutant: Mutant | undefined): Promise<Outcome> {
    const vitest = await this.vitest
    this.load(vitest, mutant)
    const project = vitest.getRootProject()
    // What the next worker is given.
    project.config.env["HEADGATE_RUNS"] = String(tests.runs ?? fewRuns)
    const specification = project.createSpecification(
      resolve(root, tests.file),
      tests.only === undefined ? {} : { testNamePattern: tests.only }
    )
    const limit = Promise.withResolvers<"hung">()
    const clock = every(tickMs, this.ticksFor(mutant), () => limit.resolve("hung"))
    const ran = await Promise.race([vitest.runTestSpecifications([specification]), limit.promise])
    clearInterval(clock)
    if (ran === "hung") return this.stop(vitest)
    const modules = ran.testModules.filter(({ moduleId }) => moduleId === specification.moduleId)
    return outcomeOf(modules, ran.unhandledErrors)
  }

  async close(): Promise<void> {
    await (await this.vitest).close()
  }

  private ticksFor(mutant: Mutant | undefined): number {
    return Math.ceil((mutant === undefined ? this.patienceMs : this.settings.longestMs) / tickMs)
  }

  private get patienceMs(): number {
    return 10 * this.settings.longestMs
  }

  private open(): Promise<Vitest> {
    return createVitest({
      root,
      config: resolve(root, "vitest.config.ts"),
      watch: false,
      reporters: [{}],
      // A thread can be stopped in the middle of an endless loop.
      pool: "threads",
      maxWorkers: 1,
      bail: 1,
      testTimeout: this.patienceMs,
      setupFiles: [resolve(import.meta.dirname, "setup.ts")],
      env: {
        HEADGATE_SEED: String(this.settings.seed),
        HEADGATE_FULL: "0",
        // Each run starts a thread, and each thread loads Effect.
        NODE_COMPILE_CACHE: resolve(root, "node_modules/.cache/compiled")
      }
    }, { plugins: [mutating(() => this.present)], clearScreen: false })
  }

  private load(vitest: Vitest, mutant: Mutant | undefined): void {
    const changed = [...this.present?.edits ?? [], ...mutant?.edits ?? []]
    this.present = mutant
    for (const { file } of changed) vitest.invalidateFile(resolve(root, file))
  }

  /** The first cancellation asks, the second one stops the thread. */
  private async stop(vitest: Vitest): Promise<Outcome> {
    void vitest.cancelCurrentRun("keyboard-input")
    await vitest.cancelCurrentRun("keyboard-input")
    return { says: "hung" }
  }
}

const outcomeOf = (modules: ReadonlyArray<TestModule>, unhandled: ReadonlyArray<unknown>): Outcome => {
  const tests = modules.flatMap((module) => [...module.children.allTests()])
  const failed = tests.find((test) => test.result().state === "failed")
  if (failed !== undefined) return failureOf(failed)
  const broken = [...modules.flatMap((module) => module.errors()), ...unhandled]
  if (broken.length > 0) return { says: "broken", errors: broken.flatMap(wordsOf) }
  const isTested = tests.some((test) => test.result().state === "passed")
  return isTested ? { says: "passed" } : { says: "broken", errors: ["no test ran"] }
}

const failureOf = (test: TestCase): Outcome => {
  const errors = (test.result().errors ?? []).flatMap(wordsOf)
  if (errors[0]?.includes("Test timed out in ")) return { says: "hung" }
  return { says: "failed", test: `${relative(root, test.module.moduleId)} > ${test.fullName}`, errors }
}

const wordsOf = (error: unknown): ReadonlyArray<string> => {
  if (typeof error !== "object" || error === null || !("message" in error)) return [String(error)]
  const name = "name" in error ? `${String(error.name)}: ` : ""
  const causes = "cause" in error && error.cause !== undefined ? wordsOf(error.cause) : []
  return [stripVTControlCharacters(`${name}${String(error.message)}`), ...causes]
}

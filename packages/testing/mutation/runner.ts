/**
 * A test runner for Stryker that keeps the tests loaded, and runs them in its own process: a mutant costs only the tests
 * that reach it, not a new start of all of them.
 *
 * What one mutant leaves behind must not kill the next. So a mutant counts as killed only if the test that failed passes
 * again without it. If it does not, this runner gives up, and Stryker begins anew with a fresh process and that mutant: in
 * a process that has run no other, what the test fails on was this one's doing, and the process is given up behind it. Only
 * a mutant that acts while modules are loaded is not taken back: it has a process of its own.
 */
import * as fc from "fast-check"
import { globSync, readFileSync, writeFileSync } from "node:fs"
import { registerHooks } from "node:module"
import { performance } from "node:perf_hooks"
import { pathToFileURL } from "node:url"
import { suites } from "./suites.ts"
import type { Collected } from "./vitest.ts"

declare global {
  /** Stryker's: what the instrumented sources look at, and what they count. */
  var __stryker__: {
    activeMutant?: string | undefined
    currentTestId?: string | undefined
    hitCount?: number | undefined
    hitLimit?: number | undefined
    mutantCoverage?: object
  } | undefined
}

interface MutantRun {
  readonly activeMutant: { readonly id: string; readonly fileName: string }
  readonly testFilter?: ReadonlyArray<string>
  readonly hitLimit?: number
  readonly mutantActivation: "runtime" | "static"
}

interface Test extends Collected {
  readonly id: string
  readonly judges: RegExp
}

const stryker = globalThis.__stryker__ ??= {}
const timesFile = "node_modules/.cache/mutation-times.json"
const late = new Error("the test did not end in time")
const everything = new RegExp("")

const double = new URL("vitest.ts", import.meta.url).href
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "vitest" && context.parentURL !== double
      ? { url: double, shortCircuit: true }
      : next(specifier, context)
})

class KeptRunner {
  private tests: ReadonlyArray<Test> = []
  /** How long each test took without a mutant: the quick ones judge first. */
  private spentMs: { [id: string]: number } = {}
  /** What went wrong where nobody awaits it. */
  private stray: Array<unknown> = []
  /** How many mutants this process has run. */
  private mutants = 0
  /** A mutant left something behind that no later one may be judged by. */
  private isSpoilt = false

  capabilities() {
    return { reloadEnvironment: false }
  }

  init(): void {
    for (const event of ["uncaughtException", "unhandledRejection"]) {
      process.on(event, (error) => this.stray.push(error))
    }
    for (const level of ["debug", "error", "info", "log", "warn"] as const) console[level] = () => {}
    Object.assign(process.env, { HEADGATE_RUNS: "40", HEADGATE_SEEDS: "40", HEADGATE_SEED: "1", ...process.env })
    fc.configureGlobal({ endOnFailure: true })
  }

  async dryRun() {
    await this.load()
    const results: Array<object> = []
    for (const test of this.tests) {
      const begin = performance.now()
      stryker.currentTestId = test.id
      const failure = await this.outcome(test, 60_000)
      stryker.currentTestId = undefined
      const timeSpentMs = this.spentMs[test.id] = performance.now() - begin
      const result = { id: test.id, name: test.id, fileName: test.titles[0], timeSpentMs }
      results.push(
        failure === undefined ? { ...result, status: 0 } : { ...result, status: 1, failureMessage: String(failure) }
      )
    }
    writeFileSync(timesFile, JSON.stringify(this.spentMs))
    return { status: "complete", tests: results, mutantCoverage: stryker.mutantCoverage }
  }

  async mutantRun({ activeMutant: { fileName, id }, hitLimit, mutantActivation, testFilter }: MutantRun) {
    if (this.isSpoilt) throw new Error("the mutant before left something behind")
    this.mutants++
    const isStatic = mutantActivation === "static"
    if (isStatic) stryker.activeMutant = id
    try {
      await this.load()
    } catch (error) {
      if (!isStatic) throw error
      return { status: "killed", killedBy: [], nrOfTests: 0, failureMessage: String(error) }
    }
    // Stryker's limit is a hundred times what all tests together needed; this is five times that, for one.
    const mostHits = (hitLimit ?? Infinity) / 20
    let nrOfTests = 0
    for (const test of this.judges(fileName, testFilter)) {
      nrOfTests++
      Object.assign(stryker, { activeMutant: id, hitCount: 0, hitLimit: mostHits })
      const failure = await this.outcome(test, 2000 + 10 * this.spent(test))
      const isEndless = (stryker.hitCount ?? 0) > mostHits
      Object.assign(stryker, { activeMutant: isStatic ? id : undefined, hitCount: undefined, hitLimit: undefined })
      if (failure === undefined) continue
      const again = isStatic ? undefined : await this.outcome(test, 60_000)
      this.isSpoilt = again !== undefined
      if (this.isSpoilt && this.mutants > 1) throw new Error(`${test.id} fails without the mutant, too: ${again}`)
      if (isEndless || failure === late) return { status: "timeout", reason: test.id }
      return { status: "killed", killedBy: [test.id], nrOfTests, failureMessage: String(failure) }
    }
    return { status: "survived", nrOfTests }
  }

  private judges(fileName: string, wanted: ReadonlyArray<string> | undefined): ReadonlyArray<Test> {
    return this.tests
      .filter(({ id, judges }) => judges.test(fileName) && (wanted === undefined || wanted.includes(id)))
      .sort((a, b) => this.spent(a) - this.spent(b))
  }

  private spent(test: Test): number {
    return this.spentMs[test.id] ?? 0
  }

  private async load(): Promise<void> {
    if (this.tests.length > 0) return
    const { collect, collected } = await import("./vitest.ts")
    const tests = new Map<string, Test>()
    for (const { except, judges = everything, tests: pattern } of suites) {
      for (const file of globSync(pattern).sort()) await collect(file, () => import(pathToFileURL(file).href))
      for (const test of collected.splice(0)) {
        const title = test.titles.join(" > ")
        const id = tests.has(title) ? `${title} (${tests.size})` : title
        if (except === undefined || !except.test(id)) tests.set(id, { ...test, id, judges })
      }
    }
    this.tests = [...tests.values()]
    try {
      this.spentMs = JSON.parse(readFileSync(timesFile, "utf8"))
    } catch {
      // Nobody has run them yet.
    }
  }

  /** What a test fails with; undefined if it passes. One that is late is left behind, and told to stop. */
  private async outcome(test: Test, limitMs: number): Promise<unknown> {
    const controller = new AbortController()
    const finished: Array<() => unknown> = []
    let timer: NodeJS.Timeout | undefined
    this.stray = []
    try {
      const context = {
        task: test,
        signal: controller.signal,
        annotate: async () => {},
        onTestFinished: (hook: () => unknown) => void finished.push(hook)
      }
      const limit = new Promise((_, reject) => {
        timer = setTimeout(() => reject(late), limitMs)
      })
      await Promise.race([(async () => test.body(context))(), limit])
      for (const hook of finished) await hook()
      return this.stray[0]
    } catch (error) {
      return error ?? new Error("nothing was thrown")
    } finally {
      clearTimeout(timer)
      controller.abort()
    }
  }
}

export const strykerPlugins = [
  { kind: "TestRunner", name: "kept", factory: Object.assign(() => new KeptRunner(), { inject: [] }) }
]

/** Tables in which nearly everything is wrong, run as `pnpm mutants` runs the real ones. Which one is the argument. */
import { mutantsOf } from "../../mutants/mutant.ts"
import { run } from "../../mutants/runner.ts"
import type { Tests } from "../../mutants/suites.ts"

const file = "packages/headgate/src/internal/runQueue.ts"

const judged = mutantsOf("core", file, [
  {
    name: "wrong",
    law: "runs",
    rule: "the last reason stands for all",
    find: "entry.reasons |= reasons",
    replace: "entry.reasons = reasons"
  },
  {
    name: "equivalent",
    law: "runs",
    rule: "the same in other words",
    find: "entry.reasons |= reasons",
    replace: "entry.reasons = reasons | entry.reasons"
  },
  { name: "gone", law: "runs", rule: "none", find: "no such line", replace: "" },
  {
    name: "ambiguous",
    law: "runs",
    rule: "none",
    find: "entry.state = \"ended\"",
    replace: "entry.state = \"idle\"",
    and: [{ file, find: "touch()", replace: "" }]
  },
  { name: "no-syntax", law: "runs", rule: "none", find: "entry.reasons |= reasons", replace: "entry.reasons |=" },
  { name: "no-module", law: "runs", rule: "none", find: "export class RunQueue {", replace: "export class Other {" },
  {
    name: "no-meaning",
    law: "runs",
    rule: "none",
    find: "entry.reasons |= reasons",
    replace: "entry.reasons |= reason"
  }
])

const endless = mutantsOf("core", file, [
  {
    name: "endless",
    law: "runs",
    rule: "a pass never ends",
    find: "      if (started === max || entry.pass >= pass) break\n",
    replace: "      if (started >= 0) continue\n"
  },
  {
    name: "endless-and-known",
    law: "runs",
    rule: "a pass never ends",
    hangs: "nothing is taken from the queue",
    find: "      if (started === max || entry.pass >= pass) break\n",
    replace: "      if (started >= 0) continue\n"
  }
])

const suite: ReadonlyArray<Tests> = [
  { file: "packages/testing/test/PoolModel.test.ts", only: /history of a run queue/, runs: 20 }
]

const passed = await run({
  mutants: process.argv[2] === "endless" ? endless : judged,
  suites: { core: { runs: suite }, fibers: {}, entities: {}, history: {}, relay: {}, node: {} },
  settings: { seed: 1, longestMs: process.argv[2] === "endless" ? 2000 : 60_000 },
  print: (line) => console.log(line)
})
console.log(passed ? "passed" : "failed")
// Vitest sets it when a test fails.
process.exitCode = 0

/**
 * `pnpm mutants`: deliberately wrong variants of Headgate's rules. Fails if one survives, no longer fits the source, or is no
 * program, and if a law or an earlier rule of the design has none.
 *
 *     node packages/testing/mutants/run.ts [--only name] [--law L4] [--part core] [--list]
 */
import { parseArgs } from "node:util"
import { all } from "./all.ts"
import { misfit } from "./mutant.ts"
import { gaps } from "./rules.ts"
import { run } from "./runner.ts"
import { suites } from "./suites.ts"

/** What is wrong with the tables themselves. */
const problems = (): ReadonlyArray<string> => {
  const names = all.map(({ name }) => name)
  return [
    ...gaps(all),
    ...names.filter((name, index) => names.indexOf(name) !== index).map((name) => `two mutants are called ${name}`),
    ...all.flatMap((mutant) => misfit(mutant) ?? []),
    ...all.filter(({ law, part }) => suites[part][law] === undefined).map(({ law, name, part }) =>
      `${name} breaks ${law} in ${part}, for which there is no suite`
    )
  ]
}

const { values: asked } = parseArgs({
  options: {
    only: { type: "string" },
    law: { type: "string" },
    part: { type: "string" },
    list: { type: "boolean", default: false }
  }
})

const meant = all.filter(({ law, name, part }) =>
  name === (asked.only ?? name) && law === (asked.law ?? law) && part === (asked.part ?? part)
)

const wrong = problems()
for (const problem of wrong) console.error(problem)
if (meant.length === 0) console.error("no mutant is called so; --list shows all")
if (asked.list) {
  for (const { law, name, row, rule } of meant) {
    console.log(`${name} (${law}${row === undefined ? "" : `, ${row}`}): ${rule}`)
  }
}
const passed = wrong.length === 0 && meant.length > 0 && (asked.list || await run({
  mutants: meant,
  suites,
  settings: { seed: Number(process.env["HEADGATE_SEED"] ?? 1), longestMs: 60_000 },
  print: (line) => console.log(line)
}))
process.exitCode = passed ? 0 : 1

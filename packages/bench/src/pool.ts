/**
 * `pnpm bench [--smoke] [name ...]`: the pool and its queue beside what one would pick instead, in about three minutes.
 *
 * Exits with 1, after everything is printed and written, if a must does not hold or something is missing that could run
 * here. `--smoke` runs everything once at tiny sizes; names run only the subjects that have one of them in their own. Both
 * print and write nothing.
 */
import { parseArgs } from "node:util"
import { inChild, poolBench } from "./pool/bench.ts"
import { full, tiny } from "./pool/effort.ts"
import { report, write } from "./results.ts"

const { positionals, values: { smoke } } = parseArgs({
  options: { smoke: { type: "boolean", default: false } },
  allowPositionals: true
})
const print = (line: string): void => console.log(line)

const some = positionals.length === 0 ? {} : { only: positionals }
const results = await poolBench({ ...smoke ? tiny : full, ...some, measure: inChild, print })
if (!smoke && positionals.length === 0) write(results)
process.exitCode = report(results, print)

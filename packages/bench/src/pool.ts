/**
 * `pnpm bench [--smoke]`: the pool and its queue beside what one would pick instead, in about three minutes.
 *
 * Exits with 1, after everything is printed and written, if a must does not hold or something is missing that could run
 * here. `--smoke` runs everything once at tiny sizes and writes nothing.
 */
import { parseArgs } from "node:util"
import { inChild, poolBench } from "./pool/bench.ts"
import { full, tiny } from "./pool/effort.ts"
import { report, write } from "./results.ts"

const { values: { smoke } } = parseArgs({ options: { smoke: { type: "boolean", default: false } } })
const print = (line: string): void => console.log(line)

const results = await poolBench({ ...smoke ? tiny : full, measure: inChild, print })
if (!smoke) write(results)
process.exitCode = report(results, print)

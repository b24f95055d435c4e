/**
 * One subject, measured in this process: `node child.ts <subject> <effort as JSON>` prints one line of JSON, a `Report`.
 *
 * It ends with the process, and not by itself: what a contestant leaves behind (timers, parked fibers) is not waited for.
 */
import { writeSync } from "node:fs"
import type { Effort } from "./pool/measure.ts"
import { subjects } from "./pool/subjects.ts"

const [, , name, effort] = process.argv
const subject = subjects.find((one) => one.name === name)
if (subject === undefined || effort === undefined) throw new Error(`child: there is no subject "${name}"`)
const asked: Effort = JSON.parse(effort)
writeSync(1, `${JSON.stringify(await subject.measure(asked))}\n`)
process.exit(0)

/**
 * `pnpm soak [--minutes 10] [--landing plain|readiness] [--seed n]`: the real relay under everything that can happen to it, for
 * as long as is wanted. Without `--landing`, half the time in each.
 *
 * It exits with 0 if nothing was wrong, 1 if something was (with the seed of the mix), 64 if it was asked for what it does
 * not know.
 */
import { parseArgs } from "node:util"
import type { Landing } from "../src/Landing.ts"
import { soak } from "./run.ts"

const mostMinutes = 7 * 24 * 60

interface Asked {
  readonly minutes: number
  readonly seed: number
  readonly landings: ReadonlyArray<Landing>
}

const both = ["plain", "readiness"] as const

const read = (): Asked | string => {
  try {
    const { values } = parseArgs({
      options: { minutes: { type: "string" }, seed: { type: "string" }, landing: { type: "string" } }
    })
    const landings = values.landing === undefined ? both : both.filter((one) => one === values.landing)
    if (landings.length === 0) return `--landing ${values.landing}: must be plain or readiness, or left out`
    const minutes = Number(values.minutes ?? 10)
    const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
    if (!(minutes > 0 && minutes <= mostMinutes)) {
      return `--minutes ${values.minutes}: must be a number above 0 and at most ${mostMinutes}`
    }
    if (!Number.isSafeInteger(seed)) return `--seed ${values.seed}: must be an integer`
    return { minutes, seed, landings }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const asked = read()
if (typeof asked === "string") {
  console.error(asked)
  process.exitCode = 64
} else {
  const { landings, seed } = asked
  const minutes = asked.minutes / landings.length
  let failed = 0
  for (const landing of landings) {
    failed += (await soak({ minutes, seed, landing, print: (line) => console.log(line) })).length
  }
  process.exitCode = failed === 0 ? 0 : 1
}

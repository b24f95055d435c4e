/**
 * `pnpm soak [--minutes 10] [--seed n]`: the real relay under everything that can happen to it, for as long as is wanted.
 *
 * It exits with 0 if nothing was wrong, 1 if something was (with the seed of the mix), 64 if it was asked for what it does
 * not know.
 */
import { parseArgs } from "node:util"
import { soak } from "./run.ts"

const mostMinutes = 7 * 24 * 60

const read = (): { readonly minutes: number; readonly seed: number } | string => {
  try {
    const { values } = parseArgs({ options: { minutes: { type: "string" }, seed: { type: "string" } } })
    const minutes = Number(values.minutes ?? 10)
    const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
    if (!(minutes > 0 && minutes <= mostMinutes)) {
      return `--minutes ${values.minutes}: must be a number above 0 and at most ${mostMinutes}`
    }
    if (!Number.isSafeInteger(seed)) return `--seed ${values.seed}: must be an integer`
    return { minutes, seed }
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

const asked = read()
if (typeof asked === "string") {
  console.error(asked)
  process.exitCode = 64
} else {
  const failures = await soak({ ...asked, print: (line) => console.log(line) })
  process.exitCode = failures.length === 0 ? 0 : 1
}

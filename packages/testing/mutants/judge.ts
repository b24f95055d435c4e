/** Whether a suite notices a mutant, and how soon. */
import type { Lane } from "./lane.ts"
import { misfit, type Mutant } from "./mutant.ts"
import type { Tests } from "./suites.ts"

export type Verdict =
  | {
    readonly is: "caught"
    readonly by: string
    readonly after: string
    /** The laws that the failure names. */
    readonly names: string
    readonly errors: ReadonlyArray<string>
  }
  | { readonly is: "survived" }
  /** Not a wrong rule but a broken program, or none at all. */
  | { readonly is: "invalid"; readonly errors: ReadonlyArray<string> }
  | { readonly is: "hung" }

export const judge = async (lane: Lane, mutant: Mutant, suite: ReadonlyArray<Tests>): Promise<Verdict> => {
  const why = misfit(mutant)
  if (why !== undefined) return { is: "invalid", errors: [why] }
  for (const tests of suite) {
    const outcome = await lane.run(tests, mutant)
    if (outcome.says === "broken") return { is: "invalid", errors: outcome.errors }
    if (outcome.says === "failed") return caught(outcome.test, outcome.errors)
    if (outcome.says === "hung" && mutant.hangs === undefined) return { is: "hung" }
    if (outcome.says === "hung") return { is: "caught", by: tests.file, after: "no end", names: "", errors: [] }
  }
  return { is: "survived" }
}

/** A failure counts if a test judged: not if the mutant has no meaning as a program. */
const caught = (by: string, errors: ReadonlyArray<string>): Verdict => {
  const text = errors.join("\n")
  if (/\b(ReferenceError|SyntaxError|TypeError):/.test(text)) return { is: "invalid", errors }
  return { is: "caught", by, after: afterHowMuch(text), names: lawsIn(text), errors }
}

/** What the failure says of how long it took to find. */
const afterHowMuch = (text: string): string => {
  const [, tests] = /failed after (\d+) tests/.exec(text) ?? []
  if (tests !== undefined) return tests === "1" ? "1 run" : `${tests} runs`
  const [found] = /\b\d+ (schedules?|lives?|states?|steps?)\b/.exec(text) ?? /\boperation \d+/.exec(text) ?? []
  return found ?? "1 run"
}

const lawsIn = (text: string): string => [...new Set(text.match(/\bL(?:1[01]|[1-9])(?=: )/g) ?? [])].join(" ")

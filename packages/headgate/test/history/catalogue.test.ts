/** The catalogue is whole, and says what is: every row is there, and every test that it names. */
import { describe, expect, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { bugs, cases, classes, type Guard, markdown, type Row, seed } from "./catalogue.ts"

const root = new URL("../../../../", import.meta.url)
const texts = new Map<string, string>()

const textOf = (file: string): string => {
  const text = texts.get(file) ?? readFileSync(new URL(file, root), "utf8")
  texts.set(file, text)
  return text
}

/** Where a test's title stands in its file, as a literal; -1 if it does not. */
const placeOf = ({ file, title }: Guard): number =>
  Math.max(...["\"", "`"].map((quote) => textOf(file).indexOf(`${quote}${title}${quote}`)))

const numbers = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => String(i + 1))
const idsOf = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => rows.map(({ id }) => id)
const all = [...bugs, ...cases, ...seed]

describe("the catalogue", () => {
  it("has all 85 rows of history and the 14 found by reading, the 40 cases, and the five of the seed", () => {
    expect(idsOf(bugs)).toEqual([...numbers(85), ...numbers(14).map((n) => `U${n}`)])
    expect(idsOf(cases)).toEqual(numbers(40))
    expect(idsOf(seed)).toEqual(numbers(5).map((n) => `S${n}`))
  })

  it("has a test or a reason for each, and a class that there is for each bug", () => {
    expect(all.filter(({ reason, tests }) => tests.length === 0 && reason === undefined)).toEqual([])
    expect(bugs.filter((bug) => bug.classes.length === 0 || bug.classes.some((short) => !(short in classes)))).toEqual(
      []
    )
  })

  it("names only tests that exist", () => {
    const missing = all.flatMap(({ id, tests }) =>
      tests.filter((test) => placeOf(test) === -1).map((test) => [id, test])
    )
    expect(missing).toEqual([])
  })

  it("names every regression test, and each group of them says the rows that it stands for", () => {
    const groups = ["waiting", "running", "counting"].flatMap((name) =>
      groupsIn(`packages/headgate/test/history/${name}.test.ts`)
    )
    expect(groups.map(({ name }) => name).sort()).toEqual(
      Object.entries(classes).filter(([short]) => short !== "XT").map(([, name]) => name).sort()
    )
    expect(groups.map(({ said }) => said)).toEqual(groups.map(({ stands }) => stands))
    expect(groups.flatMap(({ unnamed }) => unnamed)).toEqual([])
  })

  it("is printed whole, and stands so in docs/verification.md", () => {
    expect(textOf("docs/verification.md")).toContain(markdown().trimEnd())
    expect(markdown().split("\n").filter((line) => /^\| [US]?\d/.test(line)).length).toBe(all.length)
  })
})

interface Group {
  readonly name: string
  readonly said: string
  readonly stands: string
  readonly unnamed: ReadonlyArray<string>
}

/** The groups of tests in a file, with the rows that their titles say and those that the catalogue has for their tests. */
function groupsIn(file: string): ReadonlyArray<Group> {
  return textOf(file).split(/^describe\(/m).slice(1).map((group) => {
    const [, name = "", said = ""] = /^"(.*) \(rows? ([^)]*)\)"/.exec(group) ?? []
    const titles = [...group.matchAll(/^ {2}it\.effect(?:\.each\(.*\))?\(\s*"([^"]*)"/gm)].map(([, title = ""]) =>
      title
    )
    const standing = bugs.filter(({ tests }) => tests.some((test) => test.file === file && titles.includes(test.title)))
    return {
      name,
      said,
      stands: idsOf(standing).join(", "),
      unnamed: titles.filter((title) => !bugs.some(({ tests }) => tests.some((test) => test.title === title)))
    }
  })
}

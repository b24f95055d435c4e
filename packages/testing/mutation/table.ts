/** A reporter for Stryker: prints what was found as the table of docs/verification.md, and every mutant that is left. */
interface Place {
  readonly line: number
  readonly column: number
}

interface Mutant {
  readonly mutatorName: string
  readonly replacement?: string
  readonly status: "Killed" | "Timeout" | "Survived" | "NoCoverage" | "Ignored" | "RuntimeError"
  readonly location: { readonly start: Place; readonly end: Place }
}

interface Report {
  readonly files: { readonly [path: string]: { readonly source: string; readonly mutants: ReadonlyArray<Mutant> } }
}

const source = "packages/headgate/src/"
const columns = ["Killed", "Timeout", "Survived", "NoCoverage", "Ignored"] as const

const row = (name: string, mutants: ReadonlyArray<Mutant>): string => {
  const count = (status: Mutant["status"]) => mutants.filter((mutant) => mutant.status === status).length
  const found = count("Killed") + count("Timeout")
  const judged = found + count("Survived") + count("NoCoverage")
  const score = judged === 0 ? "" : `${(100 * found / judged).toFixed(1)} %`
  return `| ${[name, mutants.length, ...columns.map(count), score].join(" | ")} |`
}

/** The text between two places, on one line. */
const between = (text: string, start: Place, end: Place): string => {
  const lines = text.split("\n").slice(start.line - 1, end.line)
  lines.push(lines.pop()?.slice(0, end.column - 1) ?? "")
  lines[0] = lines[0]?.slice(start.column - 1) ?? ""
  return lines.map((line) => line.trim()).join(" ")
}

const code = (text: string): string => `\`${text.replaceAll("|", "\\|").slice(0, 80)}\``

const lines = (report: Report): Array<string> => {
  const files = Object.entries(report.files)
    .map(([path, file]) => ({ ...file, name: path.slice(path.indexOf(source) + source.length) }))
    .sort((a, b) => a.name < b.name ? -1 : 1)
  const internal = files.filter(({ name }) => name.startsWith("internal/"))
  const face = files.filter(({ name }) => !name.startsWith("internal/"))
  const all = (of: typeof files) => of.flatMap(({ mutants }) => mutants)
  const left = [...face, ...internal].flatMap(({ mutants, name, source }) =>
    mutants.filter(({ status }) => status === "Survived" || status === "NoCoverage").map(
      ({ location: { end, start }, mutatorName, replacement = "" }) => {
        const where = `${name}:${start.line}:${start.column}`
        return `| ${where} | ${mutatorName} | ${code(between(source, start, end))} | ${code(replacement)} |`
      }
    )
  )
  return [
    "| file | mutants | killed | timeout | survived | not covered | static, not run | score |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...[...face, ...internal].map(({ mutants, name }) => row(name, mutants)),
    row("**the face**", all(face)),
    row("**internal/**", all(internal)),
    "",
    "| where | mutator | was | became |",
    "| --- | --- | --- | --- |",
    ...left
  ]
}

const onMutationTestReportReady = (report: Report): void => console.log(lines(report).join("\n"))

export const strykerPlugins = [
  { kind: "Reporter", name: "table", factory: Object.assign(() => ({ onMutationTestReportReady }), { inject: [] }) }
]

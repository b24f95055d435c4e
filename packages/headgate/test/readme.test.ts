/**
 * The README says what is there: its first program is the first of the users' programs, every program in it compiles, runs
 * and prints what it says it prints, and its links lead somewhere.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { inspect } from "node:util"

const root = fileURLToPath(new URL("../../../", import.meta.url))
const read = (path: string) => fs.readFileSync(join(root, path), "utf8")
const readme = read("README.md")

const blocks = [...readme.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => code)

const cache = join(root, "node_modules/.cache/readme")
const fileOf = (at: number) => join(cache, `block-${at}.ts`)
const source = JSON.stringify("../../../packages/headgate/src/index.ts")

/** The same as a reader's file, but for where it finds the library. */
const asFile = (code: string) => code.replaceAll("\"headgate\"", source)

fs.rmSync(cache, { recursive: true, force: true })
fs.mkdirSync(cache, { recursive: true })
blocks.forEach((code, at) => fs.writeFileSync(fileOf(at), asFile(code)))

const tsc = () => {
  const installed = createRequire(import.meta.url).resolve("typescript/package.json")
  const config = {
    extends: "../../../tsconfig.base.json",
    include: ["*.ts"],
    compilerOptions: {
      rootDir: root,
      noEmit: true,
      composite: false,
      incremental: false,
      declarationMap: false,
      types: ["node"]
    }
  }
  fs.writeFileSync(join(cache, "tsconfig.json"), JSON.stringify(config))
  try {
    execFileSync(process.execPath, [join(dirname(installed), "bin/tsc"), "-p", cache], { encoding: "utf8" })
    return ""
  } catch (error) {
    return String(error instanceof Error && "stdout" in error ? error.stdout : error)
  }
}

describe("the README", () => {
  it("shows the first program as it is", () => {
    assert.strictEqual(blocks[0], read("packages/headgate/test/users/01-first.ts"))
  })

  it("has programs that compile, all of them", () => {
    assert.isAtLeast(blocks.length, 3)
    assert.strictEqual(tsc(), "")
  })

  for (const [at, code] of blocks.entries()) {
    it(`has a program ${at + 1} that runs and prints what the comment behind says`, async () => {
      const [, promised] = /^console\.log\(.*\) \/\/ (.*)$/m.exec(code) ?? []
      assert.isDefined(promised)
      const log = vi.spyOn(console, "log").mockImplementation(() => {})
      try {
        await import(pathToFileURL(fileOf(at)).href)
        assert.deepStrictEqual(log.mock.calls.map((call) => inspect(call[0], { breakLength: Infinity })), [promised])
      } finally {
        log.mockRestore()
      }
    })
  }

  it("has links that lead to files of this repository", () => {
    const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map(([, path = ""]) => path)
    assert.includeMembers(links, ["docs/architecture.md", "docs/decisions.md", "CONTRIBUTING.md", "LICENSE"])
    assert.deepStrictEqual(links.filter((path) => !fs.existsSync(join(root, path))), [])
  })
})

/** On what and when something was measured. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import * as os from "node:os"

export interface Machine {
  readonly processors: string
  readonly memory: string
  readonly kernel: string
  readonly date: string
  /** Of Node, the libraries and the programs that were compared. */
  readonly versions: Readonly<Record<string, string>>
  /** Load averages at the start: 1, 5 and 15 minutes. */
  readonly load: ReadonlyArray<number>
}

/** `packages` are those whose versions matter; `others` what is no package (HAProxy, nginx). */
export const machine = (
  packages: ReadonlyArray<string>,
  others: Readonly<Record<string, string>> = {}
): Machine => {
  const processors = os.cpus()
  return {
    processors: `${processors.length} x ${processors[0]?.model ?? "unknown"}`,
    memory: `${(os.totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: `${os.type()} ${os.release()}, ${os.arch()}`,
    date: new Date().toISOString().slice(0, 10),
    versions: {
      node: process.versions.node,
      v8: process.versions.v8,
      ...Object.fromEntries(packages.map((name) => [name, versionOf(name)])),
      ...others
    },
    load: os.loadavg().map((load) => Math.round(load * 100) / 100)
  }
}

const { resolve } = createRequire(import.meta.url)

/** Not every package exports its package.json: it is looked for above the module that it resolves to. */
const versionOf = (name: string): string => {
  let at = resolve(name)
  while (at.includes("/")) {
    at = at.slice(0, at.lastIndexOf("/"))
    try {
      const text = readFileSync(`${at}/package.json`, "utf8")
      const found: unknown = JSON.parse(text)
      if (isPackage(found) && found.name === name) return found.version
    } catch {
      // None here: one folder up.
    }
  }
  throw new Error(`the version of ${name} is not to be found`)
}

const isPackage = (value: unknown): value is { readonly name: string; readonly version: string } =>
  typeof value === "object" && value !== null && "name" in value && "version" in value &&
  typeof value.version === "string"

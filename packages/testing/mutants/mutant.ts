/**
 * A mutant: a rule of Headgate made wrong, by changes to its source that exist only in the memory of the process that loads
 * them. A suite that does not fail on it is blind to that rule.
 */
import { readFileSync } from "node:fs"
import { resolve } from "node:path"

/** The laws of the design, and what the relay and the run queues promise beside them. */
export type Law =
  | "L1"
  | "L2"
  | "L3"
  | "L4"
  | "L5"
  | "L6"
  | "L7"
  | "L8"
  | "L9"
  | "L11"
  | "runs"
  | "wakes"
  | "ageing"
  | "bytes"
  | "ends"
  | "overdraft"
  | "stall"
  | "bounds"
  | "turns"

/** A part of the library, with its own tests of the laws. */
export type Part = "core" | "fibers" | "entities" | "history" | "relay" | "node"

export interface Edit {
  /** From the root of the repository. */
  readonly file: string
  /** Occurs exactly once in the file: a table that no longer fits the source is an error, never a mutant less. */
  readonly find: string
  readonly replace: string
}

export interface Mutant {
  readonly name: string
  readonly part: Part
  /** The law that it breaks, whose suite must notice. */
  readonly law: Law
  /** The wrong rule, in words. */
  readonly rule: string
  /** Where that rule once stood: a row of the tables of earlier rules (see rules.ts), or a name. */
  readonly row?: string
  /** Usually one. */
  readonly edits: ReadonlyArray<Edit>
  /** Why its suite cannot end: then a run that is stopped counts as caught. */
  readonly hangs?: string
}

/** A mutant in a table of those of one file. */
export interface Entry extends Omit<Mutant, "part" | "edits">, Omit<Edit, "file"> {
  /** Further changes, for a rule that is kept in several places. */
  readonly and?: ReadonlyArray<Edit>
}

export const mutantsOf = (part: Part, file: string, entries: ReadonlyArray<Entry>): ReadonlyArray<Mutant> =>
  entries.map(({ and = [], find, replace, ...mutant }) => ({
    ...mutant,
    part,
    edits: [{ file, find, replace }, ...and]
  }))

export const root = resolve(import.meta.dirname, "../../..")

/** Each file's source with the edits in it; an error if one does not fit. */
const apply = (source: string, { file, find, replace }: Edit): string => {
  const places = source.split(find).length - 1
  if (places !== 1) throw new Error(`${places} places in ${file} read ${JSON.stringify(find)}; there must be one`)
  if (find === replace) throw new Error(`an edit of ${file} changes nothing`)
  return source.replace(find, () => replace)
}

/** Why a mutant cannot be applied to the sources as they are; undefined if it can. */
export const misfit = ({ edits, name }: Mutant): string | undefined => {
  try {
    for (const edit of edits) apply(readFileSync(resolve(root, edit.file), "utf8"), edit)
    return undefined
  } catch (error) {
    return `${name}: ${error instanceof Error ? error.message : String(error)}`
  }
}

/** A Vite plugin that loads the sources as the present mutant has them. */
export const mutating = (present: () => Mutant | undefined) => ({
  name: "headgate-mutants",
  enforce: "pre" as const,
  // Vitest's cache of loaded modules is keyed by what is on disk, where a mutant never is.
  config: () => ({ test: { fsModuleCache: false } }),
  transform(source: string, id: string): string | undefined {
    const edits = present()?.edits.filter(({ file }) => resolve(root, file) === id) ?? []
    return edits.length === 0 ? undefined : edits.reduce(apply, source)
  }
})

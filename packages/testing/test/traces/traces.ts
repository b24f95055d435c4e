/**
 * Recorded traces: what HAProxy's own functions decided, step by step, packed into one file beside this one.
 *
 * Invariant: packing loses nothing; each trace is the parsed content of its file, so a folder and its packed form read the
 * same. A step is itself an operation of the machine: its `ran` is both the script of a pass and what was seen of it.
 */
import type * as SeedMachine from "@headgate/testing/SeedMachine"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { brotliDecompressSync } from "node:zlib"

/** `cbs` is recorded only if a callback refused. */
interface RecordedCalls {
  readonly woken: ReadonlyArray<number>
  readonly cbs?: ReadonlyArray<SeedMachine.Call>
}

export interface RecordedRun extends SeedMachine.Script {
  readonly alloc?: number
  readonly release?: RecordedCalls
  /** The real stream processing ran: what it did is not recorded, only what came of it. */
  readonly real?: true
  readonly activeAfter?: number
}

export type RecordedStep = SeedMachine.Operation & RecordedCalls & {
  readonly result: number
  readonly ran?: ReadonlyArray<RecordedRun>
  readonly state: unknown
}

export interface Trace {
  readonly file: string
  readonly name: string
  readonly revision: "fix" | "pre"
  readonly config: {
    readonly limit: number
    readonly reserved: number
    readonly bufsize: number
    readonly minavail: number
    readonly initial: { readonly allocated: number; readonly used: number }
  }
  readonly entities: ReadonlyArray<SeedMachine.Entity>
  readonly steps: ReadonlyArray<RecordedStep>
}

export interface InitialCounters {
  readonly limit: number
  readonly reserved: number
  readonly ok: boolean
  readonly minavail: number
  readonly allocated: number
  readonly used: number
}

export interface Conformance {
  readonly fix: ReadonlyArray<Trace>
  readonly pre: ReadonlyArray<Trace>
  readonly real: ReadonlyArray<Trace>
  readonly init: ReadonlyArray<InitialCounters>
}

export const packed = new URL("conformance.json.br", import.meta.url)

const readTraces = (folder: string): ReadonlyArray<Trace> =>
  readdirSync(folder).filter((file) => file.endsWith(".json")).toSorted().map((file) => ({
    file: file.slice(0, -".json".length),
    ...JSON.parse(readFileSync(join(folder, file), "utf8"))
  }))

/** Reads a folder with the sub-folders `fix`, `pre` and `real` and the file `init-table.json`. */
export const readFolder = (folder: string): Conformance => ({
  fix: readTraces(join(folder, "fix")),
  pre: readTraces(join(folder, "pre")),
  real: readTraces(join(folder, "real")),
  init: JSON.parse(readFileSync(join(folder, "init-table.json"), "utf8"))
})

export const readPacked = (): Conformance => JSON.parse(brotliDecompressSync(readFileSync(packed)).toString("utf8"))

/**
 * Replays a recorded trace on the seed's machine and says where the two differ.
 *
 * Invariant: whatever a step records is compared, and what the machine shows beyond it is a difference too, so a trace
 * passes only if the machine saw, step by step, exactly what was recorded.
 */
import * as SeedMachine from "@headgate/testing/SeedMachine"
import { isDeepStrictEqual } from "node:util"
import type { RecordedRun, RecordedStep, Trace } from "./traces.ts"

/** Says what an entity did in a run whose actions were not recorded. */
export type Unrecorded = (run: RecordedRun, trace: Trace) => ReadonlyArray<SeedMachine.Action>

export interface Replayed {
  readonly steps: number
  /** Actions inside runs. */
  readonly nested: number
  /** Nothing if the machine saw what was recorded, else the first step that differs and a small diff. */
  readonly difference?: string
}

export const machineOf = (trace: Trace): SeedMachine.State =>
  SeedMachine.initial({
    revision: trace.revision === "fix" ? "seed" : "parent",
    limit: trace.config.limit,
    reserved: trace.config.reserved,
    bufsize: trace.config.bufsize,
    entities: trace.entities
  })

export const replay = (trace: Trace, unrecorded?: Unrecorded): Replayed => {
  let state = machineOf(trace)
  let nested = 0
  const { allocated, minavail, used } = state
  const start = difference({ ...trace.config.initial, minavail: trace.config.minavail }, { allocated, used, minavail })
  if (start.length > 0) {
    return { steps: 0, nested, difference: [`${trace.file}: before the first step`, ...start].join("\n") }
  }
  for (const [index, recorded] of trace.steps.entries()) {
    const next = SeedMachine.step(state, operationOf(trace, recorded, unrecorded))
    const lines = difference(expectedOf(recorded), seenOf(next, unrecorded !== undefined))
    if (lines.length > 0) {
      const operation = `${recorded.op} ${JSON.stringify(recorded.args)}`
      return { steps: index, nested, difference: [`${trace.file}: step ${index}: ${operation}`, ...lines].join("\n") }
    }
    state = next.state
    nested += recorded.ran?.reduce((sum, { actions }) => sum + actions.length, 0) ?? 0
  }
  return { steps: trace.steps.length, nested }
}

const operationOf = (trace: Trace, recorded: RecordedStep, unrecorded?: Unrecorded): SeedMachine.Operation => {
  if (unrecorded === undefined || (recorded.op !== "runTasks" && recorded.op !== "runApplets")) return recorded
  return { op: recorded.op, args: {}, ran: recorded.ran?.map((run) => ({ ...run, actions: unrecorded(run, trace) })) }
}

const expectedOf = ({ args: _args, op: _op, ran, ...seen }: RecordedStep): object =>
  ran === undefined ? seen : { ...seen, ran: ran.map(({ activeAfter: _activeAfter, real: _real, ...run }) => run) }

/** What the machine showed, in the form of a recorded step. */
const seenOf = ({ outcome, state }: SeedMachine.Step, hideActions: boolean): object => ({
  result: outcome.result,
  ...callsOf(outcome),
  ...(outcome.ran === undefined ? {} : { ran: outcome.ran.map((run) => runOf(run, hideActions)) }),
  state: stateOf(state)
})

const callsOf = ({ cbs, woken }: SeedMachine.Calls): object =>
  cbs.every(([, accepted]) => accepted === 1) ? { woken } : { woken, cbs }

const runOf = (run: SeedMachine.TaskRun | SeedMachine.AppletRun, hideActions: boolean): object => ({
  ...run,
  actions: hideActions
    ? []
    : run.actions.map(({ cbs, woken, ...action }) => ({ ...action, ...callsOf({ cbs, woken }) })),
  ...("release" in run ? { release: callsOf(run.release) } : {})
})

const stateOf = (state: SeedMachine.State): object => {
  const { failed, holding, ...observed } = SeedMachine.observe(state)
  return {
    ...observed,
    ...(failed > 0 ? { failed } : {}),
    holding: Object.fromEntries([...holding].map(([e, { req, res }]) => [e, [req, res]]))
  }
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** The paths at which two values differ, one line each. */
const difference = (recorded: unknown, seen: unknown, path = ""): ReadonlyArray<string> => {
  if (isDeepStrictEqual(recorded, seen)) return []
  if (!isObject(recorded) || !isObject(seen) || Array.isArray(recorded) && recorded.every(Number.isInteger)) {
    return [`  ${path}: recorded ${JSON.stringify(recorded)}, seen ${JSON.stringify(seen)}`]
  }
  const [before, after] = [new Map(Object.entries(recorded)), new Map(Object.entries(seen))]
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((key) =>
    difference(before.get(key), after.get(key), path === "" ? key : `${path}.${key}`)
  )
}

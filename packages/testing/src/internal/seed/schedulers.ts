/**
 * The two schedulers: tasks of streams, and applets.
 *
 * Invariant: whoever is woken during a pass of applets waits for the next pass; a pass of tasks runs at most as many as
 * were queued when it began. So a pass always ends, whatever its runs wake.
 */
import { callsSince, type Draft, entityOf } from "./draft.ts"
import { act, channelRelease } from "./entities.ts"
import type { ActionOutcome, AppletRun, Script, TaskRun } from "./model.ts"
import { channelAlloc, hadItsTurn } from "./waiting.ts"

const maxTasksPerPass = 200

/** Hands out, for each run of an entity, the first of its scripts that was not used yet. */
const scriptsOf = (scripts: ReadonlyArray<Script>): (e: number) => Script => {
  const left = [...scripts]
  return (e) => {
    const index = left.findIndex((script) => script.e === e)
    const [script] = index < 0 ? [] : left.splice(index, 1)
    return script ?? { e, actions: [] }
  }
}

const perform = (draft: Draft, script: Script): ReadonlyArray<ActionOutcome> =>
  script.actions.map((action) => {
    const mark = draft.calls.length
    const result = act(draft, action)
    return { ...action, result, ...callsSince(draft, mark), au: [draft.allocated, draft.used] }
  })

export const runTasks = (draft: Draft, scripts: ReadonlyArray<Script>): ReadonlyArray<TaskRun> => {
  const scriptFor = scriptsOf(scripts)
  const ran: Array<TaskRun> = []
  const budget = Math.min(draft.runQueue.length, maxTasksPerPass)
  while (ran.length < budget) {
    const e = draft.runQueue.shift()
    if (e === undefined) break
    draft.running = e
    hadItsTurn(draft, e)
    ran.push({ e, actions: perform(draft, scriptFor(e)) })
    draft.running = null
  }
  return ran
}

export const runApplets = (draft: Draft, scripts: ReadonlyArray<Script>): ReadonlyArray<AppletRun> => {
  const scriptFor = scriptsOf(scripts)
  const ran: Array<AppletRun> = []
  draft.pass = draft.activeQueue
  draft.activeQueue = []
  for (let e = draft.pass[0]; e !== undefined; e = draft.pass[0]) {
    const run = runApplet(draft, e, scriptFor)
    if (run !== undefined) ran.push(run)
  }
  return ran
}

/** Asks for the input buffer, then runs with or without it. The parent revision unlinks the applet instead, and forgets it. */
const runApplet = (draft: Draft, e: number, scriptFor: (e: number) => Script): AppletRun | undefined => {
  const applet = entityOf(draft, e)
  if (applet.kind !== "applet") throw new TypeError(`Entity ${e} is no applet`)
  hadItsTurn(draft, e)
  const alloc = channelAlloc(draft, e, applet.side)
  if (!alloc && draft.revision === "parent") {
    draft.pass.shift()
    draft.miscounted++
    return undefined
  }
  const au: readonly [number, number] = [draft.allocated, draft.used]
  const script = scriptFor(e)
  const actions = perform(draft, script)
  const stay = script.stay === true
  const goesOn = stay && !draft.runQueue.includes(applet.host)
  if (!goesOn) draft.pass.shift()
  const mark = draft.calls.length
  channelRelease(draft, e, applet.side)
  const release = callsSince(draft, mark)
  if (goesOn) {
    draft.pass.shift()
    draft.activeQueue.push(e)
  }
  return { e, alloc: Number(alloc), au, actions, stay, release }
}

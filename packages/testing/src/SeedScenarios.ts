/**
 * Short histories in which the seed, or its parent, lets a waiter sleep beside a buffer that it may take.
 *
 * Invariant: a history is data that mentions entities, sides and runs, and none of the machine's own terms (credit,
 * threshold). So the same history can be told to the library, where nobody may be left asleep at its end.
 */
import * as SeedMachine from "./SeedMachine.ts"
import {
  appletWakeup,
  channelAlloc,
  channelRelease,
  consume,
  freeEntity,
  idleRun,
  put,
  runApplets,
  runTasks,
  taskWakeup
} from "./SeedMachine.ts"

/** A history and how it ends; `free` counts buffers. */
export interface Scenario extends SeedMachine.PoolConfig {
  readonly name: string
  readonly why: string
  readonly entities: ReadonlyArray<SeedMachine.Entity>
  readonly operations: ReadonlyArray<SeedMachine.Operation>
  readonly asleep: SeedMachine.Refusal
  readonly free: number
}

const stream: SeedMachine.Stream = { kind: "stream" }
const applet = (host: number, side: SeedMachine.Side): SeedMachine.Applet => ({ kind: "applet", host, side })

/** The applet 1 gives back everything, but three streams are runnable; they run, take nothing, and release nothing. */
export const busyRunQueue: Scenario = {
  name: "busy run queue",
  why: "whatever is runnable is counted as if it were going to take a buffer and give one back",
  limit: 3,
  reserved: 2,
  entities: [stream, applet(0, "res"), stream, stream, stream, stream],
  operations: [
    channelAlloc(1, "res"),
    channelAlloc(2, "req"),
    taskWakeup(3),
    taskWakeup(4),
    taskWakeup(5),
    channelRelease(1, "res"),
    runTasks()
  ],
  asleep: { e: 2, side: "req" },
  free: 3
}

/** One buffer comes back and a response waits, which may use the whole reserve. */
export const halfTheReserve: Scenario = {
  name: "half the reserve",
  why: "half of the reserve is never offered, not even to those for whom there is no reserve",
  limit: 3,
  reserved: 2,
  entities: [stream, stream, applet(1, "res"), stream, applet(3, "res")],
  operations: [
    channelAlloc(0, "req"),
    channelAlloc(0, "res"),
    channelAlloc(2, "res"),
    channelAlloc(4, "res"),
    channelRelease(2, "res")
  ],
  asleep: { e: 4, side: "res" },
  free: 1
}

/** The request applet 4 is first in the queue and is woken, may not take the one free buffer, and tells nobody. */
export const mixedSides: Scenario = {
  name: "mixed sides",
  why: "the queue does not know what its entries need, and who is woken in vain passes nothing on",
  limit: 3,
  reserved: 1,
  entities: [stream, stream, stream, stream, applet(3, "req"), stream, applet(5, "res")],
  operations: [
    channelAlloc(0, "res"),
    channelAlloc(1, "res"),
    channelAlloc(2, "res"),
    channelAlloc(4, "req"),
    channelAlloc(6, "res"),
    channelRelease(0, "res"),
    runApplets()
  ],
  asleep: { e: 6, side: "res" },
  free: 1
}

/** The applet 4 is woken and leaves the queue, and is freed before it runs. */
export const killedBeforeItRan: Scenario = {
  name: "killed before it ran",
  why: "a wakeup is not ownership: whoever ends between its wakeup and its run takes the offer with it",
  limit: 3,
  reserved: 1,
  entities: [stream, stream, stream, stream, applet(3, "res"), stream, applet(5, "res")],
  operations: [
    channelAlloc(0, "res"),
    channelAlloc(1, "res"),
    channelAlloc(2, "res"),
    channelAlloc(4, "res"),
    channelAlloc(6, "res"),
    channelRelease(0, "res"),
    freeEntity(4),
    runApplets()
  ],
  asleep: { e: 6, side: "res" },
  free: 1
}

/** Everything is free again, but the only waiter is the releaser itself. */
export const ownRelease: Scenario = {
  name: "own release",
  why: "whoever releases is never offered what it gives back, even for its other side, even if nobody else waits",
  limit: 3,
  reserved: 2,
  entities: [stream],
  operations: [
    channelAlloc(0, "res"),
    channelAlloc(0, "req"),
    channelRelease(0, "res")
  ],
  asleep: { e: 0, side: "req" },
  free: 3
}

/** The stream 1 ends with a buffer while its task and its applet are about to run, which never will. */
export const endedWhileRunnable: Scenario = {
  name: "ended while runnable",
  why: "a dying stream offers before it leaves the queues, so its own task and applet hold the offer back",
  limit: 3,
  reserved: 2,
  entities: [stream, stream, applet(1, "res")],
  operations: [
    channelAlloc(1, "req"),
    channelAlloc(0, "req"),
    taskWakeup(1),
    appletWakeup(2),
    freeEntity(1)
  ],
  asleep: { e: 0, side: "req" },
  free: 3
}

/** The four ways in which the seed's estimate loses a wakeup. */
export const estimate: ReadonlyArray<Scenario> = [busyRunQueue, halfTheReserve, mixedSides, killedBeforeItRan]

/** Those, and two more that the law finds: whom the offer excludes, and when an end makes it. */
export const lostWakeups: ReadonlyArray<Scenario> = [...estimate, ownRelease, endedWhileRunnable]

/** The machine of a scenario, at its start. */
export const machineOf = (scenario: Scenario, revision: SeedMachine.Revision = "seed"): SeedMachine.State =>
  SeedMachine.initial({ ...scenario, revision })

const [holders, host, filler] = [[0, 1, 2], 3, 4]
const bytes = 8

const passes: ReadonlyArray<SeedMachine.Operation> = [
  runTasks(idleRun(host)),
  runApplets({ e: filler, actions: [put(filler, "req", bytes)] })
]

/** The bug that the seed mends: three streams hold all buffers, the applet 4 has data for the stream 3 and must wait. */
export const bug: SeedMachine.PoolConfig & Pick<Scenario, "entities" | "operations"> = {
  limit: 3,
  reserved: 0,
  entities: [stream, stream, stream, stream, applet(host, "req")],
  operations: [
    ...holders.flatMap((e) => [channelAlloc(e, "req"), put(e, "req", bytes)]),
    appletWakeup(filler),
    ...passes,
    ...holders.flatMap((e) => [consume(e, "req", bytes), channelRelease(e, "req"), ...passes])
  ]
}

/** Who did what: `who` is "stream 3" or "applet 4". */
export type Event =
  | { readonly event: "takes" | "has data" | "is refused" | "waits in the queue" | "is woken"; readonly who: string }
  | { readonly event: "gives back"; readonly who: string; readonly free: number }
  | { readonly event: "runs"; readonly who: string; readonly withBuffer: boolean }
  | { readonly event: "puts"; readonly who: string; readonly bytes: number }
  | { readonly event: "end"; readonly free: number; readonly asleep: ReadonlyArray<string> }

/** Tells the bug on one screen: the same operations at either revision, about 20 events. */
export const tellBug = (revision: SeedMachine.Revision): ReadonlyArray<Event> => {
  const events: Array<Event> = []
  let state = SeedMachine.initial({ ...bug, revision })
  for (const operation of bug.operations) {
    const next = SeedMachine.step(state, operation)
    events.push(...eventsOf(state, operation, next))
    state = next.state
  }
  const asleep = SeedMachine.lostWakeups(state).map(({ e }) => nameOf(e))
  return [...events, { event: "end", free: state.allocated - state.used, asleep }]
}

const nameOf = (e: number): string => `${bug.entities[e]?.kind ?? "entity"} ${e}`

const eventsOf = (
  before: SeedMachine.State,
  operation: SeedMachine.Operation,
  { outcome, state }: SeedMachine.Step
): ReadonlyArray<Event> => {
  const refused = state.refusals.filter((refusal) => !before.refusals.includes(refusal))
  const queued = state.waitQueue.filter((e) => !before.waitQueue.includes(e))
  return [
    ...eventsOfAction(operation, outcome.result, state.allocated - state.used),
    ...refused.map(({ e }): Event => ({ event: "is refused", who: nameOf(e) })),
    ...queued.map((e): Event => ({ event: "waits in the queue", who: nameOf(e) })),
    ...(outcome.ran ?? []).flatMap(eventsOfRun),
    ...outcome.woken.map((e): Event => ({ event: "is woken", who: nameOf(e) }))
  ]
}

const eventsOfAction = ({ args, op }: SeedMachine.Operation, result: number, free: number): ReadonlyArray<Event> => {
  if (result === 0) return []
  switch (op) {
    case "channelAlloc":
      return [{ event: "takes", who: nameOf(args.e) }]
    case "channelRelease":
      return [{ event: "gives back", who: nameOf(args.e), free }]
    case "appletWakeup":
      return [{ event: "has data", who: nameOf(args.e) }]
    default:
      return []
  }
}

const eventsOfRun = (run: SeedMachine.TaskRun | SeedMachine.AppletRun): ReadonlyArray<Event> => [
  { event: "runs", who: nameOf(run.e), withBuffer: "alloc" in run ? run.alloc === 1 : run.actions[0]?.result === 1 },
  ...run.actions.flatMap(({ op, result }): ReadonlyArray<Event> =>
    op === "put" && result > 0 ? [{ event: "puts", who: nameOf(run.e), bytes: result }] : []
  )
]

/**
 * Operations of the seed's machine, written short.
 *
 * Invariant: each is plain data in the form of the recorded traces, so lists of them can be stored, compared and printed.
 */
import type { Action, Operation, Script, Side } from "./model.ts"

/** Takes a buffer for the side `e` fills, or queues `e`. */
export const channelAlloc = (e: number, side: Side): Action => ({ op: "channelAlloc", args: { e, side } })

/** Gives the buffer of that side back if it is empty, and so offers it. */
export const channelRelease = (e: number, side: Side): Action => ({ op: "channelRelease", args: { e, side } })

/** Adds up to `n` bytes. */
export const put = (e: number, side: Side, n: number): Action => ({ op: "put", args: { e, side, n } })

/** Removes up to `n` bytes. */
export const consume = (e: number, side: Side, n: number): Action => ({ op: "consume", args: { e, side, n } })

/** What a stream's processing begins with: it leaves the queue, then takes its response buffer or queues again. */
export const allocWork = (e: number): Action => ({ op: "allocWork", args: { e } })

/** What a stream's processing ends with: it gives back what is empty. */
export const releaseBuffers = (e: number): Action => ({ op: "releaseBuffers", args: { e } })

/** Ends an entity; a stream takes its applets with it. */
export const freeEntity = (e: number): Action => ({ op: "freeEntity", args: { e } })

/** Makes a stream's task runnable. */
export const taskWakeup = (e: number): Action => ({ op: "taskWakeup", args: { e } })

/** Makes an applet runnable. */
export const appletWakeup = (e: number): Action => ({ op: "appletWakeup", args: { e } })

/** Runs the tasks that are queued; one without a script does nothing. */
export const runTasks = (...ran: ReadonlyArray<Script>): Operation => ({ op: "runTasks", args: {}, ran })

/** Runs the applets that are active, each asking for its input buffer first; one without a script does no more. */
export const runApplets = (...ran: ReadonlyArray<Script>): Operation => ({ op: "runApplets", args: {}, ran })

/** A run of a stream that finds nothing to do: it takes its work buffer and gives back what is empty. */
export const idleRun = (e: number): Script => ({ e, actions: [allocWork(e), releaseBuffers(e)] })

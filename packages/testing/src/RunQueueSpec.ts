/**
 * The specification of a run queue: an immutable machine of entries that sleep until woken, run, and sleep again.
 *
 * Invariant: a wake is never lost. An entry that sleeps is queued by it; one that is queued or running keeps the reason, and
 * delivers it once: with the run that it waits for, or with one more run. Runs of one entry never overlap.
 *
 * Like `PoolSpec` it shares no code with the library. What a run does at its start is given from outside; `run` is not called
 * from inside a start.
 */

export interface Entry {
  readonly state: "idle" | "queued" | "running" | "ended"
  /** Reasons not yet delivered, as bits. */
  readonly reasons: number
}

export interface State {
  readonly entries: ReadonlyArray<Entry>
  /** In the order in which they were woken. */
  readonly queue: ReadonlyArray<number>
  /** Runs started so far. */
  readonly starts: number
}

/** What may be done at any time, also while a run starts. */
export type Operation =
  | { readonly does: "wake"; readonly entry: number; readonly reasons: number }
  | { readonly does: "finish"; readonly entry: number }
  | { readonly does: "end"; readonly entry: number }

/** What the start of a run does. One that throws is reported, and its entry runs until it is finished or ended. */
export interface Start {
  readonly does: ReadonlyArray<(state: State) => Operation | undefined>
  readonly throws: boolean
}

/** What entries do when they start, given how many runs were started before. */
export type React = (entry: number, startsBefore: number) => Start

export type Event =
  | { readonly at: "started"; readonly entry: number; readonly reasons: number; readonly state: State }
  | { readonly at: "did"; readonly operation: Operation; readonly state: State }
  | { readonly at: "threw"; readonly entry: number }

export const initial = (entries: number): State => ({
  entries: Array.from({ length: entries }, () => ({ state: "idle", reasons: 0 })),
  queue: [],
  starts: 0
})

const entryAt = (state: State, entry: number): Entry => {
  const found = state.entries[entry]
  if (found === undefined) throw new RangeError(`there is no entry ${entry}`)
  return found
}

const withEntry = (state: State, entry: number, change: Partial<Entry>): State => ({
  ...state,
  entries: state.entries.map((old, place) => place === entry ? { ...old, ...change } : old)
})

const withoutEntry = (state: State, entry: number): State => ({
  ...state,
  queue: state.queue.filter((queued) => queued !== entry)
})

const enqueued = (state: State, entry: number): State => ({
  ...withEntry(state, entry, { state: "queued" }),
  queue: [...state.queue, entry]
})

/** Performs one operation; the state given stays as it is. */
export const step = (state: State, operation: Operation): State => {
  switch (operation.does) {
    case "wake":
      return wake(state, operation.entry, operation.reasons)
    case "finish":
      return finish(state, operation.entry)
    case "end":
      return withEntry(withoutEntry(state, operation.entry), operation.entry, { state: "ended", reasons: 0 })
  }
}

const wake = (state: State, entry: number, reasons: number): State => {
  const old = entryAt(state, entry)
  if (old.state === "ended") return state
  const merged = withEntry(state, entry, { reasons: old.reasons | reasons })
  return old.state === "idle" ? enqueued(merged, entry) : merged
}

const finish = (state: State, entry: number): State => {
  const { reasons, state: was } = entryAt(state, entry)
  if (was === "ended") return state
  return reasons === 0 ? withEntry(state, entry, { state: "idle" }) : enqueued(state, entry)
}

/** A pass: starts at most `max` of the entries that are queued now. Whoever is woken meanwhile waits for the next pass. */
export const run = (
  state: State,
  max: number,
  react: React
): { readonly state: State; readonly started: number; readonly events: ReadonlyArray<Event> } => {
  const events: Array<Event> = []
  let now = state
  let started = 0
  for (const entry of state.queue) {
    if (started === max) break
    // Ended by a run that started before it in this pass.
    if (entryAt(now, entry).state !== "queued") continue
    started++
    now = start(now, entry, react(entry, now.starts), events)
  }
  return { state: now, started, events }
}

const start = (state: State, entry: number, { does, throws }: Start, events: Array<Event>): State => {
  const { reasons } = entryAt(state, entry)
  const running = withEntry(withoutEntry(state, entry), entry, { state: "running", reasons: 0 })
  let now = { ...running, starts: state.starts + 1 }
  events.push({ at: "started", entry, reasons, state: now })
  for (const choose of does) {
    const operation = choose(now)
    if (operation === undefined) continue
    now = { ...step(now, operation), starts: now.starts }
    events.push({ at: "did", operation, state: now })
  }
  if (throws) events.push({ at: "threw", entry })
  return now
}

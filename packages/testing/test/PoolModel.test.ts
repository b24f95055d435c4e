/**
 * The core and its specification, side by side through the same random histories.
 *
 * What must hold: after every step, also in the middle of wakes, both show the same picture, and the core's keeps the laws.
 * A history that never met what it is meant to test proves nothing, so the runs fail unless each kind of event was frequent.
 */
import * as Laws from "@headgate/testing/Laws"
import * as PoolSpec from "@headgate/testing/PoolSpec"
import * as RunQueueSpec from "@headgate/testing/RunQueueSpec"
import * as fc from "fast-check"
import { isDeepStrictEqual } from "node:util"
import { describe, expect, test } from "vitest"
import { Area, Gate, Waiter } from "../../headgate/src/internal/gate.ts"
import { RunEntry, RunQueue } from "../../headgate/src/internal/runQueue.ts"

const runs = Number(process.env["HEADGATE_RUNS"] ?? 2000)
const seed = Number(process.env["HEADGATE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

/** Milliseconds; alone on a core, 2000 runs take about 15 seconds. */
const onABusyMachine = Math.max(5, runs / 400) * 60_000

const classes: ReadonlyArray<Laws.Criticality> = ["tx", "channel", "endpoint", "rx"]

/** Four holders, two entities and two fibers, with a waiter in each class: so a holder of one buffer may wait for another. */
const cast = [0, 1, 2, 3].flatMap((holder) =>
  classes.map((criticality) => ({ criticality, holder, isFiber: holder > 1 }))
)

const at = <A>(items: ReadonlyArray<A>, index: number): A => {
  const item = items[index]
  if (item === undefined) throw new RangeError(`no item ${index} of ${items.length}`)
  return item
}

const pickFrom = <A>(items: ReadonlyArray<A>, pick: number): A | undefined => items[pick % Math.max(1, items.length)]

// ---- what happened how often ------------------------------------------------------------------------------------------

/** How often each kind of event happened, and how often it must in 2000 runs. */
class Coverage {
  private readonly counts = new Map<string, number>()

  count(kind: string, times: number | boolean = 1): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + Number(times))
  }

  missing(minimum: { readonly [kind: string]: number }): ReadonlyArray<string> {
    return Object.entries(minimum).flatMap(([kind, least]) => {
      const seen = this.counts.get(kind) ?? 0
      const scaled = Math.floor(least * Math.min(1, runs / 2000))
      return seen < scaled ? [`${kind}: ${seen} times, at least ${scaled} expected`] : []
    })
  }

  toString(): string {
    return [...this.counts].map(([kind, times]) => `${kind} ${times}`).toSorted().join(", ")
  }
}

const assertFrequent = (what: string, coverage: Coverage, minimum: { readonly [kind: string]: number }): void => {
  console.info(`${what}: ${runs} runs, HEADGATE_SEED=${seed}\n${coverage}`)
  expect(coverage.missing(minimum)).toEqual([])
}

// ---- the pool: what is seen of it -------------------------------------------------------------------------------------

/** What the laws see, and all else that can be observed. */
interface Observed extends Laws.PoolState {
  readonly grants: ReadonlyArray<{ readonly handOff: number; readonly isTold: boolean; readonly wakes: number }>
  readonly pendingWakes: number
  readonly counters: PoolSpec.Counters
}

const observeSpec = (state: PoolSpec.State): Observed => {
  const pending = [...state.ready, ...state.readyFibers]
  return {
    ...PoolSpec.observe(state),
    grants: state.waiters.map(({ handOff, waiter, wakes }) => ({
      handOff,
      isTold: handOff > 0 && !pending.some((wake) => wake.waiter === waiter),
      wakes
    })),
    pendingWakes: pending.length,
    counters: state.counters
  }
}

type Seen = PoolSpec.Event<Observed>

const asSeen = (event: PoolSpec.Event): Seen => "state" in event ? { ...event, state: observeSpec(event.state) } : event

// ---- the pool: what is done to it -------------------------------------------------------------------------------------

const kinds = [
  "take",
  "wait",
  "waitAgain",
  "leave",
  "leaveSelf",
  "leaveNext",
  "giveBack",
  "giveBackOwn",
  "pin",
  "unpin",
  "resize",
  "trim",
  "close",
  "favour",
  "unfavour",
  "flush"
] as const

/** Something to do, by a picture of the pool: `pick` chooses who, which, or how many. */
interface Action {
  readonly kind: (typeof kinds)[number]
  readonly pick: number
}

const resolve = ({ kind, pick }: Action, self: number, state: Observed): Laws.Operation | undefined => {
  switch (kind) {
    case "take":
      return { does: "take", criticality: at(classes, pick % 4), holder: Math.floor(pick / 4) % 4 }
    case "wait":
      return { does: "takeOrWait", waiter: pick % cast.length }
    case "waitAgain":
      return { does: "takeOrWait", waiter: self }
    case "leave":
      // In a closed pool anybody: news may still be on its way to somebody who is idle.
      return leaving(pickFrom(state.waiters.filter((waiter) => state.closed || waiter.state !== "idle"), pick)?.waiter)
    case "leaveSelf":
      return leaving(self)
    case "leaveNext":
      return leaving(nextInLine(self, state))
    case "resize":
      return { does: "resize", limit: state.reserve + 1 + (pick % 2) * (pick % 7) }
    case "favour":
      return { does: "favour", criticality: at(classes, pick % 4) }
    case "unfavour":
      return { does: "favour", criticality: undefined }
    case "flush":
      return { does: "flush", max: pick % 3 === 0 ? 64 : pick % 4 }
    case "trim":
    case "close":
      return { does: kind }
    default:
      return onLease(kind, pick, at(cast, self).holder, state.leases)
  }
}

const leaving = (waiter: number | undefined): Laws.Operation | undefined =>
  waiter === undefined ? undefined : { does: "leave", waiter }

/** Whose wake comes next, else whose turn comes next. */
const nextInLine = (self: number, { grants, queues, waiters }: Observed): number | undefined => {
  const untold = waiters.filter(({ state, waiter }) =>
    state === "granted" && waiter !== self && at(grants, waiter).isTold === false
  )
  const handOff = (waiter: number) => at(grants, waiter).handOff
  const [next] = untold.toSorted((a, b) => handOff(a.waiter) - handOff(b.waiter))
  return next?.waiter ?? classes.flatMap((criticality) => queues[criticality]).find((waiter) => waiter !== self)
}

const onLease = (
  kind: "giveBack" | "giveBackOwn" | "pin" | "unpin",
  pick: number,
  holder: number,
  leases: ReadonlyArray<Laws.Lease>
): Laws.Operation | undefined => {
  const held = leases.filter(({ stage }) => stage === "held")
  const among = kind === "unpin"
    ? leases.filter(({ pins }) => pins > 0)
    : kind === "giveBackOwn"
    ? held.filter((lease) => lease.holder === holder)
    : held
  const chosen = pickFrom(among, pick)
  return chosen === undefined ? undefined : { does: kind === "giveBackOwn" ? "giveBack" : kind, lease: chosen.lease }
}

/** What a wake does and answers. */
interface Script {
  readonly does: ReadonlyArray<Action>
  readonly answer: Laws.Answer
}

interface Config {
  readonly reserve: number
  readonly beyond: number
  readonly prealloc: number
  readonly maxWaiting: number
  /** For each waiter, what its wakes do, one after the other and then from the start again. */
  readonly scripts: ReadonlyArray<ReadonlyArray<Script>>
}

const limitOf = ({ beyond, reserve }: Config): number => reserve + beyond

const scriptOf = ({ scripts }: Config, waiter: number, wakesBefore: number): Script => {
  const own = at(scripts, waiter)
  return at(own, wakesBefore % own.length)
}

const reactOf = (config: Config): PoolSpec.React => (waiter, _, wakesBefore) => {
  const { answer, does } = scriptOf(config, waiter, wakesBefore)
  return { answer, does: does.map((action) => (state) => resolve(action, waiter, observeSpec(state))) }
}

// ---- the pool: the core, driven -----------------------------------------------------------------------------------------

interface Held {
  readonly area: Area
  readonly criticality: Laws.Criticality
  readonly holder: number
  readonly isReleased: boolean
}

/** The real core, with a ledger of who holds what that is kept outside it. */
class Core {
  readonly gate: Gate
  readonly events: Array<Seen> = []
  /** Whether a flush has been asked for and not come yet. */
  isAsked = false
  fates: ReadonlyArray<boolean> = []
  reported = 0
  private readonly config: Config
  private readonly waiters: ReadonlyArray<Waiter>
  private readonly held = new Map<number, Held>()
  private readonly wakes = cast.map(() => 0)
  private readonly toldOf = cast.map(() => 0)
  private readonly areaNumbers = new Map<unknown, number>()
  /** For whom the doors that have not returned yet were asked. */
  private readonly asking: Array<{ readonly criticality: Laws.Criticality; readonly holder: number }> = []

  constructor(config: Config) {
    this.config = config
    this.gate = new Gate({
      limit: limitOf(config),
      reserve: config.reserve,
      maxWaiting: config.maxWaiting,
      create: () => this.create(),
      recycle: undefined,
      // A clock that counts the buffers lent: so an area's `lentAt` is the number of its lease.
      now: () => this.gate.takes,
      timeTakes: true,
      checked: true,
      schedule: () => {
        this.isAsked = true
      },
      report: () => {
        this.reported++
      }
    })
    this.waiters = cast.map(({ criticality, isFiber }, waiter) =>
      new Waiter(waiter, criticality, (news) => this.woken(waiter, news), isFiber)
    )
    this.gate.preallocate(Math.max(config.reserve + 1, Math.min(config.prealloc, limitOf(config))))
  }

  private create(): Uint8Array<ArrayBuffer> {
    const [succeeds = true, ...fates] = this.fates
    this.fates = fates
    if (!succeeds) throw new Error("no memory")
    const bytes = new Uint8Array(0)
    this.areaNumbers.set(bytes, this.areaNumbers.size)
    return bytes
  }

  perform(operation: Laws.Operation): PoolSpec.Result {
    this.events.push({ at: "called", operation })
    const result = this.act(operation)
    this.events.push({ at: "returned", operation, result, state: this.observe() })
    return result
  }

  private act(operation: Laws.Operation): PoolSpec.Result {
    switch (operation.does) {
      case "take":
        return this.door(operation, () => this.gate.take(classes.indexOf(operation.criticality)) ?? "none")
      case "takeOrWait":
        return this.door(at(cast, operation.waiter), () => this.gate.takeOrWait(at(this.waiters, operation.waiter)))
      case "flush":
        return this.flush(operation.max)
      default:
        this.change(operation)
        return "done"
    }
  }

  private change(operation: Exclude<Laws.Operation, { readonly does: "take" | "takeOrWait" | "flush" }>): void {
    switch (operation.does) {
      case "leave":
        return this.gate.leave(at(this.waiters, operation.waiter))
      case "giveBack":
        return this.giveBack(operation.lease)
      case "pin":
        return this.gate.pin(this.lease(operation.lease).area)
      case "unpin":
        return this.unpin(operation.lease)
      case "resize":
        return this.gate.resize(operation.limit)
      case "favour":
        return this.gate.favour(
          operation.criticality === undefined ? undefined : classes.indexOf(operation.criticality)
        )
      case "trim":
        return this.gate.trim()
      case "close":
        return this.gate.close()
    }
  }

  private door(
    { criticality, holder }: { readonly criticality: Laws.Criticality; readonly holder: number },
    ask: () => Area | "none" | "queued" | "full" | "closed"
  ): PoolSpec.Result {
    this.asking.push({ criticality, holder })
    const answer = ask()
    this.asking.pop()
    if (!(answer instanceof Area)) return answer
    this.held.set(answer.lentAt, { area: answer, criticality, holder, isReleased: false })
    return { lease: answer.lentAt }
  }

  /** As whoever owns the turns does it: what is left asks for another. */
  private flush(max: number): PoolSpec.Result {
    this.isAsked = false
    const told = this.gate.flush(max)
    if (this.gate.pendingWakes > 0) this.isAsked = true
    return { told }
  }

  private lease(lease: number): Held {
    const held = this.held.get(lease)
    if (held === undefined) throw new RangeError(`nobody holds lease ${lease}`)
    return held
  }

  private giveBack(lease: number): void {
    const held = this.lease(lease)
    if (held.area.pins > 0) this.held.set(lease, { ...held, isReleased: true })
    else this.held.delete(lease)
    this.gate.giveBack(held.area)
  }

  private unpin(lease: number): void {
    const { area, isReleased } = this.lease(lease)
    if (isReleased && area.pins === 1) this.held.delete(lease)
    this.gate.unpin(area)
  }

  private woken(waiter: number, news: PoolSpec.News): boolean {
    const script = scriptOf(this.config, waiter, at(this.wakes, waiter))
    this.wakes[waiter] = at(this.wakes, waiter) + 1
    this.toldOf[waiter] = at(this.waiters, waiter).grantNumber
    this.events.push({ at: "told", waiter, news, state: this.observe() })
    for (const action of script.does) {
      const operation = resolve(action, waiter, this.observe())
      if (operation !== undefined) this.perform(operation)
    }
    this.events.push({ at: "answered", waiter, answer: script.answer })
    if (script.answer === "throw") throw new Error("a wake that throws")
    return script.answer === "accept"
  }

  observe(): Observed {
    const { gate } = this
    return {
      limit: gate.limit,
      reserve: gate.reserve,
      capacity: gate.capacity,
      allocated: gate.allocated,
      used: gate.used,
      closed: gate.closed,
      favoured: gate.favoured === undefined ? undefined : at(classes, gate.favoured),
      lent: { tx: at(gate.lent, 0), channel: at(gate.lent, 1), endpoint: at(gate.lent, 2), rx: at(gate.lent, 3) },
      leases: this.leases(),
      unused: this.areasThatAre("free").map((area) => this.areaNumber(area)).sort((a, b) => a - b),
      queues: { tx: this.queue(0), channel: this.queue(1), endpoint: this.queue(2), rx: this.queue(3) },
      waiters: this.waiters.map(({ grant, state }, waiter) => ({
        waiter,
        criticality: at(cast, waiter).criticality,
        holder: at(cast, waiter).holder,
        state,
        grant: grant?.lentAt
      })),
      creationsFailed: gate.creationsFailed,
      ...this.beyondTheLaws()
    }
  }

  private beyondTheLaws(): Pick<Observed, "grants" | "pendingWakes" | "counters"> {
    const { created, creationsFailed, declined, handOffs, passedOn, pendingWakes, takes, thrown } = this.gate
    const grants = this.waiters.map(({ grantNumber, state }, waiter) => ({
      handOff: state === "granted" ? grantNumber : 0,
      isTold: state === "granted" && at(this.toldOf, waiter) === grantNumber,
      wakes: at(this.wakes, waiter)
    }))
    return { grants, pendingWakes, counters: { takes, handOffs, passedOn, declined, thrown, created, creationsFailed } }
  }

  private areasThatAre(state: Area["state"]): ReadonlyArray<Area> {
    return this.gate.areas.filter((area) => area.state === state)
  }

  private areaNumber(area: Area): number {
    return this.areaNumbers.get(area.bytes) ?? -1
  }

  private queue(level: number): ReadonlyArray<number> {
    const numbers: Array<number> = []
    for (let waiter = at(this.gate.queues, level).head; waiter !== undefined; waiter = waiter.next) {
      numbers.push(this.waiters.indexOf(waiter))
    }
    return numbers
  }

  /** By the owners' knowledge, not the pool's: what holders hold, what waiters were granted, and what is on its way. */
  private leases(): ReadonlyArray<Laws.Lease> {
    const leases = [
      ...[...this.held].map(([lease, { area, criticality, holder, isReleased }]) =>
        this.picture(lease, area, criticality, holder, isReleased ? "released" : "held")
      ),
      ...this.waiters.flatMap(({ grant }, waiter) => {
        const { criticality, holder } = at(cast, waiter)
        return grant === undefined ? [] : [this.picture(grant.lentAt, grant, criticality, holder, "granted")]
      })
    ]
    return [...leases, ...this.arriving(leases)].toSorted((a, b) => a.lease - b.lease)
  }

  private arriving(leases: ReadonlyArray<Laws.Lease>): ReadonlyArray<Laws.Lease> {
    const asked = this.asking.at(-1)
    if (asked === undefined) return []
    const known = new Set(leases.map(({ area }) => area))
    return this.areasThatAre("lent").filter((area) => !known.has(this.areaNumber(area))).map((area) =>
      this.picture(area.lentAt, area, asked.criticality, asked.holder, "arriving")
    )
  }

  private picture(
    lease: number,
    area: Area,
    criticality: Laws.Criticality,
    holder: number,
    stage: Laws.Lease["stage"]
  ): Laws.Lease {
    return { lease, area: this.areaNumber(area), criticality, stage, holder, pins: area.pins }
  }
}

// ---- the pool: both, compared -----------------------------------------------------------------------------------------

interface Model {
  spec: PoolSpec.State
  readonly config: Config
  readonly coverage: Coverage
}

/** Each change between two pictures, with what caused it. */
const changes = (start: Observed, events: ReadonlyArray<Seen>) => {
  const found: Array<{ readonly before: Observed; readonly step: Laws.Step; readonly after: Observed }> = []
  let before = start
  let step: Laws.Step | undefined = undefined
  for (const event of events) {
    if (event.at === "called") step = event.operation
    else if (event.at === "answered") step = { does: "answer", waiter: event.waiter, answer: event.answer }
    else {
      if (step !== undefined) found.push({ before, step, after: event.state })
      before = event.state
      step = undefined
    }
  }
  return found
}

/** Runs an operation on both, and fails on any difference between them, any broken law, and any wake nobody will deliver. */
const stepBoth = (model: Model, core: Core, operation: Laws.Operation): void => {
  const start = core.observe()
  const first = core.events.length
  const { events, state } = PoolSpec.step(model.spec, operation, reactOf(model.config))
  core.perform(operation)
  model.spec = state
  const seen = core.events.slice(first)
  const found = changes(start, seen)
  const broken = found.flatMap(({ after, before, step }) => Laws.check(before, step, after).map(Laws.show))
  expect(broken).toEqual([])
  compare(events.map(asSeen), seen)
  expect(PoolSpec.neverServed(state, Laws.isKept), "L8: waiters that nothing will serve").toEqual([])
  expect(core.isAsked || core.gate.pendingWakes === 0, "wakes to come, and no flush was asked for").toBe(true)
  expect(core.reported).toBe(core.gate.thrown)
  found.forEach(({ after, before, step }) => countChange(model.coverage, before, step, after))
  countEvents(model.coverage, seen)
}

const compare = (spec: ReadonlyArray<Seen>, core: ReadonlyArray<Seen>): void => {
  const different = spec.findIndex((event, index) => !isDeepStrictEqual(event, core[index]))
  if (different >= 0) expect(core[different], `the core differs in event ${different}`).toEqual(spec[different])
  expect(core.length).toBe(spec.length)
}

const countChange = (coverage: Coverage, before: Observed, step: Laws.Step, after: Observed): void => {
  const grants = after.counters.handOffs - before.counters.handOffs
  coverage.count("grant", grants)
  coverage.count("favoured grant", after.favoured !== undefined && after.favoured !== "tx" ? grants : 0)
  coverage.count("shrink", before.capacity > after.limit && after.capacity < before.capacity)
  // Never both in one step: a capacity falls by what came back, so that free stays as it is.
  coverage.count("grant while shrinking", before.capacity > before.limit && after.capacity > after.limit && grants > 0)
  coverage.count("creation failed", after.creationsFailed - before.creationsFailed)
  coverage.count("recovered", before.capacity < before.limit && after.capacity >= after.limit)
  coverage.count(
    "recovered with a grant",
    before.capacity < before.limit && after.capacity >= after.limit && grants > 0
  )
  coverage.count("pin outlived its lease", step.does === "unpin" && after.leases.length < before.leases.length)
  coverage.count("grant passed on", after.counters.passedOn - before.counters.passedOn)
  coverage.count("declined", after.counters.declined - before.counters.declined)
  coverage.count("thrown", after.counters.thrown - before.counters.thrown)
  coverage.count("a holder waits for a smaller margin", after.leases.some((lease) => Laws.isKept(after, lease)))
}

const countEvents = (coverage: Coverage, events: ReadonlyArray<Seen>): void => {
  let depth = 0
  for (const event of events) {
    if (event.at === "called" && depth > 0) coverage.count(`${event.operation.does} inside a wake`)
    if (event.at === "told") coverage.count(`told ${event.news}`)
    if (event.at === "told") depth++
    if (event.at === "answered") depth--
    if (event.at === "returned" && typeof event.result === "string") coverage.count(event.result)
  }
  const last = events.at(-1)
  const entitiesLeft = last?.at === "returned" && last.operation.does !== "flush" &&
    last.state.waiters.some(({ state, waiter }) =>
      state === "granted" && !at(cast, waiter).isFiber && !at(last.state.grants, waiter).isTold
    )
  coverage.count("more wakes than one drain delivers", entitiesLeft)
}

// ---- the pool: commands -----------------------------------------------------------------------------------------------

class Act implements fc.Command<Model, Core> {
  readonly action: Action
  readonly self: number
  constructor(action: Action, self: number) {
    this.action = action
    this.self = self
  }
  check({ spec }: Readonly<Model>): boolean {
    return resolve(this.action, this.self, observeSpec(spec)) !== undefined
  }
  run(model: Model, core: Core): void {
    const operation = resolve(this.action, this.self, observeSpec(model.spec))
    if (operation === undefined) return
    model.coverage.count(`command ${this.action.kind}`)
    stepBoth(model, core, operation)
  }
  toString(): string {
    return `${this.action.kind}(${this.action.pick}, by ${this.self})`
  }
}

class FailCreations implements fc.Command<Model, Core> {
  readonly after: number
  readonly times: number
  constructor(after: number, times: number) {
    this.after = after
    this.times = times
  }
  check(): boolean {
    return true
  }
  run(model: Model, core: Core): void {
    model.coverage.count("command failCreations")
    model.spec = PoolSpec.failCreations(model.spec, this.after, this.times)
    core.fates = model.spec.fates
  }
  toString(): string {
    return `failCreations(after ${this.after}, ${this.times} times)`
  }
}

const action = (kind: Action["kind"]): fc.Arbitrary<Action> => fc.nat(63).map((pick) => ({ kind, pick }))

const weighted = (weights: { readonly [K in Action["kind"]]: number }) =>
  kinds.map((kind) => ({ weight: weights[kind], arbitrary: action(kind) }))

const waiterNumber = fc.nat(cast.length - 1)

const actions: fc.Arbitrary<Action> = fc.oneof(...weighted({
  take: 36,
  wait: 70,
  waitAgain: 10,
  leave: 6,
  leaveSelf: 2,
  leaveNext: 2,
  giveBack: 40,
  giveBackOwn: 10,
  pin: 6,
  unpin: 8,
  resize: 14,
  trim: 6,
  close: 1,
  favour: 6,
  unfavour: 4,
  flush: 14
}))

/** A wake mostly takes its grant, and may do anything but flush: that is for whoever owns the turns. */
const inWakes: fc.Arbitrary<Action> = fc.oneof(...weighted({
  take: 8,
  wait: 12,
  waitAgain: 40,
  leave: 4,
  leaveSelf: 4,
  leaveNext: 6,
  giveBack: 10,
  giveBackOwn: 25,
  pin: 3,
  unpin: 3,
  resize: 3,
  trim: 2,
  close: 1,
  favour: 2,
  unfavour: 2,
  flush: 0
}))

const script: fc.Arbitrary<Script> = fc.record({
  does: fc.array(inWakes, { maxLength: 3, size: "max" }),
  answer: fc.oneof(
    { weight: 4, arbitrary: fc.constant<Laws.Answer>("accept") },
    { weight: 1, arbitrary: fc.constant<Laws.Answer>("decline") },
    { weight: 1, arbitrary: fc.constant<Laws.Answer>("throw") }
  )
})

/** Takes its grant, passes it on and waits again: as long as two of them wait, wakes never end. */
const passesOn: Script = {
  does: [{ kind: "waitAgain", pick: 0 }, { kind: "giveBackOwn", pick: 0 }, { kind: "waitAgain", pick: 0 }],
  answer: "accept"
}

const scripts: fc.Arbitrary<Config["scripts"]> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.array(fc.array(script, { minLength: 1, maxLength: 2, size: "max" }), {
      minLength: cast.length,
      maxLength: cast.length
    })
  },
  { weight: 1, arbitrary: fc.constant(cast.map(() => [passesOn])) }
)

const configs: fc.Arbitrary<Config> = fc.record({
  reserve: fc.integer({ min: 1, max: 4 }),
  beyond: fc.integer({ min: 1, max: 5 }),
  prealloc: fc.nat(9),
  maxWaiting: fc.constantFrom(Infinity, Infinity, 2, 1, 0),
  scripts
})

const commands = fc.commands<Model, Core>([
  fc.oneof(
    { weight: 20, arbitrary: fc.tuple(actions, waiterNumber).map(([action, self]) => new Act(action, self)) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.nat(2), fc.integer({ min: 1, max: 4 })).map(([after, times]) =>
        new FailCreations(after, times)
      )
    }
  )
], { maxCommands: 80, size: "max" })

// ---- the run queue ----------------------------------------------------------------------------------------------------

const entryNumbers = [0, 1, 2, 3, 4]

/** What may be done to a run queue, from outside or while a run starts; `pick` chooses the entry. */
interface RunAction {
  readonly kind: "wake" | "wakeSelf" | "finish" | "finishSelf" | "end" | "endSelf" | "endNext"
  readonly pick: number
}

const resolveRun = (
  { kind, pick }: RunAction,
  self: number,
  state: RunQueueSpec.State
): RunQueueSpec.Operation | undefined => {
  switch (kind) {
    case "wake":
      return { does: "wake", entry: pick % entryNumbers.length, reasons: 1 << pick % 7 }
    case "wakeSelf":
      return { does: "wake", entry: self, reasons: 1 << pick % 7 }
    case "finish":
      return onEntry("finish", pickFrom(entryNumbers.filter((entry) => mayFinish(state, entry)), pick))
    case "finishSelf":
      return mayFinish(state, self) ? { does: "finish", entry: self } : undefined
    case "end":
      return onEntry("end", pickFrom(entryNumbers, pick))
    case "endSelf":
      return onEntry("end", self)
    case "endNext":
      return onEntry("end", state.queue[0])
  }
}

const onEntry = (does: "finish" | "end", entry: number | undefined): RunQueueSpec.Operation | undefined =>
  entry === undefined ? undefined : { does, entry }

/** A run may be reported as finished after its entry has ended. */
const mayFinish = (state: RunQueueSpec.State, entry: number): boolean =>
  ["running", "ended"].includes(at(state.entries, entry).state)

interface StartScript {
  readonly does: ReadonlyArray<RunAction>
  readonly throws: boolean
}

type RunSeen =
  | { readonly at: "started"; readonly entry: number; readonly reasons: number; readonly state: RunPicture }
  | { readonly at: "did"; readonly operation: RunQueueSpec.Operation; readonly state: RunPicture }
  | { readonly at: "threw"; readonly entry: number }

/** All but the number of starts, which the core counts at the end of a pass. */
type RunPicture = Pick<RunQueueSpec.State, "entries" | "queue">

const runPicture = ({ entries, queue }: RunQueueSpec.State): RunPicture => ({ entries, queue })

class Runner {
  readonly queue: RunQueue
  readonly events: Array<RunSeen> = []
  isAsked = false
  private started = 0
  private starting: number | undefined = undefined
  private readonly scripts: ReadonlyArray<StartScript>
  private readonly entries: ReadonlyArray<RunEntry>

  constructor(scripts: ReadonlyArray<StartScript>) {
    this.scripts = scripts
    this.queue = new RunQueue(() => {
      this.isAsked = true
    }, () => {
      this.events.push({ at: "threw", entry: this.starting ?? -1 })
    })
    this.entries = entryNumbers.map((entry) => new RunEntry((reasons) => this.start(entry, reasons)))
  }

  perform(operation: RunQueueSpec.Operation): void {
    const entry = at(this.entries, operation.entry)
    if (operation.does === "wake") this.queue.wake(entry, operation.reasons)
    else if (operation.does === "finish") this.queue.finished(entry)
    else this.queue.end(entry)
  }

  run(max: number): number {
    this.isAsked = false
    const started = this.queue.run(max)
    if (this.queue.length > 0) this.isAsked = true
    return started
  }

  private start(entry: number, reasons: number): void {
    const script = at(this.scripts, this.started % this.scripts.length)
    this.started++
    this.starting = entry
    this.events.push({ at: "started", entry, reasons, state: this.picture() })
    for (const action of script.does) {
      const operation = resolveRun(action, entry, { ...this.picture(), starts: this.started })
      if (operation === undefined) continue
      this.perform(operation)
      this.events.push({ at: "did", operation, state: this.picture() })
    }
    if (script.throws) throw new Error("a start that throws")
  }

  picture(): RunPicture {
    const queue: Array<number> = []
    const first = this.entries.find(({ list, previous }) => list !== undefined && previous === undefined)
    for (let entry = first; entry !== undefined; entry = entry.next) queue.push(this.entries.indexOf(entry))
    return { entries: this.entries.map(({ reasons, state }) => ({ state, reasons })), queue }
  }
}

interface RunModel {
  spec: RunQueueSpec.State
  readonly scripts: ReadonlyArray<StartScript>
  readonly coverage: Coverage
}

const reactOfRuns = (scripts: ReadonlyArray<StartScript>): RunQueueSpec.React => (entry, startsBefore) => {
  const { does, throws } = at(scripts, startsBefore % scripts.length)
  return { throws, does: does.map((action) => (state) => resolveRun(action, entry, state)) }
}

const runSeen = (event: RunQueueSpec.Event): RunSeen =>
  "state" in event ? { ...event, state: runPicture(event.state) } : event

const sameQueues = (model: RunModel, runner: Runner): void => {
  expect(runner.picture()).toEqual(runPicture(model.spec))
  expect(runner.queue.length).toBe(model.spec.queue.length)
  expect(runner.queue.starts).toBe(model.spec.starts)
  expect(runner.isAsked || model.spec.queue.length === 0, "somebody is queued, and no turn was asked for").toBe(true)
}

class Change implements fc.Command<RunModel, Runner> {
  readonly action: RunAction
  constructor(action: RunAction) {
    this.action = action
  }
  check({ spec }: Readonly<RunModel>): boolean {
    return resolveRun(this.action, 0, spec) !== undefined
  }
  run(model: RunModel, runner: Runner): void {
    const operation = resolveRun(this.action, 0, model.spec)
    if (operation === undefined) return
    const was = at(model.spec.entries, operation.entry).state
    model.coverage.count(`${operation.does} while ${was}`)
    model.spec = RunQueueSpec.step(model.spec, operation)
    runner.perform(operation)
    sameQueues(model, runner)
  }
  toString(): string {
    return `${this.action.kind}(${this.action.pick})`
  }
}

class Pass implements fc.Command<RunModel, Runner> {
  readonly max: number
  constructor(max: number) {
    this.max = max
  }
  check(): boolean {
    return true
  }
  run(model: RunModel, runner: Runner): void {
    const first = runner.events.length
    const due = model.spec.queue.length
    const { events, started, state } = RunQueueSpec.run(model.spec, this.max, reactOfRuns(model.scripts))
    model.spec = state
    expect(runner.run(this.max)).toBe(started)
    expect(runner.events.slice(first)).toEqual(events.map(runSeen))
    sameQueues(model, runner)
    model.coverage.count("pass")
    model.coverage.count("pass cut short by max", started === this.max && due > this.max)
    countRuns(model.coverage, events)
  }
  toString(): string {
    return `run(${this.max})`
  }
}

const countRuns = (coverage: Coverage, events: ReadonlyArray<RunQueueSpec.Event>): void => {
  let self = -1
  for (const event of events) {
    if (event.at === "started") self = event.entry
    coverage.count(event.at === "did" ? `${event.operation.does} inside a start` : event.at)
    if (event.at === "started") coverage.count("reasons merged", (event.reasons & event.reasons - 1) !== 0)
    if (event.at !== "did" || event.operation.entry !== self) continue
    coverage.count(`${event.operation.does} itself inside its start`)
  }
}

const runKinds = (weights: { readonly [K in RunAction["kind"]]: number }): fc.Arbitrary<RunAction> =>
  fc.oneof(
    ...(["wake", "wakeSelf", "finish", "finishSelf", "end", "endSelf", "endNext"] as const).map((kind) => ({
      weight: weights[kind],
      arbitrary: fc.nat(34).map((pick): RunAction => ({ kind, pick }))
    }))
  )

const startScripts: fc.Arbitrary<ReadonlyArray<StartScript>> = fc.array(
  fc.record({
    does: fc.array(
      runKinds({ wake: 4, wakeSelf: 4, finish: 1, finishSelf: 5, end: 0, endSelf: 1, endNext: 1 }),
      { maxLength: 3, size: "max" }
    ),
    throws: fc.nat(5).map((pick) => pick === 0)
  }),
  { minLength: 1, maxLength: 8, size: "max" }
)

const runCommands = fc.commands<RunModel, Runner>([
  fc.oneof(
    {
      weight: 4,
      arbitrary: runKinds({ wake: 24, wakeSelf: 0, finish: 14, finishSelf: 0, end: 1, endSelf: 0, endNext: 0 }).map(
        (action) => new Change(action)
      )
    },
    { weight: 1, arbitrary: fc.constantFrom(1, 2, 3, 200).map((max) => new Pass(max)) }
  )
], { maxCommands: 60, size: "max" })

// ---- the properties ---------------------------------------------------------------------------------------------------

/** Least counts in 2000 runs: about a third of what is usual. */
const frequentInPools = {
  ...Object.fromEntries(kinds.map((kind) => [`command ${kind}`, 100])),
  "command failCreations": 1000,
  "grant": 2000,
  "favoured grant": 700,
  "grant passed on": 300,
  "grant while shrinking": 5,
  "declined": 150,
  "thrown": 150,
  "shrink": 600,
  "creation failed": 300,
  "recovered": 150,
  "recovered with a grant": 100,
  "pin outlived its lease": 60,
  "full": 300,
  "queued": 5000,
  "closed": 500,
  "told closed": 100,
  "told granted": 2000,
  "more wakes than one drain delivers": 15,
  "a holder waits for a smaller margin": 2000,
  "take inside a wake": 80,
  "takeOrWait inside a wake": 1500,
  "leave inside a wake": 120,
  "giveBack inside a wake": 800,
  "pin inside a wake": 25,
  "unpin inside a wake": 8,
  "resize inside a wake": 30,
  "trim inside a wake": 20,
  "favour inside a wake": 50,
  "close inside a wake": 10
}

const frequentInRunQueues = {
  "pass": 4000,
  "pass cut short by max": 700,
  "started": 4500,
  "threw": 700,
  "reasons merged": 1500,
  "wake while idle": 3000,
  "wake while queued": 3000,
  "wake while running": 1500,
  "wake while ended": 1500,
  "finish while running": 1500,
  "finish while ended": 1500,
  "end while idle": 120,
  "end while queued": 100,
  "end while running": 60,
  "wake inside a start": 3500,
  "wake itself inside its start": 2000,
  "finish itself inside its start": 2000,
  "end inside a start": 500,
  "end itself inside its start": 300
}

describe("the core and its specification", () => {
  test("agree after every step of any history of a pool, and every step keeps the laws", () => {
    const coverage = new Coverage()
    const property = fc.property(configs, commands, (config, commands) => {
      const spec = PoolSpec.initial({
        ...config,
        limit: limitOf(config),
        prealloc: Math.min(config.prealloc, limitOf(config)),
        waiters: cast
      })
      fc.modelRun(() => ({ model: { spec, config, coverage }, real: new Core(config) }), commands)
    })
    fc.assert(property, { numRuns: runs, seed })
    assertFrequent("pool", coverage, frequentInPools)
  }, onABusyMachine)

  test("agree after every step of any history of a run queue, starts included", () => {
    const coverage = new Coverage()
    const property = fc.property(startScripts, runCommands, (scripts, commands) => {
      const spec = RunQueueSpec.initial(entryNumbers.length)
      fc.modelRun(() => ({ model: { spec, scripts, coverage }, real: new Runner(scripts) }), commands)
    })
    fc.assert(property, { numRuns: runs, seed })
    assertFrequent("run queue", coverage, frequentInRunQueues)
  }, onABusyMachine)
})

describe("the laws", () => {
  /** All three buffers lent at tx, two waiters at rx. */
  const healthy = (): Laws.PoolState => {
    const pool = PoolSpec.initial({ limit: 3, reserve: 1, waiters: cast })
    const operations: ReadonlyArray<Laws.Operation> = [
      ...[0, 1, 2].map((holder) => ({ does: "take", criticality: "tx", holder }) as const),
      ...[3, 7].map((waiter) => ({ does: "takeOrWait", waiter }) as const)
    ]
    return PoolSpec.observe(operations.reduce((state, operation) => PoolSpec.step(state, operation).state, pool))
  }

  const broken: { readonly [L in Laws.LawName]: (state: Laws.PoolState) => Laws.PoolState } = {
    L1: (state) => ({ ...state, capacity: 4 }),
    L2: (state) => ({ ...state, unused: [0] }),
    L3: (state) => ({ ...state, used: 2 }),
    L4: (state) => ({ ...state, capacity: 5, limit: 5 }),
    L5: (state) => ({ ...state, queues: { ...state.queues, rx: [7, 3] } }),
    L6: (state) => ({ ...state, queues: { ...state.queues, rx: [3, 7, 3] } }),
    L7: (state) => ({ ...state, leases: state.leases.map((lease) => ({ ...lease, criticality: "rx" })) }),
    L8: (state) => ({ ...state, queues: { ...state.queues, rx: [] }, capacity: 2 }),
    L11: (state) => ({
      ...state,
      queues: { ...state.queues, rx: [7] },
      waiters: state.waiters.map((waiter) => waiter.waiter === 3 ? { ...waiter, state: "idle" } : waiter)
    })
  }

  test("find nothing in a healthy pool, and each finds what breaks it", () => {
    const state = healthy()
    expect(Laws.check(state, { does: "trim" }, state)).toEqual([])
    for (const [law, breaks] of Object.entries(broken)) {
      const found = Laws.check(state, { does: "trim" }, breaks(state))
      expect(found.map(({ law }) => law), law).toContain(law)
    }
  })

  test("find a grant without room, a served newcomer, and a second grant at the end of a queue", () => {
    const state = healthy()
    const lease: Laws.Lease = { lease: 3, area: 3, criticality: "rx", stage: "held", holder: 3, pins: 0 }
    const after = { ...state, used: 4, leases: [...state.leases, lease] }
    const found = Laws.check(state, { does: "take", criticality: "rx", holder: 3 }, after).map(Laws.show)
    expect(found).toContain("L1: not true that a grant leaves its margin free (lease 3, free 0, margin 1)")
    expect(found).toContain("L5: not true that a lease at rx overtakes nobody at rx (lease 3, waiter 3)")
    const tail: Laws.PoolState = {
      ...after,
      queues: { ...state.queues, rx: [3] },
      waiters: state.waiters.map((waiter) => waiter.waiter === 7 ? { ...waiter, state: "granted", grant: 3 } : waiter)
    }
    const grantedTail = Laws.check(state, { does: "giveBack", lease: 0 }, tail).map(Laws.show)
    expect(grantedTail).toContain("L5: not true that nobody is served before one ahead of it (waiter 7, ahead 3)")
  })

  test("find nothing but L4 where buffers came back and nobody was woken", () => {
    const state = healthy()
    const [first, ...leases] = state.leases
    const forgotten: Laws.PoolState = {
      ...state,
      used: 1,
      lent: { ...state.lent, tx: 1 },
      leases: leases.slice(1),
      unused: [first?.area ?? 0, leases[0]?.area ?? 0]
    }
    const found = Laws.check(state, { does: "giveBack", lease: 0 }, forgotten).map(({ law }) => law)
    expect(found).toEqual(["L4"])
  })
})

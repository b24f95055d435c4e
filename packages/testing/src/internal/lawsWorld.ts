/**
 * One history of a few entities, their rivals and a pool, in a world of its own: a scheduler that is stepped and a clock that
 * is moved, so that the history decides everything.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { AppletScheduler } from "headgate/AppletScheduler"
import { BufferPool } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import * as Headgate from "headgate/Headgate"
import type { AllocationFailed, ConfigError } from "headgate/PoolError"
import { TaskScheduler } from "headgate/TaskScheduler"
import { type Waiter, WaitQueue } from "headgate/WaitQueue"
import type { Event, History, Report, Subject } from "../EntityLaws.ts"
import { LawBroken } from "../EntityLaws.ts"
import { DecliningWaiter, FaultyAllocator } from "../Faults.ts"
import { classes } from "../PoolModel.ts"
import * as PoolObserver from "../PoolObserver.ts"
import * as SchedulerObserver from "../SchedulerObserver.ts"
import { PickedScheduler, StandingClock } from "./simulationTime.ts"

/** Each fiber yields after so many operations: the fewest with which Effect makes progress. */
const yieldEvery = 3

/** What is not at rest after so many tasks never is. */
const mostTasks = 20_000

const defaults = { limit: 3, reserve: 1, bufferSize: 64 }

/** How long a history may sleep at a time, and how long time passes at its end; in milliseconds. */
const sleeps = [1, 10, 100, 1000, 5000]
const lastSleep = 60_000

interface Entity<A> {
  readonly name: string
  readonly scope: Scope.Closeable
  readonly self: A
  hasEnded: boolean
}

const pickFrom = <A>(items: ReadonlyArray<A>, pick: number): A | undefined => items[pick % Math.max(1, items.length)]

const takeFrom = <A>(items: Array<A>, pick: number): A | undefined =>
  items.splice(pick % Math.max(1, items.length), 1)[0]

/** Tasks and time, in the hands of a history. */
class Machine {
  private readonly scheduler = new PickedScheduler(yieldEvery)
  private readonly clock = new StandingClock()
  private readonly context = Context.make(Clock.Clock, this.clock).pipe(
    Context.add(Logger.CurrentLoggers, new Set<never>())
  )
  /** It never came to rest. */
  isEndless = false

  fork<A, E>(effect: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    return Effect.runForkWith(this.context)(effect, { scheduler: this.scheduler })
  }

  step(pick: number): boolean {
    return this.scheduler.step(pick)
  }

  rest(): void {
    let tasks = 0
    while (!this.isEndless && this.scheduler.step()) this.isEndless = ++tasks > mostTasks
  }

  /** Lets time pass, and everything happen that is due. */
  sleep(milliseconds: number): void {
    const end = this.clock.now + milliseconds
    for (this.rest(); !this.isEndless && this.clock.nextAt <= end; this.rest()) this.clock.advanceTo(this.clock.nextAt)
    this.clock.advanceTo(end)
  }

  close(scope: Scope.Closeable): void {
    this.fork(Scope.close(scope, Exit.void))
    this.rest()
  }

  /** Its exit when everything is at rest; a fiber that is not over then never will be. */
  run<A, E>(what: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    const fiber = this.fork(effect)
    this.rest()
    const never = new Error(`${what} does not end: nothing here resolves promises or fires real timers`)
    return fiber.pollUnsafe() ?? Effect.die(never)
  }
}

class World<A> {
  private readonly machine: Machine
  private readonly scope: Scope.Closeable
  private readonly allocator: FaultyAllocator
  private readonly observer: PoolObserver.PoolObserver
  private readonly schedulers: ReadonlyArray<SchedulerObserver.SchedulerObserver>
  private readonly services: Context.Context<Headgate.Services>
  private readonly entities: Array<Entity<A>> = []
  private readonly deeds: ReadonlyArray<readonly [string, Subject<A, unknown>["does"][string]]>
  private readonly acts: Array<Fiber.Fiber<unknown, unknown>> = []
  private readonly held: Array<ByteBuffer> = []
  private readonly pins: Array<ByteBuffer> = []
  private readonly patient: ReadonlyArray<Waiter>
  private readonly declining: ReadonlyArray<DecliningWaiter>
  private readonly words: Array<string> = []
  private readonly happened: { [name: string]: number } = {}

  constructor(
    machine: Machine,
    scope: Scope.Closeable,
    allocator: FaultyAllocator,
    services: Context.Context<Headgate.Services>,
    deeds: Subject<A, unknown>["does"]
  ) {
    this.machine = machine
    this.scope = scope
    this.allocator = allocator
    this.deeds = Object.entries(deeds)
    this.observer = PoolObserver.observe(Context.get(services, BufferPool))
    const tasks = SchedulerObserver.observe(Context.get(services, TaskScheduler))
    const applets = SchedulerObserver.observe(Context.get(services, AppletScheduler))
    this.schedulers = [tasks, applets]
    const { pool } = this.observer
    this.services = Context.make(BufferPool, pool).pipe(
      Context.add(WaitQueue, pool.waitQueue),
      Context.add(TaskScheduler, tasks.scheduler),
      Context.add(AppletScheduler, applets.scheduler)
    )
    this.patient = classes.map((criticality) =>
      pool.waitQueue.waiter({ target: `a patient rival at ${criticality}`, criticality, wake: () => true })
    )
    this.declining = classes.flatMap((criticality) =>
      (["decline", "throw"] as const).map((how) =>
        new DecliningWaiter(pool, { criticality, how, target: `a rival that will ${how} at ${criticality}` })
      )
    )
  }

  /** One more entity. */
  enter<E>(make: Subject<A, E>["make"]): Effect.Effect<void, E> {
    const scope = Scope.makeUnsafe()
    const name = `entity ${this.entities.length}`
    return Effect.map(this.machine.run("make", this.inside(name, scope, make)), (self) => {
      this.entities.push({ name, scope, self, hasEnded: false })
    })
  }

  /** With the services, and in the name of an entity. */
  private inside<B, E>(
    name: string,
    scope: Scope.Scope,
    effect: Effect.Effect<B, E, Headgate.Services | Scope.Scope>
  ): Effect.Effect<B, E> {
    return effect.pipe(
      Scope.provide(scope),
      Effect.provideContext(this.services),
      Effect.provideService(PoolObserver.Owner, name)
    )
  }

  // ---- events -----------------------------------------------------------------------------------------------------------

  happen({ kind, pick }: Event): void {
    const what = this.perform(kind, pick)
    if (what === undefined) return
    const name = kind === "act" ? this.deed(pick)?.[0] ?? kind : kind
    this.happened[name] = (this.happened[name] ?? 0) + 1
    this.words.push(what)
    this.observer.look(what)
  }

  /** What it was, in words; undefined if there was nothing to happen to. */
  private perform(kind: Event["kind"], pick: number): string | undefined {
    const { machine } = this
    switch (kind) {
      case "act":
        return this.act(pick)
      case "turn":
        return machine.step(pick) ? `turn ${pick}` : undefined
      case "rest":
        machine.rest()
        return "rest"
      case "sleep": {
        const milliseconds = sleeps[pick % sleeps.length] ?? 1
        machine.sleep(milliseconds)
        return `${milliseconds} ms pass`
      }
      case "interrupt": {
        const live = this.acts.filter((fiber) => fiber.pollUnsafe() === undefined)
        const fiber = pickFrom(live, pick)
        fiber?.interruptUnsafe()
        return fiber === undefined ? undefined : `an interruption of fiber #${fiber.id}`
      }
      case "end": {
        const entity = pickFrom(this.entities.filter(({ hasEnded }) => !hasEnded), pick)
        if (entity !== undefined) this.endOf(entity)
        return entity === undefined ? undefined : `the end of ${entity.name}`
      }
      case "close":
        machine.close(this.scope)
        return "the pool closes"
      default:
        return this.rival(kind, pick) ?? this.change(kind, pick)
    }
  }

  private deed(pick: number) {
    return pickFrom(this.deeds, Math.floor(pick / this.entities.length))
  }

  private act(pick: number): string | undefined {
    const entity = pickFrom(this.entities, pick)
    const deed = this.deed(pick)
    if (entity === undefined || deed === undefined || entity.hasEnded) return undefined
    const [name, does] = deed
    const effect = this.inside(entity.name, entity.scope, Effect.suspend(() => does(entity.self)))
    const { machine } = this
    const fiber = machine.fork(effect)
    this.acts.push(fiber)
    machine.fork(Scope.addFinalizer(entity.scope, Effect.sync(() => fiber.interruptUnsafe())))
    return `${name} of ${entity.name} (fiber #${fiber.id})`
  }

  private rival(kind: Event["kind"], pick: number): string | undefined {
    const { declining, held, observer: { pool }, patient, pins } = this
    const criticality = classes[pick % classes.length] ?? "rx"
    switch (kind) {
      case "rivalTakes": {
        const buffer = pool.tryTakeUnsafe(criticality)
        if (buffer !== undefined) held.push(buffer)
        return `a rival takes at ${criticality}`
      }
      case "rivalWaits":
        return this.comesToTheDoor(patient.filter(({ state }) => state !== "granted"), pick)
      case "rivalCollects":
        return this.comesToTheDoor(patient.filter(({ state }) => state === "granted"), pick)
      case "rivalDeclines": {
        const rival = pickFrom(declining, pick)
        rival?.ask()
        return `${String(rival?.waiter.target)} asks`
      }
      case "rivalLeaves": {
        const waiting = [...patient, ...declining.map(({ waiter }) => waiter)].filter(({ state }) => state !== "idle")
        const rival = pickFrom(waiting, pick)
        if (rival !== undefined) pool.waitQueue.leaveUnsafe(rival)
        return rival === undefined ? undefined : `${String(rival.target)} leaves`
      }
      case "rivalGivesBack": {
        const buffer = takeFrom(held, pick)
        if (buffer !== undefined) pool.giveBackUnsafe(buffer)
        return buffer === undefined ? undefined : "a rival gives back"
      }
      case "rivalPins": {
        const buffer = pickFrom(held, pick)
        if (buffer === undefined) return undefined
        pool.pinUnsafe(buffer)
        pins.push(buffer)
        return "a rival pins"
      }
      case "rivalUnpins": {
        const buffer = takeFrom(pins, pick)
        if (buffer !== undefined) pool.unpinUnsafe(buffer)
        return buffer === undefined ? undefined : "a rival unpins"
      }
      default:
        return undefined
    }
  }

  private comesToTheDoor(rivals: ReadonlyArray<Waiter>, pick: number): string | undefined {
    const rival = pickFrom(rivals, pick)
    if (rival === undefined) return undefined
    const door = this.observer.pool.waitQueue.takeOrWaitUnsafe(rival)
    if (typeof door !== "string") this.held.push(door)
    return `${String(rival.target)} comes to the door`
  }

  private change(kind: Event["kind"], pick: number): string | undefined {
    const { allocator, observer: { pool } } = this
    const criticality = classes[pick % classes.length] ?? "rx"
    switch (kind) {
      case "resize": {
        const limit = pool.reserve + 1 + pick % 5
        Effect.runSync(Effect.ignore(pool.resize(limit)))
        return `resize to ${limit}`
      }
      case "trim":
        Effect.runSync(pool.trim)
        return "trim"
      case "favour":
        pool.waitQueue.favourUnsafe(criticality)
        return `${criticality} is favoured`
      case "unfavour":
        pool.waitQueue.favourUnsafe(undefined)
        return "nobody is favoured"
      case "failCreation":
        allocator.failNext(1 + pick % 2)
        return "memory becomes scarce"
      default:
        return undefined
    }
  }

  private endOf(entity: Entity<A>): void {
    entity.hasEnded = true
    this.machine.close(entity.scope)
    this.observer.ended(entity.name)
  }

  // ---- the end ----------------------------------------------------------------------------------------------------------

  /** The rivals give everything back, and time passes: now everybody is served and comes to rest. */
  rivalsEnd(): void {
    const { held, observer, pins } = this
    const { pool } = observer
    this.words.push("the rivals give everything back")
    for (const waiter of this.patient) pool.waitQueue.leaveUnsafe(waiter)
    for (const rival of this.declining) rival.leave()
    for (const buffer of held.splice(0)) pool.giveBackUnsafe(buffer)
    for (const buffer of pins.splice(0)) pool.unpinUnsafe(buffer)
    pool.waitQueue.favourUnsafe(undefined)
    this.machine.sleep(lastSleep)
    observer.rest()
    for (const scheduler of this.schedulers) scheduler.rest()
  }

  entitiesEnd(): void {
    for (const entity of this.entities) {
      if (entity.hasEnded) continue
      this.words.push(`the end of ${entity.name}`)
      this.endOf(entity)
    }
    this.observer.end()
    for (const scheduler of this.schedulers) scheduler.end()
  }

  // ---- judgement --------------------------------------------------------------------------------------------------------

  /** Fails with the first law that is broken, or as a deed died. */
  readonly judged: Effect.Effect<void, LawBroken> = Effect.suspend((): Effect.Effect<void, LawBroken> => {
    const findings = [this.observer, ...this.schedulers].flatMap((observer) => observer.findings())
    const [first, ...others] = this.machine.isEndless ? [endless] : findings
    if (first !== undefined) return Effect.fail(new LawBroken({ ...first, others, history: this.words }))
    const died = this.acts.map((fiber) => fiber.pollUnsafe()).find((exit) => exit !== undefined && Exit.hasDies(exit))
    return died === undefined || Exit.isSuccess(died) ? Effect.void : Effect.orDie(Effect.failCause(died.cause))
  })

  get report(): Report {
    const starts = this.schedulers.reduce((sum, scheduler) => sum + scheduler.starts(), 0)
    return { exercised: this.observer.exercised(), starts, happened: this.happened }
  }
}

const endless: PoolObserver.Finding = {
  law: "L8",
  fact: "everything comes to rest",
  numbers: { tasks: mostTasks },
  step: "the last event",
  waiter: undefined
}

const make = <A, E>(
  subject: Subject<A, E>,
  machine: Machine,
  scope: Scope.Closeable
): Effect.Effect<World<A>, E | ConfigError | AllocationFailed> =>
  Effect.gen(function*() {
    const allocator = new FaultyAllocator()
    const options = { ...defaults, ...subject.options }
    const allocate = (size: number): Uint8Array<ArrayBuffer> => {
      const memory = allocator.allocate(size)
      return options.allocate === undefined ? memory : options.allocate(size)
    }
    const layer = Headgate.layer({ ...options, allocate })
    const services = yield* machine.run("the layer", Layer.buildWithScope(layer, scope))
    const world = new World<A>(machine, scope, allocator, services, subject.does)
    for (let entity = 0; entity < (subject.count ?? 2); entity++) yield* world.enter(subject.make)
    return world
  })

export const play = <A, E>(
  subject: Subject<A, E>,
  history: History
): Effect.Effect<Report, LawBroken | E | ConfigError | AllocationFailed> =>
  Effect.suspend(() => {
    const machine = new Machine()
    const scope = Scope.makeUnsafe()
    const played = Effect.gen(function*() {
      const world = yield* make(subject, machine, scope)
      yield* world.judged
      for (const event of history) {
        world.happen(event)
        yield* world.judged
      }
      world.rivalsEnd()
      yield* world.judged
      world.entitiesEnd()
      yield* world.judged
      return world.report
    })
    return Effect.ensuring(played, Effect.sync(() => machine.close(scope)))
  })

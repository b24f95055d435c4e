/**
 * The gate: which areas exist, who owns each, who waits for one, and who gets the next. Buffer pool, wait queue and offer
 * are one state, because a buffer must move from one owner to the next in a single step.
 *
 * The one invariant (L4): after every step, whoever is queued is not entitled, that is `free <= margin` by the table in
 * force. It holds because all that can entitle somebody (a give-back, a higher limit, another table) ends with `offer`,
 * which serves the head of the most critical waiting class until that head is not entitled; margins never shrink along
 * the table and heads are first in, first out, so then nobody is. Hence nobody is forgotten, nobody barges (a newcomer
 * who is entitled overtakes nobody of its class or a more critical one), and there is nothing to estimate.
 *
 * Accounting: `0 <= used <= allocated <= capacity`, `free = capacity - used`, `used` = the areas that are lent or pinned.
 *
 * A step is the return of one outermost entry point. Each is synchronous and total and bumps the version; each first finishes
 * its change and only then tells waiters, from a flat list, so a chain of hand-offs never grows the stack. Take, give back,
 * queue, leave and hand-off are O(1), but for a give-back while more areas are lent than a lowered limit allows, which counts
 * them; resize and trim are O(areas + waiters served), close is O(waiters + areas). Deliberately absent: fibers, promises,
 * timers, and any memory allocation once the areas exist, but for the blocks of a queue that grows.
 *
 * The idea of a generic list of waiters, each woken by its own callback, is HAProxy's (commit a73e59b69); the hand-off
 * replaces its estimate of how many to wake.
 */
import type { Criticality } from "../Criticality.ts"
import { level, order } from "../Criticality.ts"
import { assert, broken, BrokenInvariant } from "./assert.ts"
import { type Block, type Linked, List, push, shift, toArray, unlink } from "./list.ts"
import { touch } from "./version.ts"

/** Wakes of entities delivered by one operation before it returns: the rest waits for the next flush. */
const wakesPerStep = 64

/**
 * Wakes delivered by one flush. As many as a scheduler starts runs per turn: a turn of the event loop costs as much as dozens
 * of hand-offs, but must come soon enough for input and output.
 */
export const wakesPerTurn = 200

/** One reusable piece of memory. Whoever owns it is not known here; that it has an owner is. */
export class Area {
  bytes: Uint8Array<ArrayBuffer>
  /** While its lease lasts. An area that is not lent but pinned is `released`: nobody's yet, for something still uses it. */
  lent = false
  /** Of its lease, while it is in use. */
  level = 0
  pins = 0
  /** When it was lent; 0 unless the clock is read at takes. */
  lentAt = 0
  /** Where it was lent, and what a leak report said of it. The face's, for its reports: it clears them at `recycle`. */
  origin: string | undefined = undefined
  reported = false
  /** Its place among all areas. */
  index = 0
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes
  }

  get state(): "free" | "lent" | "released" {
    if (this.lent) return "lent"
    return this.pins > 0 ? "released" : "free"
  }
}

export type News = "granted" | "closed"

/** Who waits: idle, queued, or granted (then `grant` is its own until a door hands out that very buffer, or it leaves). */
export class Waiter implements Linked<Waiter> {
  block: Block<Waiter> | undefined = undefined
  place = 0
  state: "idle" | "queued" | "granted" = "idle"
  grant: Area | undefined = undefined
  /** Which hand-off the present grant is: tells two grants of the same area apart. */
  grantNumber = 0
  /** When it was queued; then when it was granted. */
  since = 0
  news: News = "granted"
  readonly target: unknown
  readonly criticality: Criticality
  readonly level: number
  /** `true` promises to come to a door or to leave. `false` or a throw declines. */
  readonly wake: (this: Waiter, news: News) => boolean
  /** Fibers are woken by a flush only, and count against `maxWaiting`. */
  readonly isFiber: boolean

  constructor(target: unknown, criticality: Criticality, wake: Waiter["wake"], isFiber: boolean) {
    this.target = target
    this.criticality = criticality
    this.level = level(criticality)
    this.wake = wake
    this.isFiber = isFiber
  }
}

export interface GateOptions {
  readonly limit: number
  readonly reserve: number
  readonly maxWaiting: number
  /** Makes the memory of one area. May throw: then the taker is treated as in any shortage. Must not call the gate. */
  readonly create: () => Uint8Array<ArrayBuffer>
  /**
   * Called with an area that comes back, before anybody else can own it; false if its memory is lost. Must not throw. Without
   * `recycleAll` only with one whose memory has been transferred away.
   */
  readonly recycle: (area: Area) => boolean
  readonly recycleAll: boolean
  readonly now: () => number
  /** Read the clock at every take, so that holders have an age. */
  readonly timeTakes: boolean
  /** Recount everything after every step. */
  readonly checked: boolean
  /** Asks for a `flush` in a later turn. */
  readonly schedule: () => void
  /** Told of a wake that threw. */
  readonly report: (error: unknown, waiter: Waiter) => void
}

export class Gate {
  limit: number
  capacity: number
  allocated = 0
  closed = false
  readonly reserve: number
  readonly queues: ReadonlyArray<List<Waiter>> = order.map(() => new List<Waiter>())
  readonly fibersQueued = [0, 0, 0, 0]
  queued = 0
  /** The level favoured by ageing, if any, and the table that follows from it. */
  favoured: number | undefined = undefined
  private table: ReadonlyArray<number> = [0, 1, 2, 3]
  private margins: ReadonlyArray<number>
  readonly ordinaryMargins: ReadonlyArray<number>
  /** All areas that exist, and those among them that are free (last in, first out: the warmest memory). */
  readonly areas: Array<Area> = []
  private readonly unused: Array<Area> = []
  /** What was left of the areas when most were in use. Below zero, if areas have been destroyed since. */
  private neverUsed = 0
  /** Waiters with a wake to come: entities, told when the operation ends; fibers, told by `flush`. */
  private readonly ready = new List<Waiter>()
  private readonly readyFibers = new List<Waiter>()
  /** Granted and told, but not yet collected. */
  private readonly uncollected = new List<Waiter>()
  private draining = false
  /** When the flush under way began: what is handed on in it counts as granted then. The clock is a tenth of a hand-off. */
  private flushAt: number | undefined = undefined
  private readonly recycleAll: boolean
  private readonly timeTakes: boolean
  private readonly checked: boolean
  /** Called once, when somebody starts to wait at `endpoint` or `rx`: ageing sleeps until then. Must only schedule. */
  onWait: (() => void) | undefined = undefined
  readonly options: GateOptions

  // What happened since the start. Plain numbers: whoever wants them reads them.
  takes = 0
  handOffs = 0
  passedOn = 0
  declined = 0
  thrown = 0
  created = 0
  creationsFailed = 0
  lastFailure: unknown = undefined
  /** Waits that ended in a grant: `waits[i]` counts those shorter than 2^i ms, the last all longer ones. */
  readonly waits: Array<number> = Array.from({ length: 22 }, () => 0)
  waitedMs = 0

  constructor(options: GateOptions) {
    this.options = options
    this.limit = this.capacity = options.limit
    this.reserve = options.reserve
    this.recycleAll = options.recycleAll
    this.timeTakes = options.timeTakes
    this.checked = options.checked
    this.ordinaryMargins = [0, 1, 2, 3].map((l) => Math.floor(l * options.reserve / 3))
    this.margins = this.ordinaryMargins
  }

  /** Areas lent, and released ones that are still pinned. */
  get used(): number {
    return this.allocated - this.unused.length
  }

  /** The most areas that were ever in use at once. */
  get highWater(): number {
    return this.allocated - this.neverUsed
  }

  get free(): number {
    return this.capacity - this.used
  }

  /** The margin in force at a level. */
  marginOf(at: number): number {
    return this.margins[at]!
  }

  /** How long the head of a level's queue has waited; 0 if nobody does. */
  oldestWaitMs(at: number): number {
    const head = this.queues[at]!.head
    return head === undefined ? 0 : Math.max(0, this.options.now() - head.since)
  }

  /** Who is queued, by class and in order, then who was granted and has not collected. O(waiters). */
  waiters(): Array<Waiter> {
    return [...this.queues, this.ready, this.readyFibers, this.uncollected].flatMap(toArray).filter((waiter) =>
      waiter.state !== "idle"
    )
  }

  /** Leases that are out, and released areas that are still pinned. O(areas). */
  lentAreas(): Array<Area> {
    return this.areas.filter((area) => area.lent || area.pins > 0)
  }

  /** How many areas are in use, per level. O(areas): asked for by pictures, and while there are more than the limit. */
  lent(): [number, number, number, number] {
    const lent: [number, number, number, number] = [0, 0, 0, 0]
    for (const area of this.areas) if (area.lent || area.pins > 0) lent[area.level]!++
    return lent
  }

  // ---- entry points ---------------------------------------------------------------------------------------------------

  /** Makes areas exist up to `count`; false if the memory for them cannot be had. */
  preallocate(count: number): boolean {
    touch()
    const exist = this.allocated >= count || this.createUpTo(count)
    this.settle()
    return exist
  }

  /** A buffer if one may be taken now, without queueing. */
  take(at: number): Area | undefined {
    touch()
    const area = this.claim(at)
    if (area === undefined || this.ready.length > 0 || this.checked) this.settle()
    return area
  }

  /** The one door for those who wait: decides and queues in one step. A grant already made is handed out first. */
  takeOrWait(waiter: Waiter): Area | "queued" | "full" | "closed" {
    touch()
    if (waiter.state === "granted") return this.collect(waiter)
    if (this.closed) return "closed"
    if (waiter.state === "queued") return "queued"
    const area = this.claim(waiter.level)
    if (area === undefined && !this.admits(waiter)) {
      this.settle()
      return "full"
    }
    if (area === undefined) this.enqueue(waiter)
    this.settle()
    return area ?? "queued"
  }

  /** Ends the waiting: out of the queue, or the grant passed on, and no wake to come. */
  leave(waiter: Waiter): void {
    touch()
    if (waiter.state === "queued") this.dequeue(waiter)
    else if (waiter.state === "granted") this.passOn(waiter)
    else unlink(waiter)
    this.settle()
  }

  /** The lease is over. A pinned area stays lent until its last unpin. */
  giveBack(area: Area): void {
    touch()
    if (!area.lent) throw broken(`an area was given back that is ${area.state}`)
    if (area.pins > 0) area.lent = false
    else this.takeBack(area)
    if (this.ready.length > 0 || this.checked) this.settle()
  }

  pin(area: Area): void {
    touch()
    if (!area.lent) throw broken(`an area was pinned that is ${area.state}`)
    area.pins++
  }

  unpin(area: Area): void {
    touch()
    assert(area.pins > 0, "an area was unpinned that nothing pins")
    area.pins--
    if (area.pins === 0 && !area.lent) this.takeBack(area)
    this.settle()
  }

  /**
   * Puts another table in force: `tx` first with margin 0, then the favoured level with its own margin, then those that
   * were before it, with that same margin. Without a level, the ordinary table.
   */
  favour(at: number | undefined): void {
    touch()
    this.favoured = at
    const margins = this.ordinaryMargins
    this.table = [0, 1, 2, 3].sort((a, b) => rank(a, at) - rank(b, at))
    this.margins = at === undefined ? margins : margins.map((own, l) => l === 0 || l > at ? own : margins[at]!)
    this.offer()
    this.settle()
  }

  resize(limit: number): void {
    touch()
    if (this.closed) return
    this.limit = limit
    this.shrink()
    this.recover()
    this.offer()
    this.settle()
  }

  /** Destroys unused areas, but for the reserve behind those in use. */
  trim(): void {
    touch()
    if (this.closed) return
    this.recover()
    this.offer()
    this.destroyAbove(Math.max(this.reserve + 1, this.used + this.reserve))
    this.settle()
  }

  /** No more takes; every queued waiter is told. Granted ones keep their grant, holders keep valid buffers. */
  close(): void {
    touch()
    if (this.closed) return
    this.closed = true
    for (const queue of this.queues) {
      for (let waiter = queue.head; waiter !== undefined; waiter = queue.head) {
        this.dequeue(waiter)
        this.announce(waiter, "closed")
      }
    }
    this.destroyAbove(this.used)
    this.settle()
  }

  /** Delivers at most `max` wakes that are still to come; returns how many. The only place where fibers are woken. */
  flush(max: number): number {
    touch()
    this.flushAt = this.options.now()
    try {
      let told = this.drain(max)
      for (let waiter; told < max && (waiter = shift(this.readyFibers)) !== undefined; told++) this.tell(waiter)
      return told
    } finally {
      this.flushAt = undefined
    }
  }

  /** Wakes still to come. */
  get pendingWakes(): number {
    return this.ready.length + this.readyFibers.length
  }

  // ---- decisions ------------------------------------------------------------------------------------------------------

  private claim(at: number): Area | undefined {
    const margin = this.margins[at]!
    // What exists is never more than may exist: enough of the former is enough of the latter.
    if (this.unused.length <= margin && !this.createBehind(margin)) return undefined
    const area = this.unused.pop()
    if (area === undefined) throw broken(`no free area of ${this.allocated}`)
    area.lent = true
    area.level = at
    if (this.timeTakes) area.lentAt = this.options.now()
    this.takes++
    if (this.unused.length < this.neverUsed) this.neverUsed = this.unused.length
    return area
  }

  /** Makes areas exist for a grant with its margin behind it; false if it may not be, or cannot. */
  private createBehind(margin: number): boolean {
    return !this.closed && this.free > margin && this.createUpTo(this.used + 1 + margin)
  }

  private offer(): void {
    for (let waiter = this.first(); waiter !== undefined; waiter = this.first()) {
      const area = this.claim(waiter.level)
      if (area === undefined) return
      this.dequeue(waiter)
      this.grant(waiter, area)
    }
  }

  /** The head of the most critical class that waits, by the table in force. */
  private first(): Waiter | undefined {
    for (const at of this.table) {
      const head = this.queues[at]!.head
      if (head !== undefined) return head
    }
    return undefined
  }

  private grant(waiter: Waiter, area: Area): void {
    const now = this.flushAt ?? this.options.now()
    const waitedMs = Math.max(0, now - waiter.since)
    // `clz32` counts modulo 2^32: a wait of 50 days is long, not short.
    this.waits[Math.min(32 - Math.clz32(Math.min(waitedMs, 2 ** 31)), this.waits.length - 1)]!++
    this.waitedMs += waitedMs
    waiter.state = "granted"
    waiter.grant = area
    waiter.grantNumber = ++this.handOffs
    waiter.since = now
    this.announce(waiter, "granted")
  }

  private collect(waiter: Waiter): Area {
    const area = waiter.grant
    assert(area !== undefined, "a granted waiter has no grant")
    waiter.state = "idle"
    waiter.grant = undefined
    unlink(waiter)
    return area
  }

  private passOn(waiter: Waiter): void {
    this.passedOn++
    this.takeBack(this.collect(waiter))
  }

  private admits(waiter: Waiter): boolean {
    return !waiter.isFiber || this.fibersQueued[waiter.level]! < this.options.maxWaiting
  }

  private enqueue(waiter: Waiter): void {
    waiter.state = "queued"
    waiter.since = this.options.now()
    if (waiter.isFiber) this.fibersQueued[waiter.level]!++
    this.queued++
    push(this.queues[waiter.level]!, waiter)
    if (this.onWait !== undefined && waiter.level >= 2) {
      const tell = this.onWait
      this.onWait = undefined
      tell()
    }
  }

  private dequeue(waiter: Waiter): void {
    waiter.state = "idle"
    if (waiter.isFiber) this.fibersQueued[waiter.level]!--
    this.queued--
    unlink(waiter)
  }

  private takeBack(area: Area): void {
    area.lent = false
    const isKept = area.bytes.length > 0 && !this.recycleAll || this.options.recycle(area)
    // Memory that was lost is no longer counted as existing: whoever needs it has it created anew.
    if (isKept && !this.closed) this.unused.push(area)
    else this.forget(area)
    if (this.queued > 0 || this.capacity !== this.limit) this.handOn()
  }

  /** What may exist is adjusted first, so that the next owner is chosen by the new numbers. */
  private handOn(): void {
    if (this.closed) return
    this.shrink()
    this.recover()
    this.offer()
  }

  /**
   * A capacity above the limit falls as far as no class loses what it may still need: for each, the buffers lent at it or
   * less critical, and its margin. So shrinking never stops the more critical side.
   */
  private shrink(): void {
    if (this.capacity <= this.limit) return
    const lent = this.lent()
    let target = this.limit
    let lentFrom = 0
    for (let at = 3; at >= 0; at--) {
      lentFrom += lent[at]!
      target = Math.max(target, lentFrom + this.ordinaryMargins[at]!)
    }
    if (target >= this.capacity) return
    this.capacity = target
    this.destroyAbove(target)
  }

  /** Forgets an earlier failure to create: the next taker tries again. */
  private recover(): void {
    if (this.capacity < this.limit) this.capacity = this.limit
  }

  // ---- areas ----------------------------------------------------------------------------------------------------------

  private createUpTo(count: number): boolean {
    try {
      while (this.allocated < count) {
        const area = new Area(this.options.create())
        area.index = this.areas.push(area) - 1
        this.unused.push(area)
        this.allocated++
        this.neverUsed++
        this.created++
      }
      return true
    } catch (cause) {
      this.creationsFailed++
      this.lastFailure = cause
      this.capacity = this.allocated
      return false
    }
  }

  /** Of `count` that are to stay, which are never fewer than are in use. */
  private destroyAbove(count: number): void {
    while (this.allocated > count) this.forget(this.unused.pop()!)
  }

  private forget(area: Area): void {
    const last = this.areas.pop()
    assert(last !== undefined, "an area was destroyed that does not exist")
    if (last !== area) {
      this.areas[area.index] = last
      last.index = area.index
    }
    this.allocated--
    this.neverUsed--
  }

  // ---- telling --------------------------------------------------------------------------------------------------------

  private announce(waiter: Waiter, news: News): void {
    waiter.news = news
    push(waiter.isFiber ? this.readyFibers : this.ready, waiter)
    if (waiter.isFiber) this.options.schedule()
  }

  /** The end of every step: what nobody waits for is let go, and those with news are told. */
  private settle(): void {
    if (this.capacity < this.limit && this.queued === 0 && !this.closed) this.recover()
    if (this.checked) this.check()
    if (this.ready.length > 0 && !this.draining) this.tellReady()
  }

  private tellReady(): void {
    this.drain(wakesPerStep)
    if (this.ready.length > 0) this.options.schedule()
  }

  private drain(max: number): number {
    if (this.draining) return 0
    this.draining = true
    let told = 0
    try {
      while (told < max) {
        const waiter = shift(this.ready)
        if (waiter === undefined) break
        told++
        this.tell(waiter)
      }
    } finally {
      this.draining = false
    }
    return told
  }

  private tell(waiter: Waiter): void {
    // Not once for the whole flush: who is woken runs inside it, in steps of its own.
    touch()
    let accepted = false
    try {
      accepted = waiter.wake(waiter.news)
    } catch (error) {
      if (error instanceof BrokenInvariant) throw error
      this.thrown++
      this.options.report(error, waiter)
    }
    // In a list again: the wake took the grant, and got or waits for another, with its own wake to come.
    if (waiter.state !== "granted" || waiter.block !== undefined) return
    touch()
    if (accepted) push(this.uncollected, waiter)
    else this.decline(waiter)
  }

  private decline(waiter: Waiter): void {
    touch()
    this.declined++
    this.passOn(waiter)
    this.settle()
  }

  // ---- what must hold -------------------------------------------------------------------------------------------------

  private check(): void {
    const { allocated, capacity, limit, used } = this
    const lent = this.lent()
    assert(used >= 0 && used <= allocated && allocated <= capacity, `${used} used of ${allocated} of ${capacity}`)
    assert(lent.reduce((sum, count) => sum + count) === used, `lent ${lent.join("+")} is not used ${used}`)
    assert(this.areas.length === allocated, `${this.areas.length} areas, allocated ${allocated}`)
    assert(this.queues.reduce((sum, queue) => sum + queue.length, 0) === this.queued, `queued ${this.queued}`)
    if (this.closed) return assert(this.queued === 0, `closed, and ${this.queued} still queued`)
    assert(this.queued > 0 || capacity >= limit, `nobody waits, and capacity ${capacity} is below limit ${limit}`)
    let lentFrom = 0
    for (let at = 3; at >= 0; at--) {
      lentFrom += lent[at]!
      const behind = allocated - this.ordinaryMargins[at]!
      assert(lentFrom === 0 || lentFrom <= behind, `L7: ${lentFrom} lent at ${order[at]} or less critical of ${behind}`)
      const head = this.queues[at]!.head
      assert(head === undefined || this.free <= this.margins[at]!, `L4: ${order[at]} waits beside ${this.free} free`)
    }
  }
}

/** The favoured level stands beside `tx`, and behind it, for sorting is stable. */
const rank = (at: number, favoured: number | undefined): number => at === favoured ? 0 : at

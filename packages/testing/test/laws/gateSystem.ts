/**
 * The library's core as a `System`: a gate, and a ledger of who holds what that is kept outside it. All that can change is
 * in fields, so that a walk can put the whole thing back as it was.
 */
import type * as Laws from "@headgate/testing/Laws"
import * as PoolModel from "@headgate/testing/PoolModel"
import type * as PoolSpec from "@headgate/testing/PoolSpec"
import { Area, Gate, Waiter } from "../../../headgate/src/internal/gate.ts"
import { type List, toArray } from "../../../headgate/src/internal/list.ts"

interface Held {
  readonly area: Area
  readonly criticality: Laws.Criticality
  readonly holder: number
  readonly isReleased: boolean
}

type Asking = Pick<PoolModel.Member, "criticality" | "holder">
type Door = Area | "none" | "queued" | "full" | "closed"

export const at = <A>(items: ReadonlyArray<A>, index: number): A => {
  const item = items[index]
  if (item === undefined) throw new RangeError(`no item ${index} of ${items.length}`)
  return item
}

const { classes } = PoolModel

export class GateSystem implements PoolModel.System {
  readonly gate: Gate
  /** Wakes that threw and were reported. */
  reported = 0
  private isAsked = false
  private readonly cast: ReadonlyArray<PoolModel.Member>
  private readonly waiters: ReadonlyArray<Waiter>
  private readonly held = new Map<number, Held>()
  private readonly areaNumbers = new Map<unknown, number>()
  /** For whom the doors that have not returned yet were asked. */
  private readonly asking: Array<Asking> = []

  constructor({ create, limit, maxWaiting, prealloc, reserve, waiters, woken }: PoolModel.SystemOptions) {
    this.gate = new Gate({
      limit,
      reserve,
      maxWaiting,
      create: () => {
        if (!create()) throw new Error("no memory")
        const bytes = new Uint8Array(0)
        this.areaNumbers.set(bytes, this.areaNumbers.size)
        return bytes
      },
      recycle: () => true,
      recycleAll: false,
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
    this.cast = waiters
    this.waiters = waiters.map(({ criticality, isFiber }, waiter) =>
      new Waiter(waiter, criticality, (news) => woken(waiter, news), isFiber)
    )
    this.gate.preallocate(prealloc)
  }

  isFlushAsked(): boolean {
    return this.isAsked
  }

  act(operation: Laws.Operation): PoolSpec.Result {
    switch (operation.does) {
      case "take":
        return this.door(operation, () => this.gate.take(classes.indexOf(operation.criticality)) ?? "none")
      case "takeOrWait":
        return this.door(
          at(this.cast, operation.waiter),
          () => this.gate.takeOrWait(at(this.waiters, operation.waiter))
        )
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

  private door({ criticality, holder }: Asking, ask: () => Door): PoolSpec.Result {
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

  observe(): PoolModel.Picture {
    const { gate } = this
    const [tx, channel, endpoint, rx] = gate.lent()
    const { created, creationsFailed, declined, handOffs, passedOn, takes, thrown } = gate
    return {
      limit: gate.limit,
      reserve: gate.reserve,
      capacity: gate.capacity,
      allocated: gate.allocated,
      used: gate.used,
      closed: gate.closed,
      favoured: gate.favoured === undefined ? undefined : at(classes, gate.favoured),
      lent: { tx, channel, endpoint, rx },
      leases: this.leases(),
      unused: this.areasThatAre("free").map((area) => this.areaNumber(area)).sort((a, b) => a - b),
      queues: { tx: this.queue(0), channel: this.queue(1), endpoint: this.queue(2), rx: this.queue(3) },
      waiters: this.waiters.map(({ criticality, grant, state }, waiter) => ({
        waiter,
        criticality,
        holder: at(this.cast, waiter).holder,
        state,
        grant: grant?.lentAt
      })),
      creationsFailed,
      handOffs: this.waiters.map(({ grantNumber, state }) => state === "granted" ? grantNumber : 0),
      pending: this.pending(),
      counters: { takes, handOffs, passedOn, declined, thrown, created, creationsFailed }
    }
  }

  private pending(): ReadonlyArray<number> {
    return [...this.numbers(this.gate["ready"]), ...this.numbers(this.gate["readyFibers"])]
  }

  private areasThatAre(state: Area["state"]): ReadonlyArray<Area> {
    return this.gate.areas.filter((area) => area.state === state)
  }

  private areaNumber(area: Area): number {
    return this.areaNumbers.get(area.bytes) ?? -1
  }

  private queue(level: number): ReadonlyArray<number> {
    return this.numbers(at(this.gate.queues, level))
  }

  private numbers(list: List<Waiter>): ReadonlyArray<number> {
    return toArray<Waiter>(list).map((waiter) => this.waiters.indexOf(waiter))
  }

  /** By the owners' knowledge, not the pool's: what holders hold, what waiters were granted, and what is on its way. */
  private leases(): ReadonlyArray<Laws.Lease> {
    const leases: Array<Laws.Lease> = []
    for (const [lease, { area, criticality, holder, isReleased }] of this.held) {
      leases.push(this.picture(lease, area, criticality, holder, isReleased ? "released" : "held"))
    }
    for (const [waiter, { grant }] of this.waiters.entries()) {
      if (grant === undefined) continue
      const { criticality, holder } = at(this.cast, waiter)
      leases.push(this.picture(grant.lentAt, grant, criticality, holder, "granted"))
    }
    return [...leases, ...this.arriving(leases)].sort((a, b) => a.lease - b.lease)
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

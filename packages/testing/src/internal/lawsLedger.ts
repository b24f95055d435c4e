/**
 * Who holds and who waits, as far as it passed through the public doors of a pool: with a snapshot, that is a `PoolState`.
 *
 * Numbers are the ledger's own: waiters as they were made, leases as they were first seen. What did not pass through a door
 * (a fiber's place in the queue, a buffer on its way to one) is in the snapshot alone, and is listed as a stranger's.
 */
import type { PoolSnapshot } from "headgate/BufferPool"
import type { ByteBuffer } from "headgate/ByteBuffer"
import type { Criticality } from "headgate/Criticality"
import type * as WaitQueue from "headgate/WaitQueue"
import type { Lease, PerClass, PoolState, Waiter } from "../Laws.ts"

const classes: ReadonlyArray<Criticality> = ["tx", "channel", "endpoint", "rx"]

const perClass = <A>(of: (criticality: Criticality) => A): PerClass<A> => ({
  tx: of("tx"),
  channel: of("channel"),
  endpoint: of("endpoint"),
  rx: of("rx")
})

/** A waiter made through the observed queue. It is the caller's, and the target of the pool's own waiter. */
export class ObservedWaiter implements WaitQueue.Waiter {
  readonly number: number
  readonly target: unknown
  readonly criticality: Criticality
  /** Whose deeds made it, if that is known. */
  readonly owner: string | undefined
  real: WaitQueue.Waiter | undefined = undefined
  /** The lease that a grant is, and which hand-off it was seen for. */
  lease = -1
  leaseOf = 0
  /** The last grant that it was told of and accepted. */
  accepted = 0
  /** It left, and has not come to the door since. */
  hasLeft = false
  /** Its owner has ended. */
  isDead = false

  constructor(number: number, { criticality, target }: WaitQueue.WaiterOptions, owner: string | undefined) {
    this.number = number
    this.target = target
    this.criticality = criticality
    this.owner = owner
  }
  get state(): WaitQueue.Waiter["state"] {
    return this.real?.state ?? "idle"
  }
  get grantNumber(): number {
    return this.real?.grantNumber ?? 0
  }
  toString(): string {
    return `${String(this.target)} at ${this.criticality}${this.owner === undefined ? "" : ` (${this.owner})`}`
  }
}

/** A buffer that somebody was handed. */
export interface Loan {
  readonly buffer: ByteBuffer
  readonly lease: number
  readonly criticality: Criticality
  readonly holder: unknown
  readonly owner: string | undefined
  /** The memory that it was lent with: what tells areas apart. */
  readonly memory: ArrayBuffer
  pins: number
}

/** Whoever is in the queue by the snapshot and made no waiter here. */
interface Stranger {
  readonly number: number
  readonly target: unknown
  readonly criticality: Criticality
  lease: number | undefined
}

const isLive = ({ length, room }: ByteBuffer): boolean => length + room > 0

export class Ledger {
  readonly waiters: Array<ObservedWaiter> = []
  private loans: ReadonlyArray<Loan> = []
  private readonly strangers = new Map<string, Stranger>()
  private readonly holders = new Map<unknown, number>()
  /** Leases that are out at each class and in nobody's hands that we know. */
  private readonly unknown = perClass((): Array<number> => [])
  private leases = 0
  private numbers = 0

  // ---- entries ----------------------------------------------------------------------------------------------------------

  waiter(options: WaitQueue.WaiterOptions, owner: string | undefined): ObservedWaiter {
    const waiter = new ObservedWaiter(this.numbers++, options, owner)
    this.waiters.push(waiter)
    return waiter
  }

  /** Somebody was handed a buffer. A granted waiter's is the lease that it was granted. */
  lend(
    buffer: ByteBuffer,
    who: { readonly criticality: Criticality; readonly holder: unknown; readonly owner: string | undefined },
    grant?: number
  ): void {
    const { criticality, holder, owner } = who
    const lease = grant ?? this.unknown[criticality].pop() ?? this.leases++
    this.loans = [...this.loans, {
      buffer,
      lease,
      criticality,
      holder,
      owner,
      memory: buffer.writeView().buffer,
      pins: 0
    }]
  }

  loan(buffer: ByteBuffer): Loan | undefined {
    return this.loans.find((loan) => loan.buffer === buffer)
  }

  /** What somebody has and has not given back. */
  held(by: (loan: Loan) => boolean): ReadonlyArray<Loan> {
    return this.loans.filter((loan) => isLive(loan.buffer) && by(loan))
  }

  /** Who a number is. */
  nameOf(waiter: number): string | undefined {
    const own = this.waiters.find(({ number }) => number === waiter)
    if (own !== undefined) return String(own)
    const stranger = [...this.strangers.values()].find(({ number }) => number === waiter)
    return stranger === undefined ? undefined : `${String(stranger.target)} at ${stranger.criticality}`
  }

  // ---- the picture ------------------------------------------------------------------------------------------------------

  picture(pool: PoolSnapshot): PoolState {
    this.loans = this.loans.filter(({ buffer, pins }) => isLive(buffer) || pins > 0)
    const waiters = [...this.own(), ...this.others(pool)]
    const known = [...this.lent(), ...granted(waiters)]
    const leases = [...known, ...this.unseen(pool, known)].sort((a, b) => a.lease - b.lease)
    return {
      limit: pool.limit,
      reserve: pool.reserve,
      capacity: pool.capacity,
      allocated: pool.allocated,
      used: pool.used,
      closed: pool.closed,
      favoured: pool.favoured,
      lent: perClass((criticality) => pool.classes[criticality].lent),
      leases,
      // Which areas these are is nobody's business outside.
      unused: Array.from({ length: Math.max(0, pool.allocated - leases.length) }, (_, at) => -1 - at),
      queues: perClass((criticality) =>
        pool.waiting.filter((one) => one.state === "queued" && one.criticality === criticality).map((one) =>
          this.numberOf(one)
        )
      ),
      waiters,
      creationsFailed: pool.counters.creationsFailed
    }
  }

  private own(): ReadonlyArray<Waiter> {
    const fresh = this.waiters.filter(({ grantNumber, leaseOf, state }) =>
      state === "granted" && leaseOf !== grantNumber
    )
    for (const waiter of fresh.sort((a, b) => a.grantNumber - b.grantNumber)) {
      waiter.leaseOf = waiter.grantNumber
      waiter.lease = this.leases++
    }
    return this.waiters.filter(({ isDead }) => !isDead).map(({ criticality, lease, number, state, target }) => ({
      waiter: number,
      criticality,
      holder: this.holder(target),
      state,
      grant: state === "granted" ? lease : undefined
    }))
  }

  private others({ waiting }: PoolSnapshot): ReadonlyArray<Waiter> {
    return waiting.filter(({ target }) => !(target instanceof ObservedWaiter)).map((one) => {
      const stranger = this.stranger(one)
      const { criticality, state, target } = one
      stranger.lease = state === "granted" ? stranger.lease ?? this.leases++ : undefined
      return { waiter: stranger.number, criticality, holder: this.holder(target), state, grant: stranger.lease }
    })
  }

  private stranger({ criticality, target }: WaitQueue.Waiting): Stranger {
    const key = `${String(target)} at ${criticality}`
    const known = this.strangers.get(key)
    if (known !== undefined) return known
    const stranger: Stranger = { number: this.numbers++, target, criticality, lease: undefined }
    this.strangers.set(key, stranger)
    return stranger
  }

  private numberOf(one: WaitQueue.Waiting): number {
    return one.target instanceof ObservedWaiter ? one.target.number : this.stranger(one).number
  }

  private holder(of: unknown): number {
    const known = this.holders.get(of) ?? this.holders.size
    this.holders.set(of, known)
    return known
  }

  private lent(): ReadonlyArray<Lease> {
    return this.loans.map(({ buffer, criticality, holder, lease, memory, pins }) => ({
      lease,
      // Those that share memory have the same area, and that is one owner too many.
      area: this.loans.find((other) => other.memory === memory)?.lease ?? lease,
      criticality,
      stage: isLive(buffer) ? "held" : "released",
      holder: this.holder(holder),
      pins
    }))
  }

  /** The pool has lent more at a class than we know of: it is on its way to a fiber, or was taken behind our back. */
  private unseen({ classes: lent }: PoolSnapshot, known: ReadonlyArray<Lease>): ReadonlyArray<Lease> {
    return classes.flatMap((criticality) => {
      const seen = known.filter((lease) => lease.criticality === criticality).length
      const numbers = this.unknown[criticality]
      const count = Math.max(0, lent[criticality].lent - seen)
      while (numbers.length < count) numbers.push(this.leases++)
      numbers.length = count
      return numbers.map((lease): Lease => ({
        lease,
        area: lease,
        criticality,
        stage: "arriving",
        holder: -1 - lease,
        pins: 0
      }))
    })
  }
}

const granted = (waiters: ReadonlyArray<Waiter>): ReadonlyArray<Lease> =>
  waiters.flatMap(({ criticality, grant, holder }) =>
    grant === undefined ? [] : [{ lease: grant, area: grant, criticality, stage: "granted", holder, pins: 0 }]
  )

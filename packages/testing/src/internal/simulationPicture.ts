/**
 * A pool's snapshot as the state that the laws judge, as far as it shows one: who holds what is not in it, so each lease is
 * a holder's of its own, and a grant is some lease of its class that nothing pins.
 */
import type { PoolSnapshot } from "headgate/BufferPool"
import type { Criticality, Lease, PerClass, PoolState, Waiter } from "../Laws.ts"

const perClass = <A>(of: (criticality: Criticality) => A): PerClass<A> => ({
  tx: of("tx"),
  channel: of("channel"),
  endpoint: of("endpoint"),
  rx: of("rx")
})

export const pictured = (pool: PoolSnapshot): PoolState => {
  const leases = pool.holders.map(({ criticality, pins }, lease): Lease => ({
    lease,
    area: lease,
    criticality,
    stage: "held",
    holder: -1 - lease,
    pins
  }))
  const waiters = pool.waiting.map(({ criticality, state }, waiter): Waiter => ({
    waiter,
    criticality,
    holder: waiter,
    state,
    grant: state === "granted" ? granted(leases, criticality) : undefined
  }))
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
    unused: Array.from({ length: Math.max(0, pool.allocated - leases.length) }, (_, at) => leases.length + at),
    queues: perClass((criticality) =>
      waiters.filter((one) => one.state === "queued" && one.criticality === criticality).map(({ waiter }) => waiter)
    ),
    waiters,
    creationsFailed: pool.counters.creationsFailed
  }
}

const granted = (leases: Array<Lease>, criticality: Criticality): number | undefined => {
  const at = leases.findIndex((one) => one.stage === "held" && one.pins === 0 && one.criticality === criticality)
  const lease = leases[at]
  if (lease === undefined) return undefined
  leases[at] = { ...lease, stage: "granted" }
  return at
}

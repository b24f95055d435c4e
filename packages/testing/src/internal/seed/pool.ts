/**
 * The seed's pool, as counters: how many buffers exist, how many are lent.
 *
 * Invariant: `used <= allocated`, and `allocated <= limit` when there is a limit. A buffer that comes back stays in the
 * pool (`used` falls, `allocated` does not), so memory is only ever given back to the system by `collect` and `flush`.
 */
import type { Draft } from "./draft.ts"
import type { PoolConfig, Side } from "./model.ts"

/** Buffers that must stay free behind a taker on this side. */
export const marginOf = (config: PoolConfig, side: Side): number => side === "req" ? config.reserved : 0

/** Whether a buffer can be had at this margin while no malloc fails: free ones count, and those that may still be made. */
export const mayTake = (pool: { readonly limit: number; readonly used: number }, margin: number): boolean =>
  pool.limit === 0 || pool.limit - pool.used > margin

/** The collector never leaves fewer free buffers than this. */
export const minavailOf = (reserved: number): number => Math.max(reserved, 3)

/** The pool after initialisation; `ok` is false if the limit did not let it make all the buffers it wants at first. */
export const initialCounters = (limit: number, reserved: number): {
  readonly ok: boolean
  readonly minavail: number
  readonly allocated: number
  readonly used: number
} => {
  const minavail = minavailOf(reserved)
  const ok = limit === 0 || limit >= minavail
  return { ok, minavail, allocated: ok ? minavail : limit, used: 0 }
}

export const getBuffer = (draft: Draft, margin: number): boolean => {
  if (draft.allocated - draft.used <= margin && !refill(draft, margin)) return false
  draft.used++
  return true
}

/** Makes buffers until one more than the margin is free. What it made stays, even if it fails half-way. */
const refill = (draft: Draft, margin: number): boolean => {
  const target = draft.used + margin
  let failures = 0
  while (draft.allocated <= target) {
    if (draft.limit > 0 && draft.allocated >= draft.limit) return false
    if (malloc(draft)) {
      draft.allocated++
    } else {
      draft.failed++
      if (++failures === 2) return false
      collect(draft)
    }
  }
  return true
}

const malloc = (draft: Draft): boolean => {
  if (draft.failing === 0) return true
  draft.failing--
  return false
}

export const collect = (draft: Draft): number => {
  const surplus = Math.max(0, draft.allocated - draft.used - draft.minavail)
  draft.allocated -= surplus
  return surplus
}

export const flush = (draft: Draft): number => {
  const free = draft.allocated - draft.used
  draft.allocated = draft.used
  return free
}

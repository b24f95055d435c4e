/**
 * How often Headgate's state was accessed, reads included, by everybody in this process: what an explorer of interleavings
 * asks to tell steps that may change places from those that may not. One number for core and face, because a step of a
 * fiber goes through both; a missed bump would be a schedule that nobody explores.
 */
const state = { accesses: 0 }

/** It goes round after 2^32: only that it changed means something. */
export const version = (): number => state.accesses

export const touch = (): void => {
  state.accesses = (state.accesses + 1) | 0
}

/**
 * How often Headgate's state was accessed, reads included, by everybody in this process: what an explorer of interleavings
 * asks to tell steps that may change places from those that may not. One number for core and face, because a step of a
 * fiber goes through both; a missed bump would be a schedule that nobody explores.
 */
export let version = 0

export const touch = (): void => {
  version++
}

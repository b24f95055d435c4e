/**
 * Whether memory grows. A soak has four quarters; the first is there to fill caches and to compile.
 *
 * Two looks, both behind a forced garbage collection:
 * - at rest, when the last connection is over: the same state each time, so the margin is small, and what a connection leaves
 *   behind for ever is seen;
 * - each minute, under load: what is alive then differs, so the margin is larger, and the last quarter's median counts against
 *   the most of the first quarter.
 *
 * The resident set is what the heap is not: buffers (which stay for reuse, and are taken off), chunks on their way, and what V8
 * and the C library keep of what they once had. Its margin is larger still, at any time: V8 commits some 70 MiB beyond what it
 * uses, whose pages become resident one after the other, as the first garbage comes to lie there.
 */
import { mib } from "../demo/table.ts"

export interface Memory {
  readonly heapBytes: number
  /** Without the pool's buffers. */
  readonly rssBytes: number
}

const MiB = 1024 ** 2

export const margins = {
  rest: { heapBytes: 2 * MiB, rssBytes: 96 * MiB },
  load: { heapBytes: 16 * MiB, rssBytes: 96 * MiB }
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

/** What has grown from the first of these looks to the last by more than the margin. None if there is no look to compare. */
export const grown = (
  when: keyof typeof margins,
  first: ReadonlyArray<Memory>,
  last: ReadonlyArray<Memory>
): ReadonlyArray<string> => {
  if (first.length === 0 || last.length === 0) return []
  return (["heapBytes", "rssBytes"] as const).flatMap((what) => {
    const before = Math.max(...first.map((one) => one[what]))
    const after = median(last.map((one) => one[what]))
    const margin = margins[when][what]
    const name = what === "heapBytes" ? "the heap" : "memory beside the buffers"
    if (after <= before + margin) return []
    const where = when === "rest" ? "at rest" : "under load"
    return [`${name} grew, ${where}, from ${mib(before)} to ${mib(after)}, by more than ${mib(margin)}`]
  })
}

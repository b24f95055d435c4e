/**
 * Part 2, what both relays have in common: peers that ask for much and never read, with healthy requests beside them.
 *
 * Invariant: both relays get the same load from the same clients and the same origin, and each figure of memory is the
 * relay process's own, said by itself four times a second.
 */
import * as Effect from "effect/Effect"
import { DemoFailed } from "./children.ts"
import { type Answers, neverReaders, requests } from "./clients.ts"
import type { Part, Sizes } from "./part.ts"
import { duration, mib } from "./table.ts"

const peerBytes = 10_000_000
const healthyBytes = 64
export const atOnce = 50
const healthySeconds = 25
const feltSeconds = 20
export const sampleMs = 250
export const capSeconds = 45

export const heading = ({ healthy, limit, peers }: Sizes): ReadonlyArray<string> => [
  `2. ${peers} peers that never read, ${healthy} healthy requests beside them, ${limit} buffers of 64 KiB`,
  `   Each peer asks for ${peerBytes / 1e6} MB and takes none of it. Whoever takes nothing for 0.5 s while`,
  "   others wait is reset: short, for this demo only; the default is --stall-timeout \"30 seconds\"."
]

/** Bytes of the relay process, `after` all clients are gone; and what it held for peers at most. */
export interface Memory {
  readonly before: number
  readonly peak: number
  readonly after: number
  readonly held: number
}

/** The peers come first and stay; once they are felt, the healthy ones come. */
export const load = (
  port: number,
  sizes: Sizes,
  felt: Effect.Effect<unknown>,
  onDone: (done: number) => void
): Effect.Effect<Answers, DemoFailed> =>
  Effect.scoped(Effect.gen(function*() {
    yield* neverReaders(port, sizes.peers, peerBytes)
    yield* Effect.timeoutOrElse(felt, {
      duration: `${feltSeconds} seconds`,
      orElse: () => new DemoFailed({ message: `the peers that never read were not felt within ${feltSeconds} s` })
    })
    const options = { port, what: "healthy request", timeoutSeconds: healthySeconds }
    return yield* requests({ ...options, count: sizes.healthy, bytes: healthyBytes, atOnce }, onDone)
  }))

export const complete = (sizes: Sizes, { lost }: Answers): string =>
  `${sizes.healthy - lost.length} of ${sizes.healthy}`

export const memoryFacts = ({ after, before, held, peak }: Memory): Part["facts"] => [
  [`${mib(before)}, ${mib(peak)}, ${mib(after)}`, "memory of the relay process: before, peak, after; beyond the"],
  ["", `${mib(held)} held it is Node's heap, and chunks to be collected`]
]

export const figures = (sizes: Sizes, answers: Answers, memory: Memory): Part["figures"] => [
  ["healthy requests complete", complete(sizes, answers)],
  ["slowest healthy answer", duration(answers.slowestMs)],
  ["held for peers, at most", mib(memory.held)],
  ["memory of the process: before", mib(memory.before)],
  ["  peak", mib(memory.peak)],
  ["  after", mib(memory.after)]
]

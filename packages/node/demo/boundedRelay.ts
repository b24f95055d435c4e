/**
 * Part 2 with Headgate: the peers that never read pin every buffer, until the stall policy lets go of them.
 *
 * Invariant: what was evicted, and why, is in the relay's own words and counters.
 */
import * as Effect from "effect/Effect"
import type { DemoFailed } from "./children.ts"
import type { Answers } from "./clients.ts"
import { atOnce, complete, figures, load, type Memory, memoryFacts, sampleMs } from "./neverReaders.ts"
import { few, meters, type Part, type Sizes } from "./part.ts"
import type { Screen } from "./progress.ts"
import { overdraftBytes, type RelayProcess } from "./relayProcess.ts"
import { look, type PageWatch, type Stats, watchPage } from "./statsPage.ts"
import { duration, kib, mib } from "./table.ts"

export const flags = ({ limit }: Sizes): ReadonlyArray<string> => [
  "--limit",
  String(limit),
  "--stall-timeout",
  "500ms",
  "--stall-grace",
  "250ms"
]

const evicted = ({ relay }: Stats): number => relay.ended["stalled"] ?? 0

/** What it held for peers: in buffers, and what arrived when there was none. */
const heldOf = ({ pool, relay }: Stats): number => pool.highWater * pool.bufferSize + relay.overdraftHighWaterBytes

export const boundedRelay = (screen: Screen, sizes: Sizes, relay: RelayProcess): Effect.Effect<Part, DemoFailed> =>
  Effect.gen(function*() {
    const before = (yield* look(relay.statsPort)).server.rssBytes
    let peak = before
    let done = 0
    const work = Effect.gen(function*() {
      const page = yield* watchPage(relay.statsPort, sampleMs)
      page.on((stats) => {
        peak = Math.max(peak, stats.server.rssBytes)
        screen.draw([
          ...meters(stats, "healthy", done, sizes.healthy),
          { label: "evicted", text: String(evicted(stats)) }
        ])
      })
      const felt = page.until(({ pool }) => pool.classes.channel.waiting > 0)
      return { page, answers: yield* load(relay.port, sizes, felt, (count) => done = count) }
    })
    const { answers, page } = yield* Effect.scoped(work)
    const { last, lost: left } = yield* relay.stop(sizes.peers + atOnce)
    const lost = [...few(answers.lost), ...few(page.unanswered), ...left]
    if (last === undefined) return { facts: [], figures: [], lost }
    const after = last.server.rssBytes
    const memory = { before, peak: Math.max(peak, after), after, held: heldOf(last) }
    return {
      facts: facts(sizes, relay, { answers, memory, page, last }),
      figures: [
        ...figures(sizes, answers, memory),
        ["peers evicted", `${evicted(last)} of ${sizes.peers}`],
        ["buffers lent at most", `${last.pool.highWater} of ${last.pool.limit}`]
      ],
      lost
    }
  })

interface Found {
  readonly answers: Answers
  readonly memory: Memory
  readonly page: PageWatch
  readonly last: Stats
}

const facts = (sizes: Sizes, { evictions }: RelayProcess, { answers, last, memory, page }: Found): Part["facts"] => [
  [
    `${complete(sizes, answers)} healthy complete`,
    `each answer compared; slowest ${duration(answers.slowestMs)}: at first the peers`
  ],
  ["", "hold all buffers, and those of them that wait are ahead in line"],
  [`${evicted(last)} of ${sizes.peers} peers evicted`, `in ${evictions.length} rounds; why, in the relay's own words:`],
  ...(evictions[0] ?? "nobody was evicted").split(", ").map((words): Part["facts"][number] => ["", `  ${words}`]),
  [`${sizes.peers - evicted(last)} of them left alone`, "they do not read either, but nobody waited any more"],
  [
    `${last.pool.highWater} of ${last.pool.limit} buffers lent at most`,
    mib(last.pool.highWater * last.pool.bufferSize)
  ],
  [
    `${mib(last.relay.overdraftHighWaterBytes)} beside them at most`,
    "had arrived when no buffer was to be had; the bound is"
  ],
  ["", `${kib(overdraftBytes)} for each connection and direction`],
  ...memoryFacts(memory),
  [
    `status page: ${duration(page.slowestMs)} at most`,
    `${page.answered} answers; at this size one buffer is always left for it`
  ]
]

/**
 * Part 1: many downloads at once through three buffers, and the status page all the while.
 *
 * Invariant: all downloads are asked for at once, and the page is looked at from before the first to after the last. So its
 * slowest answer is what an operator would have waited at the worst moment.
 */
import * as Effect from "effect/Effect"
import { requests } from "./clients.ts"
import { few, meters, type Part, type Sizes } from "./part.ts"
import type { Screen } from "./progress.ts"
import type { RelayProcess } from "./relayProcess.ts"
import { boundSeconds, type Stats, watchPage } from "./statsPage.ts"
import { duration, kib } from "./table.ts"

const downloadBytes = 64 * 1024
export const capSeconds = 30

export const flags: ReadonlyArray<string> = ["--limit", "3", "--reserve", "1", "--buffer-size", "16 KiB"]

export const heading = (sizes: Sizes): string =>
  `1. ${sizes.downloads} downloads of ${kib(downloadBytes)} at once, through 3 buffers of 16 KiB, 1 of them in reserve`

export const downloads = (screen: Screen, sizes: Sizes, relay: RelayProcess) =>
  Effect.gen(function*() {
    let done = 0
    const work = Effect.scoped(Effect.gen(function*() {
      const page = yield* watchPage(relay.statsPort, 10)
      page.on((stats) => screen.draw(meters(stats, "done", done, sizes.downloads)))
      yield* page.until(() => true)
      const options = { port: relay.port, what: "download", timeoutSeconds: capSeconds - 5 }
      const answers = yield* requests(
        { ...options, count: sizes.downloads, atOnce: sizes.downloads, bytes: downloadBytes },
        (count) => done = count
      )
      yield* page.until(() => true)
      return { page, answers }
    }))
    const { answers, page } = yield* work
    const { last, lost } = yield* relay.stop(sizes.downloads)
    const equal = `${sizes.downloads - answers.lost.length} of ${sizes.downloads}`
    const result: Part = {
      facts: [
        [
          `${equal} byte-equal`,
          `each SHA-256 compared with the origin's bytes; ${duration(answers.tookMs)} for all`
        ],
        ...(last === undefined ? [] : buffersOf(last, page.mostWaiting)),
        [
          `status page: ${duration(page.slowestMs)} at most`,
          `${page.answered} answers, bound ${boundSeconds} s. With 3 buffers it has none of its own:`
        ],
        ["", "it is first in line, and gets the next one that is given back"]
      ],
      figures: [["downloads byte-equal", equal], ["status page, slowest answer", duration(page.slowestMs)]],
      lost: [...few(answers.lost), ...few(page.unanswered), ...lost]
    }
    return result
  })

const buffersOf = ({ pool, relay }: Stats, mostWaiting: number): Part["facts"] => [
  [
    `${pool.highWater} of ${pool.limit} buffers lent at most`,
    pool.counters.handOffs === 0
      ? "nobody had to wait: the system took each write at once,"
      : `up to ${mostWaiting} waited at a look; ${pool.counters.handOffs} buffers, given back,`
  ],
  ["", pool.counters.handOffs === 0 ? "so each buffer came straight back" : "were the next one's in the same step"],
  [`${kib(relay.overdraftHighWaterBytes)} beside them at most`, "the rest of a chunk that was larger than its buffer"]
]

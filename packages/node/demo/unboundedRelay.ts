/**
 * Part 2 with `socket.pipe`: the same load through the relay that has no bound on all its connections together.
 *
 * Invariant: as in `pipeRelay.ts`, which this starts and watches: nothing but the budget differs.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Children from "./children.ts"
import { complete, figures, load, memoryFacts } from "./neverReaders.ts"
import { few, type Part, type Sizes } from "./part.ts"
import type { Screen } from "./progress.ts"
import { duration, kib, mib } from "./table.ts"
import { Watch } from "./watch.ts"

const script = new URL("./pipeRelay.ts", import.meta.url)

const Sample = Schema.Struct({
  rssBytes: Schema.Number,
  heldBytes: Schema.Number,
  connections: Schema.Number,
  stuck: Schema.Number
})

const readSample = Schema.decodeUnknownOption(Schema.fromJsonString(Sample))

export interface PipeRelay {
  readonly child: Children.Child
  readonly port: number
  readonly samples: Watch<typeof Sample.Type>
}

export const start = (origin: number): Effect.Effect<PipeRelay, Children.DemoFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const child = yield* Children.start("the socket.pipe relay", script, [String(origin)])
    const samples = new Watch<typeof Sample.Type>()
    child.onLine((line) => Option.map(readSample(line), (sample) => samples.note(sample)))
    return { child, port: yield* Children.portOf(child), samples }
  })

export const unboundedRelay = (
  screen: Screen,
  sizes: Sizes,
  { port, samples }: PipeRelay
): Effect.Effect<Part, Children.DemoFailed> =>
  Effect.gen(function*() {
    const { rssBytes: before } = yield* samples.until(() => true)
    let peak = before
    let held = 0
    let done = 0
    let stuckAtEnd = 0
    samples.on(({ heldBytes, rssBytes, stuck }) => {
      peak = Math.max(peak, rssBytes)
      held = Math.max(held, heldBytes)
      screen.draw([
        { label: "held", text: mib(heldBytes) },
        { label: "stuck", value: stuck, of: sizes.peers },
        { label: "healthy", value: done, of: sizes.healthy }
      ])
    })
    const felt = samples.until(({ stuck }) => stuck >= sizes.peers)
    const answers = yield* load(port, sizes, felt, (count) => {
      done = count
      stuckAtEnd = samples.latest?.stuck ?? 0
    })
    const last = yield* samples.until(({ connections }) => connections === 0)
    const memory = { before, peak: Math.max(peak, last.rssBytes), after: last.rssBytes, held }
    return {
      facts: [
        [
          `${complete(sizes, answers)} healthy complete`,
          `each answer compared; slowest ${duration(answers.slowestMs)}: nobody waits for anybody`
        ],
        [`${stuckAtEnd} of ${sizes.peers} peers hold on`, "nobody resets them: what they hold, they hold for ever"],
        [
          `${mib(held)} held for peers at most`,
          `${kib(held / sizes.peers)} for each that does not read, however many there are`
        ],
        ...memoryFacts(memory)
      ],
      figures: [
        ...figures(sizes, answers, memory),
        ["peers evicted", `${sizes.peers - stuckAtEnd} of ${sizes.peers}`],
        ["buffers lent at most", "no bound"]
      ],
      lost: few(answers.lost)
    }
  })

/**
 * What the parts of the demo have in common: what they are given, what they find out, and how long they may take.
 *
 * Invariant: a part that fails or takes too long is a part that lost something, and says so in one line.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { DemoFailed } from "./children.ts"
import type { Meter, Screen } from "./progress.ts"
import type { Stats } from "./statsPage.ts"
import { columns } from "./table.ts"

/** How much of everything; at full size it is what the headings say. */
export interface Sizes {
  readonly downloads: number
  readonly limit: number
  readonly peers: number
  readonly healthy: number
}

export const sizesOf = (scale: number): Sizes => ({
  downloads: Math.ceil(120 * scale),
  limit: Math.max(8, Math.round(64 * scale)),
  peers: Math.max(12, Math.round(300 * scale)),
  healthy: Math.ceil(2000 * scale)
})

/** What a part found out. */
export interface Part {
  /** A figure, and what it means. */
  readonly facts: ReadonlyArray<readonly [figure: string, words: string]>
  /** For the table at the end. */
  readonly figures: ReadonlyArray<readonly [what: string, figure: string]>
  /** A line for everything that was lost. */
  readonly lost: ReadonlyArray<string>
}

/** No more than so many lines about losses of one kind. */
const mostLines = 5

export const few = (lost: ReadonlyArray<string>): ReadonlyArray<string> =>
  lost.length <= mostLines ? lost : [...lost.slice(0, mostLines), `and ${lost.length - mostLines} more like these`]

/** Runs a part in a scope of its own, and shows what it found. */
export const perform = (
  screen: Screen,
  name: string,
  capSeconds: number,
  part: Effect.Effect<Part, DemoFailed, Scope.Scope>
): Effect.Effect<Part> =>
  Effect.scoped(part).pipe(
    Effect.timeoutOrElse({
      duration: `${capSeconds} seconds`,
      orElse: () => new DemoFailed({ message: `was stopped, because it took more than ${capSeconds} s` })
    }),
    Effect.catchTag("DemoFailed", ({ message }) =>
      Effect.succeed<Part>({ facts: [], figures: [], lost: [`${name}: ${message}`] })),
    Effect.tap((result) =>
      Effect.sync(() => show(screen, result))
    )
  )

const show = (screen: Screen, { facts, lost }: Part): void => {
  for (const line of columns(facts, "  ")) screen.line(`   ${line}`)
  for (const line of lost) screen.line(`   LOST ${line}`)
  screen.line()
}

/** The relay's buffers and who waits for them, and how much of the work is done. */
export const meters = (stats: Stats, what: string, done: number, total: number): ReadonlyArray<Meter> => {
  const classes = Object.entries(stats.pool.classes).map(([name, { waiting }]) => `${name} ${waiting}`)
  return [
    { label: "buffers", value: stats.pool.used, of: stats.pool.limit },
    { label: "waiting", text: classes.join(" ") },
    { label: what, value: done, of: total }
  ]
}

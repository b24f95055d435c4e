/**
 * The whole demo: one tree of processes, three parts, a table.
 *
 * Invariant: every child lives in this program's scope, each part has a cap, and the program fails if anything was lost: a
 * figure is either measured in this very run, or missing and said to be lost.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { boundedRelay, flags as boundedFlags } from "./boundedRelay.ts"
import * as Children from "./children.ts"
import * as Downloads from "./downloads.ts"
import * as NeverReaders from "./neverReaders.ts"
import { type Part, perform, type Sizes, sizesOf } from "./part.ts"
import { type Screen, screen } from "./progress.ts"
import * as RelayProcess from "./relayProcess.ts"
import * as SeedBug from "./seedBug.ts"
import { columns, type Row, sideBySide, table } from "./table.ts"
import * as Unbounded from "./unboundedRelay.ts"

export interface DemoOptions {
  /** 1 is the full size; less shrinks everything but the downloads' three buffers, for tests and slow machines. */
  readonly scale?: number | undefined
  /** The script that is started as `headgate`. Default: the real one. */
  readonly relay?: URL | undefined
}

/** Something was lost; it has been told. The exit code is 1. */
export class Lost extends Data.TaggedError("Lost")<{ readonly lost: ReadonlyArray<string> }> {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

interface Cast {
  readonly small: RelayProcess.RelayProcess
  readonly large: RelayProcess.RelayProcess
  readonly pipe: Unbounded.PipeRelay
}

const startSeconds = 60

/** All processes at once: starting is most of what they cost. */
const startAll = (
  screen: Screen,
  sizes: Sizes,
  script: URL
): Effect.Effect<Cast, Children.DemoFailed, Scope.Scope> =>
  Effect.gen(function*() {
    screen.draw([{ label: "starting", text: "the origin, two relays and a socket.pipe relay" }])
    const origin = yield* Children.start("origin", new URL("./origin.ts", import.meta.url))
    const target = yield* Children.portOf(origin)
    const cast = yield* Effect.all({
      small: RelayProcess.start(script, "the relay with 3 buffers", target, Downloads.flags),
      large: RelayProcess.start(script, `the relay with ${sizes.limit} buffers`, target, boundedFlags(sizes)),
      pipe: Unbounded.start(target)
    }, { concurrency: "unbounded" })
    for (const line of columns(tree(origin, target, cast), "  ")) screen.line(line)
    screen.line()
    return cast
  }).pipe(Effect.timeoutOrElse({
    duration: `${startSeconds} seconds`,
    orElse: () => new Children.DemoFailed({ message: `the processes were not up within ${startSeconds} s` })
  }))

/** Who takes part, with the children's ids and ports. */
const tree = (origin: Children.Child, target: number, { large, pipe, small }: Cast): ReadonlyArray<Row> => {
  const row = (name: string, { pid }: Children.Child, port: number, words: string): Row => [
    `   ${name}`,
    `pid ${pid}`,
    `:${port}`,
    words
  ]
  return [
    row("origin", origin, target, "makes the bytes that clients ask for"),
    row("relay 1", small.child, small.port, small.command),
    row("relay 2", large.child, large.port, large.command),
    row("pipe", pipe.child, pipe.port, "socket.pipe, twice per connection"),
    ["   clients", `pid ${process.pid}`, "", "this process"]
  ]
}

const playAll = (screen: Screen, sizes: Sizes, { large, pipe, small }: Cast): Effect.Effect<ReadonlyArray<Part>> =>
  Effect.gen(function*() {
    const title = (...lines: ReadonlyArray<string>): void => lines.forEach((line) => screen.line(line))
    title(Downloads.heading(sizes), `   Look for yourself while it runs: http://127.0.0.1:${small.statsPort}/`)
    const downloads = yield* perform(screen, "part 1", Downloads.capSeconds, Downloads.downloads(screen, sizes, small))
    title(...NeverReaders.heading(sizes), `   Look for yourself while it runs: http://127.0.0.1:${large.statsPort}/`)
    const bounded = boundedRelay(screen, sizes, large)
    const headgate = yield* perform(screen, "part 2", NeverReaders.capSeconds, bounded)
    title("   The same load through socket.pipe:")
    const unbounded = Unbounded.unboundedRelay(screen, sizes, pipe)
    const piped = yield* perform(screen, "part 2, socket.pipe", NeverReaders.capSeconds, unbounded)
    title("3. The seed's bug: three streams hold all buffers, the applet 4 of stream 3 must wait for one", "")
    const seedBug = yield* perform(screen, "part 3", SeedBug.capSeconds, SeedBug.seedBug((line) => screen.line(line)))
    return [downloads, headgate, seedBug, piped]
  })

const conclude = (screen: Screen, parts: ReadonlyArray<Part>, seconds: number): Effect.Effect<void, Lost> => {
  const lost = parts.flatMap(({ lost }) => lost)
  const figures = parts.map(({ figures }) => figures)
  const rows = sideBySide(figures.slice(0, -1).flat(), figures.slice(-1).flat())
  for (const line of table(["measured just now", "headgate", "socket.pipe"], rows)) screen.line(line)
  screen.line()
  if (lost.length > 0) {
    screen.line(`LOST, after ${seconds.toFixed(0)} s:`)
    for (const line of lost) screen.line(`   ${line}`)
    return Effect.fail(new Lost({ lost }))
  }
  screen.line(
    `Nothing was lost and all buffers are back, after ${seconds.toFixed(0)} s. Next, put a relay before a service of`
  )
  screen.line("your own, here on port 3000, and look at http://127.0.0.1:8081/ while it works:")
  screen.line()
  screen.line(
    "   npx --yes pnpm@12 headgate relay --listen 127.0.0.1:8080 --target :3000 --stats 127.0.0.1:8081"
  )
  return Effect.void
}

/** Runs it and shows it; fails with `Lost` if anything was. */
export const demo = (options: DemoOptions = {}): Effect.Effect<void, Lost> =>
  Effect.gen(function*() {
    const startedAt = performance.now()
    const shown = screen(process.stdout)
    const scale = options.scale ?? 1
    const sizes = sizesOf(scale)
    shown.line("Headgate, a relay in a fixed number of buffers: an origin, relays and clients, on free ports.")
    if (scale !== 1) shown.line(`All sizes are scaled by ${scale} (HEADGATE_START_SCALE).`)
    shown.line()
    const cast = yield* Effect.result(startAll(shown, sizes, options.relay ?? RelayProcess.relayScript))
    const parts = cast._tag === "Success"
      ? yield* playAll(shown, sizes, cast.success)
      : [{ facts: [], figures: [], lost: [cast.failure.message] }]
    yield* conclude(shown, parts, (performance.now() - startedAt) / 1000)
  }).pipe(Effect.scoped)

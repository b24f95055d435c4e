/**
 * Part 3: the bug that HAProxy mended with the commit this library grew from, on one screen.
 *
 * Three streams hold all buffers; an applet has data for a fourth stream and must wait. Who is woken when a buffer comes back?
 *
 * Invariant: nothing is told, everything is run: two revisions of the seed's machine (`@headgate/testing`), and the library
 * itself, by hand, one step after the other. The steps are the same in all three, so they stand side by side.
 */
import { SeedScenarios } from "@headgate/testing"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Applet, BufferPool, ByteChannel, ByteStream, Headgate, Stepper, WaitQueue } from "headgate"
import type { Part } from "./part.ts"
import { columns } from "./table.ts"

export const capSeconds = 10

/** What happened, step by step; and who is asleep at the end beside a buffer that is free. */
export interface Story {
  readonly steps: ReadonlyArray<ReadonlyArray<string>>
  readonly asleep: ReadonlyArray<string>
}

const end = (free: number, asleep: ReadonlyArray<string>): string =>
  asleep.length === 0 ? `end: ${free} free, nobody waits` : `end: ${free} free, ${asleep.join(", ")} SLEEPS`

const textOf = (event: SeedScenarios.Event): string => {
  switch (event.event) {
    case "takes":
      return `${event.who} takes a buffer`
    case "is refused":
      return `${event.who} finds none`
    case "waits in the queue":
      return `${event.who} is queued`
    case "gives back":
      return `${event.who} gives back: ${event.free} free`
    case "runs":
      return `${event.who} runs${event.withBuffer ? "" : " without"}`
    case "puts":
      return `${event.who} puts ${event.bytes} bytes`
    case "end":
      return end(event.free, event.asleep)
    default:
      return `${event.who} ${event.event}`
  }
}

/** With each of these a new step begins; all takes are the first one. */
const begins = new Set<SeedScenarios.Event["event"]>(["has data", "gives back", "end"])

export const seedStory = (revision: "parent" | "seed"): Story => {
  const steps: Array<Array<string>> = [[]]
  let asleep: ReadonlyArray<string> = []
  for (const event of SeedScenarios.tellBug(revision)) {
    if (begins.has(event.event)) steps.push([])
    steps.at(-1)?.push(textOf(event))
    if (event.event === "end") asleep = event.asleep
  }
  return { steps, asleep }
}

const bytes = 8

const holder = (at: number, say: (line: string) => void) =>
  ByteStream.make({
    name: `stream ${at}`,
    process: (self) =>
      Effect.map(ByteChannel.alloc(self.response), (buffer) => {
        buffer.write(new Uint8Array(bytes))
        say(`stream ${at} takes a buffer`)
      })
  })

/** The stream 3 and the applet 4 that fills its response. */
const waiter = (
  say: (line: string) => void
): Effect.Effect<ByteStream.ByteStream, never, Headgate.Services | Scope.Scope> =>
  Effect.gen(function*() {
    const stream = yield* ByteStream.make({
      name: "stream 3",
      fillers: { response: "applet" },
      process: () => Effect.void
    })
    yield* Applet.make({
      name: "applet 4",
      channel: stream.response,
      run: Option.match({
        onNone: () => Effect.sync(() => say("applet 4 runs without")),
        onSome: (buffer) =>
          Effect.sync(() => {
            say("applet 4 runs")
            buffer.write(new Uint8Array(bytes))
            say(`applet 4 puts ${buffer.length} bytes`)
          })
      })
    })
    return stream
  })

/** The library in the same situation: who waits is seen after each step, and nothing runs but what `Stepper` starts. */
export const libraryStory: Effect.Effect<Story> = Effect.gen(function*() {
  const queue = yield* WaitQueue
  const steps: Array<Array<string>> = [[]]
  const say = (line: string): void => void steps.at(-1)?.push(line)
  const holders = yield* Effect.forEach([0, 1, 2], (at) => holder(at, say))
  yield* Stepper.runTasks
  steps.push(["applet 4 has data"])
  const host = yield* waiter(say)
  yield* Stepper.settle
  for (const { state, target } of yield* queue.waiting) say(`${target} is ${state}`)
  for (const { name, stream } of holders.map((stream, at) => ({ name: `stream ${at}`, stream }))) {
    steps.push([])
    yield* ByteChannel.takeBytes(stream.response)
    say(`${name} gives back: ${(yield* BufferPool.snapshot).free} free`)
    for (const { target } of (yield* queue.waiting).filter(({ state }) => state === "granted")) {
      say(`${target} owns it already`)
    }
    yield* Stepper.settle
  }
  const { free } = yield* BufferPool.snapshot
  const asleep = (yield* queue.waiting).map(({ target }) => String(target))
  const unfilled = host.response.buffer?.length === bytes ? [] : ["applet 4"]
  steps.push([end(free, [...new Set([...asleep, ...unfilled])])])
  return { steps, asleep: [...new Set([...asleep, ...unfilled])] }
}).pipe(Effect.scoped, Effect.provide(Headgate.layerManual({ name: "seed's bug", limit: 3, reserve: 1 })), Effect.orDie)

/** The same step on the same line in each column. */
export const sideBySide = (stories: ReadonlyArray<Story>): ReadonlyArray<string> => {
  const count = Math.max(...stories.map(({ steps }) => steps.length))
  const heads = ["the parent's machine", "the seed's machine", "Headgate"]
  const rows = Array.from({ length: count }, (_, at) => {
    const height = Math.max(...stories.map(({ steps }) => steps[at]?.length ?? 0))
    return Array.from({ length: height }, (_, line) => stories.map(({ steps }) => steps[at]?.[line] ?? ""))
  })
  const lines = columns([heads, ...rows.flat()], "  ")
  const width = Math.max(...lines.map((line) => line.length))
  return [...lines.slice(0, 1), "-".repeat(width), ...lines.slice(1)].map((line) => `   ${line}`.trimEnd())
}

const sleeps = ({ asleep }: Story): boolean => asleep.includes("applet 4")

export const seedBug = (print: (line: string) => void): Effect.Effect<Part> =>
  Effect.gen(function*() {
    const [parent, seed, headgate] = [seedStory("parent"), seedStory("seed"), yield* libraryStory]
    for (const line of sideBySide([parent, seed, headgate])) print(line)
    print("")
    const lost = [
      ...(sleeps(parent) ? [] : ["the parent's machine did not show the bug"]),
      ...(sleeps(seed) ? ["the seed's machine left the applet asleep"] : []),
      ...(sleeps(headgate) ? ["Headgate left the applet asleep"] : [])
    ]
    return {
      facts: [
        ["parent", "its stream is woken instead, and it sleeps beside free buffers"],
        ["seed", "who waits is woken, and must then find the buffer still there"],
        ["Headgate", "the buffer is the applet's in the step in which it is given back"]
      ],
      figures: [["the waiting applet, in the seed's bug", sleeps(headgate) ? "sleeps" : "served"]],
      lost
    }
  })

/** The demo from outside, as whoever types `pnpm start` has it: what it prints, how it exits, and what it leaves behind. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import * as ChildProcess from "node:child_process"
import { fileURLToPath } from "node:url"
import { type Output, screen } from "../../demo/progress.ts"
import * as RelayProcess from "../../demo/relayProcess.ts"
import { libraryStory, seedStory } from "../../demo/seedBug.ts"
import { event, until } from "../support.ts"

const start = fileURLToPath(new URL("../../demo/start.ts", import.meta.url))
const oneChild = fileURLToPath(new URL("./oneChild.ts", import.meta.url))
const brokenStart = fileURLToPath(new URL("./brokenStart.ts", import.meta.url))

/** Each takes about ten seconds; a machine that does much else at the same time may need longer. */
const patience = 180_000

interface Started {
  readonly child: ChildProcess.ChildProcess
  /** What it has printed so far. */
  readonly output: () => string
}

const started = (script: string, scale: string): Effect.Effect<Started, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const env = { ...process.env, HEADGATE_START_SCALE: scale }
      const child = ChildProcess.spawn(process.execPath, [script], { env, stdio: ["ignore", "pipe", "pipe"] })
      let text = ""
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => text += String(piece))
      return { child, output: () => text }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Its exit code (or signal) and all that it printed. */
const ended = ({ child, output }: Started) =>
  Effect.map(event(child, "close"), () => ({ code: child.exitCode ?? child.signalCode, text: output() }))

const pidsIn = (text: string): ReadonlyArray<number> => [...text.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid))

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe.concurrent("start", () => {
  it.live("measures everything it promises, loses nothing, and leaves nothing behind", () =>
    Effect.gen(function*() {
      const { code, text } = yield* ended(yield* started(start, "0.05"))
      assert.strictEqual(code, 0, text)
      assert.match(text, /6 of 6 byte-equal/)
      assert.match(text, /\d of 3 buffers lent at most/)
      assert.match(text, /status page: \d.* at most/)
      assert.match(text, /default is --stall-timeout "30 seconds"/)
      assert.strictEqual(text.match(/100 of 100 healthy complete/g)?.length, 2)
      assert.match(text, /[1-9]\d* of 15 peers evicted/)
      assert.match(text, /reset \d+ connections whose peers took nothing for 500 ms/)
      assert.strictEqual(text.match(/MiB, .*MiB, .*MiB +memory of the relay process: before, peak, after/g)?.length, 2)
      assert.match(text, /3 free, applet 4 SLEEPS .*2 free, nobody waits .*2 free, nobody waits/)
      assert.match(text, /Nothing was lost and all buffers are back/)
      assert.match(text, /npx --yes pnpm@12 headgate relay .*\n$/)
      assert.notInclude(text, "\x1b")
      assert.deepStrictEqual(text.split("\n").filter((line) => line.length > 100), [])
      assert.deepStrictEqual(pidsIn(text).filter(isAlive), [])
    }), patience)

  it.live("says what a broken relay lost, and exits with 1", () =>
    Effect.gen(function*() {
      const { code, text } = yield* ended(yield* started(brokenStart, "1"))
      assert.strictEqual(code, 1, text)
      assert.match(text, /LOST download \d: not byte-equal, 65536 of 65536 bytes came/)
      assert.match(text, /LOST download \d: cut short, 65535 of 65536 bytes came/)
      assert.match(text, /4 of 6 byte-equal/)
      assert.notInclude(text, "Nothing was lost")
    }), patience)

  it.live("knows no other sizes", () =>
    Effect.gen(function*() {
      const { code, text } = yield* ended(yield* started(start, "huge"))
      assert.strictEqual(code, 64)
      assert.match(text, /^HEADGATE_START_SCALE must be/)
    }))
})

/** A program that has a child, and that child's id. */
const withChild = Effect.gen(function*() {
  const parent = yield* started(oneChild, "1")
  yield* until(() => pidsIn(parent.output()).length > 0)
  const pids = pidsIn(parent.output())
  assert.isTrue(pids.every(isAlive))
  return { parent, pids }
})

describe.concurrent("children", () => {
  it.live("are gone when their program has ended at Ctrl-C", () =>
    Effect.gen(function*() {
      const { parent, pids } = yield* withChild
      const end = yield* Effect.forkChild(ended(parent), { startImmediately: true })
      parent.child.kill("SIGINT")
      assert.strictEqual((yield* Fiber.join(end)).code, 130)
      assert.deepStrictEqual(pids.filter(isAlive), [])
    }))

  it.live("end by themselves when their program is killed outright", () =>
    Effect.gen(function*() {
      const { parent, pids } = yield* withChild
      parent.child.kill("SIGKILL")
      yield* until(() => !pids.some(isAlive))
    }))
})

describe("a relay that is stopped", () => {
  it.live("is lost, in words, if it keeps anything or holds more than it may", () =>
    Effect.gen(function*() {
      const script = new URL("./leakyRelay.ts", import.meta.url)
      const relay = yield* RelayProcess.start(script, "it", 1, ["--limit", "3"])
      assert.strictEqual(relay.command, "headgate relay --limit 3")
      const { lost } = yield* relay.stop(2)
      assert.deepStrictEqual(lost, [
        "it: 1 buffers are not back though all clients are gone",
        "it: 2 still wait for a buffer though all clients are gone",
        "it: 1 connections are still open though all clients are gone",
        "it: lent 4 of 3 buffers",
        "it: held 524289 bytes beside its buffers, more than 524288",
        "it: did not stop in order (3)"
      ])
    }), patience)
})

describe("the seed's bug", () => {
  it.effect("is in the parent, and neither in the seed nor in the library", () =>
    Effect.gen(function*() {
      const headgate = yield* libraryStory
      assert.deepStrictEqual([seedStory("parent"), seedStory("seed"), headgate].map(({ asleep }) => asleep), [
        ["applet 4"],
        [],
        []
      ])
      assert.deepStrictEqual(headgate.steps[2], [
        "stream 0 gives back: 0 free",
        "applet 4 owns it already",
        "applet 4 runs",
        "applet 4 puts 8 bytes"
      ])
    }))
})

/** What an output was given. */
class Recorded implements Output {
  text = ""
  readonly isTTY: boolean
  readonly columns = 40
  constructor(isTTY: boolean) {
    this.isTTY = isTTY
  }
  write(text: string): void {
    this.text += text
  }
}

describe("progress", () => {
  const meters = [{ label: "buffers", value: 2, of: 4 }, { label: "waiting", text: "x".repeat(100) }]

  it("is redrawn in place on a terminal, each meter on one line of it", () => {
    const output = new Recorded(true)
    const shown = screen(output)
    shown.draw(meters)
    assert.deepStrictEqual(output.text.split("\n").map((line) => line.length), [39, 39, 0])
    output.text = ""
    shown.draw(meters)
    assert.isTrue(output.text.startsWith("\x1b[2A\r\x1b[J   buffers  [###############........"))
    output.text = ""
    shown.line("done")
    assert.strictEqual(output.text, "\x1b[2A\r\x1b[Jdone\n")
  })

  it("is at most one plain line a second elsewhere", () => {
    const output = new Recorded(false)
    const shown = screen(output)
    for (let i = 0; i < 10; i++) shown.draw(meters)
    assert.strictEqual(output.text, `   ... buffers 2/4, waiting ${"x".repeat(100)}\n`)
  })
})

/**
 * Whether a landing does on this machine what it must: tried out on pairs of real sockets over loopback, before any connection
 * is entrusted to it.
 *
 * Invariant: every answer is bounded. A check waits for turns of the event loop, all checks together have a limit of time, and
 * whatever goes wrong in them is a reason not to use the landing, never an error of the program.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import type { Land, Landing } from "./readinessLanding.ts"

const limitMs = 2000

/** What is told once may be told wrongly a little later. */
const quietTurns = 4

/** One pair of sockets, and what was told of ours. */
class Trial {
  readonly other: Net.Socket
  readonly ours: Net.Socket
  readonly landing: Landing
  told = 0
  hasEnded = false
  isGone = false
  text = ""
  private readonly area = Buffer.alloc(8)

  constructor(other: Net.Socket, ours: Net.Socket, land: Land) {
    this.other = other
    this.ours = ours
    ours.on("end", () => this.hasEnded = true).on("close", () => this.isGone = true)
    const landing = land(ours, { readable: () => this.told++ })
    if (landing === undefined) throw new Error("this Node has no such sockets")
    this.landing = landing
  }

  /** One read of at most so many bytes, up to 8. */
  read(most = this.area.length): number {
    const count = this.landing.read(this.area.subarray(0, most))
    this.text += this.area.toString("latin1", 0, count)
    return count
  }

  /** From now on as a relay does: whatever is told is read, until it is over. */
  readonly readToTheEnd: Effect.Effect<void> = Effect.suspend(() => {
    const seen = this.told
    this.landing.start()
    return Effect.andThen(
      until(() => this.told > seen || this.hasEnded || this.isGone),
      Effect.suspend(() => {
        this.read()
        return this.hasEnded || this.isGone ? Effect.void : Effect.andThen(turn, this.readToTheEnd)
      })
    )
  })

  /** Told at least once from now on; and, when all was read, no more. */
  readonly isTold: Effect.Effect<void> = Effect.suspend(() => {
    const seen = this.told
    return until(() => this.told > seen)
  })

  readonly isQuiet: Effect.Effect<boolean> = Effect.suspend(() => {
    const seen = this.told
    return Effect.map(turns(quietTurns), () => this.told === seen && !this.hasEnded && !this.isGone)
  })

  write(text: string): Effect.Effect<void> {
    return Effect.callback((resume) => void this.other.write(text, () => resume(Effect.void)))
  }
}

const turn: Effect.Effect<void> = Effect.callback((resume) => {
  const timer = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(timer))
})

const turns = (count: number): Effect.Effect<void> => Effect.repeat(turn, { times: count - 1 }).pipe(Effect.asVoid)

/** Turn by turn: the limit of all checks bounds it. */
const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => holds() ? Effect.void : Effect.andThen(turn, until(holds)))

const ended = (socket: Net.Socket, text: string): Effect.Effect<void> =>
  Effect.callback((resume) => void socket.end(text, () => resume(Effect.void)))

/** What must be so, each on a pair of its own. In the order in which one leans on the other. */
const checks: { readonly [fact: string]: (it: Trial) => Effect.Effect<boolean> } = {
  "nothing is told while there is nothing to read": (it) => {
    it.landing.start()
    return it.isQuiet
  },
  "bytes are told and read, and after a partial read it is quiet": (it) =>
    Effect.gen(function*() {
      it.landing.start()
      yield* it.write("hello")
      yield* it.isTold
      return it.read() === 5 && it.text === "hello" && (yield* it.isQuiet)
    }),
  "after a full read the rest is told": (it) =>
    Effect.gen(function*() {
      it.landing.start()
      yield* it.write("abcdefgh")
      yield* it.isTold
      if (it.read(4) !== 4) return false
      yield* it.isTold
      return it.read(4) === 4 && it.text === "abcdefgh" && (yield* it.isQuiet)
    }),
  "a read of nothing says so, and harms nothing": (it) =>
    Effect.gen(function*() {
      it.landing.start()
      if (it.read() !== 0 || !(yield* it.isQuiet)) return false
      yield* it.write("hello")
      yield* it.isTold
      return it.read() === 5 && it.read() === 0 && (yield* it.isQuiet) && it.text === "hello"
    }),
  "what nobody reads stays, and is told until it is stopped": (it) =>
    Effect.gen(function*() {
      it.landing.start()
      yield* it.write("hello")
      yield* it.isTold
      yield* it.isTold
      it.landing.stop()
      if (!(yield* it.isQuiet)) return false
      it.landing.start()
      yield* it.isTold
      return it.read() === 5 && it.text === "hello"
    }),
  "an end behind bytes is told behind them, though our side has ended": (it) =>
    Effect.gen(function*() {
      yield* ended(it.ours, "")
      it.other.resume()
      yield* ended(it.other, "hello, end")
      yield* turns(quietTurns)
      yield* it.readToTheEnd
      return it.text === "hello, end" && it.hasEnded
    }),
  "an end alone is told": (it) =>
    Effect.gen(function*() {
      it.landing.start()
      yield* ended(it.other, "")
      yield* it.readToTheEnd
      return it.text === "" && it.hasEnded
    }),
  "a reset behind bytes is no end": (it) =>
    Effect.gen(function*() {
      yield* it.write("hello")
      it.other.resetAndDestroy()
      yield* it.readToTheEnd
      yield* until(() => it.isGone)
      return !it.hasEnded
    })
}

const closing = <A extends Net.Server | Net.Socket>(open: () => A, close: (it: A) => void) =>
  Effect.acquireRelease(Effect.sync(() => open()), (it) => Effect.sync(() => close(it)))

const destroyed = (open: () => Net.Socket) =>
  closing(() => open().on("error", () => {}), (socket) => void socket.destroy())

const once = (emitter: Net.Server | Net.Socket, name: string): Effect.Effect<unknown, unknown> =>
  Effect.callback((resume) => {
    emitter.once(name, (value: unknown) => resume(Effect.succeed(value)))
    emitter.once("error", (error: unknown) => resume(Effect.fail(error)))
  })

const pair: Effect.Effect<readonly [other: Net.Socket, ours: Net.Socket], unknown, Scope.Scope> = Effect.gen(
  function*() {
    const server = yield* closing(
      () => Net.createServer({ allowHalfOpen: true, pauseOnConnect: true }).listen(0, "127.0.0.1"),
      (it) => void it.close()
    )
    yield* once(server, "listening")
    const address = server.address()
    if (address === null || typeof address === "string") return yield* Effect.fail("no port")
    const accepted = once(server, "connection")
    const options = { port: address.port, host: "127.0.0.1", allowHalfOpen: true }
    const [other, ours] = yield* Effect.all([destroyed(() => Net.connect(options)), accepted], {
      concurrency: "unbounded"
    })
    if (!(ours instanceof Net.Socket)) return yield* Effect.fail("no socket")
    return [other, yield* destroyed(() => ours)]
  }
)

const tried = (land: Land, check: (it: Trial) => Effect.Effect<boolean>): Effect.Effect<boolean, unknown> =>
  Effect.scoped(
    Effect.flatMap(pair, ([other, ours]) =>
      Effect.flatMap(
        Effect.try({
          try: () => new Trial(other, ours, land),
          catch: (error) => error
        }),
        check
      ))
  )

/** The first fact that does not hold, in words; undefined if all hold. */
export const failingCheck = (land: Land): Effect.Effect<string | undefined> => {
  let at = "nothing could be tried"
  const all = Effect.gen(function*() {
    for (const [fact, check] of Object.entries(checks)) {
      at = `not true that ${fact}`
      if (!(yield* tried(land, check))) return at
    }
    return undefined
  })
  return all.pipe(
    Effect.catchCause((cause) => Effect.succeed(`${at}: ${cause}`)),
    Effect.timeoutOrElse({ duration: limitMs, orElse: () => Effect.sync(() => `${at} (within ${limitMs} ms)`) })
  )
}

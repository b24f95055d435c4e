/**
 * How the soak talks with its children: a question, its answer, and what a child found wrong, over Node's own channel.
 *
 * Invariant: no child outlives its parent (the channel closes, whatever ended it), and every question is answered, or fails
 * because its child has ended or says nothing for too long.
 */
import * as Schema from "effect/Schema"
import { type ChildProcess, fork } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const Range = Schema.Tuple([Schema.Number, Schema.Number])

const Times = Schema.Struct({
  stallTimeoutMs: Schema.Number,
  stallGraceMs: Schema.Number,
  queueTimeoutMs: Schema.Number,
  patienceMs: Schema.Number,
  resizeEveryMs: Range,
  killEveryMs: Range,
  outageEveryMs: Range,
  outageMs: Range
})

// ---- the load -----------------------------------------------------------------------------------------------------------

export const LoadOptions = Schema.Struct({
  seed: Schema.Number,
  actors: Schema.Struct({
    mixed: Schema.Number,
    slowReader: Schema.Number,
    neverReader: Schema.Number,
    slowLoris: Schema.Number
  }),
  times: Times
})

export const LoadQuestion = Schema.Union([
  /** The origin listens from now on. */
  Schema.Struct({ do: Schema.Literal("listen") }),
  Schema.Struct({ do: Schema.Literal("go"), relayPort: Schema.Number }),
  Schema.Struct({ do: Schema.Literal("rest"), patienceMs: Schema.Number }),
  Schema.Struct({ do: Schema.Literal("sample") })
])

export const Port = Schema.Struct({ port: Schema.Number })

export const LoadSample = Schema.Struct({
  /** Conversations that are over: all; both ways in order; reset, and somebody had provoked it; or late themselves. */
  conversations: Schema.Number,
  completed: Schema.Number,
  provoked: Schema.Number,
  late: Schema.Number,
  kills: Schema.Number,
  outages: Schema.Number,
  bytes: Schema.Number,
  open: Schema.Number
})
export type LoadSample = typeof LoadSample.Type

// ---- the relay ----------------------------------------------------------------------------------------------------------

export const RelayOptions = Schema.Struct({
  landing: Schema.Literals(["plain", "readiness"]),
  originPort: Schema.Number,
  limit: Schema.Number,
  reserve: Schema.Number,
  times: Times
})

export const RelayQuestion = Schema.Union([
  Schema.Struct({ do: Schema.Literal("listen") }),
  Schema.Struct({ do: Schema.Literal("resize"), limit: Schema.Number }),
  /** Collects garbage before. */
  Schema.Struct({ do: Schema.Literal("sample") }),
  Schema.Struct({ do: Schema.Literal("stop") })
])

export const RelaySample = Schema.Struct({
  ended: Schema.Record(Schema.String, Schema.Number),
  /** The oldest wait since the last sample, and the part of its bound that the nearest one had used up since the start. */
  oldestWaitMs: Schema.Number,
  nearestToBound: Schema.Number,
  heapBytes: Schema.Number,
  rssBytes: Schema.Number,
  used: Schema.Number,
  allocated: Schema.Number,
  limit: Schema.Number,
  /** What must all be nothing when there is no load. */
  left: Schema.Record(Schema.String, Schema.Number)
})
export type RelaySample = typeof RelaySample.Type

export const Stopped = Schema.Struct({ says: Schema.String })

// ---- both ---------------------------------------------------------------------------------------------------------------

export const Nothing = Schema.Struct({})

const Asked = Schema.Struct({ number: Schema.Number, question: Schema.Unknown })
const Answered = Schema.Struct({ number: Schema.Number, answer: Schema.Unknown })
const Told = Schema.Struct({ failure: Schema.String })

const readAsked = Schema.decodeUnknownSync(Asked)
const readHeard = Schema.decodeUnknownSync(Schema.Union([Answered, Told]))

type Decodes = Schema.ConstraintDecoder<unknown>

/** In a child: what it was started with. */
export const optionsOf = <S extends Decodes>(schema: S): S["Type"] =>
  Schema.decodeUnknownSync(schema)(JSON.parse(process.argv[2] ?? ""))

/** In a child: something is not as it must be. */
export const tell = (failure: string): void => void process.send?.({ failure })

/** In a child: answers questions until its parent leaves. Then it is killed, unless it was `released`. */
export const answer = <S extends Decodes>(schema: S, handle: (question: S["Type"]) => Promise<object>): void => {
  const read = Schema.decodeUnknownSync(schema)
  process.on("disconnect", () => isReleased || process.exit(1))
  process.on("message", (message) => {
    const { number, question } = readAsked(message)
    // A handler that fails ends the child, which its parent hears of.
    void handle(read(question)).then((answer) =>
      process.send?.({ number, answer }, undefined, undefined, () => isReleased && process.disconnect())
    )
  })
}

let isReleased = false

/**
 * In a child: behind its next answer it ends by itself, when it has nothing more to do. It leaves, not the parent: who
 * disconnects from a child is never told that it has closed.
 */
export const release = (): void => {
  isReleased = true
}

/** A machine that does much else may be slow; a child that is stuck must not keep the soak from ending. */
const patienceMs = 60_000
const mostLines = 20
const nobody = "a process that was asked had ended, or ended before it answered"

export class Child {
  private readonly process: ChildProcess
  private readonly exit: Promise<void>
  private readonly lines: Array<string> = []
  private readonly asked = new Map<number, PromiseWithResolvers<unknown>>()
  private readonly failed: (what: string) => void
  private asks = 0
  private isKilled = false
  private hasEnded = false

  constructor(script: URL, options: object, failed: (what: string) => void) {
    this.failed = failed
    const env = Object.entries(process.env).filter(([name]) => !name.startsWith("HEADGATE_"))
    // The C library gives the memory of a chunk back when it is freed, and keeps no holes: the resident set is what is in use.
    env.push(["MALLOC_MMAP_THRESHOLD_", "16384"])
    this.process = fork(fileURLToPath(script), [JSON.stringify(options)], {
      // V8 forgets the code of functions that have not run for some time: megabytes, at a moment of its own choice.
      execArgv: ["--expose-gc", "--no-flush-bytecode"],
      env: Object.fromEntries(env),
      stdio: ["ignore", "pipe", "pipe", "ipc"]
    })
    for (const input of [this.process.stdout, this.process.stderr]) {
      if (input !== null) createInterface({ input }).on("line", (line) => this.note(line))
    }
    this.process.on("message", (message) => this.heard(message))
    this.exit = new Promise((resolve) =>
      this.process.once("close", (code, signal) => {
        this.ended(code ?? signal ?? 1)
        resolve()
      })
    )
  }

  async ask<S extends Decodes>(question: object, schema: S, withinMs = patienceMs): Promise<S["Type"]> {
    const number = this.asks++
    const answer = Promise.withResolvers<unknown>()
    this.asked.set(number, answer)
    const tooLate = setTimeout(() => {
      answer.reject(new Error(`no answer within ${withinMs / 1000} s to ${JSON.stringify(question)}`))
    }, withinMs)
    try {
      if (this.hasEnded) throw new Error(nobody)
      // Who cannot be asked is about to end, which all who wait for an answer are told.
      this.process.send({ number, question }, () => {})
      return Schema.decodeUnknownSync(schema)(await answer.promise)
    } finally {
      clearTimeout(tooLate)
      this.asked.delete(number)
    }
  }

  /** It was released, and so must end. */
  async leaves(): Promise<void> {
    const tooLate = setTimeout(() => {
      this.failed(`does not end, ${patienceMs / 1000} s after its last words`)
      this.kill()
    }, patienceMs)
    await this.exit
    clearTimeout(tooLate)
  }

  kill(): void {
    this.isKilled = true
    this.process.kill("SIGKILL")
  }

  private note(line: string): void {
    this.lines.push(line)
    if (this.lines.length > mostLines) this.lines.shift()
  }

  private heard(message: unknown): void {
    const heard = readHeard(message)
    if ("failure" in heard) this.failed(heard.failure)
    else this.asked.get(heard.number)?.resolve(heard.answer)
  }

  private ended(how: number | NodeJS.Signals): void {
    this.hasEnded = true
    if (how !== 0 && !this.isKilled) this.failed(`ended (${how}): ${this.lines.join(" / ") || "without a word"}`)
    for (const answer of this.asked.values()) answer.reject(new Error(nobody))
  }
}

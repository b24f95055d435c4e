/**
 * Child processes that live exactly as long as the scope that starts them.
 *
 * Invariant: a child is dead, and known to be dead, when its scope has closed; and none outlives this process, whatever ends
 * it: a finalizer kills in order, an exit handler kills at once, and a child whose parent was killed ends by itself
 * (`endWithParent.ts`).
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as ChildProcess from "node:child_process"
import * as Readline from "node:readline"
import { fileURLToPath } from "node:url"

/** Something of the demo that did not come about, in one line. */
export class DemoFailed extends Data.TaggedError("DemoFailed")<{ readonly message: string }> {}

export interface Child {
  readonly name: string
  readonly pid: number
  /** What the first line, said already or still to come, in which `read` finds something, says. */
  readonly says: <A>(read: (line: string) => A | undefined) => Effect.Effect<A, DemoFailed>
  /** Calls it for each line from now on. */
  readonly onLine: (listener: (line: string) => void) => void
  readonly kill: (signal: NodeJS.Signals) => void
  /** Its exit code; the signal's name if one killed it. */
  readonly exit: Effect.Effect<number | NodeJS.Signals>
}

const living = new Set<ChildProcess.ChildProcess>()
process.on("exit", () => {
  for (const child of living) child.kill("SIGKILL")
})
process.once("SIGHUP", () => process.exit(129))

/** Variables that would change what a relay does when its flags say nothing stay out of the demo. */
const environment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEADGATE_|FORCE_COLOR$)/.test(name))),
  NO_COLOR: "1"
})

const endWithParent = new URL("./endWithParent.ts", import.meta.url).href

class Spawned implements Child {
  readonly name: string
  readonly pid: number
  readonly exit: Effect.Effect<number | NodeJS.Signals>
  readonly #process: ChildProcess.ChildProcess
  readonly #lines: Array<string> = []
  readonly #listeners = new Set<(line: string) => void>()
  readonly #ended = Deferred.makeUnsafe<number | NodeJS.Signals>()

  constructor(name: string, script: URL, args: ReadonlyArray<string>) {
    this.name = name
    this.exit = Deferred.await(this.#ended)
    const child = ChildProcess.spawn(process.execPath, ["--import", endWithParent, fileURLToPath(script), ...args], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      env: environment()
    })
    this.#process = child
    this.pid = child.pid ?? 0
    living.add(child)
    for (const input of [child.stdout, child.stderr]) {
      if (input !== null) Readline.createInterface({ input, crlfDelay: Infinity }).on("line", this.#onLine)
    }
    child.on("error", (error) => this.#over(String(error), 1))
    child.on("close", (code, signal) => this.#over(`${name} ended`, code ?? signal ?? 1))
  }

  says<A>(read: (line: string) => A | undefined): Effect.Effect<A, DemoFailed> {
    return Effect.suspend(() => {
      for (const line of this.#lines) {
        const found = read(line)
        if (found !== undefined) return Effect.succeed(found)
      }
      return Effect.raceFirst(this.#next(read), this.#tooLate)
    })
  }

  onLine(listener: (line: string) => void): void {
    this.#listeners.add(listener)
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  get #tooLate(): Effect.Effect<never, DemoFailed> {
    return Effect.flatMap(
      this.exit,
      (how) =>
        new DemoFailed({
          message: `${this.name} ended (${how}): ${this.#lines.slice(-3).join(" / ") || "without a word"}`
        })
    )
  }

  #next<A>(read: (line: string) => A | undefined): Effect.Effect<A> {
    return Effect.callback((resume) => {
      const listener = (line: string): void => {
        const found = read(line)
        if (found !== undefined) resume(Effect.succeed(found))
      }
      this.#listeners.add(listener)
      return Effect.sync(() => this.#listeners.delete(listener))
    })
  }

  readonly #onLine = (line: string): void => {
    if (this.#lines.push(line) > 100) this.#lines.shift()
    for (const listener of this.#listeners) listener(line)
  }

  #over(line: string, how: number | NodeJS.Signals): void {
    living.delete(this.#process)
    this.#lines.push(line)
    Deferred.doneUnsafe(this.#ended, Effect.succeed(how))
  }
}

/** Starts a script of ours with this very Node. At the scope's end it is killed, and has ended. */
export const start = (
  name: string,
  script: URL,
  args: ReadonlyArray<string> = []
): Effect.Effect<Child, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Spawned(name, script, args)),
    (child) => Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), child.exit)
  )

const readPort = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ port: Schema.Number })))

/** The port that a server of the demo says (`serve.ts`). */
export const portOf = (child: Child): Effect.Effect<number, DemoFailed> =>
  child.says((line) => Option.getOrUndefined(readPort(line))?.port)

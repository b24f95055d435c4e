/** A process that makes load, as the bench sees it. */
import * as Schema from "effect/Schema"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { type Figures, Origin, Outcome, type Relay, type Work } from "./questions.ts"

const script = fileURLToPath(new URL("./load.ts", import.meta.url))

/** Longer than any work takes that comes to its end at all. */
const patienceMs = 120_000

export class Load {
  private readonly child: ChildProcess
  private readonly work: Work

  constructor(work: Work) {
    this.work = work
    this.child = fork(script, [JSON.stringify(work)], { stdio: ["ignore", "inherit", "inherit", "ipc"] })
  }

  /** Where its origin listens. */
  async origin(): Promise<Origin> {
    return Schema.decodeUnknownSync(Origin)(await this.next())
  }

  /** Does the work against that relay; fails with the reason if it was not done. */
  async run(relay: Relay): Promise<Figures> {
    const answer = this.next()
    this.child.send(relay)
    const outcome = Schema.decodeUnknownSync(Outcome)(await answer)
    if ("failure" in outcome) throw new Error(`${this.work.is}: ${outcome.failure}`)
    return outcome.figures
  }

  stop(): void {
    this.child.kill("SIGKILL")
  }

  private async next(): Promise<unknown> {
    const over = new AbortController()
    const signal = AbortSignal.any([over.signal, AbortSignal.timeout(patienceMs)])
    const gone = once(this.child, "exit", { signal }).then(([how]) => {
      throw new Error(`the load for ${this.work.is} ended (${how}) without an answer`)
    })
    const said = once(this.child, "message", { signal }).then(([message]) => message)
    try {
      return await Promise.race([said, gone])
    } finally {
      over.abort()
    }
  }
}

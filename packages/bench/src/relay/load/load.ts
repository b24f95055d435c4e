/**
 * A process that makes load: the origin behind the relay and the clients before it, for one work.
 *
 * Invariant: it shares nothing with the relay but the machine, and lives until its parent has its answer, or has ended.
 */
import * as Schema from "effect/Schema"
import { listenEcho } from "./origin.ts"
import { type Origin, type Outcome, Relay, Work } from "./questions.ts"
import { run, sourceFor } from "./works.ts"

const work = Schema.decodeUnknownSync(Work)(JSON.parse(process.argv[2] ?? ""))
const source = sourceFor(work)

const tell = (what: Origin | typeof Outcome.Type): Promise<void> =>
  new Promise((resolve) => {
    if (process.send === undefined) throw new Error("this process is started by the bench, with a channel to it")
    process.send(what, undefined, undefined, () => resolve())
  })

process.on("disconnect", () => process.exit(1))

process.once("message", async (message) => {
  const relay = Schema.decodeUnknownSync(Relay)(message)
  try {
    await tell({ figures: await run(relay, source, work) })
  } catch (error) {
    await tell({ failure: error instanceof Error ? error.message : String(error) })
  }
})

await tell({ streamPort: await source.listen(), echoPort: await listenEcho() })

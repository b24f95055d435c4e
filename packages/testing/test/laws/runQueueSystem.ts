/** The library's run queue as a `System`. */
import type * as RunQueueModel from "@headgate/testing/RunQueueModel"
import type * as RunQueueSpec from "@headgate/testing/RunQueueSpec"
import { toArray } from "../../../headgate/src/internal/list.ts"
import { RunEntry, RunQueue } from "../../../headgate/src/internal/runQueue.ts"
import { at } from "./gateSystem.ts"

export class RunQueueSystem implements RunQueueModel.System {
  private readonly queue: RunQueue
  private readonly entries: ReadonlyArray<RunEntry>
  private isAsked = false

  constructor({ entries, started, threw }: RunQueueModel.SystemOptions) {
    this.queue = new RunQueue(() => {
      this.isAsked = true
    }, threw)
    this.entries = Array.from(
      { length: entries },
      (_, entry) => new RunEntry((reasons) => started(entry, reasons))
    )
  }

  act(operation: RunQueueSpec.Operation): void {
    const entry = at(this.entries, operation.entry)
    if (operation.does === "wake") this.queue.wake(entry, operation.reasons)
    else if (operation.does === "finish") this.queue.finished(entry)
    else this.queue.end(entry)
  }

  run(max: number): number {
    this.isAsked = false
    const started = this.queue.run(max)
    if (this.queue.length > 0) this.isAsked = true
    return started
  }

  isTurnAsked(): boolean {
    return this.isAsked
  }

  observe(): ReturnType<RunQueueModel.System["observe"]> {
    const { length, starts } = this.queue
    const list = this.entries.find(({ block }) => block !== undefined)?.block?.list
    const queue = list === undefined ? [] : toArray<RunEntry>(list).map((entry) => this.entries.indexOf(entry))
    return { entries: this.entries.map(({ reasons, state }) => ({ state, reasons })), queue, length, starts }
  }
}

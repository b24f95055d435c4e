/**
 * A filter between two channels, as somebody would write it on Headgate: it needs a buffer for each text that it is fed, and
 * waits for it in the pool's queue in its own name, so that no connection waits for it. It is a task: it sleeps until it is
 * fed or its buffer has come.
 */
import * as Effect from "effect/Effect"
import type { Scope } from "effect/Scope"
import { BufferPool } from "headgate/BufferPool"
import * as Task from "headgate/Task"
import type { TaskScheduler } from "headgate/TaskScheduler"

export interface Filter {
  readonly feed: (text: string) => Effect.Effect<void>
  readonly filtered: ReadonlyArray<string>
}

const wakeIt = (task: Task.Self): boolean => {
  task.wakeUnsafe("resource")
  return true
}

/** What it does when it is woken is an option only so that it can be wrong. */
export const make = (woken = wakeIt): Effect.Effect<Filter, never, BufferPool | TaskScheduler | Scope> =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const { leaveUnsafe, takeOrWaitUnsafe } = pool.waitQueue
    const fed: Array<string> = []
    const filtered: Array<string> = []
    const waiter = pool.waitQueue.waiter({ target: "the filter", criticality: "channel", wake: () => woken(task) })
    // Before the task is made, so after its last run: that may have queued it once more.
    yield* Effect.addFinalizer(() => Effect.sync(() => leaveUnsafe(waiter)))
    const task: Task.Task = yield* Task.make(() =>
      Effect.sync(() => {
        for (let text = fed[0]; text !== undefined; text = fed[0]) {
          const buffer = takeOrWaitUnsafe(waiter)
          if (typeof buffer === "string") return
          fed.shift()
          buffer.write(text)
          filtered.push(buffer.toText().replaceAll(" ", ""))
          pool.giveBackUnsafe(buffer)
        }
      })
    )
    const feed = (text: string) =>
      Effect.sync(() => {
        fed.push(text)
        task.wakeUnsafe("message")
      })
    return { feed, filtered }
  })

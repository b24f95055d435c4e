/** The run queue, called directly: what it does with a start that throws, and with whoever breaks a promise. */
import { expect, test } from "vitest"
import { BrokenInvariant } from "../src/internal/assert.ts"
import { RunEntry, RunQueue } from "../src/internal/runQueue.ts"

const queue = () => {
  const reports: Array<unknown> = []
  let scheduled = 0
  const of = new RunQueue(() => void scheduled++, (error) => void reports.push(error))
  return { of, reports, scheduled: () => scheduled }
}

test("a start that throws is reported, and those behind it are started", () => {
  const { of, reports, scheduled } = queue()
  const starts: Array<number> = []
  const error = new Error("no start")
  const bad = new RunEntry(() => {
    throw error
  })
  const good = new RunEntry((reasons) => void starts.push(reasons))
  of.wake(bad, 1)
  of.wake(good, 2)
  of.wake(good, 4)
  expect([of.run(9), starts, reports, scheduled(), of.length]).toEqual([2, [6], [error], 2, 0])
})

test("whoever has ended is not woken, nor finished, nor ended again", () => {
  const { of, scheduled } = queue()
  const entry = new RunEntry(() => {})
  of.wake(entry, 1)
  of.end(entry)
  of.wake(entry, 1)
  of.finished(entry)
  of.end(entry)
  expect([entry.state, of.length, of.run(9), scheduled()]).toEqual(["ended", 0, 0, 1])
})

test("a run that finishes without having begun is a broken promise of this library", () => {
  const { of } = queue()
  const entry = new RunEntry(() => {})
  const broken = (state: string) =>
    new BrokenInvariant(
      `headgate broke its own invariant: a run finished of an entry that is ${state}. Please report it.`
    )
  expect(() => of.finished(entry)).toThrow(broken("idle"))
  of.wake(entry, 1)
  expect(() => of.finished(entry)).toThrow(broken("queued"))
})

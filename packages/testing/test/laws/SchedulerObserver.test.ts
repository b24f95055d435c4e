/** The observer of schedulers: silent over the library's own, and over each wrong one and each wrong entity it names the law. */
import { describe, expect, it } from "@effect/vitest"
import { observe } from "@headgate/testing/SchedulerObserver"
import * as Effect from "effect/Effect"
import * as Headgate from "headgate/Headgate"
import { Stepper } from "headgate/Stepper"
import { type Runnable, type Scheduler, TaskScheduler } from "headgate/TaskScheduler"
import type { WakeReason } from "headgate/WakeReason"

type Start = (reasons: ReadonlySet<WakeReason>) => void

/** A scheduler of one's own, right unless a part of it is replaced: first in, first out, when `turn` is called. */
class Own implements Scheduler {
  readonly runQueueDepth = 1
  readonly snapshot = Effect.succeed({ runQueueLength: 0, entities: 0, starts: 0, failed: 0 })
  protected queue: Array<{ readonly start: Start; readonly reasons: Set<WakeReason> }> = []
  private running = new Set<Start>()

  runnable = (start: Start): Runnable => {
    const later = new Set<WakeReason>()
    const wakeUnsafe = (reason: WakeReason) => {
      const queued = this.queue.find((entry) => entry.start === start)
      if (this.running.has(start)) later.add(reason)
      else if (queued !== undefined) queued.reasons.add(reason)
      else this.enqueue(start, reason)
    }
    return {
      wakeUnsafe,
      finishedUnsafe: () => {
        this.running.delete(start)
        const reasons = [...later]
        later.clear()
        for (const reason of reasons) wakeUnsafe(reason)
      },
      endUnsafe: () => {
        this.queue = this.queue.filter((entry) => entry.start !== start)
      }
    }
  }

  protected enqueue(start: Start, reason: WakeReason): void {
    this.queue.push({ start, reasons: new Set([reason]) })
  }

  turn(): void {
    const next = this.next()
    if (next === undefined) return
    this.running.add(next.start)
    next.start(next.reasons)
  }

  protected next() {
    return this.queue.shift()
  }
}

/** Three entities; the first one's first run wakes the second, and it is woken itself while it lasts. */
const played = (own: Own, finishes = 1) => {
  const observer = observe(own)
  const started: Array<number> = []
  const runnables = [0, 1, 2].map((entry) =>
    observer.scheduler.runnable(() => {
      started.push(entry)
      if (started.length === 1) runnables[1]?.wakeUnsafe("message")
    })
  )
  const turn = () => {
    const before = started.length
    own.turn()
    for (const entry of started.slice(before)) {
      for (let time = 0; time < finishes; time++) runnables[entry]?.finishedUnsafe()
    }
  }
  runnables[0]?.wakeUnsafe("io")
  runnables[2]?.wakeUnsafe("io")
  runnables[2]?.wakeUnsafe("timer")
  own.turn()
  runnables[0]?.wakeUnsafe("signal")
  runnables[0]?.finishedUnsafe()
  for (let rest = 0; rest < 3; rest++) turn()
  observer.rest()
  const ended = () => {
    for (const runnable of runnables) runnable.endUnsafe("done")
    observer.end()
  }
  return { observer, started, ended }
}

const findings = ({ observer }: ReturnType<typeof played>) =>
  observer.findings().map(({ fact, law, step }) => `${law}: ${fact} (${step})`)

describe("an observed scheduler", () => {
  it("is silent over one that is right", () => {
    const all = played(new Own())
    all.ended()
    expect(all.started).toEqual([0, 2, 1, 0])
    expect([findings(all), all.observer.starts()]).toEqual([[], 4])
  })

  it.effect("is silent over the library's", () =>
    Effect.gen(function*() {
      const observer = observe(yield* TaskScheduler)
      const starts: Array<string> = []
      const runnable = observer.scheduler.runnable((reasons) => {
        starts.push([...reasons].join())
        if (starts.length < 3) runnable.wakeUnsafe("other")
        runnable.finishedUnsafe()
      })
      runnable.wakeUnsafe("init")
      runnable.wakeUnsafe("io")
      expect((yield* observer.scheduler.snapshot).runQueueLength).toBe(1)
      yield* Stepper.settle
      observer.rest()
      runnable.endUnsafe("done")
      observer.end()
      expect([starts, observer.findings()]).toEqual([["init,io", "other", "other"], []])
    }).pipe(Effect.provide(Headgate.layerManual({ limit: 2 }))))
})

describe("a wrong scheduler", () => {
  it("that loses a wake is refused by L4", () => {
    const all = played(
      new class extends Own {
        protected override enqueue(start: Start, reason: WakeReason): void {
          if (reason !== "signal") super.enqueue(start, reason)
        }
      }()
    )
    expect(findings(all)).toEqual(["L4: who was woken is started before everything comes to rest (entry 0 was queued)"])
  })

  it("that forgets a reason is refused by L4", () => {
    const all = played(
      new class extends Own {
        protected override next() {
          const next = super.next()
          next?.reasons.delete("timer")
          return next
        }
      }()
    )
    expect(findings(all)).toEqual([
      "L4: a run is told every reason since the last one, and no other (entry 2 was queued)"
    ])
  })

  it("that starts the last one first is refused by L5", () => {
    const all = played(
      new class extends Own {
        protected override next() {
          return this.queue.pop()
        }
      }()
    )
    expect(findings(all)).toEqual(["L5: runs start in the order of the wakes (entry 2 was queued)"])
  })

  it("that starts one that runs is refused by L6, one that was not woken too, and one that has ended", () => {
    const starts: Array<Start> = []
    const own = new class extends Own {
      override runnable = (start: Start): Runnable => {
        starts.push(start)
        return { wakeUnsafe: () => {}, finishedUnsafe: () => {}, endUnsafe: () => {} }
      }
    }()
    const started = (before: (runnable: Runnable) => void) => {
      const observer = observe(own)
      const runnable = observer.scheduler.runnable(() => {})
      before(runnable)
      starts.at(-1)?.(new Set(["io"]))
      return observer.findings().map(({ fact, law }) => `${law}: ${fact}`)
    }
    expect(started((runnable) => runnable.wakeUnsafe("io"))).toEqual([])
    expect(started(() => {})).toEqual(["L6: who was not woken is not started"])
    expect(started((runnable) => {
      runnable.wakeUnsafe("io")
      starts.at(-1)?.(new Set(["io"]))
      runnable.wakeUnsafe("io")
    })).toEqual(["L6: runs of one entity do not overlap"])
    expect(started((runnable) => runnable.endUnsafe("done"))).toEqual(["L6: who has ended is never started"])
  })

  it("that starts inside a wake is refused by L11", () => {
    const all = played(
      new class extends Own {
        protected override enqueue(start: Start, reason: WakeReason): void {
          super.enqueue(start, reason)
          this.turn()
        }
      }()
    )
    expect(findings(all)).toEqual(["L11: no run starts inside a wake (entry 0 was queued)"])
  })
})

describe("a wrong entity", () => {
  it("whose run is over twice is refused by L6", () => {
    expect(findings(played(new Own(), 2))).toEqual([
      "L6: a run is over once, and after it began (entry 2 was idle)"
    ])
  })

  it("that never ends is refused by L6", () => {
    const all = played(new Own())
    all.observer.end()
    expect(findings(all)).toEqual([
      "L6: when all have ended nobody has a place in the run queue (entry 0 was idle)"
    ])
  })

  it("whose start throws is refused by L11", () => {
    const own = new Own()
    const observer = observe(own)
    const runnable = observer.scheduler.runnable(() => {
      throw new Error("a mistake")
    })
    runnable.wakeUnsafe("io")
    expect(() => own.turn()).toThrow("a mistake")
    expect(observer.findings()).toMatchObject([{ law: "L11", fact: "the start of a run does not throw" }])
  })
})

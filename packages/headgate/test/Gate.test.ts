/**
 * The core, called directly: what each step leaves behind when memory fails, when nobody may wait, after the end, and when
 * somebody breaks a promise that the face never breaks. Every step recounts everything (`checked`).
 */
import * as Effect from "effect/Effect"
import { describe, expect, test } from "vitest"
import { ageing } from "../src/internal/ageing.ts"
import { BrokenInvariant } from "../src/internal/assert.ts"
import { Area, Gate, Waiter } from "../src/internal/gate.ts"

type Criticality = Waiter["criticality"]

const noMemory = new RangeError("no memory")

interface Setting {
  readonly reserve?: number
  readonly maxWaiting?: number
  readonly checked?: boolean
}

/** A gate of limit 4 whose memory and clock are the test's, a log of its wakes, and all that can be seen of it in a row. */
const bench = ({ checked = true, maxWaiting = Infinity, reserve = 1 }: Setting = {}) => {
  const world = { memory: Infinity, now: 0, scheduled: 0, log: new Array<string>(), reports: new Array<unknown>() }
  const gate: Gate = new Gate({
    limit: 4,
    reserve,
    maxWaiting,
    create: () => {
      if (gate.allocated >= world.memory) throw noMemory
      return new Uint8Array(0)
    },
    recycle: () => true,
    recycleAll: false,
    now: () => world.now,
    timeTakes: false,
    checked,
    schedule: () => void world.scheduled++,
    report: (error) => void world.reports.push(error)
  })
  gate.preallocate(reserve + 1)
  const waiter = (
    name: string,
    criticality: Criticality = "tx",
    then: (news: string) => boolean = () => true,
    isFiber = false
  ) =>
    new Waiter(name, criticality, (news) => {
      world.log.push(`${name} ${news}`)
      return then(news)
    }, isFiber)
  const fiber = (name: string, criticality: Criticality = "tx") => waiter(name, criticality, () => true, true)
  const take = (at = 0): Area => {
    const area = gate.take(at)
    if (area === undefined) throw new Error("the test expected a buffer here")
    return area
  }
  /** `[used, allocated, capacity, limit]` */
  const row = () => [gate.used, gate.allocated, gate.capacity, gate.limit]
  const waiting = () => gate.waiters().map(({ state, target }) => `${target} ${state}`)
  return { gate, world, waiter, fiber, take, row, waiting }
}

describe("after a creation that failed", () => {
  test("whoever may not wait is told so, and no capacity is left below the limit: the next take tries again", () => {
    const { fiber, gate, row, take, world } = bench({ maxWaiting: 0 })
    take()
    take()
    world.memory = 2
    expect(gate.takeOrWait(fiber("refused"))).toBe("full")
    expect(row()).toEqual([2, 2, 4, 4])
    expect([gate.creationsFailed, gate.lastFailure]).toEqual([1, noMemory])
  })

  test("trim tries again, and serves and tells who waits, in that step", () => {
    const { gate, row, take, waiter, waiting, world } = bench()
    take()
    take()
    world.memory = 2
    expect(gate.takeOrWait(waiter("w"))).toBe("queued")
    expect(row()).toEqual([2, 2, 2, 4])
    world.memory = Infinity
    gate.trim()
    expect([row(), world.log, waiting()]).toEqual([[3, 3, 4, 4], ["w granted"], ["w granted"]])
  })

  test("resize tries again, and serves and tells who waits, in that step", () => {
    const { gate, row, take, waiter, waiting, world } = bench()
    take()
    take()
    world.memory = 2
    expect(gate.takeOrWait(waiter("w"))).toBe("queued")
    world.memory = Infinity
    gate.resize(4)
    expect([row(), world.log, waiting()]).toEqual([[3, 3, 4, 4], ["w granted"], ["w granted"]])
  })

  test("whoever leaves last lets the next one try again", () => {
    const { gate, row, take, waiter, world } = bench()
    take()
    take()
    world.memory = 2
    const last = waiter("last")
    expect(gate.takeOrWait(last)).toBe("queued")
    gate.leave(last)
    expect(row()).toEqual([2, 2, 4, 4])
  })
})

test("whoever waits for a place counts against maxWaiting only if it is a fiber, and only while it waits", () => {
  const { fiber, gate, take, waiter } = bench({ maxWaiting: 1 })
  for (let i = 0; i < 4; i++) take()
  const [entity, first] = [waiter("entity"), fiber("first")]
  for (const each of [entity, first]) expect(gate.takeOrWait(each)).toBe("queued")
  gate.leave(entity)
  expect(gate.takeOrWait(fiber("second"))).toBe("full")
  gate.leave(first)
  expect(gate.takeOrWait(fiber("second"))).toBe("queued")
})

describe("nobody may wait, with maxWaiting 0", () => {
  test("but a fiber that comes to the door when a buffer is free has it", () => {
    const { fiber, gate, row } = bench({ maxWaiting: 0 })
    expect(gate.takeOrWait(fiber("lucky"))).toBeInstanceOf(Object)
    expect(row()).toEqual([1, 2, 4, 4])
  })
})

describe("the ordinary table, put back in force,", () => {
  test("serves and tells, in that step, who waited only because of the other", () => {
    const { gate, take, waiter, waiting, world } = bench({ reserve: 3 })
    gate.favour(3)
    take()
    take()
    expect(gate.takeOrWait(waiter("response", "channel"))).toBe("queued")
    gate.favour(undefined)
    expect([world.log, waiting()]).toEqual([["response granted"], ["response granted"]])
  })
})

describe("the end of a pool", () => {
  test("tells each waiter once; who is taken out by another's wake is not told, and none is seen to wait", () => {
    const { gate, take, waiter, waiting, world } = bench()
    for (let i = 0; i < 4; i++) take()
    const seen: Array<ReadonlyArray<string>> = []
    const second = waiter("second")
    const first = waiter("first", "tx", () => {
      seen.push(waiting())
      gate.leave(second)
      return false
    })
    const third = waiter("third")
    for (const each of [first, second, third]) expect(gate.takeOrWait(each)).toBe("queued")
    gate.close()
    expect([world.log, seen]).toEqual([["first closed", "third closed"], [[]]])
    expect([gate.pendingWakes, gate.declined, gate.passedOn]).toEqual([0, 0, 0])
  })

  test("is final, whatever failed before: neither resize nor trim nor another close changes a number", () => {
    const { gate, row, take, waiter, world } = bench()
    const held = take()
    take()
    world.memory = 2
    expect(gate.takeOrWait(waiter("w"))).toBe("queued")
    gate.close()
    const numbers = row()
    expect(numbers).toEqual([2, 2, 2, 4])
    gate.resize(9)
    gate.trim()
    gate.close()
    expect([row(), world.log]).toEqual([numbers, ["w closed"]])
    gate.giveBack(held)
    expect(row()).toEqual([1, 1, 2, 4])
  })
})

describe("what is told in turns", () => {
  test("a flush delivers as many wakes as it was asked for, and says how many", () => {
    const { fiber, gate, take, world } = bench()
    const held = [take(), take(), take(), take()]
    for (const name of ["a", "b", "c"]) expect(gate.takeOrWait(fiber(name))).toBe("queued")
    for (const area of held.slice(1)) gate.giveBack(area)
    expect([gate.flush(1), gate.pendingWakes, world.log]).toEqual([1, 2, ["a granted"]])
    expect([gate.flush(0), gate.pendingWakes]).toEqual([0, 2])
    expect([gate.flush(9), gate.pendingWakes, world.log]).toEqual([2, 0, ["a granted", "b granted", "c granted"]])
  })

  test("an entity's wake asks for no turn, a fiber's for one", () => {
    const { fiber, gate, take, waiter, world } = bench()
    const held = [take(), take(), take(), take()]
    for (const who of [waiter("entity"), fiber("fiber")]) gate.takeOrWait(who)
    gate.giveBack(held[0]!)
    expect([world.log, world.scheduled]).toEqual([["entity granted"], 0])
    gate.giveBack(held[1]!)
    expect([world.log, world.scheduled]).toEqual([["entity granted"], 1])
  })

  test("the wakes of a step beyond the 64th are left to a turn that is asked for, once", () => {
    const { gate, take, waiter, world } = bench()
    for (let i = 0; i < 4; i++) take()
    for (let i = 0; i < 70; i++) gate.takeOrWait(waiter(`w${i}`))
    expect(world.scheduled).toBe(0)
    gate.close()
    expect([world.log.length, gate.pendingWakes, world.scheduled]).toEqual([64, 6, 1])
    expect([gate.flush(64), world.log.length, gate.pendingWakes]).toEqual([6, 70, 0])
  })

  test("a flush from inside a wake delivers nobody else's wake there", () => {
    const { gate, take, waiter, world } = bench()
    for (let i = 0; i < 4; i++) take()
    const nosy = waiter("nosy", "tx", () => {
      world.log.push(`flushed ${gate.flush(9)}`)
      return true
    })
    for (const each of [nosy, waiter("next")]) gate.takeOrWait(each)
    gate.close()
    expect(world.log).toEqual(["nosy closed", "flushed 0", "next closed"])
  })

  test("a fiber that declines at its flush passes the buffer on, and the next is told in that flush", () => {
    const { gate, take, waiter, world } = bench()
    const held = [take(), take(), take(), take()]
    for (const each of [waiter("fiber", "tx", () => false, true), waiter("next")]) gate.takeOrWait(each)
    gate.giveBack(held[0]!)
    expect([gate.flush(1), world.log]).toEqual([1, ["fiber granted", "next granted"]])
  })

  test("an ageing fiber that ends asks no more to know of a wait", () => {
    const { gate } = bench()
    const fiber = Effect.runFork(ageing(gate, 1000))
    expect(gate.onWait).toBeTypeOf("function")
    fiber.interruptUnsafe()
    expect(gate.onWait).toBeUndefined()
  })

  test("whoever asks to know of a wait is told once, of one at endpoint or rx only, after it has begun", () => {
    const { gate, take, waiter, waiting } = bench()
    for (let i = 0; i < 4; i++) take()
    const told: Array<ReadonlyArray<string>> = []
    gate.onWait = () => void told.push(waiting())
    for (const at of ["tx", "channel"] as const) gate.takeOrWait(waiter(at, at))
    expect(told).toEqual([])
    for (const at of ["endpoint", "rx"] as const) gate.takeOrWait(waiter(at, at))
    expect(told).toEqual([["tx queued", "channel queued", "endpoint queued"]])
  })
})

test("a wait that ended in a grant is counted by its length: below 1 ms, 2 ms, 4 ms, and so on", () => {
  const lengths = [0, 1, 2, 3, 4, 7, 8, 2 ** 20 - 1, 2 ** 20, 2 ** 32]
  const { gate, take, waiter, world } = bench()
  for (let i = 0; i < 3; i++) take()
  for (const length of lengths) {
    const held = take()
    const who = waiter("w")
    gate.takeOrWait(who)
    world.now += length
    gate.giveBack(held)
    gate.leave(who)
  }
  const counts = new Map([[0, 1], [1, 1], [2, 2], [3, 2], [4, 1], [20, 1], [21, 2]])
  expect(gate.waits).toEqual(Array.from({ length: 22 }, (_, bucket) => counts.get(bucket) ?? 0))
  expect(gate.waitedMs).toBe(lengths.reduce((sum, length) => sum + length))
})

describe("a broken promise is told, and names what was found", () => {
  const told = (call: () => void) => {
    try {
      call()
    } catch (error) {
      if (error instanceof BrokenInvariant) return `${error.name}: ${error.message}`
    }
    return "nothing"
  }
  const of = (fact: string) => `BrokenInvariant: headgate broke its own invariant: ${fact}. Please report it.`

  test("an area given back twice, or while its lease is over and it is only pinned", () => {
    const { gate, take } = bench()
    const area = take()
    gate.pin(area)
    gate.giveBack(area)
    expect(told(() => gate.giveBack(area))).toBe(of("an area was given back that is released"))
    gate.unpin(area)
    expect(told(() => gate.giveBack(area))).toBe(of("an area was given back that is free"))
  })

  test("an area pinned that is not lent, or unpinned that nothing pins", () => {
    const { gate, take } = bench()
    const area = take()
    expect(told(() => gate.unpin(area))).toBe(of("an area was unpinned that nothing pins"))
    gate.pin(area)
    gate.giveBack(area)
    expect(told(() => gate.pin(area))).toBe(of("an area was pinned that is released"))
    gate.unpin(area)
    expect(told(() => gate.pin(area))).toBe(of("an area was pinned that is free"))
    expect(told(() => gate.unpin(area))).toBe(of("an area was unpinned that nothing pins"))
  })

  test("even if a wake is where it is found: that is no decline", () => {
    const { gate, take, waiter } = bench()
    const held = [take(), take(), take(), take()]
    gate.takeOrWait(waiter("w", "tx", () => {
      gate.unpin(held[1]!)
      return true
    }))
    expect(told(() => gate.giveBack(held[0]!))).toBe(of("an area was unpinned that nothing pins"))
    expect([gate.thrown, gate.declined]).toEqual([0, 0])
  })

  test("a grant that is not there, at the door", () => {
    const { gate, waiter } = bench()
    const cheat = waiter("cheat")
    cheat.state = "granted"
    expect(told(() => gate.takeOrWait(cheat))).toBe(of("a granted waiter has no grant"))
  })

  /** A gate in which one of two areas is lent at tx, the other at rx; then `wrong`, then a step that changes nothing. */
  const recounted = (wrong: (gate: Gate) => void) => {
    const { gate, take, waiter } = bench()
    take(3)
    take()
    wrong(gate)
    return told(() => gate.leave(waiter("nobody")))
  }
  /** All four are lent, and one more is asked for. */
  const crowd = (gate: Gate) => {
    gate.take(0)
    gate.take(0)
    gate.takeOrWait(new Waiter("w", "tx", () => true, false))
  }

  test.each<readonly [fact: string, wrong: (gate: Gate) => void]>([
    ["-1 used of 2 of 4", (gate) => void gate["unused"].push(...gate.areas, ...gate.areas.slice(1))],
    ["5 used of 5 of 4", (gate) => void (gate.allocated = 5)],
    ["lent 1+0+0+1 is not used 3", (gate) => void (gate.allocated = gate.areas.push(new Area(new Uint8Array(0))))],
    ["lent 0+0+0+1 is not used 2", (gate) => void (gate.areas[0]!.lent = false)],
    ["1 areas, allocated 2", (gate) => {
      gate.areas.pop()
      gate["unused"].push(new Area(new Uint8Array(0)))
    }],
    ["queued 1", (gate) => void gate.queued++],
    ["closed, and 1 still queued", (gate) => {
      crowd(gate)
      gate.closed = true
    }],
    ["L7: 2 lent at rx or less critical of 1", (gate) => {
      for (const area of gate.areas) area.level = 3
    }],
    ["L4: tx waits beside 1 free", (gate) => {
      crowd(gate)
      gate.capacity = 5
    }]
  ])("counts that do not agree: %s", (fact, wrong) => {
    expect(recounted(wrong)).toBe(of(fact))
  })

  test("areas that are not there, when they are to be destroyed", () => {
    const lost = bench({ checked: false })
    lost.gate.areas.length = 0
    expect(told(() => lost.gate.close())).toBe(of("an area was destroyed that does not exist"))
  })

  test("and it is not checked for, unless it is asked for", () => {
    const { gate, waiter } = bench({ checked: false })
    gate.queued++
    expect(told(() => gate.leave(waiter("nobody")))).toBe("nothing")
  })
})

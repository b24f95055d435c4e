/**
 * What earlier wordings of the pool's rules lost, one test per way: each shows, with exact counts after each step, that the
 * present rule does the right thing. And what other pools got wrong, tried on this one. All on the core itself.
 */
import { describe, expect, test } from "vitest"
import { BrokenInvariant } from "../../headgate/src/internal/assert.ts"
import { Area, Gate, Waiter, wakesPerTurn } from "../../headgate/src/internal/gate.ts"

type Criticality = Waiter["criticality"]

const classes: ReadonlyArray<Criticality> = ["tx", "channel", "endpoint", "rx"]

const noMemory = new RangeError("no memory")

interface Setting {
  readonly limit: number
  readonly reserve: number
  /** Areas that the machine has memory for; may change during a test. */
  memory?: number | undefined
  readonly maxWaiting?: number | undefined
}

/** A gate in the hands of a test: areas taken by name, waiters by name, and a log of the wakes. */
class Bench {
  readonly gate: Gate
  readonly log: Array<string> = []
  scheduled = 0
  private readonly setting: Setting
  private readonly held = new Map<string, Area>()
  private readonly waiters = new Map<string, Waiter>()

  constructor(setting: Setting, onSchedule: () => void = () => {}) {
    this.setting = setting
    this.gate = new Gate({
      limit: setting.limit,
      reserve: setting.reserve,
      maxWaiting: setting.maxWaiting ?? Infinity,
      create: () => this.create(),
      recycle: () => true,
      recycleAll: false,
      now: () => 0,
      timeTakes: false,
      checked: true,
      schedule: () => {
        this.scheduled++
        onSchedule()
      },
      report: (error) => this.log.push(String(error))
    })
    this.gate.preallocate(setting.reserve + 1)
  }

  private create(): Uint8Array<ArrayBuffer> {
    if (this.gate.allocated >= (this.setting.memory ?? Infinity)) throw noMemory
    return new Uint8Array(0)
  }

  /** Takes without queueing. */
  take(name: string, criticality: Criticality): "taken" | "none" {
    const area = this.gate.take(classes.indexOf(criticality))
    if (area === undefined) return "none"
    this.held.set(name, area)
    return "taken"
  }

  /** Takes `count` buffers as `name 1`, `name 2`, … and says how many were to be had. */
  takeMany(name: string, criticality: Criticality, count: number): number {
    const numbers = Array.from({ length: count }, (_, index) => index + 1)
    return numbers.filter((number) => this.take(`${name} ${number}`, criticality) === "taken").length
  }

  /** Somebody who may wait: an entity, unless it is called a fiber. Its wake is logged first. */
  waiter(name: string, criticality: Criticality, then: () => boolean = () => true, isFiber = false): void {
    const wake = (news: string) => {
      this.log.push(`${name} ${news}`)
      return then()
    }
    this.waiters.set(name, new Waiter(name, criticality, wake, isFiber))
  }

  fiber(name: string, criticality: Criticality): void {
    this.waiter(name, criticality, () => true, true)
  }

  /** Comes to the door. */
  ask(name: string): "taken" | "queued" | "full" | "closed" {
    const door = this.gate.takeOrWait(this.waiterOf(name))
    if (!(door instanceof Area)) return door
    this.held.set(name, door)
    return "taken"
  }

  /** A new entity comes to the door. */
  enter(name: string, criticality: Criticality): "taken" | "queued" | "full" | "closed" {
    this.waiter(name, criticality)
    return this.ask(name)
  }

  leave(name: string): void {
    this.gate.leave(this.waiterOf(name))
  }

  giveBack(name: string): void {
    const area = this.areaOf(name)
    this.held.delete(name)
    this.gate.giveBack(area)
  }

  areaOf(name: string): Area {
    const area = this.held.get(name)
    if (area === undefined) throw new Error(`${name} holds nothing`)
    return area
  }

  waiterOf(name: string): Waiter {
    const waiter = this.waiters.get(name)
    if (waiter === undefined) throw new Error(`there is no waiter ${name}`)
    return waiter
  }

  state(name: string): string {
    return this.waiterOf(name).state
  }

  /** `capacity, allocated, used, queued`. */
  get counts(): ReadonlyArray<number> {
    const { allocated, capacity, queued, used } = this.gate
    return [capacity, allocated, used, queued]
  }

  flushAll(): void {
    while (this.gate.pendingWakes > 0) this.gate.flush(wakesPerTurn)
  }
}

describe("shrinking", () => {
  test("does not freeze holders that wait for a second buffer: they are granted while used is above the limit", () => {
    const bench = new Bench({ limit: 4, reserve: 1 })
    expect(bench.takeMany("first", "rx", 3)).toBe(3)
    bench.gate.resize(2)
    expect(bench.counts).toEqual([4, 4, 3, 0])
    expect(bench.enter("second of 1", "channel")).toBe("taken")
    expect(bench.counts).toEqual([4, 4, 4, 0])
    expect(bench.enter("second of 2", "channel")).toBe("queued")
    bench.giveBack("second of 1")
    expect(bench.state("second of 2")).toBe("granted")
    expect(bench.counts).toEqual([4, 4, 4, 0])
    bench.giveBack("first 1")
    expect(bench.counts).toEqual([3, 3, 3, 0])
    bench.giveBack("first 2")
    expect(bench.counts).toEqual([2, 2, 2, 0])
    bench.leave("second of 2")
    expect(bench.counts).toEqual([2, 2, 1, 0])
  })

  test.each(classes)(
    "reaches its target under saturation by %s, within as many give-backs as areas are too many",
    (at) => {
      const bench = new Bench({ limit: 8, reserve: 3 })
      const held = bench.takeMany("holder", at, 8)
      for (let number = 1; number <= 10; number++) expect(bench.enter(`waiter ${number}`, at)).toBe("queued")
      bench.gate.resize(4)
      expect(bench.gate.capacity).toBe(8)
      for (let number = 1; number <= Math.min(4, held); number++) {
        bench.giveBack(`holder ${number}`)
        expect(bench.counts).toEqual([8 - number, 8 - number, held - number, 10])
      }
      expect(bench.gate.capacity).toBe(4)
      expect(bench.log).toEqual([])
    }
  )

  test("does not count the returning buffer as lent, so a mixed load reaches the target too", () => {
    const bench = new Bench({ limit: 4, reserve: 1 })
    expect(bench.takeMany("in", "rx", 2)).toBe(2)
    expect(bench.takeMany("out", "tx", 2)).toBe(2)
    expect(bench.enter("more in", "rx")).toBe("queued")
    expect(bench.enter("more out", "tx")).toBe("queued")
    bench.gate.resize(2)
    expect(bench.counts).toEqual([4, 4, 4, 2])
    bench.giveBack("out 1")
    expect(bench.counts).toEqual([3, 3, 3, 2])
    bench.giveBack("in 1")
    expect(bench.counts).toEqual([2, 2, 2, 2])
    bench.giveBack("out 2")
    expect(bench.counts).toEqual([2, 2, 2, 1])
    expect(bench.log).toEqual(["more out granted"])
  })
})

describe("when memory cannot be had", () => {
  test("the reserve is areas and not a number: with memory for 8 of 10, all rx, channel and tx are still served", () => {
    const bench = new Bench({ limit: 10, reserve: 2, memory: 8 })
    expect(bench.takeMany("in", "rx", 6)).toBe(6)
    expect(bench.counts).toEqual([10, 8, 6, 0])
    for (let number = 7; number <= 13; number++) expect(bench.enter(`in ${number}`, "rx")).toBe("queued")
    expect(bench.counts).toEqual([8, 8, 6, 7])
    expect(bench.enter("response", "channel")).toBe("taken")
    expect(bench.enter("operator", "tx")).toBe("taken")
    expect(bench.counts).toEqual([8, 8, 8, 7])
    bench.giveBack("response")
    bench.giveBack("operator")
    expect(bench.counts).toEqual([8, 8, 6, 7])
    bench.giveBack("in 1")
    expect(bench.log).toEqual(["in 7 granted"])
    expect(bench.counts).toEqual([8, 8, 6, 6])
  })

  test("from the start, a pool is not made; a pool that was made serves with nothing but what it has", () => {
    const refused = new Bench({ limit: 5, reserve: 1, memory: 1 })
    expect(refused.gate.preallocate(2)).toBe(false)
    const bench = new Bench({ limit: 5, reserve: 1, memory: 2 })
    expect(bench.counts).toEqual([5, 2, 0, 0])
    expect(bench.enter("first", "rx")).toBe("taken")
    expect(bench.enter("second", "rx")).toBe("queued")
    expect(bench.counts).toEqual([2, 2, 1, 1])
    bench.giveBack("first")
    expect(bench.log).toEqual(["second granted"])
    expect(bench.counts).toEqual([5, 2, 1, 0])
  })

  test("the capacity recovers at the next give-back, although somebody is queued", () => {
    const setting: Setting = { limit: 3, reserve: 1, memory: 2 }
    const bench = new Bench(setting)
    expect(bench.enter("A", "rx")).toBe("taken")
    expect(bench.enter("C", "rx")).toBe("queued")
    expect(bench.counts).toEqual([2, 2, 1, 1])
    expect(bench.enter("B", "tx")).toBe("taken")
    setting.memory = 3
    bench.giveBack("A")
    expect(bench.log).toEqual(["C granted"])
    expect(bench.counts).toEqual([3, 3, 2, 0])
  })

  test("a failure is forgotten by resize, by trim, and by a step that leaves nobody queued", () => {
    const afterFailure = () => {
      const bench = new Bench({ limit: 3, reserve: 1, memory: 2 })
      bench.enter("A", "rx")
      bench.enter("C", "rx")
      expect(bench.counts).toEqual([2, 2, 1, 1])
      return bench
    }
    const left = afterFailure()
    left.leave("C")
    expect(left.counts).toEqual([3, 2, 1, 0])
    for (const retry of [(gate: Gate) => gate.resize(3), (gate: Gate) => gate.trim()]) {
      const bench = afterFailure()
      retry(bench.gate)
      expect([bench.gate.creationsFailed, bench.counts]).toEqual([2, [2, 2, 1, 1]])
    }
  })

  test("who does not queue fails, and leaves no trace in the capacity", () => {
    const bench = new Bench({ limit: 3, reserve: 1, memory: 2 })
    expect(bench.take("A", "rx")).toBe("taken")
    expect(bench.take("B", "rx")).toBe("none")
    expect(bench.gate.creationsFailed).toBe(1)
    expect(bench.counts).toEqual([3, 2, 1, 0])
  })
})

describe("between grant and wake", () => {
  const withUntoldGrant = () => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    bench.fiber("waiter", "rx")
    bench.enter("holder", "rx")
    expect(bench.ask("waiter")).toBe("queued")
    bench.giveBack("holder")
    expect([bench.state("waiter"), bench.gate.pendingWakes]).toEqual(["granted", 1])
    return bench
  }

  test("who asks again gets the buffer it was granted, and no second one, and no wake", () => {
    const bench = withUntoldGrant()
    const { grant } = bench.waiterOf("waiter")
    expect(bench.ask("waiter")).toBe("taken")
    expect(bench.areaOf("waiter")).toBe(grant)
    expect(bench.counts).toEqual([2, 2, 1, 0])
    expect(bench.gate.flush(wakesPerTurn)).toBe(0)
  })

  test("an end leaks nothing: the grant goes on to the next, or back", () => {
    const bench = withUntoldGrant()
    bench.enter("next", "rx")
    bench.leave("waiter")
    expect(bench.log).toEqual(["next granted"])
    expect(bench.counts).toEqual([2, 2, 1, 0])
    bench.leave("next")
    expect(bench.counts).toEqual([2, 2, 0, 0])
    expect(bench.gate.pendingWakes).toBe(0)
  })

  test("closing takes no grant away, and its buffer is let go when it comes back", () => {
    const bench = withUntoldGrant()
    bench.gate.close()
    expect(bench.state("waiter")).toBe("granted")
    expect(bench.counts).toEqual([2, 1, 1, 0])
    expect(bench.ask("waiter")).toBe("taken")
    bench.giveBack("waiter")
    expect(bench.counts).toEqual([2, 0, 0, 0])
  })
})

describe("margins", () => {
  test("are rounded down: beside the only rx buffer, the applet that answers it gets one at endpoint", () => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    expect(bench.enter("request", "rx")).toBe("taken")
    expect(bench.enter("another request", "rx")).toBe("queued")
    expect(bench.enter("applet", "endpoint")).toBe("taken")
    expect(bench.counts).toEqual([2, 2, 2, 1])
  })

  test("are, for each reserve, as the design says", () => {
    const rows = [1, 2, 3, 4, 5, 6].map((reserve) => new Bench({ limit: 9, reserve }).gate.ordinaryMargins)
    expect(rows).toEqual([[0, 0, 0, 1], [0, 0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 3, 5], [0, 2, 4, 6]])
  })

  test("never shrink along the table in force: if the first is not entitled, nobody is passed over", () => {
    for (const reserve of [1, 2, 3, 4, 5, 6]) {
      const { gate } = new Bench({ limit: 9, reserve })
      for (const favoured of [undefined, 0, 1, 2, 3]) {
        gate.favour(favoured)
        const table = [...new Set([0, favoured ?? 0, 1, 2, 3])].map((at) => gate.marginOf(at))
        expect(table).toEqual(table.toSorted((a, b) => a - b))
      }
    }
    const bench = new Bench({ limit: 5, reserve: 3 })
    expect(bench.takeMany("out", "tx", 5)).toBe(5)
    for (const name of ["rx", "endpoint", "channel"] as const) expect(bench.enter(name, name)).toBe("queued")
    const served = [1, 2, 3, 4, 5].map((number) => {
      bench.giveBack(`out ${number}`)
      return bench.log.length
    })
    expect(served).toEqual([0, 1, 1, 2, 2])
    expect(bench.log).toEqual(["channel granted", "endpoint granted"])
    bench.leave("channel")
    expect(bench.log).toEqual(["channel granted", "endpoint granted", "rx granted"])
  })
})

describe("ageing", () => {
  test("in a window that ends: a holder that waits for its second buffer is served at the latest then", () => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    expect(bench.enter("A", "rx")).toBe("taken")
    expect(bench.enter("B", "rx")).toBe("queued")
    bench.gate.favour(3)
    expect(bench.enter("second of A", "channel")).toBe("queued")
    expect(bench.counts).toEqual([2, 2, 1, 2])
    bench.gate.favour(undefined)
    expect(bench.log).toEqual(["second of A granted"])
    expect(bench.counts).toEqual([2, 2, 2, 1])
  })

  test("leaves the others the favoured margin and not one more: nobody waits while nothing is lent", () => {
    for (const limit of [2, 3, 4, 5]) {
      for (let reserve = 1; reserve < limit; reserve++) {
        for (const favoured of [0, 1, 2, 3]) {
          for (const criticality of classes) {
            const bench = new Bench({ limit, reserve })
            bench.gate.favour(favoured)
            expect(bench.enter("first", criticality)).toBe("taken")
          }
        }
      }
    }
  })

  test("collects reserve + 1 - floor(reserve / 3) buffers for the first rx, and then one for each", () => {
    const bench = new Bench({ limit: 8, reserve: 3 })
    expect(bench.takeMany("download", "channel", 8)).toBe(7)
    bench.enter("newcomer 1", "rx")
    bench.enter("newcomer 2", "rx")
    for (const name of ["download 8", "download 9", "download 10"]) expect(bench.enter(name, "channel")).toBe("queued")
    bench.gate.favour(3)
    const served = [1, 2, 3, 4].map((number) => {
      bench.giveBack(`download ${number}`)
      return bench.log.length
    })
    expect(served).toEqual([0, 0, 1, 2])
    expect(bench.log).toEqual(["newcomer 1 granted", "newcomer 2 granted"])
    bench.gate.favour(undefined)
    expect(bench.log.slice(2)).toEqual(["download 8 granted", "download 9 granted"])
    expect(bench.counts).toEqual([8, 8, 7, 1])
  })

  test("offers whenever the table changes: when favouring ends, and from class to class", () => {
    for (const next of [undefined, 2, 1, 0]) {
      const bench = new Bench({ limit: 4, reserve: 3 })
      bench.gate.favour(3)
      expect(bench.enter("holder", "tx")).toBe("taken")
      expect(bench.enter("waiter", "channel")).toBe("queued")
      expect(bench.counts).toEqual([4, 4, 1, 1])
      bench.gate.favour(next)
      expect(bench.log).toEqual(["waiter granted"])
      expect(bench.counts).toEqual([4, 4, 2, 0])
    }
  })

  test("serves tx first, then the favoured class, then those that were before it", () => {
    const bench = new Bench({ limit: 8, reserve: 3 })
    expect(bench.takeMany("out", "tx", 8)).toBe(8)
    for (const criticality of classes) bench.enter(criticality, criticality)
    bench.gate.favour(3)
    for (let number = 1; number <= 7; number++) bench.giveBack(`out ${number}`)
    expect(bench.log).toEqual(["tx granted", "rx granted", "channel granted", "endpoint granted"])
  })
})

describe("a chain of hand-offs", () => {
  const chained = 100_000

  /** A chain of waiters, each of which takes its grant and gives it back from inside its wake. */
  const chain = (isFiber: boolean) => {
    const bench = new Bench({ limit: 3, reserve: 1, memory: 2 })
    let depth = 0
    let deepest = 0
    const passOn = (waiter: string) => () => {
      deepest = Math.max(deepest, ++depth)
      bench.ask(waiter)
      bench.giveBack(waiter)
      depth--
      return true
    }
    bench.enter("holder", "rx")
    for (let number = 0; number < chained; number++) {
      bench.waiter(`${number}`, "rx", passOn(`${number}`), isFiber)
      bench.ask(`${number}`)
    }
    expect(bench.counts).toEqual([2, 2, 1, chained])
    return { bench, deepest: () => deepest }
  }

  test("100 000 entities long: 64 in the first step, the rest in turns, and no wake inside another", () => {
    const { bench, deepest } = chain(false)
    bench.giveBack("holder")
    expect([bench.log.length, bench.scheduled > 0]).toEqual([64, true])
    bench.flushAll()
    expect([bench.log.length, deepest()]).toEqual([chained, 1])
    expect(bench.log.every((line, number) => line === `${number} granted`)).toBe(true)
    expect(bench.counts).toEqual([3, 2, 0, 0])
  })

  test("100 000 fibers long: none in the step, 200 in each turn, and no wake inside another", () => {
    const { bench, deepest } = chain(true)
    bench.giveBack("holder")
    expect([bench.log.length, bench.scheduled]).toEqual([0, 1])
    let turns = 0
    for (; bench.gate.pendingWakes > 0; turns++) {
      expect(bench.gate.flush(wakesPerTurn)).toBeLessThanOrEqual(wakesPerTurn)
    }
    expect([turns, bench.log.length, deepest()]).toEqual([Math.ceil(chained / wakesPerTurn), chained, 1])
    expect(bench.log.every((line, number) => line === `${number} granted`)).toBe(true)
    expect(bench.counts).toEqual([3, 2, 0, 0])
  })
})

describe("order", () => {
  test("first in, first out inside a class, the most critical class first", () => {
    const bench = new Bench({ limit: 6, reserve: 1 })
    expect(bench.takeMany("out", "tx", 6)).toBe(6)
    for (const round of [1, 2]) {
      for (const criticality of classes.toReversed()) bench.enter(`${criticality} ${round}`, criticality)
    }
    for (let number = 1; number <= 6; number++) bench.giveBack(`out ${number}`)
    expect(bench.log).toEqual([
      "tx 1 granted",
      "tx 2 granted",
      "channel 1 granted",
      "channel 2 granted",
      "endpoint 1 granted",
      "endpoint 2 granted"
    ])
    bench.leave("tx 1")
    expect(bench.log.length).toBe(6)
    bench.leave("tx 2")
    expect(bench.log.slice(6)).toEqual(["rx 1 granted"])
  })

  test("who asks again keeps its place, and a newcomer gets nothing past it", () => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    bench.takeMany("holder", "tx", 2)
    bench.enter("first", "tx")
    bench.enter("second", "tx")
    expect([bench.ask("first"), bench.gate.queued]).toEqual(["queued", 2])
    expect(bench.take("newcomer", "tx")).toBe("none")
    bench.giveBack("holder 1")
    bench.giveBack("holder 2")
    expect(bench.log).toEqual(["first granted", "second granted"])
  })

  test("a declined buffer goes to the next, and who declined is out of the queue", () => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    bench.takeMany("holder", "tx", 2)
    bench.waiter("declines", "tx", () => false)
    bench.waiter("throws", "tx", () => {
      throw new Error("its own fault")
    })
    bench.ask("declines")
    bench.ask("throws")
    bench.enter("takes", "tx")
    bench.giveBack("holder 1")
    expect(bench.log).toEqual(["declines granted", "throws granted", "Error: its own fault", "takes granted"])
    expect(bench.counts).toEqual([2, 2, 2, 0])
    const { declined, handOffs, passedOn, thrown } = bench.gate
    expect({ declined, handOffs, passedOn, thrown }).toEqual({ declined: 2, handOffs: 3, passedOn: 2, thrown: 1 })
  })

  test("a unit moves from releaser to waiter without ever being visible as free (case 15)", () => {
    const seen: Array<number> = []
    const bench: Bench = new Bench({ limit: 3, reserve: 1 }, () => seen.push(bench.gate.free))
    const sample = () => seen.push(bench.gate.free) > 0
    expect(bench.takeMany("holder", "tx", 3)).toBe(3)
    for (const number of [1, 2, 3]) {
      bench.waiter(`entity ${number}`, "tx", sample)
      bench.waiter(`fiber ${number}`, "tx", sample, true)
      bench.ask(`entity ${number}`)
      bench.ask(`fiber ${number}`)
    }
    for (const name of ["holder 1", "holder 2", "holder 3"]) {
      bench.giveBack(name)
      sample()
    }
    for (const name of ["entity 1", "fiber 1", "entity 2"]) {
      bench.leave(name)
      sample()
    }
    bench.flushAll()
    expect(bench.gate.handOffs).toBe(6)
    expect([seen.length > 12, new Set(seen)]).toEqual([true, new Set([0])])
  })
})

describe("maxWaiting", () => {
  test("refuses the fiber after the last that may wait, in each class for itself; entities always enter", () => {
    const bench = new Bench({ limit: 2, reserve: 1, maxWaiting: 1 })
    bench.takeMany("holder", "tx", 2)
    for (const criticality of classes) {
      expect(bench.enter(`entity at ${criticality}`, criticality)).toBe("queued")
      bench.fiber(`first at ${criticality}`, criticality)
      bench.fiber(`second at ${criticality}`, criticality)
      expect(bench.ask(`first at ${criticality}`)).toBe("queued")
      expect(bench.ask(`second at ${criticality}`)).toBe("full")
      expect(bench.enter(`late entity at ${criticality}`, criticality)).toBe("queued")
    }
    expect(bench.counts).toEqual([2, 2, 2, 12])
    bench.leave("first at rx")
    expect(bench.ask("second at rx")).toBe("queued")
  })
})

describe("trim", () => {
  test("keeps the reserve behind what is used, and never less than one buffer beside the reserve", () => {
    const bench = new Bench({ limit: 8, reserve: 2 })
    bench.gate.preallocate(8)
    bench.takeMany("holder", "tx", 3)
    bench.gate.trim()
    expect(bench.counts).toEqual([8, 5, 3, 0])
    for (const number of [1, 2, 3]) bench.giveBack(`holder ${number}`)
    bench.gate.trim()
    expect(bench.counts).toEqual([8, 3, 0, 0])
  })
})

describe("closing (case 13)", () => {
  test("tells 100 waiters of all classes, leaves none in a queue, and refuses whoever comes later", () => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    bench.takeMany("holder", "tx", 2)
    const waiting = Array.from(
      { length: 100 },
      (_, number) => ({ name: `w${number}`, at: number % 4, isFiber: number % 8 > 3 })
    )
    for (const { at, isFiber, name } of waiting) {
      bench.waiter(name, classes[at] ?? "rx", () => true, isFiber)
      expect(bench.ask(name)).toBe("queued")
    }
    bench.gate.close()
    bench.flushAll()
    expect(bench.log.toSorted()).toEqual(waiting.map(({ name }) => `${name} closed`).toSorted())
    expect(waiting.every(({ name }) => bench.state(name) === "idle")).toBe(true)
    expect([bench.ask("w0"), bench.take("newcomer", "tx")]).toEqual(["closed", "none"])
    expect(bench.counts).toEqual([2, 2, 2, 0])
    bench.gate.resize(5)
    bench.gate.trim()
    bench.giveBack("holder 1")
    bench.giveBack("holder 2")
    expect(bench.counts).toEqual([2, 0, 0, 0])
  })
})

describe("a wake that re-enters (case 20)", () => {
  const names = ["A", "B", "C", "D"]

  /** What the wake at a position does, and then who is told, in order, for each position. D waits behind three grants. */
  const table: ReadonlyArray<{
    readonly action: string
    readonly act: (bench: Bench, self: number) => void
    readonly told: ReadonlyArray<string>
    readonly queued: ReadonlyArray<number>
  }> = [
    {
      action: "takes",
      act: (bench) => expect(bench.take("extra", "tx")).toBe("none"),
      told: ["A B C", "A B C", "A B C"],
      queued: [1, 1, 1]
    },
    {
      action: "collects and gives back",
      act: (bench, self) => {
        expect(bench.ask(names[self] ?? "")).toBe("taken")
        bench.giveBack(names[self] ?? "")
      },
      told: ["A B C D", "A B C D", "A B C D"],
      queued: [0, 0, 0]
    },
    {
      action: "closes",
      act: (bench) => bench.gate.close(),
      told: ["A B C D-closed", "A B C D-closed", "A B C D-closed"],
      queued: [0, 0, 0]
    },
    {
      action: "leaves",
      act: (bench, self) => bench.leave(names[self] ?? ""),
      told: ["A B C D", "A B C D", "A B C D"],
      queued: [0, 0, 0]
    },
    {
      action: "makes the next one leave",
      act: (bench, self) => bench.leave(names[self + 1] ?? ""),
      told: ["A C D", "A B D", "A B C"],
      queued: [0, 0, 0]
    },
    {
      action: "lets another one queue",
      act: (bench) => expect(bench.enter("E", "tx")).toBe("queued"),
      told: ["A B C", "A B C", "A B C"],
      queued: [2, 2, 2]
    }
  ]

  const cases = table.flatMap(({ act, action, queued, told }) =>
    [0, 1, 2].map((position) => ({ act, action, position, told: told[position], queued: queued[position] }))
  )

  test.each(cases)("at position $position: $action", ({ act, position, queued, told }) => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    let depth = 0
    bench.takeMany("holder", "tx", 2)
    names.forEach((name, place) => {
      bench.waiter(name, "tx", () => {
        expect(++depth).toBe(1)
        if (place === position) act(bench, place)
        depth--
        return true
      })
      bench.ask(name)
    })
    bench.gate.resize(5)
    expect(bench.log.map((line) => line.replace(" granted", "").replace(" ", "-")).join(" ")).toBe(told)
    expect(bench.gate.queued).toBe(queued)
    bench.gate.close()
    for (const name of names) bench.leave(name)
    bench.giveBack("holder 1")
    bench.giveBack("holder 2")
    expect([bench.gate.used, bench.gate.allocated, bench.gate.queued]).toEqual([0, 0, 0])
  })
})

describe("resize (case 22)", () => {
  test("growing wakes exactly as many as fit; shrinking below what is lent absorbs what comes back", () => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    bench.takeMany("holder", "tx", 2)
    for (let number = 1; number <= 5; number++) bench.enter(`waiter ${number}`, "tx")
    bench.gate.resize(5)
    expect(bench.log).toEqual(["waiter 1 granted", "waiter 2 granted", "waiter 3 granted"])
    expect(bench.counts).toEqual([5, 5, 5, 2])
    bench.gate.resize(2)
    expect(bench.counts).toEqual([5, 5, 5, 2])
    for (const [number, name] of ["waiter 1", "waiter 2", "waiter 3"].entries()) {
      bench.leave(name)
      expect(bench.counts).toEqual([4 - number, 4 - number, 4 - number, 2])
    }
    bench.giveBack("holder 1")
    expect(bench.log.slice(3)).toEqual(["waiter 4 granted"])
    expect(bench.counts).toEqual([2, 2, 2, 1])
  })

  test("growing while it still shrinks serves whoever fits by the new limit", () => {
    const bench = new Bench({ limit: 4, reserve: 1 })
    bench.takeMany("holder", "tx", 4)
    bench.enter("waiter", "tx")
    bench.gate.resize(2)
    bench.giveBack("holder 1")
    expect(bench.counts).toEqual([3, 3, 3, 1])
    bench.gate.resize(4)
    expect(bench.log).toEqual(["waiter granted"])
    expect(bench.counts).toEqual([4, 4, 4, 0])
  })
})

describe("misuse (case 26)", () => {
  test("giving back twice, or more than was taken, is a defect and never extra capacity", () => {
    const bench = new Bench({ limit: 3, reserve: 1 })
    expect(bench.takeMany("holder", "tx", 2)).toBe(2)
    const [first, second] = [bench.areaOf("holder 1"), bench.areaOf("holder 2")]
    bench.giveBack("holder 1")
    const before = bench.counts
    expect(() => bench.gate.giveBack(first)).toThrow(BrokenInvariant)
    expect(bench.counts).toEqual(before)
    bench.giveBack("holder 2")
    for (const area of [first, second]) expect(() => bench.gate.giveBack(area)).toThrow(BrokenInvariant)
    expect(bench.counts).toEqual([3, 2, 0, 0])
  })

  test("unpinning what nothing pins, pinning what was given back, and giving back twice under a pin are defects", () => {
    const bench = new Bench({ limit: 3, reserve: 1 })
    expect(bench.take("holder", "tx")).toBe("taken")
    const area = bench.areaOf("holder")
    expect(() => bench.gate.unpin(area)).toThrow(BrokenInvariant)
    bench.gate.pin(area)
    bench.gate.pin(area)
    bench.giveBack("holder")
    expect(() => bench.gate.giveBack(area)).toThrow(BrokenInvariant)
    expect(() => bench.gate.pin(area)).toThrow(BrokenInvariant)
    expect(bench.counts).toEqual([3, 2, 1, 0])
    bench.gate.unpin(area)
    expect(bench.counts).toEqual([3, 2, 1, 0])
    bench.gate.unpin(area)
    expect(bench.counts).toEqual([3, 2, 0, 0])
  })
})

describe("cancelling the head (case 28)", () => {
  test("while it is queued: the next one is the head", () => {
    const bench = new Bench({ limit: 2, reserve: 1 })
    bench.takeMany("holder", "tx", 2)
    for (const name of ["head", "next"]) bench.enter(name, "rx")
    bench.leave("head")
    bench.giveBack("holder 1")
    expect(bench.log).toEqual([])
    bench.giveBack("holder 2")
    expect(bench.log).toEqual(["next granted"])
    expect(bench.counts).toEqual([2, 2, 1, 0])
  })

  test("after its grant: the next one is served in the same step, of the same class or of another", () => {
    for (const criticality of classes) {
      const bench = new Bench({ limit: 3, reserve: 2 })
      bench.takeMany("holder", "tx", 3)
      bench.enter("head", "tx")
      bench.enter("next", criticality)
      for (const number of [1, 2, 3]) bench.giveBack(`holder ${number}`)
      bench.leave("head")
      expect(bench.log).toEqual(["head granted", "next granted"])
      expect(bench.counts).toEqual([3, 3, 1, 0])
    }
  })

  test("with spare units that are its margin: whoever needs less than that has been served already", () => {
    const bench = new Bench({ limit: 4, reserve: 3 })
    bench.takeMany("holder", "tx", 2)
    expect([bench.enter("rx head", "rx"), bench.enter("rx next", "rx")]).toEqual(["queued", "queued"])
    expect(bench.gate.free).toBe(2)
    expect(bench.enter("channel", "channel")).toBe("taken")
    bench.leave("rx head")
    expect(bench.log).toEqual([])
    for (const name of ["holder 1", "holder 2", "channel"]) bench.giveBack(name)
    expect(bench.log).toEqual(["rx next granted"])
    expect(bench.counts).toEqual([4, 4, 1, 0])
  })
})

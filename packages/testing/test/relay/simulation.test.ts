/**
 * Seeded lives of the real relay. The sizes are the environment's: HEADGATE_SEEDS lives (2000), from HEADGATE_SEED on (1), so
 * that a failure names the one that failed.
 */
import * as RelaySimulation from "@headgate/testing/RelaySimulation"
import { Effect } from "effect"
import { type Peer, type PeerEvents, Relay, type RelayOptions } from "headgate"
import { assert, describe, test } from "vitest"
import { corpus } from "./corpus.ts"

const count = Number(process.env["HEADGATE_SEEDS"] ?? 2000)
const first = Number(process.env["HEADGATE_SEED"] ?? 1)

/** Alone on a core, 2000 lives take about 15 seconds. */
const onABusyMachine = Math.max(3, count / 500) * 60_000

describe("lives", () => {
  test(
    `${count} seeds from HEADGATE_SEED=${first} on: every law after every step, and nothing left in the end`,
    async () => {
      const seen = { bounded: 0, longestWaitMs: 0, near: 0 }
      const ends = new Map<string, number>()
      const each = (report: RelaySimulation.Report): void => {
        seen.bounded += report.waitsBounded
        seen.longestWaitMs = Math.max(seen.longestWaitMs, report.longestWaitMs)
        seen.near = Math.max(seen.near, report.nearestToBound)
        for (const [end, times] of Object.entries(report.ends)) ends.set(end, (ends.get(end) ?? 0) + times)
      }
      let failure: string | undefined = undefined
      for (let at = 0; at < count && failure === undefined; at += 50) {
        failure = RelaySimulation.check({ first: first + at, count: Math.min(50, count - at) }, { each })
        // The runner is told that this process lives.
        await new Promise((go) => setImmediate(go))
      }
      assert.strictEqual(failure, undefined)
      if (count > 2000) console.log(JSON.stringify({ lives: count, ...seen, ends: Object.fromEntries(ends) }))
      if (count < 2000) return
      // Lives that never met what they are meant to test would prove nothing.
      for (
        const end of ["completed", "reset", "idle", "queueTimeout", "stalled", "shutdown", "interrupted", "refused"]
      ) {
        assert.isAtLeast((ends.get(end) ?? 0) / count, 0.03, `too few ended ${end}: ${JSON.stringify([...ends])}`)
      }
      assert.isAtLeast(seen.bounded, 4 * count)
      assert.isAtLeast(seen.longestWaitMs, 5000)
      assert.isAtLeast(seen.near, 0.7)
    },
    onABusyMachine
  )

  test("a seed is a life: two runs log the same, and so does the script when it has been printed and read", () => {
    for (let seed = first; seed < first + 30; seed++) {
      const once = RelaySimulation.simulate(seed)
      const again = RelaySimulation.simulate(seed)
      const read: RelaySimulation.Script = JSON.parse(JSON.stringify(RelaySimulation.scriptOf(seed)))
      assert.deepStrictEqual(again, once)
      assert.deepStrictEqual(RelaySimulation.runScript(read).log, once.log)
    }
  })

  test("a promised wait grows with the buffers that are simply taken beside it, without a hand-off", () => {
    // Two downloads always have one of three buffers, by turns; an upload needs all three to be free, and nobody is favoured.
    const reader: RelaySimulation.EndScript = { sendBuffer: 64, hostBuffer: 500, readsPerSecond: 2200 }
    const upload: RelaySimulation.Event = { does: "write", link: 2, side: "client", bytes: 100 }
    const turns = Array.from({ length: 40 }, (_, turn): ReadonlyArray<RelaySimulation.Event> => [
      { does: "write", link: turn % 2, side: "target", bytes: 1400 },
      ...(turn === 1 ? [upload] : []),
      { does: "pass", ms: 250 }
    ])
    const { handOffs, longestWaitMs, violations } = RelaySimulation.runScript({
      pool: { limit: 3, reserve: 2, bufferSize: 2000 },
      relay: {
        stallGraceMs: 1000,
        stallTimeoutMs: 2500,
        queueTimeoutMs: 60_000,
        idleTimeoutMs: 20_000,
        samples: true
      },
      links: [{ client: reader, target: {} }, { client: reader, target: {} }, { client: {}, target: {} }],
      events: [0, 1, 2].map((link): RelaySimulation.Event => ({ does: "open", link })).concat(...turns)
    })
    assert.deepStrictEqual(violations.map(RelaySimulation.show), [])
    // One round alone would be 1000 + 250 + 2500 + 1000 + 500.
    assert.isAtLeast(longestWaitMs, 5250 + 1)
    assert.strictEqual(handOffs, 1)
  })

  test("a script with a number that is none, or a pool that cannot be, is refused by name", () => {
    const script = RelaySimulation.scriptOf(first)
    const wrong: RelaySimulation.Script = {
      ...script,
      events: [{ does: "open", link: 0 }, { does: "write", link: 0, side: "client", bytes: -1 }]
    }
    assert.throws(
      () => RelaySimulation.runScript(wrong),
      "script.events.1.bytes is -1: it must be a finite number of at least 0"
    )
    const reserve = script.pool.limit
    assert.throws(() => RelaySimulation.runScript({ ...script, pool: { ...script.pool, reserve } }), /reserve/)
  })
})

describe("corpus: what once failed", () => {
  for (const { found, law, script } of corpus) {
    test(`${law}: ${found}`, () => {
      assert.deepStrictEqual(RelaySimulation.runScript(script).violations.map(RelaySimulation.show), [])
    })
  }
})

// ---- planted faults -------------------------------------------------------------------------------------------------------

/** A peer that does all that another does, but for what `wrong` says. */
class Between implements Peer {
  readonly label: string
  private readonly peer: Peer
  private readonly wrong: (peer: Peer) => Partial<Peer>

  constructor(peer: Peer, wrong: (peer: Peer) => Partial<Peer>) {
    this.peer = peer
    this.wrong = wrong
    this.label = peer.label
  }
  private get as(): Peer {
    const { peer } = this
    const all: Peer = {
      label: peer.label,
      attach: (events) => peer.attach(events),
      readStart: () => peer.readStart(),
      readStop: () => peer.readStop(),
      read: (into) => peer.read?.(into) ?? 0,
      write: (views, done) => peer.write(views, done),
      end: (done) => peer.end(done),
      abort: () => peer.abort(),
      unacceptedBytes: () => peer.unacceptedBytes(),
      unsentBytes: () => peer.unsentBytes()
    }
    return { ...all, ...this.wrong(peer) }
  }
  attach(events: PeerEvents): void {
    this.as.attach(events)
  }
  readStart(): void {
    this.as.readStart()
  }
  readStop(): void {
    this.as.readStop()
  }
  read(into: Uint8Array): number {
    return this.as.read?.(into) ?? 0
  }
  write(views: ReadonlyArray<Uint8Array>, done: (accepted: boolean) => void): void {
    this.as.write(views, done)
  }
  end(done: () => void): void {
    this.as.end(done)
  }
  abort(): void {
    this.as.abort()
  }
  unacceptedBytes(): number {
    return this.as.unacceptedBytes()
  }
  unsentBytes(): number | undefined {
    return this.as.unsentBytes()
  }
}

/** A relay whose targets are told, or tell, what is wrong. */
const withTargets = (wrong: (peer: Peer) => Partial<Peer>) => (options: RelayOptions) =>
  Effect.map(Relay.make(options), (relay): Relay["Service"] => ({
    ...relay,
    run: (client, target) => relay.run(client, new Between(target, wrong))
  }))

/** A relay that leaves a timer behind for each connection that is reset. */
const ticking = (options: RelayOptions) =>
  Effect.map(Relay.make(options), (relay): Relay["Service"] => ({
    ...relay,
    run: (client, target) =>
      Effect.tap(relay.run(client, target), ({ end }) =>
        end === "reset" ? Effect.forkDetach(Effect.sleep("1 day")) : Effect.void)
  }))

interface Planted {
  readonly fault: string
  readonly law: string
  readonly relay: RelaySimulation.Options["relay"]
  /** Events that its shortest script has, at most. */
  readonly events: number
}

const planted: ReadonlyArray<Planted> = [
  {
    fault: "a byte of every fifth write is wrong",
    law: "bytes",
    events: 4,
    relay: (options) => {
      let writes = 0
      return withTargets((peer) => ({
        write: (views, done) =>
          peer.write(
            views.map((view) => ++writes % 5 === 0 ? view.map((byte, at) => at === 0 ? byte ^ 1 : byte) : view),
            done
          )
      }))(options)
    }
  },
  {
    fault: "a reset is passed on as an end",
    law: "honest",
    events: 4,
    relay: withTargets((peer) => ({ abort: () => peer.end(() => peer.abort()) }))
  },
  {
    fault: "reading is never turned off",
    law: "memory",
    events: 8,
    relay: withTargets((peer) => ({
      attach: (events) =>
        peer.attach({
          onBytes: (bytes) => events.onBytes(bytes),
          onEnd: () => events.onEnd(),
          onReset: (cause) => events.onReset(cause)
        }),
      readStop: () => {}
    }))
  },
  {
    fault: "who is told that there is something to read is told so again and again",
    law: "port",
    events: 8,
    relay: withTargets(() => ({ readStop: () => {} }))
  },
  {
    fault: "a read says that it filled all it could",
    law: "rest",
    events: 4,
    relay: withTargets((peer) => ({
      read: (into) => peer.read?.(into) === 0 ? 0 : into.length
    }))
  },
  {
    fault: "an end is not passed on",
    law: "rest",
    events: 4,
    relay: withTargets(() => ({ end: () => {} }))
  },
  { fault: "a timer is kept", law: "settled", events: 3, relay: ticking }
]

describe("planted faults are found, and cut down to a few events that break the same law", () => {
  for (const { events, fault, law, relay } of planted) {
    test(`${law}: ${fault}`, () => {
      const failure = RelaySimulation.check({ first: 1, count: 200 }, { relay, maxSteps: 100_000 }) ??
        "it was not found"
      const printed = /RelaySimulation\.runScript\((.*)\)$/.exec(failure)?.[1]
      assert.match(failure, new RegExp(`^seed \\d+: ${law}, step`))
      const script: RelaySimulation.Script = JSON.parse(printed ?? "{}")
      assert.strictEqual(RelaySimulation.runScript(script, { relay }).violations[0]?.law, law)
      assert.isAtMost(script.events.length, events, failure)
      assert.strictEqual(script.links.length, 1)
      // And the relay that is not broken has nothing to fear from it.
      assert.deepStrictEqual(RelaySimulation.runScript(script).violations, [])
    })
  }
})

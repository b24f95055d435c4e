/** A dialing, and the life around it, by themselves: what is left when they are over, whichever way and however early. */
import { assert, it } from "@effect/vitest"
import type { Address } from "@headgate/node/Address"
import { ConnectFailed, type ConnectOptions } from "@headgate/node/Connect"
import { Effect, Layer } from "effect"
import { Headgate, Relay } from "headgate"
import * as Net from "node:net"
import { describe } from "vitest"
import { Dialing } from "../src/internal/dialing.js"
import { type Fittings, Life } from "../src/internal/life.js"
import type { Timers } from "../src/internal/timers.js"
import { Way } from "../src/internal/way.js"

/** Timers that somebody else rings, and how many there are. */
const bells = () => {
  const set = new Set<() => void>()
  const timers: Timers = {
    now: () => 0,
    after: (_, then) => {
      set.add(then)
      return () => set.delete(then)
    }
  }
  return { set, timers }
}

const named: Address = { _tag: "Tcp", host: "some.name", port: 1 }

/** Sockets that never connect, to a name that is looked up in the same step. */
const network = () => {
  const dialled: Array<Net.Socket> = []
  const dial = (): Net.Socket => {
    const socket = new Net.Socket()
    dialled.push(socket)
    return socket
  }
  const resolve = () => Effect.succeed(["::1", "127.0.0.1"].map((address) => ({ address, family: Net.isIP(address) })))
  return { dialled, dial, resolve }
}

const begin = (dialing: Dialing, options: ConnectOptions) => {
  const told: Array<Net.Socket | ConnectFailed> = []
  new Way(named, options).begin(dialing, Effect.runFork, (outcome) => told.push(outcome))
  return told
}

describe("a dialing", () => {
  it("leaves no timer behind a connection, and none of an address behind its failure", () => {
    const { set, timers } = bells()
    const { dial, dialled, resolve } = network()
    const dialing = new Dialing(timers, dial)
    const told = begin(dialing, { resolve, dial })
    assert.strictEqual(set.size, 1)
    dialled[0]?.emit("error", Object.assign(new Error("no"), { code: "ECONNREFUSED" }))
    assert.deepStrictEqual([set.size, dialled.length, told.length], [1, 2, 0])
    dialled[1]?.emit("connect")
    assert.deepStrictEqual([set.size, told[0]], [0, dialled[1]])
    dialing.close()
    assert.deepStrictEqual(dialled.map(({ destroyed }) => destroyed), [true, true])
  })

  it("opens nothing and tells nothing when it was closed while the name was looked up", () => {
    const { set, timers } = bells()
    const { dial, dialled, resolve } = network()
    const dialing = new Dialing(timers, dial)
    const told = begin(dialing, {
      dial,
      resolve: () => Effect.tap(resolve(), () => Effect.sync(() => dialing.close()))
    })
    const failed = begin(dialing, { dial, resolve: () => Effect.fail(new Error("not found")) })
    assert.deepStrictEqual([set.size, dialled.length, told.length, failed.length], [0, 0, 0, 0])
  })

  it("that cannot even begin says so, address by address", () => {
    const { set, timers } = bells()
    const dial = (): Net.Socket => {
      throw new Error("no socket")
    }
    const [outcome] = begin(new Dialing(timers, dial), { ...network(), dial })
    assert(outcome instanceof ConnectFailed)
    assert.strictEqual(outcome.detail, "::1 Error: no socket, 127.0.0.1 Error: no socket")
    assert.strictEqual(set.size, 0)
  })
})

describe("a life", () => {
  it.effect("is over even if its client cannot be closed: its place goes to the next", () =>
    Effect.gen(function*() {
      const broke: Array<unknown> = []
      const fittings: Fittings = {
        relay: yield* Relay,
        landing: "plain",
        proxyProtocol: undefined,
        timers: bells().timers,
        run: Effect.runFork,
        describes: false,
        noTarget: () => {},
        broke: (error) => broke.push(error),
        ended: () => {}
      }
      const client = new Net.Socket()
      client.destroy = (): never => {
        throw new Error("not now")
      }
      let overs = 0
      const life = new Life(fittings, new Way(named, network()), client, () => overs++)
      life.start()
      life.stop()
      life.stop()
      assert.strictEqual(overs, 1)
      assert.strictEqual(broke.length, 1)
    }).pipe(Effect.provide(Layer.provideMerge(Relay.layer(), Headgate.layer({ limit: 4 })))))
})

/**
 * L9 for `@headgate/node`: every public effect that can be had without a real socket is interrupted at every operation, and
 * between any two steps with every yield budget from 3 to 64. Sockets and servers are stand-ins that a companion answers for.
 *
 * As in the table of `headgate`, what there is to sweep is read from the modules themselves.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Address from "@headgate/node/Address"
import * as Connect from "@headgate/node/Connect"
import * as NodeListener from "@headgate/node/NodeListener"
import * as NodePeer from "@headgate/node/NodePeer"
import * as ProxyProtocol from "@headgate/node/ProxyProtocol"
import * as RelayFlags from "@headgate/node/RelayFlags"
import * as RelayServer from "@headgate/node/RelayServer"
import { assertSwept } from "@headgate/testing/Sweep"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { type Headgate, Relay } from "headgate"
import * as Net from "node:net"
import { type Row, type Stage, sweepRow } from "../../../testing/test/sweep/stage.ts"
import { gapsOf, surfaceOf } from "../../../testing/test/sweep/surface.ts"

type OnStage = Stage<Headgate.Services>

// ---- stand-ins ----------------------------------------------------------------------------------------------------------

/** A network in which nothing happens but what a companion says, every 3 ms; and in the end every socket is closed. */
const network = ({ later, world }: OnStage, answer: (socket: Net.Socket, at: number) => void) => {
  const dialled: Array<Net.Socket> = []
  const open = () => dialled.filter(({ destroyed }) => !destroyed)
  const turn = (at: number) =>
    Effect.andThen(Effect.sleep(3), Effect.sync(() => open().forEach((it) => answer(it, at))))
  world.fork("network", Effect.forEach([0, 1, 2], turn, { discard: true }))
  later(Effect.suspend(() => open().length === 0 ? Effect.void : Effect.die(`${open().length} sockets are open`)))
  return (): Net.Socket => {
    const socket = new Net.Socket()
    dialled.push(socket)
    return socket
  }
}

const error = (code: string): Error => Object.assign(new Error(code), { code })

const target: Address.Address = { _tag: "Tcp", host: "target.example", port: 1 }

const addresses: ReadonlyArray<Connect.ResolvedAddress> = [
  { address: "::1", family: 6 },
  { address: "127.0.0.1", family: 4 }
]

/** To a name with so many addresses. */
const connecting =
  (count: number, answer: (socket: Net.Socket, at: number) => void): Row<Headgate.Services> => (stage) =>
    Connect.connect(target, {
      dial: network(stage, answer),
      resolve: () => Effect.as(Effect.sleep(1), addresses.slice(0, count)),
      connectTimeout: 20
    })

/** A server that binds nothing, and says what becomes of it when a companion does. */
class StandIn extends Net.Server {
  state: "new" | "asked" | "answered" | "closed" = "new"
  override listen(): this {
    this.state = "asked"
    return this
  }
  override close(): this {
    this.state = "closed"
    return this
  }
}

const binding = (answer: (server: StandIn) => void): Row<Headgate.Services> => ({ later, world }) => {
  const server = new StandIn()
  const turn = Effect.sync(() => {
    if (server.state !== "asked") return
    server.state = "answered"
    answer(server)
  })
  world.fork("system", Effect.andThen(Effect.sleep(3), turn))
  const isLeft = { asked: false }
  later(Effect.suspend(() => isLeft.asked ? Effect.die("it was interrupted, and goes on to listen") : Effect.void))
  return Effect.onInterrupt(NodeListener.bind(server, target), () =>
    Effect.sync(() => {
      isLeft.asked = server.state === "asked"
    }))
}

// ---- the table ----------------------------------------------------------------------------------------------------------

const none = Option.none<string>()

const input: RelayFlags.FlagInput = {
  listen: Option.some(["127.0.0.1:0=target.example:1"]),
  target: none,
  limit: Option.some("4"),
  reserve: none,
  bufferSize: Option.some("8"),
  maxConnections: none,
  connectTimeout: none,
  idleTimeout: none,
  queueTimeout: none,
  stallTimeout: none,
  stallGrace: none,
  drainTimeout: none,
  proxyProtocol: none,
  stats: none,
  landing: none
}

const settings = Effect.runSync(RelayFlags.settings(input))

const silent: Console.Console = Object.assign(Object.create(console), { error: () => {} })

const rows: { readonly [name: string]: Row<Headgate.Services> } = {
  "Connect.connect": connecting(1, (socket) => socket.emit("connect")),
  "Connect.connect (the first address refuses)": connecting(
    2,
    (socket, at) => at === 0 ? socket.emit("error", error("ECONNREFUSED")) : socket.emit("connect")
  ),
  "Connect.connect (nobody answers)": connecting(1, () => {}),
  "NodeListener.makeGate": () => NodeListener.makeGate({ openFiles: { limit: 100, used: 0 } }),
  "NodeListener.bind": binding((server) => server.emit("listening")),
  "NodeListener.bind (in use)": binding((server) => server.emit("error", error("EADDRINUSE"))),
  "NodePeer.fromSocket": ({ later }) => {
    const socket = new Net.Socket()
    const isLeft = () => socket.listenerCount("end") > 1 && !socket.destroyed
    later(Effect.suspend(() => isLeft() ? Effect.die("the socket is open") : Effect.void))
    return Effect.andThen(NodePeer.fromSocket(socket), Effect.yieldNow)
  },
  "RelayFlags.settings": () => RelayFlags.settings(input),
  "RelayFlags.tell": () => Effect.provideService(RelayFlags.tell(64)(new Error("a rule")), Console.Console, silent),
  "RelayServer.layer": () =>
    Effect.flatMap(
      Layer.build(RelayServer.layer(settings)),
      (context) => Effect.provideContext(Relay.use(({ snapshot }) => snapshot), context)
    )
}

/** Those that make their own sockets; the tests beside this directory are about them. */
const withSockets = [
  "Landing.choose",
  "NodeListener.listen",
  "NodeListener.listenServing",
  "RelayServer.make",
  "StatusServer.make",
  "RelayCommand.relayCommand"
]

const samples: { readonly [name: string]: () => unknown } = {
  "Address.parse": () => Address.parse(":1"),
  "Address.parseTarget": () => Address.parseTarget(":1"),
  "Address.parseRoute": () => Address.parseRoute(":1=:2"),
  "Address.format": () => Address.format(target),
  "Address.ofBound": () => Address.ofBound(null),
  "Address.ipBytes": () => Address.ipBytes("::1"),
  "Connect.interleave": () => Connect.interleave([]),
  "NodePeer.abortSocket": () => NodePeer.abortSocket(new Net.Socket()),
  "NodePeer.closeSocket": () => NodePeer.closeSocket(new Net.Socket()),
  "NodePeer.sampleUnsent": () => NodePeer.sampleUnsent([]),
  "ProxyProtocol.headerV2": () => ProxyProtocol.headerV2({}),
  "RelayFlags.settingsOf": () => Result.isSuccess(RelayFlags.settingsOf({}))
}

describe("the table", () => {
  it("has a row for every public effect, and for nothing else", async () => {
    const surface = await surfaceOf(new URL("../../src/", import.meta.url), ["bin.ts"])
    expect(gapsOf(surface, [...Object.keys(rows), ...withSockets], samples)).toEqual([])
  })
})

describe.each(Object.entries(rows))("%s, interrupted anywhere", (_, row) => {
  it.each(["uncontended", "inside release"] as const)("%s: leaves nothing behind", (situation) => {
    assertSwept(sweepRow(row, situation))
  })
})

/**
 * A relay in this process for the length of a test's scope, with origins and clients that saturate it, and what it is asked
 * over HTTP.
 */
import type { Address } from "@headgate/node/Address"
import { type RelaySettings, settingsOf } from "@headgate/node/RelayFlags"
import * as RelayServer from "@headgate/node/RelayServer"
import { Effect, Layer, Logger, Result, type Scope } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"
import { client, server } from "./support.ts"

export type Picture = Effect.Success<RelayServer.RelayServer["picture"]>

export const loopback = { host: "127.0.0.1", port: 0 } as const

/** What the command makes of these routes, and what a test says instead. Nobody is evicted unless a test asks for it. */
export const settingsFor = (listen: ReadonlyArray<string>, more: Partial<RelaySettings> = {}): RelaySettings => {
  const settings = Result.getOrThrow(settingsOf({ listen, stats: ":0", stallTimeout: "10 minutes" }))
  return { ...settings, ...more }
}

/** A relay with a layer of its own: what it needs is given back behind it. */
export const relay = (settings: RelaySettings) =>
  Effect.gen(function*() {
    const services = yield* Layer.build(RelayServer.layer(settings))
    return yield* Effect.provide(RelayServer.make(settings), services)
  })

/** As a flag says it. */
export const textOf = (it: Net.Server): string => {
  const address = it.address()
  if (address === null) throw new Error("it does not listen")
  if (typeof address === "string") return `unix:${address}`
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`
}

export const to = (address: Address | undefined): Net.NetConnectOpts => {
  if (address === undefined) throw new Error("no such address")
  return address._tag === "Unix" ? { path: address.path } : { host: address.host ?? "localhost", port: address.port }
}

/** Looks until it holds, for 20 seconds at most. */
export const eventually = <A, E, R>(
  look: Effect.Effect<A, E, R>,
  holds: (seen: A) => boolean,
  deadline: number = Date.now() + 20_000
): Effect.Effect<A, E, R> =>
  Effect.flatMap(look, (seen) => {
    if (holds(seen)) return Effect.succeed(seen)
    if (Date.now() > deadline) return Effect.die(new Error(`still not so: ${JSON.stringify(seen, undefined, 1)}`))
    const turn = Effect.promise(() => new Promise((go) => setTimeout(go, 5)))
    return Effect.andThen(turn, eventually(look, holds, deadline))
  })

export const waiting = ({ pool }: Picture): number =>
  Object.values(pool.classes).reduce((sum, { waiting }) => sum + waiting, 0)

/** Nothing is lent, nobody waits, nothing runs, and no connection is open. */
export const isAtRest = (picture: Picture): boolean =>
  picture.pool.used === 0 && waiting(picture) === 0 && picture.server.open === 0 &&
  picture.relay.connections === 0 && picture.relay.waitingDirections === 0 && picture.relay.overdraftBytes === 0 &&
  picture.tasks.entities === 0 && picture.applets.entities === 0

const kept = new WeakMap<Net.Server, Set<Net.Socket>>()

/** A server that does this with each connection; whatever is open at the scope's end is destroyed. */
export const origin = (
  onConnection: (socket: Net.Socket) => void,
  options: Net.ListenOptions = loopback
): Effect.Effect<Net.Server, never, Scope.Scope> =>
  Effect.gen(function*() {
    const it = yield* server(options)
    const sockets = new Set<Net.Socket>()
    kept.set(it, sockets)
    it.on("connection", (socket) => {
      sockets.add(socket)
      socket.on("error", () => {}).once("close", () => sockets.delete(socket))
      onConnection(socket)
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => sockets.forEach((socket) => socket.destroy())))
    return it
  })

/** The connections that an origin has open. */
export const connectionsOf = (it: Net.Server): ReadonlyArray<Net.Socket> => [...kept.get(it) ?? []]

const block = Buffer.alloc(256 * 1024, 7)

/** Writes as long as the socket takes it. */
export const writeEndlessly = (socket: Net.Socket): void => {
  const more = (): void => {
    while (!socket.destroyed && socket.write(block)) { /* until it is full */ }
  }
  socket.on("drain", more)
  more()
}

/** Sends back what it gets, and ends when its client does. */
export const echo = (socket: Net.Socket): void => void socket.pipe(socket)

/** Holds once a picture has been so for ten looks in which not a byte moved: the kernel's buffers are full, too. */
export const still = (holds: (seen: Picture) => boolean): (seen: Picture) => boolean => {
  let moved = -1
  let looks = 0
  return (seen) => {
    const { requestBytes, responseBytes } = seen.relay
    looks = requestBytes + responseBytes === moved && holds(seen) ? looks + 1 : 0
    moved = requestBytes + responseBytes
    return looks >= 10
  }
}

/** So many of the clients have a buffer for their response for good, and the others wait for one. */
export const isSaturated = (clients: number, lent: number): (seen: Picture) => boolean =>
  still(({ pool: { classes: { channel } } }) => channel.lent === lent && channel.waiting === clients - lent)

/** Clients that never read what an endless origin sends, until so many buffers are lent to responses and the rest wait. */
export const saturate = (
  it: RelayServer.RelayServer,
  clients: number,
  lent: number
): Effect.Effect<ReadonlyArray<Net.Socket>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const sockets = yield* Effect.forEach(Array.from({ length: clients }), () => client(to(it.listening[0])))
    yield* eventually(it.picture, isSaturated(clients, lent))
    return sockets
  })

/** What a client sees of a connection: all its bytes, and how it ended. It is read from now on. */
export const conversation = (socket: Net.Socket): Promise<{ readonly text: string; readonly end: "end" | "reset" }> =>
  new Promise((resolve) => {
    let text = ""
    socket.setEncoding("latin1").on("data", (piece: string) => text += piece)
    socket.once("end", () => resolve({ text, end: "end" }))
    socket.once("close", () => resolve({ text, end: "reset" }))
    socket.resume()
  })

/** One question and its whole answer through a relay. */
export const ask = (address: Address | undefined, text: string) =>
  Effect.gen(function*() {
    const socket = yield* client(to(address))
    socket.end(text)
    return yield* Effect.promise(() => conversation(socket))
  })

export interface Answer {
  readonly status: number
  readonly type: string | undefined
  readonly body: string
}

/** Asks the status page; `undefined` if no whole answer came. */
export const get = (
  address: Net.NetConnectOpts,
  path: string,
  options: { readonly method?: string; readonly host?: string } = {}
): Effect.Effect<Answer | undefined> =>
  Effect.callback((resume) => {
    const { host, method = "GET" } = options
    const where = "path" in address ? { socketPath: address.path } : { host: address.host ?? "", port: address.port }
    const headers = host === undefined ? {} : { host }
    const lost = (): void => resume(Effect.succeed(undefined))
    const request = Http.request({ ...where, path, method, headers, agent: false }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (piece: string) => body += piece).on("error", lost)
      response.on("end", () => {
        resume(Effect.succeed({ status: response.statusCode ?? 0, type: response.headers["content-type"], body }))
      })
    })
    request.on("error", lost).end()
    return Effect.sync(() => request.destroy())
  })

/** The status page of a relay. */
export const page = (it: RelayServer.RelayServer, path: string) => get(to(it.stats), path)

/** Lines that were logged, each with its level. */
export const logged = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => lines.push(`${logLevel} ${String(message)}`))
  return { lines, layer: Logger.layer([logger]) }
}

/** A relay of Effect's own sockets: what its users would write first. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import type * as Socket from "effect/socket/Socket"
import { sayPorts, targetPorts } from "./serve.ts"

/** One direction, up to its orderly end, which the end of the writer's scope passes on. */
const pump = (reader: Socket.Reader, to: Socket.Socket): Effect.Effect<void, Socket.SocketError> =>
  Effect.gen(function*() {
    const writer = yield* to.writer
    while (true) yield* writer.writeAll(yield* reader.pull)
  }).pipe(
    Effect.scoped,
    Effect.catchIf(
      ({ reason }) => reason._tag === "SocketCloseError" && reason.code === 1000,
      () => Effect.void
    )
  )

const relay = (port: number) => (client: Socket.Socket): Effect.Effect<void> =>
  Effect.gen(function*() {
    const target = yield* NodeSocket.makeNet({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true })
    const fromClient = yield* client.reader
    const fromTarget = yield* target.reader
    yield* Effect.all([pump(fromClient, target), pump(fromTarget, client)], { concurrency: 2, discard: true })
  }).pipe(Effect.scoped, Effect.ignore)

const listen = (targetPort: number) =>
  Effect.gen(function*() {
    const options = { host: "127.0.0.1", port: 0, backlog: 4096, allowHalfOpen: true, noDelay: true }
    const server = yield* NodeSocketServer.make(options)
    yield* Effect.forkScoped(server.run(relay(targetPort)))
    return "port" in server.address ? server.address.port : 0
  })

NodeRuntime.runMain(Effect.scoped(Effect.gen(function*() {
  sayPorts(yield* Effect.forEach(targetPorts, listen))
  yield* Effect.never
})))

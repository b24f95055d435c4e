/** Real sockets for tests: pairs over loopback and Unix sockets, free ports only, and waiting for events instead of time. */
import { abortSocket, socketOptions } from "@headgate/node/NodePeer"
import { Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"

/** The next event of that name. */
export const event = (emitter: NodeJS.EventEmitter, name: string): Effect.Effect<unknown> =>
  Effect.callback((resume) => {
    const listener = (value: unknown): void => resume(Effect.succeed(value))
    emitter.once(name, listener)
    return Effect.sync(() => emitter.off(name, listener))
  })

/** Polls turns of the event loop until it holds. The test's own time limit bounds it. */
export const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() =>
    holds() ? Effect.void : Effect.andThen(Effect.promise(() => new Promise((go) => setTimeout(go, 1))), until(holds))
  )

/** A new directory, removed with the scope. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "headgate-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

export interface Pair {
  /** Ours: accepted by a server that makes its sockets as a relay does. */
  readonly ours: Net.Socket
  /** The other side: an ordinary client, paused. */
  readonly other: Net.Socket
}

export const server = (options: Net.ListenOptions): Effect.Effect<Net.Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => Net.createServer({ ...socketOptions, pauseOnConnect: true }).listen(options)),
    (it) => Effect.sync(() => it.close())
  ).pipe(Effect.tap((it) => event(it, "listening")))

const destroyed = <A extends Net.Socket>(socket: A) =>
  Effect.acquireRelease(Effect.sync(() => socket.on("error", () => {})), (it) => Effect.sync(() => abortSocket(it)))

/** A client that connects, paused and half-open. */
export const client = (options: Net.NetConnectOpts): Effect.Effect<Net.Socket, never, Scope.Scope> =>
  Effect.suspend(() => destroyed(Net.connect({ allowHalfOpen: true, ...options }).pause()))

/** Where a server listens, for a client. */
export const endpoint = (it: Net.Server): Net.NetConnectOpts => {
  const address = it.address()
  if (address === null) throw new Error("it does not listen")
  return typeof address === "string" ? { path: address } : { host: address.address, port: address.port }
}

export const pair = (options: Net.ListenOptions = { host: "127.0.0.1", port: 0 }) =>
  Effect.gen(function*() {
    const it = yield* server(options)
    const accepted = new Promise<Net.Socket>((resolve) => it.once("connection", resolve))
    const other = yield* client(endpoint(it))
    const ours = yield* Effect.flatMap(Effect.promise(() => accepted), destroyed)
    yield* until(() => !other.connecting)
    const result: Pair = { ours, other }
    return result
  })

/**
 * Wrong variants of the relay on Node's sockets: the rules that stand where bytes enter the process. The tests are those of
 * `@headgate/node`; nothing here imports it.
 */
import { mutantsOf } from "./mutant.ts"

const connect = mutantsOf("node", "packages/node/src/Connect.ts", [
  {
    name: "reading-before-the-target-is-connected",
    law: "bounds",
    rule: "both sides are read as soon as the target is dialled",
    row: "F6",
    find: "Effect.onError(connectedWithin(socket, ms), () => Effect.sync(() => abortSocket(socket))),\n",
    replace: "ms < 0 ? connectedWithin(socket, ms) : Effect.void,\n"
  }
])

const peer = mutantsOf("node", "packages/node/src/NodePeer.ts", [
  {
    name: "a-socket-is-read-before-anybody-asks",
    law: "overdraft",
    rule: "a socket is read from the moment at which it is a peer",
    find: "    socket.pause()\n    Reflect.set(socket, peerKey, this)\n",
    replace: "    Reflect.set(socket, peerKey, this)\n    socket.on(\"data\", NodePeer.#listeners.data)\n"
  },
  {
    name: "an-aborted-write-is-done-at-once",
    law: "L2",
    rule: "a write to a socket that is gone is over before its callback",
    find: "    this.#readiness?.stop()\n    abortSocket(this.socket)\n",
    replace: "    this.#readiness?.stop()\n    this.#writeDone?.(false)\n    abortSocket(this.socket)\n"
  }
])

const status = mutantsOf("node", "packages/node/src/StatusServer.ts", [
  {
    name: "the-status-page-reads-into-a-pooled-buffer",
    law: "bounds",
    rule: "the status listener reads its request into a pooled buffer, as the relay does",
    row: "F7",
    find: "      const fiber = run(answer(request, response, pages, look))\n",
    replace: `      const fiber = run(
        Effect.scoped(Effect.andThen(BufferPool.tryAcquire("rx"), answer(request, response, pages, look))).pipe(
          Effect.catch(() => Effect.sync(() => plain(response, 503, "no buffer for the request")))
        )
      )
`
  }
])

export const node = [...connect, ...peer, ...status]

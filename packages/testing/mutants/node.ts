/**
 * Wrong variants of the relay on Node's sockets: the rules that stand where bytes enter the process. The tests are those of
 * `@headgate/node`; nothing here imports it.
 */
import { mutantsOf } from "./mutant.ts"

const dialing = mutantsOf("node", "packages/node/src/internal/dialing.ts", [
  {
    name: "reading-before-the-target-is-connected",
    law: "bounds",
    rule: "both sides are read as soon as the target is dialled",
    row: "F6",
    find: "    socket.on(\"connect\", () => this.connected(socket))\n",
    replace: "    queueMicrotask(() => this.connected(socket))\n"
  },
  {
    name: "closed-while-a-socket-opens",
    law: "L9",
    rule: "whoever closes a dialing while it opens a socket closes the one before",
    find: "    if (this.tell === undefined) return this.close()\n",
    replace: ""
  },
  {
    name: "a-lookup-that-is-over-hides-the-timer",
    law: "L9",
    rule: "what stops a lookup is what stops the waiting, though the lookup has begun the dialing by then",
    find: "    if (this.endpoints.length === 0) this.stopWaiting = stop\n",
    replace: "    this.stopWaiting = stop\n"
  },
  {
    name: "a-closed-dialing-begins",
    law: "L9",
    rule: "a lookup that ends behind the close opens a socket",
    find: "    if (this.isClosed) return\n",
    replace: ""
  }
])

const life = mutantsOf("node", "packages/node/src/internal/life.ts", [
  {
    name: "a-life-that-breaks-goes-on",
    law: "ends",
    rule: "what throws in a connection's callback is logged, and no more",
    find: "      this.fittings.broke(error)\n      this.stop()\n",
    replace: "      this.fittings.broke(error)\n"
  },
  {
    name: "an-end-leaves-the-target",
    law: "ends",
    rule: "at a connection's end its client is closed",
    find: "    this.attempt(() => this.dialing.close())\n",
    replace: ""
  },
  {
    name: "an-end-that-throws-keeps-its-place",
    law: "ends",
    rule: "a client that cannot be closed is the end of the end",
    find: "    this.attempt(() => this.client.close())\n",
    replace: "    this.client.close()\n"
  }
])

const peer = mutantsOf("node", "packages/node/src/NodePeer.ts", [
  {
    name: "a-socket-is-read-before-anybody-asks",
    law: "overdraft",
    rule: "a socket is read from the moment at which it is a peer",
    find: "    socket.pause()\n    const peered",
    replace: "    socket.on(\"data\", NodePeer.#listeners.data)\n    const peered"
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

export const node = [...dialing, ...life, ...peer, ...status]

/**
 * The same relay as nearly everybody writes it: two `pipe`s per connection, and no bound on them all together.
 *
 * Invariant: it does nothing that Headgate's does not do either: half-closed connections, no Nagle, a failure of one side ends
 * both. So what differs in the figures is the budget. Run with the origin's port; says its memory four times a second.
 */
import * as Net from "node:net"
import { listenAndSay, say } from "./serve.ts"

const target = { host: "127.0.0.1", port: Number(process.argv[2]), allowHalfOpen: true, noDelay: true }
/** Each client, and the server that it talks to. */
const open = new Map<Net.Socket, Net.Socket>()

const relay = (client: Net.Socket): void => {
  const server = Net.connect(target)
  const drop = (): void => {
    open.delete(client)
    client.destroy()
    server.destroy()
  }
  open.set(client, server)
  client.on("error", drop).on("close", () => open.delete(client)).pipe(server)
  server.on("error", drop).pipe(client)
}

/** Clients that have not taken what was written to them. */
const stuck = (): number => [...open.keys()].filter((client) => client.writableNeedDrain).length

/** Bytes that wait in its sockets, for somebody to read them on or to take them. */
const held = (): number =>
  [...open].flat().reduce((sum, socket) => sum + socket.readableLength + socket.writableLength, 0)

listenAndSay(Net.createServer({ allowHalfOpen: true, noDelay: true }, relay))
setInterval(() => {
  say({ rssBytes: process.memoryUsage.rss(), heldBytes: held(), connections: open.size, stuck: stuck() })
}, 250)

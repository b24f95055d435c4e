/**
 * How a server of the demo tells its parent where it listens: one line of JSON, on a free port of the loopback address.
 */
import type * as Net from "node:net"

export const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`)

export const listenAndSay = (server: Net.Server): void => {
  server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
    const address = server.address()
    if (typeof address === "object" && address !== null) say({ port: address.port })
  })
}

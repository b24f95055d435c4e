/**
 * What the relays of the bench have in common: they are started with the ports of their targets, listen once for each on a free
 * port of the loopback address, and say so in one line.
 */
import * as Net from "node:net"

export const targetPorts: ReadonlyArray<number> = process.argv.slice(2).map(Number)

export const sayPorts = (ports: ReadonlyArray<number>): void => {
  process.stdout.write(`${JSON.stringify({ ports })}\n`)
}

/** Two sockets that are to be relayed into each other, the target's still on its way to be connected. */
export type Join = (client: Net.Socket, target: Net.Socket) => void

const listen = (targetPort: number, join: Join): Promise<number> =>
  new Promise((resolve) => {
    const target = { host: "127.0.0.1", port: targetPort, allowHalfOpen: true, noDelay: true }
    const server = Net.createServer(
      { allowHalfOpen: true, noDelay: true },
      (client) => join(client, Net.connect(target))
    )
    server.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
      const address = server.address()
      if (typeof address === "object" && address !== null) resolve(address.port)
    })
  })

export const serve = async (join: Join): Promise<void> =>
  sayPorts(await Promise.all(targetPorts.map((port) => listen(port, join))))

/** What looks like a relay from outside, and whose status page says that it kept what it should have given back. */
import * as Http from "node:http"

const idle = { waiting: 0 }
const stats = {
  pool: {
    limit: 3,
    bufferSize: 1,
    used: 1,
    highWater: 4,
    classes: { tx: idle, channel: { waiting: 2 }, endpoint: idle, rx: idle },
    counters: { handOffs: 0 }
  },
  relay: { connections: 1, overdraftHighWaterBytes: 2 * 2 * 128 * 1024 + 1, ended: {} },
  server: { rssBytes: 1 }
}

const server = Http.createServer((_, response) => response.end(JSON.stringify(stats)))
server.listen(0, "127.0.0.1", () => {
  const address = server.address()
  console.log("relaying 127.0.0.1:1 -> 127.0.0.1:1")
  if (typeof address === "object") console.log(`status page on 127.0.0.1:${address?.port}`)
})
process.on("SIGTERM", () => process.exit(3))

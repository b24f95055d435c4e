/** A relay whose resets look like orderly ends. */
import * as Net from "node:net"
import { replace } from "./faults.ts"

replace(Net.Socket.prototype, "resetAndDestroy", (socket) => {
  socket.end()
  socket.destroySoon()
})

await import("../../soak/relay.ts")

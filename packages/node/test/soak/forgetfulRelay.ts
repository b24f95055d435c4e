/** A relay that does not pass on one orderly end. */
import * as Net from "node:net"
import { replace } from "./faults.ts"

let ends = 0
replace(Net.Socket.prototype, "end", (socket, original, args) => {
  ends++
  return ends === 3 ? socket : original(...args)
})

await import("../../soak/relay.ts")

/** A relay that resets a connection now and then, for no reason. */
import { onBulk } from "./faults.ts"

onBulk((socket, bytes, nth) => {
  if (nth % 10 === 0) socket.resetAndDestroy()
  return bytes
})

await import("../../soak/relay.ts")

/** A relay that dies of something that nobody caught. */
import { onBulk } from "./faults.ts"

onBulk((_, bytes, nth) => {
  if (nth === 3) setImmediate(() => Promise.reject(new Error("nobody caught this")))
  return bytes
})

await import("../../soak/relay.ts")

/** A relay that forgets one buffer: the write that it was lent to is over, and it stays pinned. */
import { Direction } from "../../../headgate/src/internal/connection.ts"
import { replace } from "./faults.ts"

let writes = 0
replace(Direction.prototype, "landed", ({ connection: { shared } }, original) => {
  writes++
  const { unpin } = shared
  if (writes === 3) Reflect.set(shared, "unpin", () => {})
  const landed = original()
  Reflect.set(shared, "unpin", unpin)
  return landed
})

await import("../../soak/relay.ts")

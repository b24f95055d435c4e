/** A relay that forgets one buffer: the write that it was lent to is over, and it stays pinned. */
import { Direction } from "../../../headgate/src/internal/connection.ts"
import { replace } from "./faults.ts"

let pins = 0
replace(Direction.prototype, "letGo", (direction, original) => {
  const { shared } = direction.connection
  if (Reflect.get(direction, "held") !== undefined) pins++
  const { unpin } = shared
  if (pins === 3) Reflect.set(shared, "unpin", () => {})
  original()
  Reflect.set(shared, "unpin", unpin)
})

await import("../../soak/relay.ts")

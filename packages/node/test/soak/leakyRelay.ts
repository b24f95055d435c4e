/** A relay that forgets one buffer: the write that it was lent to is over, and it stays pinned. */
import { Direction } from "../../../headgate/src/internal/connection.ts"
import { replace } from "./faults.ts"

let pins = 0
replace(Direction.prototype, "letGo", (direction, original) => {
  const { pool } = direction.connection.shared
  if (Reflect.get(direction, "held") !== undefined) pins++
  const { unpinUnsafe } = pool
  if (pins === 3) Reflect.set(pool, "unpinUnsafe", () => {})
  original()
  Reflect.set(pool, "unpinUnsafe", unpinUnsafe)
})

await import("../../soak/relay.ts")

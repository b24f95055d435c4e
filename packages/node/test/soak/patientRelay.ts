/** A relay that lets who waits for a buffer wait on, `queueTimeout` or not. */
import { Connection } from "../../../headgate/src/internal/connection.ts"
import { replace } from "./faults.ts"

replace(
  Connection.prototype,
  "finish",
  (_, original, args) => args[0] === "queueTimeout" ? undefined : original(...args)
)

await import("../../soak/relay.ts")

/**
 * `pnpm start`: the demo on this terminal. `HEADGATE_START_SCALE` (above 0, at most 1) shrinks it: 0.1 is a tenth.
 *
 * It exits with 0 if nothing was lost, 1 if something was, 64 if it was asked for no size that it knows, 130 at Ctrl-C.
 */
import { runMain } from "@effect/platform-node/NodeRuntime"
import { demo } from "./demo.ts"

const scale = Number(process.env["HEADGATE_START_SCALE"] ?? 1)

// Nobody reads on (`start | head`): there is nothing more to do.
process.stdout.on("error", () => process.exit(1))

if (scale > 0 && scale <= 1) {
  runMain(demo({ scale }))
} else {
  console.error("HEADGATE_START_SCALE must be a number above 0 and at most 1")
  process.exitCode = 64
}

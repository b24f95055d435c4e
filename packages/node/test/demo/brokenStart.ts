/** The demo as `start` runs it, with a relay that loses bytes. */
import { runMain } from "@effect/platform-node/NodeRuntime"
import { demo } from "../../demo/demo.ts"

runMain(demo({ scale: 0.05, relay: new URL("./brokenRelay.ts", import.meta.url) }))

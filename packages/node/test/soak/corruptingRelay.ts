/** A relay that changes a byte now and then. */
import { onBulk } from "./faults.ts"

onBulk((_, bytes, nth) => nth % 10 === 0 ? bytes.with(100, (bytes[100] ?? 0) ^ 1) : bytes)

await import("../../soak/relay.ts")

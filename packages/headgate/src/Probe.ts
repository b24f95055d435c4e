/**
 * For explorers of interleavings: when Headgate's state was touched.
 *
 * @since 0.1.0
 */
import { version } from "./internal/version.ts"

/**
 * How often the state of pools, channels, entities and schedulers was accessed so far, reads included, by anybody in this
 * process. Only its changes mean something: a step between two equal values touched nothing that fibers share. O(1).
 *
 * @since 0.1.0
 */
export const accesses = (): number => version()

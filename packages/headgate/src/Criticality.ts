/**
 * How urgently somebody needs a buffer: from what lets bytes out to what brings bytes in.
 *
 * The more critical class is served first and may use more of the reserve, because what it does frees memory. The order
 * follows data from consumer to producer, as in HAProxy 3.0 (there: `MUX_TX`, `CHANNEL`, `SE_RX`, `MUX_RX`).
 *
 * @since 0.1.0
 */

/**
 * A class of urgency, most critical first: `tx` (writing out, the operator's view), `channel` (a response on its way),
 * `endpoint` (an applet that produces), `rx` (reading new bytes in).
 *
 * @category models
 * @since 0.1.0
 */
export type Criticality = "tx" | "channel" | "endpoint" | "rx"

/**
 * All classes, most critical first; the index is the level that the margins are computed from.
 *
 * @category constants
 * @since 0.1.0
 */
export const order: readonly ["tx", "channel", "endpoint", "rx"] = ["tx", "channel", "endpoint", "rx"]

const levels: { readonly [C in Criticality]: number } = { tx: 0, channel: 1, endpoint: 2, rx: 3 }

/**
 * The place of a class in {@link order}: 0 for `tx` … 3 for `rx`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const level = (criticality: Criticality): number => levels[criticality]

/**
 * Buffers that must stay free behind a grant at this class: `floor(level × reserve / 3)`, so `tx` leaves nothing behind
 * and `rx` the whole reserve.
 *
 * @category accessors
 * @since 0.1.0
 */
export const margin = (criticality: Criticality, reserve: number): number =>
  Math.floor(levels[criticality] * reserve / 3)

/**
 * Whether a value names a class.
 *
 * @category guards
 * @since 0.1.0
 */
export const isCriticality = (value: unknown): value is Criticality =>
  value === "tx" || value === "channel" || value === "endpoint" || value === "rx"

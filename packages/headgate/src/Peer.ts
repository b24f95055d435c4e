/**
 * One end of a connection, as the relay knows it: a small port, so that the relay's logic runs unchanged over Node's
 * sockets, over simulated ones in virtual time, or over yours.
 *
 * Everything is synchronous. A peer never calls back from inside a method, with one exception: `write` and `end` may call
 * `done` before they return.
 *
 * @since 0.1.0
 */

/**
 * What a peer tells whoever is attached to it. After `onReset` it tells nothing more; after `onEnd` no `onBytes`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PeerEvents {
  /** Bytes arrived. The view is valid during the call only: copy what must stay. */
  readonly onBytes: (bytes: Uint8Array) => void
  /** The other side sends no more (FIN): an orderly end. It may still read. */
  readonly onEnd: () => void
  /** The connection is gone: reset, error, or closed before both ends were orderly. */
  readonly onReset: (cause: unknown) => void
}

/**
 * One end of a connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Peer {
  /** Who it is, for people: an address. */
  readonly label: string
  /** Once, before anything else. Nothing is read until `readStart`; a reset is told all the same. */
  readonly attach: (events: PeerEvents) => void
  readonly readStart: () => void
  /** No more reads are started. A read under way may still tell its bytes: at most 64 KiB. */
  readonly readStop: () => void
  /**
   * Writes all bytes of the views, in order. Until `done` the memory belongs to the write. `accepted` is false if the
   * connection ended before all of it was taken. One write at a time. If it throws it uses none of the memory any more, and
   * is not `done`.
   */
  readonly write: (views: ReadonlyArray<Uint8Array>, done: (accepted: boolean) => void) => void
  /**
   * Sends an orderly end (FIN) behind all that was written; `done` once it is on its way. Never, if the connection is reset
   * first: that is told by `onReset`.
   */
  readonly end: (done: () => void) => void
  /**
   * Ends both directions at once and not orderly (RST where there is such a thing). Safe to repeat. No event follows; a write
   * in flight is still `done`, once its memory is no longer used.
   */
  readonly abort: () => void
  /** Bytes handed to `write` that the operating system has not accepted yet. */
  readonly unacceptedBytes: () => number
  /** Bytes that the operating system accepted and the other host has not, as of the last sample; undefined if unknown. */
  readonly unsentBytes: () => number | undefined
}

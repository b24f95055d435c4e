/**
 * One end of a connection, as the relay knows it: a small port, so that the relay's logic runs unchanged over Node's
 * sockets, over simulated ones in virtual time, or over yours.
 *
 * Everything is synchronous. A peer never calls back from inside a method, with one exception: `write` and `end` may call
 * `done` before they return.
 *
 * What comes in reaches its reader in one of two ways. Every peer can tell `onBytes`, with memory of its own. One that has
 * `read` may leave the bytes in the operating system, tell `onReadable` instead, and have them read straight into memory that
 * the reader chooses, when there is some.
 *
 * @since 0.1.0
 */

/**
 * What a peer tells whoever is attached to it. After `onReset` it tells nothing more; after `onEnd` no `onBytes` and no
 * `onReadable`. They are called as methods of the object that was attached.
 *
 * @category models
 * @since 0.1.0
 */
export interface PeerEvents {
  /** Bytes arrived. The view is valid during the call only: copy what must stay. */
  readonly onBytes: (bytes: Uint8Array) => void
  /**
   * Something is there to `read`: bytes, an end or a reset. While reading is on it is told again in each turn until all has
   * been read, so who does not read now stops reading. Left out by those who want `onBytes` in any case.
   */
  readonly onReadable?: (() => void) | undefined
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
  /** No more reads are started. A read under way may still tell its bytes: at most 64 KiB. `onReadable` is told no more. */
  readonly readStop: () => void
  /**
   * For a peer that tells `onReadable`: fills `into` from its start with bytes that the operating system holds, and says how
   * many. Fewer than fit (0: none) are all that were there; an end or a reset that was found is told later. Reading on or off
   * makes no difference to it.
   */
  readonly read?: ((into: Uint8Array) => number) | undefined
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

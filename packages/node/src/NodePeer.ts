/**
 * A Node socket as a `Peer`: by `data` events (the `plain` landing), or, if that is asked for and possible, by leaving what
 * arrived in the kernel until there is a buffer for it (`readiness`: `internal/readinessLanding.ts`).
 *
 * Invariant: `done` of a write is called exactly once, and not before Node and the kernel have let go of its memory, whatever
 * ends: also after `abort`. A connection is told to have ended in order only if both ends said so.
 *
 * The socket must be made with `socketOptions`: with a larger mark Node goes on filling its own buffer after a pause.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Peer, PeerEvents } from "headgate/Peer"
import type * as Net from "node:net"
import { directWrite } from "./internal/directWrite.ts"
import * as kernelQueues from "./internal/kernelQueues.ts"
import { pauseReading, resumeReading } from "./internal/plainReading.ts"
import { land, type Landing as ReadinessLanding } from "./internal/readinessLanding.ts"
import type { Landing } from "./Landing.ts"

/**
 * How a relay's sockets are made: they may end one direction before the other, and Node reads nothing ahead of a pause.
 *
 * @category options
 * @since 0.1.0
 */
export const socketOptions: {
  readonly allowHalfOpen: true
  readonly highWaterMark: 0
  readonly noDelay: true
} = { allowHalfOpen: true, highWaterMark: 0, noDelay: true }

/**
 * Resets a TCP socket, destroys a Unix socket (which cannot reset). Never sends an orderly end of its own. Safe to repeat.
 *
 * A reset while Node's `shutdown` is under way would be refused and leak the handle; it then follows the FIN at once.
 *
 * @category utils
 * @since 0.1.0
 */
export const abortSocket = (socket: Net.Socket): void => {
  if (socket.destroyed) return
  if (isShuttingDown(socket)) {
    socket.once("finish", () => abortSocket(socket))
  } else if (socket.localAddress === undefined || socket.connecting) {
    socket.destroy()
  } else {
    socket.resetAndDestroy()
  }
}

const isShuttingDown = (socket: Net.Socket): boolean =>
  socket.writableEnded && !socket.writableFinished && socket.writableLength === 0

/**
 * Closes a socket that ended in order on both sides; anything else is aborted.
 *
 * @category utils
 * @since 0.1.0
 */
export const closeSocket = (socket: Net.Socket): void => {
  if (isOrderly(socket)) socket.destroy()
  else abortSocket(socket)
}

const isOrderly = (socket: Net.Socket): boolean => socket.readableEnded && socket.writableFinished

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null

/** Bytes that libuv holds for the socket: falls with each partial write, which `writableLength` does not. */
const writeQueueSize = (socket: Net.Socket): number => {
  const handle: unknown = "_handle" in socket ? socket._handle : undefined
  const size: unknown = isObject(handle) && "writeQueueSize" in handle ? handle.writeQueueSize : undefined
  return typeof size === "number" ? size : socket.writableLength
}

const labelOf = (socket: Net.Socket): string => {
  const { remoteAddress: host, remotePort: port } = socket
  if (host === undefined || port === undefined) {
    return socket.localAddress === undefined && !socket.destroyed ? "unix" : "a client that is gone"
  }
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * Lets a chunk's memory go at once: its bytes have been told, and were copied if they must stay. Left to the collector, which
 * does not know its size, such chunks made up most of the process's memory under load.
 */
const free = ({ buffer, byteLength }: Uint8Array): void => {
  const isWholeChunk = buffer instanceof ArrayBuffer && buffer.byteLength === byteLength
  if (isWholeChunk) buffer.transfer(0)
}

/**
 * How a peer is made. All may be left out.
 *
 * @category options
 * @since 0.1.0
 */
export interface NodePeerOptions {
  /** Who it is, for people. Default: its address. */
  readonly label?: string | undefined
  /** How its bytes come in. Default `"plain"`. A socket that cannot do otherwise is plain in any case. */
  readonly landing?: Landing | undefined
}

/** Where a socket's peer is found, so that all sockets share their listeners: a closure for each event is memory when idle. */
const peerKey: unique symbol = Symbol("headgate/NodePeer")

type Peered = Net.Socket & { [peerKey]?: NodePeer }

/**
 * A `Peer` over a socket that is connected, and has no other peer.
 *
 * @category models
 * @since 0.1.0
 */
export class NodePeer implements Peer {
  readonly socket: Net.Socket
  #label: string | undefined
  /** How `/proc/net/tcp` names it; undefined for Unix sockets, and before anybody asked. */
  #queueKey: string | undefined
  #events: PeerEvents | undefined
  /** Nothing is told any more: aborted, or the end was told. */
  #silent = false
  #closed = false
  #cause: unknown
  #writeDone: ((accepted: boolean) => void) | undefined
  #callbacksDue = 0
  #refused = false
  #endDone: (() => void) | undefined
  #unsent: number | undefined
  readonly #wanted: Landing
  #readiness: ReadinessLanding | undefined
  #landedBytes = 0

  constructor(socket: Net.Socket, options: NodePeerOptions = {}) {
    this.socket = socket
    this.#label = options.label
    this.#wanted = options.landing ?? "plain"
    socket.pause()
    const peered: Peered = socket
    peered[peerKey] = this
    socket.on("end", NodePeer.#listeners.end)
    socket.on("error", NodePeer.#listeners.error)
    socket.on("close", NodePeer.#listeners.close)
    if (socket.destroyed) this.#closed = true
  }

  static readonly #listeners = {
    data(this: Peered, bytes: Uint8Array): void {
      const peer = this[peerKey]
      if (peer !== undefined) peer.#onData(bytes)
    },
    end(this: Peered): void {
      const peer = this[peerKey]
      if (peer !== undefined) peer.#onEnd()
    },
    finish(this: Peered): void {
      const peer = this[peerKey]
      if (peer !== undefined) peer.#onFinish()
    },
    error(this: Peered, cause: unknown): void {
      const peer = this[peerKey]
      if (peer !== undefined) peer.#onError(cause)
    },
    close(this: Peered): void {
      const peer = this[peerKey]
      if (peer !== undefined) peer.#onClose()
    }
  }

  /** Asks the system for the address when it is first wanted, which for most connections is never. */
  get label(): string {
    return this.#label ??= labelOf(this.socket)
  }

  attach(events: PeerEvents): void {
    this.#events = events
    if (this.#closed) return queueMicrotask(() => this.#onClose())
    if (this.#wanted === "readiness" && events.onReadable !== undefined) this.#readiness = land(this.socket, this)
    if (this.#readiness === undefined) this.socket.on("data", NodePeer.#listeners.data)
  }

  readStart(): void {
    if (this.#readiness === undefined) resumeReading(this.socket)
    else this.#readiness.start()
  }

  readStop(): void {
    if (this.#readiness === undefined) pauseReading(this.socket)
    else this.#readiness.stop()
  }

  read(into: Uint8Array): number {
    const count = this.#readiness?.read(into) ?? 0
    this.#landedBytes += count
    return count
  }

  write(views: ReadonlyArray<Uint8Array>, done: (accepted: boolean) => void): void {
    if (this.socket.destroyed || views.length === 0) return done(!this.socket.destroyed)
    this.#writeDone = done
    this.#refused = false
    this.#callbacksDue = views.length
    for (const view of views) directWrite(this.socket, view, this)
  }

  end(done: () => void): void {
    if (this.socket.destroyed) return
    this.#endDone = done
    this.socket.on("finish", NodePeer.#listeners.finish)
    if (this.#writeDone === undefined) this.socket.end()
  }

  abort(): void {
    this.#silent = true
    this.#readiness?.stop()
    abortSocket(this.socket)
  }

  unacceptedBytes(): number {
    return writeQueueSize(this.socket)
  }

  unsentBytes(): number | undefined {
    return this.#unsent
  }

  /** Bytes that were read so far, told or not. */
  get bytesRead(): number {
    return this.socket.bytesRead + this.#landedBytes
  }

  /** How its bytes come in, once somebody is attached. */
  get landing(): Landing {
    return this.#readiness === undefined ? "plain" : "readiness"
  }

  /** For a scope's end: closes if both ends were orderly, aborts otherwise. */
  close(): void {
    this.#silent = true
    closeSocket(this.socket)
  }

  /** The key under which a sample of the kernel's queues has it; undefined if it has none. */
  get queueKey(): string | undefined {
    if (this.socket.destroyed) return undefined
    return this.#queueKey ??= kernelQueues.keyOf(this.socket)
  }

  /** Takes its figure out of a sample. */
  noteUnsent(queues: kernelQueues.KernelQueues): void {
    const key = this.queueKey
    this.#unsent = key === undefined ? undefined : queues.get(key)
  }

  #onData(bytes: Uint8Array): void {
    if (!this.#silent) this.#events?.onBytes(bytes)
    free(bytes)
  }

  /** @internal */
  readable(): void {
    if (!this.#silent) this.#events?.onReadable?.()
  }

  #onEnd(): void {
    if (!this.#silent) this.#events?.onEnd()
  }

  #onFinish(): void {
    const done = this.#endDone
    this.#endDone = undefined
    if (!this.#silent) done?.()
  }

  #onError(cause: unknown): void {
    this.#cause ??= cause
  }

  /** Comes after the callbacks of all writes: so the reset is the last thing told. */
  #onClose(): void {
    this.#closed = true
    this.#unsent = undefined
    if (this.#silent || this.#events === undefined || isOrderly(this.socket)) return
    this.#silent = true
    this.#events.onReset(this.#cause ?? new Error(`${this.label} closed before both ends were orderly`))
  }

  /** @internal */
  wrote(error?: Error | null): void {
    if (error !== undefined && error !== null) this.socket.destroy(error)
    if (this.socket.destroyed) this.#refused = true
    this.#callbacksDue -= 1
    if (this.#callbacksDue > 0) return
    const done = this.#writeDone
    this.#writeDone = undefined
    done?.(!this.#refused)
    if (this.#endDone !== undefined && this.#writeDone === undefined && !this.socket.writableEnded) this.socket.end()
  }
}

/**
 * A connected socket as a peer, for the rest of the scope: at its end the socket is closed if both directions ended in
 * order, and aborted otherwise.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromSocket = (
  socket: Net.Socket,
  options: NodePeerOptions = {}
): Effect.Effect<NodePeer, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new NodePeer(socket, options)),
    (peer) => Effect.sync(() => peer.close())
  )

/**
 * Refreshes what `unsentBytes` says of these peers, by one look at the kernel's tables (synchronous: some milliseconds with
 * ten thousand sockets). For `RelayOptions.sampleUnsent`. Linux and TCP only: elsewhere it stays undefined.
 *
 * @category utils
 * @since 0.1.0
 */
export const sampleUnsent = (peers: ReadonlyArray<Peer>): void => {
  const nodePeers = peers.filter((peer) => peer instanceof NodePeer)
  const keys = nodePeers.flatMap((peer) => peer.queueKey ?? [])
  const queues = kernelQueues.sample(keys)
  for (const peer of nodePeers) peer.noteUnsent(queues)
}

/**
 * The readiness landing: a socket tells that there is something to read, and the bytes stay in the kernel until somebody has
 * memory for them.
 *
 * Everything that leans on Node's internals is in this file. A handle is lent a landing area of zero bytes, once. When there is
 * something to read, libuv finds no room in it (ENOBUFS), consumes nothing and calls `onread`, which is ours; the bytes are then
 * read by `read(2)`, straight into the memory that `read` is given.
 *
 * Invariant: no memory is ever lent beyond the call that fills it. So nothing of a buffer can be written to behind its owner's
 * back, whatever ends, and there is nothing to switch back, nor to pin.
 */
import * as Fs from "node:fs"
import type * as Net from "node:net"
import { binding } from "./binding.ts"

/** A socket that lands in this way. Nothing is told from inside a method. */
export interface Landing {
  /** `readable` is told in each turn in which there is something to read, until `stop`. */
  readonly start: () => void
  readonly stop: () => void
  /**
   * Fills `into` from its start, and says how many bytes that were: fewer than fit are all there were. An end makes the socket
   * emit `end`, and an error destroys it, each later.
   */
  readonly read: (into: Uint8Array) => number
}

/** Whoever wants to know. */
export interface Listener {
  readonly readable: () => void
}

export type Land = (socket: Net.Socket, listener: Listener) => Landing | undefined

/** What is used of a `TCP` or `Pipe` of Node's. */
interface Handle {
  onread: (this: Handle, buffer: unknown) => unknown
  readonly fd: number
  readonly useUserBuffer: (area: Uint8Array) => void
  readonly readStart: () => number
  readonly readStop: () => number
}

const isFunction = (value: unknown): boolean => typeof value === "function"

/** Kinds of handles that have been looked at. */
const known = new WeakSet<object>()

const isHandle = (value: unknown): value is Handle => {
  if (typeof value !== "object" || value === null) return false
  const kind = Reflect.getPrototypeOf(value)
  if (kind === null) return false
  const isRight = known.has(kind) || (
    ["onread", "useUserBuffer", "readStart", "readStop"].every((name) => isFunction(Reflect.get(value, name))) &&
    typeof Reflect.get(value, "fd") === "number"
  )
  if (isRight) known.add(kind)
  return isRight
}

const handleOf = (socket: Net.Socket): Handle | undefined => {
  const handle: unknown = "_handle" in socket ? socket._handle : undefined
  return isHandle(handle) ? handle : undefined
}

/** Where Node leaves the result of a read before it calls `onread`: bytes, or an error below 0. */
interface StreamState {
  readonly result: () => number
}

const streamState = (): StreamState | undefined => {
  const wrap = binding("stream_wrap")
  if (wrap === undefined) return undefined
  const state: unknown = Reflect.get(wrap, "streamBaseState")
  const at: unknown = Reflect.get(wrap, "kReadBytesOrError")
  if (!(state instanceof Int32Array) || typeof at !== "number") return undefined
  return { result: () => state[at] ?? 0 }
}

const state = streamState()

const noRoom = -105

/** Not a byte, but memory behind it: libuv takes an area without any for one that is missing. */
const zeroBytes = Buffer.alloc(1).subarray(0, 0)

const codeOf = (error: unknown): unknown =>
  typeof error === "object" && error !== null ? Reflect.get(error, "code") : undefined

const asError = (error: unknown): Error => error instanceof Error ? error : new Error(String(error))

class ReadinessLanding implements Landing {
  private readonly socket: Net.Socket
  private readonly handle: Handle
  private readonly listener: Listener
  private readonly plainRead: Handle["onread"]
  private hasEnded = false

  constructor(socket: Net.Socket, handle: Handle, result: StreamState["result"], listener: Listener) {
    this.socket = socket
    this.handle = handle
    this.listener = listener
    this.plainRead = handle.onread
    handle.readStop()
    handle.useUserBuffer(zeroBytes)
    handle.onread = (buffer) => {
      if (result() !== noRoom) return Reflect.apply(this.plainRead, handle, [buffer])
      this.isReadable()
      return undefined
    }
  }

  start(): void {
    if (!this.hasEnded && !this.socket.destroyed) this.handle.readStart()
  }

  stop(): void {
    if (!this.socket.destroyed) this.handle.readStop()
  }

  read(into: Uint8Array): number {
    if (into.length === 0 || this.hasEnded || this.socket.destroyed) return 0
    const count = this.take(into)
    if (count === 0) this.ended()
    return Math.max(0, count)
  }

  /** 0 at the end, -1 if there is nothing now, or never will be. */
  private take(into: Uint8Array): number {
    try {
      return Fs.readSync(this.handle.fd, into, 0, into.length, null)
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") this.socket.destroy(asError(error))
      return -1
    }
  }

  /** Node has not seen the end, for it has not read: from here on it is as if it had. */
  private ended(): void {
    this.hasEnded = true
    this.stop()
    this.socket.push(null)
    this.socket.read(0)
  }

  /** Called by libuv, through Node: what it throws would end the process. */
  private isReadable(): void {
    try {
      this.listener.readable()
    } catch (error) {
      this.socket.destroy(asError(error))
    }
  }
}

/** Once for a socket that is connected and has not been read; undefined if it was, or this Node is not of the kind. */
export const land: Land = (socket, listener) => {
  const handle = handleOf(socket)
  if (handle === undefined || state === undefined || socket.readableLength > 0 || socket.readableEnded) return undefined
  return new ReadinessLanding(socket, handle, state.result, listener)
}

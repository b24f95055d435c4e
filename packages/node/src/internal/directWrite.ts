/**
 * A write that is over at once if the kernel takes it whole: then its writer is told before this returns, and the memory can be
 * filled again. `Socket.write` would queue the callback even so.
 *
 * What it leans on: a handle's `writeBuffer` tries the write first, and takes the request it is given only if something is left
 * over. So one spare request serves all writes that are over at once, which nearly all are; Node makes one for each. Where Node
 * is not of that kind the write goes by `_write`, which `Socket.write` calls.
 *
 * Invariant: what is in flight belongs to the handle and not to the stream: whoever ends the socket waits until the writer is
 * told, and what the stream itself still has to write goes first.
 */
import type * as Net from "node:net"
import { getSystemErrorName } from "node:util"
import { binding } from "./binding.ts"

/** Whose write it is. */
export interface Writer {
  /** Once for each write: from then on its memory is used no more. */
  readonly wrote: (error?: Error | null) => void
}

interface Handle {
  readonly writeBuffer: (request: object, bytes: Uint8Array) => number
}

/** A `WriteWrap` of Node's, and what we keep with it while its write is in flight. */
interface Request {
  oncomplete: (this: Request, status: number) => void
  writer: Writer | undefined
  /** The handle has only the address of the memory. */
  bytes: Uint8Array | undefined
}

interface Requests {
  readonly make: () => Request
  /** Whether the last write used its request. */
  readonly isUsed: () => boolean
}

const errorOf = (status: number): Error => {
  const code = getSystemErrorName(status)
  return Object.assign(new Error(`write ${code}`), { code, errno: status, syscall: "write" })
}

function completed(this: Request, status: number): void {
  const { writer } = this
  this.writer = this.bytes = undefined
  writer?.wrote(status < 0 ? errorOf(status) : undefined)
}

const requestsOf = (wrap: object | undefined): Requests | undefined => {
  if (wrap === undefined) return undefined
  const kind: unknown = Reflect.get(wrap, "WriteWrap")
  const state: unknown = Reflect.get(wrap, "streamBaseState")
  const at: unknown = Reflect.get(wrap, "kLastWriteWasAsync")
  if (typeof kind !== "function" || !(state instanceof Int32Array) || typeof at !== "number") return undefined
  return {
    make: () =>
      Object.assign(Reflect.construct(kind, []), { oncomplete: completed, writer: undefined, bytes: undefined }),
    isUsed: () => state[at] !== 0
  }
}

const requests = requestsOf(binding("stream_wrap"))
let spare = requests?.make()

const isHandle = (value: unknown): value is Handle =>
  typeof value === "object" && value !== null && "writeBuffer" in value && typeof value.writeBuffer === "function"

/** Until it is told the memory belongs to the write, also after the socket is destroyed. An error destroys the socket. */
export const directWrite = (socket: Net.Socket, bytes: Uint8Array, writer: Writer): void => {
  const handle: unknown = "_handle" in socket ? socket._handle : undefined
  if (socket.connecting || socket.writableLength > 0 || socket.writableEnded) {
    socket.write(bytes, (error) => writer.wrote(error))
  } else if (requests === undefined || spare === undefined || !isHandle(handle)) {
    Reflect.apply(socket._write, socket, [bytes, "buffer", (error?: Error | null) => writer.wrote(error)])
  } else {
    const request = spare
    const status = handle.writeBuffer(request, bytes)
    if (status === 0 && !requests.isUsed()) return writer.wrote()
    spare = requests.make()
    if (status !== 0) return writer.wrote(errorOf(status))
    request.writer = writer
    request.bytes = bytes
  }
}

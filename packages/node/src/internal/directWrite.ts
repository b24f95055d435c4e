/**
 * A write that is over at once if the kernel takes it whole: then `done` is called before this returns, and the memory can be
 * filled again. `Socket.write` would queue the callback even so.
 *
 * It calls `_write`, which `Socket.write` calls, so what is in flight belongs to the handle and not to the stream: whoever ends
 * the socket waits for `done` first, and what the stream itself still has to write goes first.
 */
import type * as Net from "node:net"

/** Until `done` the memory belongs to the write, also after the socket is destroyed. An error destroys the socket. */
export const directWrite = (socket: Net.Socket, bytes: Uint8Array, done: (error?: Error | null) => void): void => {
  if (socket.connecting || socket.writableLength > 0 || socket.writableEnded) socket.write(bytes, done)
  else Reflect.apply(socket._write, socket, [bytes, "buffer", done])
}

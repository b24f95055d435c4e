/**
 * Pauses a socket's reading at once. By itself Node stops only when it has read one chunk more (64 KiB of memory), and keeps that.
 *
 * It needs a socket whose mark is 0, else Node goes on reading up to it; and a handle whose `reading` Node itself goes by. Any
 * other socket is paused as Node does it.
 */
import type * as Net from "node:net"

interface Handle {
  /** Whether it reads, as Node believes. */
  reading: boolean
  readonly readStart: () => number
  readonly readStop: () => number
}

const handleOf = (socket: Net.Socket): Handle | undefined => {
  const handle: unknown = "_handle" in socket ? socket._handle : undefined
  return isHandle(handle) ? handle : undefined
}

const isHandle = (value: unknown): value is Handle =>
  typeof value === "object" && value !== null && "reading" in value && typeof value.reading === "boolean" &&
  "readStart" in value && typeof value.readStart === "function" &&
  "readStop" in value && typeof value.readStop === "function"

export const pauseReading = (socket: Net.Socket): void => {
  socket.pause()
  const handle = handleOf(socket)
  if (handle === undefined || !handle.reading) return
  handle.reading = false
  handle.readStop()
}

/** Node would start the handle only if it had not asked for more when it was stopped. */
export const resumeReading = (socket: Net.Socket): void => {
  socket.resume()
  const handle = handleOf(socket)
  if (handle === undefined || handle.reading) return
  handle.reading = true
  handle.readStart()
}

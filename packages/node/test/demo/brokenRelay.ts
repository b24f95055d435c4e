/**
 * The real `headgate` command on sockets that lie: of all sockets that are given much to write, the second has one byte
 * changed, and the fifth loses one. What is small (the status page, the healthy requests) passes
 * untouched.
 */
import * as Net from "node:net"

const much = 8 * 1024
const seen = new Set<Net.Socket>()
const write: unknown = Reflect.get(Net.Socket.prototype, "write")
if (typeof write !== "function") throw new Error("sockets cannot be written to")

const spoilt = (bytes: Uint8Array, nth: number): Uint8Array => {
  if (nth === 5) return bytes.subarray(1)
  return nth === 2 ? bytes.with(0, (bytes[0] ?? 0) ^ 1) : bytes
}

Object.defineProperty(Net.Socket.prototype, "write", {
  value(this: Net.Socket, bytes: unknown, ...rest: ReadonlyArray<unknown>) {
    const isFirst = bytes instanceof Uint8Array && bytes.length >= much && !seen.has(this)
    return Reflect.apply(write, this, [isFirst ? spoilt(bytes, seen.add(this).size) : bytes, ...rest])
  }
})

await import("@headgate/node/bin")

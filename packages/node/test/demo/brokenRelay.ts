/**
 * The real `headgate` command on sockets that lie: of all sockets that are given much to write, the second has one byte
 * changed, and the fifth loses one. What is small (the status page, the healthy requests) passes
 * untouched.
 */
import type * as Net from "node:net"
import { onBulk } from "../soak/faults.ts"

const seen = new Set<Net.Socket>()

const spoilt = (bytes: Uint8Array, nth: number): Uint8Array => {
  if (nth === 5) return bytes.subarray(1)
  return nth === 2 ? bytes.with(0, (bytes[0] ?? 0) ^ 1) : bytes
}

onBulk((socket, bytes) => seen.has(socket) ? bytes : spoilt(bytes, seen.add(socket).size))

await import("@headgate/node/bin")

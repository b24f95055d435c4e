/**
 * What the kernel still holds of the bytes that it accepted: `tx_queue` of every TCP socket, from `/proc/net/tcp` and
 * `/proc/net/tcp6`.
 *
 * Invariant: a socket is found by both its ends or not at all; what is not known is undefined, never 0. IPv4 sockets are in
 * the first file; IPv6 sockets, and IPv4 clients of a dual-stack listener, in the second; Unix sockets are in neither.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import { ipBytes } from "../Address.ts"

/** Both ends of a TCP socket, named as `net.Socket` names them. */
export interface Endpoints {
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

/** Bytes by the key of their socket; undefined if nothing was found of it. */
export type KernelQueues = ReadonlyMap<string, number | undefined>

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, "0")

/** The kernel prints each 32-bit word of an address as a number, so in the machine's byte order. */
const words = (bytes: ReadonlyArray<number>, littleEndian: boolean): string => {
  let text = ""
  for (let i = 0; i < bytes.length; i += 4) {
    const word = bytes.slice(i, i + 4).map((byte) => hex(byte, 2))
    text += (littleEndian ? word.toReversed() : word).join("")
  }
  return text
}

const end = (address: string | undefined, port: number | undefined, littleEndian: boolean): string | undefined => {
  const bytes = address === undefined ? undefined : ipBytes(address)
  return bytes === undefined || port === undefined ? undefined : `${words(bytes, littleEndian)}:${hex(port, 4)}`
}

const machineIsLittleEndian = Os.endianness() === "LE"

/** A socket's ends as the files write them; undefined if it is no connected TCP socket. */
export const keyOf = (socket: Endpoints, littleEndian: boolean = machineIsLittleEndian): string | undefined => {
  const local = end(socket.localAddress, socket.localPort, littleEndian)
  const remote = end(socket.remoteAddress, socket.remotePort, littleEndian)
  return local === undefined || remote === undefined ? undefined : `${local} ${remote}`
}

const ipv4KeyLength = "00000000:0000 00000000:0000".length

/** States whose line describes a connection with a send queue: all but TIME_WAIT, CLOSE and LISTEN. */
const hasNoQueue = (state: string): boolean => state === "06" || state === "07" || state === "0A"

/** The keys that are looked for, and what was found of them. */
type Sought = Map<string, number | undefined>

/** The key is a piece of the text, and would keep all of it: it is only compared with those that are sought. */
const readLine = (text: string, lineStart: number, into: Sought): void => {
  const start = text.indexOf(": ", lineStart) + 2
  const state = text.indexOf(" ", text.indexOf(" ", start) + 1) + 1
  if (hasNoQueue(text.slice(state, state + 2))) return
  const key = text.slice(start, state - 1)
  if (into.has(key)) into.set(key, Number.parseInt(text.slice(state + 3, state + 11), 16))
}

/** Notes in `into` what the lines of one file say of its keys. The first line is a heading. */
export const parse = (text: string, into: Sought): void => {
  let newline = text.indexOf("\n")
  while (newline >= 0 && newline + 1 < text.length) {
    readLine(text, newline + 1, into)
    newline = text.indexOf("\n", newline + 1)
  }
}

/** One for all reads: a file of thousands of lines as one text, four times a second, would be most of the garbage there is. */
const block = Buffer.alloc(32 * 1024)

/** Notes in `into` what a file says, block by block; nothing if there is no such file. */
const readFile = (path: string, into: Sought): void => {
  let file: number
  try {
    file = Fs.openSync(path, "r")
  } catch {
    return
  }
  try {
    let rest = ""
    for (let count = 1; count > 0;) {
      count = Fs.readSync(file, block, 0, block.length, null)
      const text = rest + block.toString("latin1", 0, count)
      const end = text.lastIndexOf("\n") + 1
      parse(text.slice(0, end), into)
      // The last line whole again: the first of a text is taken for a heading.
      rest = text.slice(Math.max(0, text.lastIndexOf("\n", end - 2) + 1))
    }
  } finally {
    Fs.closeSync(file)
  }
}

/** The queues of the sockets with these keys; reads only the files that they need. Linux; elsewhere nothing is known. */
export const sample = (keys: ReadonlyArray<string>): KernelQueues => {
  const queues: Sought = new Map(keys.map((key) => [key, undefined]))
  if (keys.some((key) => key.length === ipv4KeyLength)) readFile("/proc/net/tcp", queues)
  if (keys.some((key) => key.length > ipv4KeyLength)) readFile("/proc/net/tcp6", queues)
  return queues
}

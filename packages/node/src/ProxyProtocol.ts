/**
 * The header of the PROXY protocol, version 2: what a relay sends first, so that the target knows who the client is.
 *
 * Invariant: 16 bytes and as many more as its length field says. A client without an internet address (a Unix socket) is
 * announced as relayed and unspecified: `LOCAL` would say that the relay itself is the client.
 *
 * @since 0.1.0
 */
import * as Address from "./Address.ts"

/**
 * Both ends of the client's connection, named as `net.Socket` names them.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProxiedEnds {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
}

const signature = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
const version2Proxy = 0x21
const unspecified = 0x00
const tcp4 = 0x11
const tcp6 = 0x21

const uint16 = (value: number): ReadonlyArray<number> => [value >> 8, value & 0xff]

const mappedPrefix = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]

const isMapped = (bytes: ReadonlyArray<number>): boolean =>
  bytes.length === 16 && mappedPrefix.every((byte, i) => bytes[i] === byte)

/** IPv4 where it is: a dual-stack listener shows it inside IPv6. */
const unmapped = (bytes: ReadonlyArray<number>): ReadonlyArray<number> => isMapped(bytes) ? bytes.slice(12) : bytes

const mapped = (bytes: ReadonlyArray<number>): ReadonlyArray<number> =>
  bytes.length === 4 ? [...mappedPrefix, ...bytes] : bytes

const bytesOf = (address: string | undefined): ReadonlyArray<number> | undefined => {
  const bytes = address === undefined ? undefined : Address.ipBytes(address)
  return bytes === undefined ? undefined : unmapped(bytes)
}

const header = (family: number, body: ReadonlyArray<number>): Uint8Array =>
  Uint8Array.from([...signature, version2Proxy, family, ...uint16(body.length), ...body])

/**
 * The header for a client's connection: its address, and the one it connected to. 28 bytes for IPv4, 52 for IPv6 (also if
 * only one end is), 16 where there are no internet addresses.
 *
 * @category constructors
 * @since 0.1.0
 */
export const headerV2 = (ends: ProxiedEnds): Uint8Array => {
  const { localPort, remotePort } = ends
  const client = bytesOf(ends.remoteAddress)
  const local = bytesOf(ends.localAddress)
  if (client === undefined || local === undefined || remotePort === undefined || localPort === undefined) {
    return header(unspecified, [])
  }
  const ports = [...uint16(remotePort), ...uint16(localPort)]
  return client.length === 4 && local.length === 4
    ? header(tcp4, [...client, ...local, ...ports])
    : header(tcp6, [...mapped(client), ...mapped(local), ...ports])
}

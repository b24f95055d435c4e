/**
 * Where to listen and where to connect to, as data: `host:port`, `[::1]:port`, `:port`, `unix:/path` or a bare absolute path.
 *
 * Invariant: `format` of a parsed address parses to the same address.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Result from "effect/Result"
import * as Net from "node:net"

/**
 * A TCP address. Without a host: all addresses of this machine to listen on, `localhost` to connect to.
 *
 * @category models
 * @since 0.1.0
 */
export interface TcpAddress {
  readonly _tag: "Tcp"
  /** A name, an IPv4 or an IPv6 address (without brackets, with a zone if need be). */
  readonly host: string | undefined
  /** 0 to 65535; 0 listens on any free port. */
  readonly port: number
}

/**
 * A Unix socket.
 *
 * @category models
 * @since 0.1.0
 */
export interface UnixAddress {
  readonly _tag: "Unix"
  readonly path: string
}

/**
 * @category models
 * @since 0.1.0
 */
export type Address = TcpAddress | UnixAddress

/**
 * Where clients come in, and where they are relayed to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Route {
  readonly listen: Address
  readonly target: Address
}

/**
 * A text that is no address: the text, and the rule that it breaks.
 *
 * @category errors
 * @since 0.1.0
 */
export class AddressError extends Data.TaggedError("AddressError")<{
  readonly text: string
  readonly rule: string
}> {
  override get message(): string {
    return `${JSON.stringify(this.text)}: ${this.rule}`
  }
}

type Parsed<A> = Result.Result<A, AddressError>

const forms = "must be host:port, [ipv6]:port, :port, unix:/path or an absolute path"

const refuse = (text: string, rule: string): Parsed<never> => Result.fail(new AddressError({ text, rule }))

/** Bytes that a Unix socket's path may have, its end mark excluded (Linux; others have a few less). */
const unixPathBytes = 107

const parseUnix = (text: string, path: string): Parsed<UnixAddress> => {
  if (path === "" || path.includes("\0")) return refuse(text, "must have a path after unix:")
  if (Buffer.byteLength(path) > unixPathBytes) {
    return refuse(text, `must have a path of at most ${unixPathBytes} bytes, for it is a Unix socket`)
  }
  return Result.succeed({ _tag: "Unix", path })
}

const parsePort = (digits: string): number => /^\d{1,5}$/.test(digits) ? Number(digits) : Number.NaN

const parseHost = (host: string): string | undefined => {
  const bracketed = /^\[(.*)\]$/.exec(host)?.[1]
  if (bracketed !== undefined) return Net.isIPv6(bracketed) ? bracketed : undefined
  return /^[^\s:/[\]=@]+$/.test(host) ? host : undefined
}

const parseTcp = (text: string): Parsed<TcpAddress> => {
  if (Net.isIPv6(text)) return refuse(text, "must have a port, and brackets around an IPv6 address: [ipv6]:port")
  const colon = text.lastIndexOf(":")
  if (colon < 0) return refuse(text, forms)
  const before = text.slice(0, colon)
  const port = parsePort(text.slice(colon + 1))
  if (!(port <= 65535)) return refuse(text, "must have a port from 0 to 65535")
  if (before === "") return Result.succeed({ _tag: "Tcp", host: undefined, port })
  const host = parseHost(before)
  if (host !== undefined) return Result.succeed({ _tag: "Tcp", host, port })
  return refuse(text, before.includes(":") ? "must have brackets around an IPv6 address: [ipv6]:port" : forms)
}

/**
 * An address to listen on. Port 0 is any free port.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<Address, AddressError> => {
  if (text.startsWith("unix:")) return parseUnix(text, text.slice("unix:".length))
  return text.startsWith("/") ? parseUnix(text, text) : parseTcp(text)
}

/**
 * An address to connect to: as `parse`, without port 0.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parseTarget = (text: string): Result.Result<Address, AddressError> =>
  Result.flatMap(parse(text), (address) =>
    address._tag === "Tcp" && address.port === 0
      ? refuse(text, "must have a port from 1 to 65535")
      : Result.succeed(address))

/**
 * A pair `listen=target`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const parseRoute = (text: string): Result.Result<Route, AddressError> => {
  const equals = text.indexOf("=")
  if (equals < 0) return refuse(text, "must be a pair listen=target")
  return Result.flatMap(
    parse(text.slice(0, equals)),
    (listen) => Result.map(parseTarget(text.slice(equals + 1)), (target) => ({ listen, target }))
  )
}

/**
 * The text of an address, as `parse` reads it.
 *
 * @category destructors
 * @since 0.1.0
 */
export const format = (address: Address): string => {
  if (address._tag === "Unix") return `unix:${address.path}`
  const host = address.host ?? ""
  return host.includes(":") ? `[${host}]:${address.port}` : `${host}:${address.port}`
}

/**
 * The address that a server is bound to, from Node's `server.address()`; undefined before it listens.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofBound = (bound: Net.AddressInfo | string | null): Address | undefined => {
  if (bound === null) return undefined
  return typeof bound === "string"
    ? { _tag: "Unix", path: bound }
    : { _tag: "Tcp", host: bound.address, port: bound.port }
}

const ipv4Bytes = (text: string): ReadonlyArray<number> | undefined =>
  Net.isIPv4(text) ? text.split(".").map(Number) : undefined

const groupsBytes = (groups: string): ReadonlyArray<number> =>
  groups === "" ? [] : groups.split(":").flatMap((group) => {
    const value = Number.parseInt(group, 16)
    return ipv4Bytes(group) ?? [value >> 8, value & 0xff]
  })

/**
 * The 4 or 16 bytes of a numeric address, in network order and without its zone; undefined if it is not numeric.
 *
 * @category destructors
 * @since 0.1.0
 */
export const ipBytes = (text: string): ReadonlyArray<number> | undefined => {
  if (!Net.isIPv6(text)) return ipv4Bytes(text)
  const [head = [], tail] = (text.split("%")[0] ?? "").split("::").map(groupsBytes)
  if (tail === undefined) return head
  return [...head, ...Array.from({ length: 16 - head.length - tail.length }, () => 0), ...tail]
}

/** Faults to be planted beneath a relay: in Node's sockets and in the library's own objects, before the relay is imported. */
import { NodePeer } from "@headgate/node/NodePeer"
import type * as Net from "node:net"

type Method = (...args: ReadonlyArray<unknown>) => unknown

/** From now on the method does this, on whatever object of that kind; `original` is what it did. */
export const replace = <A extends object>(
  prototype: A,
  name: string,
  by: (self: A, original: Method, args: ReadonlyArray<unknown>) => unknown
): void => {
  const original: unknown = Reflect.get(prototype, name)
  if (typeof original !== "function") throw new Error(`there is no method ${name} any more`)
  Object.defineProperty(prototype, name, {
    value(this: A, ...args: ReadonlyArray<unknown>) {
      return by(this, (...changed) => Reflect.apply(original, this, changed), args)
    }
  })
}

/** What a relay writes in bulk: each such write to a socket, and which one it is. */
export const onBulk = (change: (socket: Net.Socket, bytes: Uint8Array, nth: number) => Uint8Array): void => {
  let nth = 0
  const changed = (socket: Net.Socket, bytes: unknown): unknown =>
    bytes instanceof Uint8Array && bytes.length >= 8 * 1024 ? change(socket, bytes, ++nth) : bytes
  replace(
    NodePeer.prototype,
    "write",
    ({ socket }, original, [views, ...rest]) =>
      original(Array.isArray(views) ? views.map((bytes) => changed(socket, bytes)) : views, ...rest)
  )
}

import { assert, it } from "@effect/vitest"
import { fromSocket, sampleUnsent } from "@headgate/node/NodePeer"
import { Effect } from "effect"
import { describe } from "vitest"
import * as kernelQueues from "../src/internal/kernelQueues.js"
import { pair, until } from "./support.ts"

const tcp =
  `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000005 00:00000000 00000000     0        0 12345 1 0000000000000000 100 0 0 10 0                     
   1: 0100007F:1F90 0200007F:C350 01 0003FFA2:00000000 01:00000014 00000000     0        0 12346 2 0000000000000000 20 4 30 10 -1                    
10002: 0100007F:1F90 0300007F:C351 04 00000001:00000000 01:00000014 00000000     0        0 12347 2 0000000000000000 20 4 30 10 -1                    
   3: 0100007F:1F90 0400007F:C352 06 00000000:00000000 03:00000014 00000000     0        0 0 3 0000000000000000
`

const tcp6 =
  `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:C350 01 0000000A:00000000 01:00000014 00000000     0        0 12346 2 0000000000000000 20 4 30 10 -1
   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000200007F:C351 01 00000014:00000000 01:00000014 00000000     0        0 12346 2 0000000000000000 20 4 30 10 -1
   2: 000080FE00000000000000000100A8C0:0050 000080FE00000000000000000200A8C0:C352 01 0000001E:00000000 01:00000014 00000000     0        0 12346 2 0000000000000000 20 4 30 10 -1
`

const queueOf = (file: string, local: string, localPort: number, remote: string, remotePort: number) => {
  const key = kernelQueues.keyOf(
    { localAddress: local, localPort, remoteAddress: remote, remotePort },
    true
  )
  return key === undefined ? undefined : found(file, [key]).get(key)
}

const found = (file: string, keys: ReadonlyArray<string>) => {
  const sought = new Map<string, number | undefined>(keys.map((key) => [key, undefined]))
  kernelQueues.parse(file, sought)
  return sought
}

describe("the kernel's queues", () => {
  it("finds IPv4 sockets by both ends", () => {
    assert.strictEqual(queueOf(tcp, "127.0.0.1", 8080, "127.0.0.2", 50000), 0x3ffa2)
    assert.strictEqual(queueOf(tcp, "127.0.0.1", 8080, "127.0.0.3", 50001), 1)
    assert.strictEqual(queueOf(tcp, "127.0.0.1", 8081, "127.0.0.2", 50000), undefined)
  })

  it("leaves out listeners and connections that are over", () => {
    assert.strictEqual(queueOf(tcp, "127.0.0.1", 8080, "0.0.0.0", 0), undefined)
    assert.strictEqual(queueOf(tcp, "127.0.0.1", 8080, "127.0.0.4", 50002), undefined)
  })

  it("keeps nothing of sockets that nobody asked for", () => {
    const key = "0100007F:1F90 0300007F:C351"
    assert.deepStrictEqual([...found(tcp, [key])], [[key, 1]])
  })

  it("finds IPv6, mapped IPv4 and zoned sockets", () => {
    assert.strictEqual(queueOf(tcp6, "::1", 8080, "::1", 50000), 10)
    assert.strictEqual(queueOf(tcp6, "::ffff:127.0.0.1", 8080, "::ffff:127.0.0.2", 50001), 20)
    assert.strictEqual(queueOf(tcp6, "fe80::c0a8:1%eth0", 80, "fe80::c0a8:2%eth0", 50002), 30)
    assert.strictEqual(queueOf(tcp6, "127.0.0.1", 8080, "127.0.0.2", 50001), undefined)
  })

  it("writes words in the machine's byte order", () => {
    const ends = { localAddress: "127.0.0.1", localPort: 80, remoteAddress: "::1", remotePort: 1 }
    assert.strictEqual(kernelQueues.keyOf(ends, true), "0100007F:0050 00000000000000000000000001000000:0001")
    assert.strictEqual(kernelQueues.keyOf(ends, false), "7F000001:0050 00000000000000000000000000000001:0001")
    assert.strictEqual(kernelQueues.keyOf({}), undefined)
  })

  it("reads an empty file, and one that was cut", () => {
    const key = "0100007F:1F90 0300007F:C351"
    assert.deepStrictEqual([...found("", [key])], [[key, undefined]])
    assert.deepStrictEqual([...found(tcp.slice(0, tcp.indexOf("\n") + 1), [key])], [[key, undefined]])
  })

  for (const host of ["127.0.0.1", "::1", "::"]) {
    it.live.skipIf(process.platform !== "linux")(
      `sees what a reader of ${host} has not taken`,
      () =>
        Effect.gen(function*() {
          const { ours, other } = yield* pair({ host, port: 0 })
          const peer = yield* fromSocket(ours)
          assert.strictEqual(peer.unsentBytes(), undefined)
          let done = false
          peer.write([new Uint8Array(8 << 20)], () => (done = true))
          yield* until(() => {
            sampleUnsent([peer])
            return (peer.unsentBytes() ?? 0) > 0
          })
          assert.isAbove(peer.unacceptedBytes(), 0)
          other.resume()
          yield* until(() => {
            sampleUnsent([peer])
            return done && peer.unsentBytes() === 0
          })
          assert.strictEqual(peer.unacceptedBytes(), 0)
        })
    )
  }
})

import { assert, it } from "@effect/vitest"
import { headerV2 } from "@headgate/node/ProxyProtocol"
import { describe } from "vitest"

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const signature = "0d0a0d0a000d0a515549540a"

describe("the PROXY header", () => {
  it("names an IPv4 client", () => {
    const ends = { remoteAddress: "192.0.2.1", remotePort: 50000, localAddress: "198.51.100.7", localPort: 443 }
    assert.strictEqual(hex(headerV2(ends)), `${signature}2111000cc0000201c6336407c35001bb`)
  })

  it("names an IPv6 client", () => {
    const ends = { remoteAddress: "2001:db8::1", remotePort: 1, localAddress: "::1", localPort: 65535 }
    assert.strictEqual(
      hex(headerV2(ends)),
      `${signature}2121002420010db8000000000000000000000001000000000000000000000000000000010001ffff`
    )
  })

  it("takes a mapped client of a dual-stack listener for the IPv4 client that it is", () => {
    const ends = { remoteAddress: "::ffff:192.0.2.1", remotePort: 2, localAddress: "::ffff:192.0.2.2", localPort: 3 }
    assert.strictEqual(hex(headerV2(ends)), `${signature}2111000cc0000201c000020200020003`)
  })

  it("maps the IPv4 end of a mixed pair", () => {
    const ends = { remoteAddress: "192.0.2.1", remotePort: 2, localAddress: "::1", localPort: 3 }
    assert.strictEqual(
      hex(headerV2(ends)),
      `${signature}2121002400000000000000000000ffffc00002010000000000000000000000000000000100020003`
    )
  })

  it("leaves a Unix client unspecified", () => {
    assert.strictEqual(hex(headerV2({})), `${signature}21000000`)
  })
})

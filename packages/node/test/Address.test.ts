import { assert, it } from "@effect/vitest"
import * as Address from "@headgate/node/Address"
import { Result } from "effect"
import { describe } from "vitest"

const tcp = (host: string | undefined, port: number): Address.Address => ({ _tag: "Tcp", host, port })
const unix = (path: string): Address.Address => ({ _tag: "Unix", path })

const ruleOf = (result: Result.Result<unknown, Address.AddressError>): string =>
  Result.isFailure(result) ? result.failure.rule : "no problem"

describe("Address", () => {
  const good: ReadonlyArray<readonly [string, Address.Address, string?]> = [
    ["127.0.0.1:8080", tcp("127.0.0.1", 8080)],
    ["db.example:5432", tcp("db.example", 5432)],
    ["[::1]:80", tcp("::1", 80)],
    ["[fe80::1%eth0]:80", tcp("fe80::1%eth0", 80)],
    [":0", tcp(undefined, 0)],
    ["unix:/run/it.sock", unix("/run/it.sock")],
    ["unix:it.sock", unix("it.sock")],
    ["/run/it.sock", unix("/run/it.sock"), "unix:/run/it.sock"]
  ]
  for (const [text, address, printed = text] of good) {
    it(`reads and prints ${text}`, () => {
      assert.deepStrictEqual(Address.parse(text), Result.succeed(address))
      assert.strictEqual(Address.format(address), printed)
    })
  }

  const bad: ReadonlyArray<readonly [string, RegExp]> = [
    ["", /host:port/],
    ["localhost", /host:port/],
    ["a b:80", /host:port/],
    ["http://x:80", /brackets|host:port/],
    ["::1", /brackets/],
    ["::1:80", /brackets/],
    ["[::1]", /port from 0/],
    ["[::g]:80", /brackets/],
    ["host:", /port from 0/],
    ["host:65536", /port from 0/],
    ["host:-1", /port from 0/],
    ["host:8o", /port from 0/],
    ["unix:", /path/],
    [`unix:/${"x".repeat(107)}`, /at most 107 bytes/]
  ]
  for (const [text, rule] of bad) {
    it(`refuses ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.match(ruleOf(Address.parse(text)), rule)
    })
  }

  it("names the text and the rule", () => {
    const result = Address.parse("host:x")
    assert.strictEqual(
      Result.isFailure(result) && result.failure.message,
      "\"host:x\": must have a port from 0 to 65535"
    )
  })

  it("reads pairs, and no port 0 to connect to", () => {
    assert.deepStrictEqual(
      Address.parseRoute("[::1]:0=unix:/run/it.sock"),
      Result.succeed({ listen: tcp("::1", 0), target: unix("/run/it.sock") })
    )
    assert.match(ruleOf(Address.parseRoute(":80")), /pair listen=target/)
    assert.match(ruleOf(Address.parseRoute(":80=x:0")), /port from 1/)
    assert.match(ruleOf(Address.parseRoute("nonsense=x:1")), /host:port/)
  })

  it("gives the bytes of numeric addresses", () => {
    assert.deepStrictEqual(Address.ipBytes("10.0.0.255"), [10, 0, 0, 255])
    assert.deepStrictEqual(Address.ipBytes("::"), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    assert.deepStrictEqual(Address.ipBytes("fe80::1%eth0"), [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
    assert.deepStrictEqual(Address.ipBytes("::ffff:127.0.0.1"), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1])
    assert.deepStrictEqual(Address.ipBytes("1:2:3:4:5:6:7:8"), [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8])
    assert.strictEqual(Address.ipBytes("localhost"), undefined)
  })
})

import { assert, it } from "@effect/vitest"
import { type RawSettings, type RelaySettings, settingsOf } from "@headgate/node/RelayFlags"
import { Duration, Effect, Result } from "effect"
import { parseDuration, parseSize } from "headgate/HeadgateConfig"
import { execFile } from "node:child_process"
import * as Path from "node:path"
import { describe } from "vitest"

const enough = { listen: ["127.0.0.1:8080"], target: "127.0.0.1:9000" } as const

const problems = (raw: RawSettings): ReadonlyArray<string> => {
  const result = settingsOf(raw)
  return Result.isSuccess(result) ? [] : result.failure.message.split("\n")
}

describe("settings", () => {
  it("refuse a target that the relay listens on itself", () => {
    const rule = "is an address that this relay listens on itself"
    assert.deepStrictEqual(problems({ listen: [":8080"], target: ":8080" }), [`target = ":8080": ${rule}`])
    assert.deepStrictEqual(
      problems({ listen: ["[::1]:80=127.0.0.1:81", "127.0.0.1:81=[::1]:80"] }).length,
      2
    )
  })

  it("have the documented defaults", () => {
    assert.deepStrictEqual(
      settingsOf(enough),
      Result.succeed({
        routes: [{
          listen: { _tag: "Tcp", host: "127.0.0.1", port: 8080 },
          target: { _tag: "Tcp", host: "127.0.0.1", port: 9000 }
        }],
        limit: 1024,
        reserve: 3,
        bufferSize: 65536,
        maxConnections: undefined,
        connectTimeout: Duration.seconds(5),
        idleTimeout: Duration.minutes(5),
        queueTimeout: Duration.minutes(2),
        stallTimeout: Duration.seconds(30),
        stallGrace: Duration.seconds(1),
        drainTimeout: Duration.seconds(30),
        proxyProtocol: undefined,
        stats: undefined,
        landing: "plain"
      })
    )
  })

  it("take every field", () => {
    const result = settingsOf({
      listen: [":1=unix:/run/a.sock", "[::1]:2=b:3"],
      limit: "8",
      reserve: "7",
      bufferSize: "1 GiB",
      maxConnections: "1",
      connectTimeout: "250 millis",
      idleTimeout: "Infinity",
      queueTimeout: "1m",
      stallTimeout: "2s",
      stallGrace: "10ms",
      drainTimeout: "0 seconds",
      proxyProtocol: "v2",
      stats: "127.0.0.1:8404",
      landing: "readiness"
    })
    if (Result.isFailure(result)) throw result.failure
    const { routes, ...settings } = result.success
    assert.strictEqual(routes.length, 2)
    assert.deepStrictEqual([settings.limit, settings.reserve, settings.bufferSize], [8, 7, 1024 ** 3])
    assert.deepStrictEqual(settings.queueTimeout, Duration.minutes(1))
    assert.deepStrictEqual(settings.drainTimeout, Duration.zero)
    assert.strictEqual(settings.idleTimeout, Duration.infinity)
    assert.strictEqual(settings.proxyProtocol, "v2")
    assert.strictEqual(settings.landing, "readiness")
  })

  it("name every problem at once, with field, value and rule", () => {
    assert.deepStrictEqual(
      problems({
        listen: ["127.0.0.1:x"],
        target: "127.0.0.1:0",
        limit: "0",
        reserve: "0.5",
        bufferSize: "2 GiB",
        maxConnections: "many",
        connectTimeout: "5 parsecs",
        idleTimeout: "0 seconds",
        queueTimeout: "5",
        stallTimeout: "-1 seconds",
        drainTimeout: "Infinity",
        proxyProtocol: "v1",
        stats: "8404",
        landing: "fast"
      }),
      [
        "target = \"127.0.0.1:0\": must have a port from 1 to 65535",
        "listen = \"127.0.0.1:x\": must have a port from 0 to 65535",
        "limit = \"0\": must be an integer of at least 2",
        "reserve = \"0.5\": must be an integer of at least 1",
        "bufferSize = \"2 GiB\": must be from 1 byte to 1 GiB",
        "maxConnections = \"many\": must be an integer of at least 1",
        "connectTimeout = \"5 parsecs\": must be a duration with its unit, such as \"5 seconds\", \"250 millis\", \"2 minutes\"",
        "idleTimeout = \"0 seconds\": must be a duration above zero",
        "queueTimeout = \"5\": must be a duration with its unit, such as \"5 seconds\", \"250 millis\", \"2 minutes\"",
        "stallTimeout = \"-1 seconds\": must be a duration above zero",
        "drainTimeout = \"Infinity\": must be a finite duration of zero or more",
        "proxyProtocol = \"v1\": must be v2, or left out",
        "stats = \"8404\": must be host:port, [ipv6]:port, :port, unix:/path or an absolute path",
        "landing = \"fast\": must be plain or readiness"
      ]
    )
  })

  for (const limit of ["-1", "1", "2.5", "many", "1e3", ""]) {
    it(`refuse a limit of ${JSON.stringify(limit)}`, () => {
      assert.deepStrictEqual(problems({ ...enough, limit }), [
        `limit = ${JSON.stringify(limit)}: must be an integer of at least 2`
      ])
    })
  }

  it("want the reserve below the limit", () => {
    assert.deepStrictEqual(problems({ ...enough, limit: "4", reserve: "4" }), ["reserve = 4: must be below limit (4)"])
    assert.deepStrictEqual(problems({ ...enough, reserve: "1024" }), ["reserve = 1024: must be below limit (1024)"])
    const result = settingsOf({ ...enough, limit: "2" })
    assert.strictEqual(Result.isSuccess(result) && result.success.reserve, 1)
  })

  it("want a target for every listener, and a use for the target", () => {
    assert.deepStrictEqual(problems({}), [
      "listen = undefined: is required: an address beside a target, or pairs listen=target"
    ])
    assert.deepStrictEqual(problems({ listen: [":1", ":2=a:3"] }), [
      "target = undefined: is required: :1 has none of its own"
    ])
    assert.deepStrictEqual(problems({ listen: [":2=a:3"], target: "b:4" }), [
      "target = \"b:4\": is not used: every listen names its own"
    ])
    assert.deepStrictEqual(problems({ listen: [":2=a:x"] }), [
      "listen = \":2=a:x\": \"a:x\": must have a port from 0 to 65535"
    ])
  })
})

describe("sizes and durations", () => {
  const sizes: ReadonlyArray<readonly [string, number]> = [
    ["65536", 65536],
    ["0", 0],
    ["16 KiB", 16384],
    ["16KiB", 16384],
    ["1.5 MiB", 1572864],
    ["1 GiB", 1073741824],
    ["5 kB", 5000],
    ["7 B", 7]
  ]
  for (const [text, bytes] of sizes) {
    it(`read ${text}`, () => assert.deepStrictEqual(parseSize(text), Result.succeed(bytes)))
  }
  for (const text of ["", "KiB", "1 kib", "1 parsec", "1 2", "0x10", "1.5", "1 toString"]) {
    it(`refuse a size of ${JSON.stringify(text)}`, () => assert.isTrue(Result.isFailure(parseSize(text))))
  }

  it("read short units as well as long ones", () => {
    for (const text of ["2 minutes", "2 min", "2m", "120 s", "120000ms"]) {
      assert.deepStrictEqual(Result.map(parseDuration(text), Duration.toMillis), Result.succeed(120000))
    }
    for (const text of ["", "5", "seconds", "five seconds"]) assert.isTrue(Result.isFailure(parseDuration(text)))
  })
})

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

const headgate = (args: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}): Effect.Effect<Ran> =>
  Effect.callback((resume) => {
    const fixture = Path.join(import.meta.dirname, "fixtures", "relayFlags.ts")
    const options = { env: { ...process.env, NO_COLOR: "1", ...env } }
    execFile(process.execPath, [fixture, ...args], options, (error, stdout, stderr) => {
      resume(Effect.succeed({ code: error === null ? 0 : Number(error.code), stdout, stderr }))
    })
  })

describe("headgate relay", () => {
  it.live("exits with 64 and prints the problems, nothing else", () =>
    Effect.gen(function*() {
      const listen = ["--listen", "127.0.0.1:1", "--target", "127.0.0.1:2"]
      const ran = yield* headgate(["relay", ...listen, "--limit", "-5", "--buffer-size", "3 parsecs"])
      assert.strictEqual(ran.code, 64)
      assert.strictEqual(ran.stdout, "")
      assert.match(
        ran.stderr,
        /^limit = "-5": must be an integer of at least 2\nbufferSize = "3 parsecs": must be a number of bytes, .*\n$/
      )
    }))

  it.live("takes flags from the environment, and prefers what was typed", () =>
    Effect.gen(function*() {
      const env = {
        HEADGATE_LISTEN: "127.0.0.1:1=a:2, [::1]:3=b:4",
        HEADGATE_LIMIT: "16",
        HEADGATE_RESERVE: "5",
        HEADGATE_BUFFER_SIZE: "16 KiB",
        HEADGATE_STALL_TIMEOUT: "2 seconds",
        HEADGATE_TARGET: ""
      }
      const ran = yield* headgate(["relay", "--limit", "32"], env)
      assert.strictEqual(ran.stderr, "")
      const settings: RelaySettings = JSON.parse(ran.stdout)
      assert.strictEqual(settings.routes.length, 2)
      assert.deepStrictEqual([settings.limit, settings.reserve, settings.bufferSize], [32, 5, 16384])
      const bad = yield* headgate(["relay"], { ...env, HEADGATE_RESERVE: "16" })
      assert.deepStrictEqual([bad.code, bad.stderr], [64, "reserve = 16: must be below limit (16)\n"])
    }))

  it.live("tells defaults and units in its help", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* headgate(["relay", "--help"])
      assert.strictEqual(code, 0)
      for (
        const told of [
          "Default 1024",
          "Default 3",
          "Default \"64 KiB\"",
          "Default \"5 seconds\"",
          "Default \"5 minutes\"",
          "Default \"2 minutes\"",
          "Default \"30 seconds\"",
          "Default \"1 second\"",
          "2.2 kB/s",
          "KiB",
          "HEADGATE_MAX_CONNECTIONS",
          "--proxy-protocol"
        ]
      ) assert.include(stdout.replaceAll(/\s+/g, " "), told)
    }))
})

/**
 * The soak, in a few seconds: it finds nothing wrong with the relay, and finds each fault that is planted beneath it.
 *
 * HEADGATE_SEED chooses the mix.
 */
import type { Landing } from "@headgate/node/Landing"
import { assert, describe, it } from "vitest"
import type { Stand, Times } from "../../soak/mix.ts"
import { soak } from "../../soak/run.ts"

const seed = Number(process.env["HEADGATE_SEED"] ?? Date.now() % 1e9)

const stand: Stand = {
  limit: 3,
  reserve: 1,
  limits: [2, 3, 5],
  actors: { mixed: 8, slowReader: 1, neverReader: 2, slowLoris: 1 }
}

const times: Times = {
  // The relay samples once a second what nobody waits for: in less than two, who reads could be taken for stuck.
  stallTimeoutMs: 2000,
  stallGraceMs: 100,
  queueTimeoutMs: 20_000,
  patienceMs: 5000,
  resizeEveryMs: [100, 500],
  killEveryMs: [50, 300],
  outageEveryMs: [500, 1000],
  outageMs: [50, 200]
}

/** Nothing befalls anybody, and who is slow is not stuck for long: what goes wrong is the relay's doing. */
const calm: Times = {
  ...times,
  stallTimeoutMs: 10_000,
  killEveryMs: [60_000, 60_000],
  outageEveryMs: [60_000, 60_000]
}

const mixedOnly: Stand = { ...stand, actors: { mixed: 8, slowReader: 0, neverReader: 0, slowLoris: 0 } }

/** Those that never read have all buffers, and are not stuck for long: who comes behind them waits. */
const short: Stand = { ...stand, actors: { mixed: 8, slowReader: 0, neverReader: 6, slowLoris: 0 } }

const seconds = 1 / 60

/** Each takes a few seconds; a machine that does much else at the same time may need longer. */
const patienceMs = 180_000

describe("a short soak", () => {
  it.each(["plain", "readiness"] as const)("of the real relay is clean, and says what it saw: %s", async (landing) => {
    const lines: Array<string> = []
    const small = { ...stand, limit: 64, reserve: 3, limits: [6, 64, 96] } as const
    const failures = await soak({
      minutes: 2 * seconds,
      seed,
      landing,
      stands: [stand, small],
      times,
      loads: 2,
      print: (line) => lines.push(line)
    })
    const text = lines.join("\n")
    assert.deepStrictEqual(failures, [], text)
    assert.match(text, new RegExp(`^soak: .* minutes, landing ${landing}, limits 3, 64, --seed ${seed}\n`))
    assert.match(text, /complete, both ways +[1-9]\d* +[1-9]\d*\n/)
    assert.match(text, /connections killed +[1-9]\d* +[1-9]\d*\n/)
    assert.match(text, /\nsoak: [1-9]\d* connections, [1-9]\d* bytes, clean$/)
  }, patienceMs)

  interface Planted {
    readonly fault: string
    readonly script: string
    readonly told: RegExp
    /** What can be seen at once ends the soak at once; the rest is seen at its end. */
    readonly atOnce: boolean
    readonly landing: Landing
    readonly stand?: Stand
    readonly times?: Times
  }

  const planted: ReadonlyArray<Planted> = [
    {
      fault: "bytes are changed",
      landing: "plain",
      script: "./corruptingRelay.ts",
      told: /limit 3, the load: a wrong byte came to the (client|origin), at \d+, of /,
      atOnce: true
    },
    {
      fault: "a stream gets another's bytes",
      landing: "readiness",
      script: "./swappingRelay.ts",
      told: /the load: a wrong byte came to the /,
      atOnce: true
    },
    {
      fault: "resets look like orderly ends",
      landing: "plain",
      script: "./politeRelay.ts",
      told: /the load: (what the (client|origin) got was cut short and looks complete, of |an orderly end came to)/,
      atOnce: true,
      times
    },
    {
      fault: "connections are reset for nothing",
      landing: "readiness",
      script: "./nervousRelay.ts",
      told: /the load: was reset, and nobody had provoked it: /,
      atOnce: true
    },
    {
      fault: "the relay dies",
      landing: "plain",
      script: "./dyingRelay.ts",
      told: /limit 3, the relay: ended \(1\): .*nobody caught this/,
      atOnce: true
    },
    {
      fault: "somebody waits longer than promised",
      landing: "readiness",
      script: "./patientRelay.ts",
      told: /the relay: .* at (rx|channel) has waited \d+ ms, more than the \d+ ms that it was promised/,
      atOnce: true,
      stand: short,
      times: { ...calm, queueTimeoutMs: 500 }
    },
    {
      fault: "a buffer is not given back",
      landing: "plain",
      script: "./leakyRelay.ts",
      told: /the relay: left, with nobody there: 1 buffers lent/,
      atOnce: false,
      times: { ...calm, patienceMs: 1000 }
    },
    {
      fault: "an end is not passed on",
      landing: "plain",
      script: "./forgetfulRelay.ts",
      told: /the load: hangs, \d s after the load's end: /,
      atOnce: false,
      times: { ...calm, queueTimeoutMs: 500, patienceMs: 500 }
    }
  ]

  for (const { atOnce, fault, landing, script, stand = mixedOnly, times = calm, told } of planted) {
    it(`fails, with the seed, when ${fault}: ${landing}`, async () => {
      const lines: Array<string> = []
      const failures = await soak({
        minutes: atOnce ? 1 : seconds,
        seed,
        landing,
        stands: [stand],
        times,
        loads: 1,
        relay: new URL(script, import.meta.url),
        print: (line) => lines.push(line)
      })
      const text = lines.join("\n")
      assert.match(failures.join("\n"), told, text)
      assert.match(text, new RegExp(`\nsoak: FAILED, --landing ${landing} --seed ${seed}\n`))
      assert.notMatch(text, /clean$/)
    }, patienceMs)
  }
})

/** A landing is used only where it is known to be right: what the trial asks of it, and what is said where it is not. */
import { assert, it } from "@effect/vitest"
import { choose } from "@headgate/node/Landing"
import { Effect } from "effect"
import type * as Net from "node:net"
import { describe } from "vitest"
import { failingCheck } from "../src/internal/landingProbe.ts"
import { type Land, land, type Landing } from "../src/internal/readinessLanding.ts"

const used = { landing: "readiness", why: undefined } as const

describe("a choice", () => {
  it.effect("is plain when plain was asked for, wherever that is, without a trial", () =>
    Effect.gen(function*() {
      const plain = { landing: "plain", why: undefined } as const
      assert.deepStrictEqual(yield* choose("plain", { platform: "sunos", trial: Effect.die("tried") }), plain)
    }))

  it.live("is readiness on Linux with libuv 1.52, after a trial: here, too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* choose("readiness"), used)
      const right = { platform: "linux", trial: Effect.succeed(undefined) }
      for (const libuv of ["1.52.0", "1.60.3", "2.0.0"]) {
        assert.deepStrictEqual(yield* choose("readiness", { ...right, libuv }), used)
      }
    }))

  it.effect("is plain elsewhere, and says why", () =>
    Effect.gen(function*() {
      const right = { platform: "linux", libuv: "1.52.1", trial: Effect.succeed(undefined) }
      const why = (options: object) => Effect.map(choose("readiness", { ...right, ...options }), ({ why }) => why)
      assert.strictEqual(yield* why({ platform: "darwin" }), "readiness needs Linux, and this is darwin")
      assert.strictEqual(yield* why({ libuv: "1.51.9" }), "readiness needs libuv 1.52, and this is 1.51.9")
      assert.strictEqual(yield* why({ libuv: "0.99.0" }), "readiness needs libuv 1.52, and this is 0.99.0")
      const trial = Effect.succeed("not true that water is wet")
      assert.strictEqual(yield* why({ trial }), "readiness failed its trial: not true that water is wet")
    }))
})

// ---- broken landings ------------------------------------------------------------------------------------------------------

/** The real one, but for what `wrong` says. `told` is what its listener would have been told. */
const broken = (
  wrong: (it: Landing, socket: Net.Socket, told: { readonly readable: () => void }) => Partial<Landing>,
  hears: (readable: () => void, it: () => Landing | undefined) => void = (readable) => readable()
): Land =>
(socket, listener) => {
  const it: Landing | undefined = land(socket, { readable: () => hears(listener.readable, () => it) })
  if (it === undefined) return undefined
  const real: Landing = { start: () => it.start(), stop: () => it.stop(), read: (into) => it.read(into) }
  return { ...real, ...wrong(real, socket, listener) }
}

const nothingWrong = () => ({})

/** Tells only the first time. */
const once = (): Land => {
  let hasTold = false
  return broken(nothingWrong, (readable) => {
    if (!hasTold) readable()
    hasTold = true
  })
}

const faults: ReadonlyArray<readonly [fault: string, landing: () => Land, caught: string]> = [
  [
    "tells of what is not there",
    () =>
      broken((it, _, told) => ({
        start: () => {
          it.start()
          setImmediate(told.readable)
        }
      })),
    "nothing is told while there is nothing to read"
  ],
  [
    "loses the first byte of what it reads",
    () =>
      broken((it) => ({
        read: (into) => {
          const count = it.read(into)
          into.copyWithin(0, 1)
          return count
        }
      })),
    "bytes are told and read, and after a partial read it is quiet"
  ],
  [
    "tells on after a partial read",
    () =>
      broken((it, _, told) => ({
        read: (into) => {
          const count = it.read(into)
          if (count > 0 && count < into.length) setImmediate(told.readable)
          return count
        }
      })),
    "bytes are told and read, and after a partial read it is quiet"
  ],
  [
    "tells nothing after a full read",
    () =>
      broken((it) => ({
        read: (into) => {
          const count = it.read(into)
          if (count === into.length) it.stop()
          return count
        }
      })),
    "after a full read the rest is told"
  ],
  [
    "takes nothing for the end",
    () =>
      broken((it, socket) => ({
        read: (into) => {
          const count = it.read(into)
          if (count > 0) return count
          socket.push(null)
          socket.read(0)
          return 0
        }
      })),
    "a read of nothing says so, and harms nothing"
  ],
  [
    "dies of a read of nothing",
    () =>
      broken((it, socket) => ({
        read: (into) => {
          const count = it.read(into)
          if (count === 0) socket.destroy()
          return count
        }
      })),
    "a read of nothing says so, and harms nothing"
  ],
  ["tells once and for all", once, "after a full read the rest is told"],
  [
    "does not stop",
    () => broken(() => ({ stop: () => {} })),
    "what nobody reads stays, and is told until it is stopped"
  ],
  [
    "loses what it told twice and nobody read",
    () => {
      let tolds = 0
      return broken(
        (it) => ({
          read: (into) => {
            tolds = 0
            return it.read(into)
          }
        }),
        (readable, it) => {
          tolds += 1
          readable()
          if (tolds > 1) it()?.read(new Uint8Array(100))
        }
      )
    },
    "what nobody reads stays, and is told until it is stopped"
  ],
  [
    "finds an end before the bytes in front of it",
    () =>
      broken((it, socket) => {
        let hasEnded = false
        return {
          read: (into) => {
            if (!socket.writableFinished) return it.read(into)
            if (!hasEnded) socket.push(null)
            hasEnded = true
            socket.read(0)
            return 0
          }
        }
      }),
    "an end behind bytes is told behind them, though our side has ended"
  ],
  [
    "never finds an end behind ours",
    () =>
      broken((_, socket) => {
        socket.on("finish", () => socket.removeAllListeners("end"))
        return {}
      }),
    "an end behind bytes is told behind them, though our side has ended"
  ],
  [
    "never finds an end that comes alone",
    () =>
      broken((it, socket) => {
        let seen = 0
        return {
          read: (into) => {
            const count = it.read(into)
            seen += count
            if (seen === 0) socket.removeAllListeners("end")
            return count
          }
        }
      }),
    "an end alone is told"
  ],
  [
    "takes a reset for an end",
    () =>
      broken((_, socket) => {
        socket.prependListener("error", () => socket.emit("end"))
        return {}
      }),
    "a reset behind bytes is no end"
  ]
]

describe.concurrent("a trial finds a landing that", () => {
  it.live.each(faults)("%s", ([, landing, caught]) =>
    Effect.gen(function*() {
      const failed = yield* failingCheck(landing())
      assert.strictEqual(failed?.slice(0, `not true that ${caught}`.length), `not true that ${caught}`)
    }), 10_000)

  it.live("is none at all, or throws", () =>
    Effect.gen(function*() {
      assert.match((yield* failingCheck(() => undefined)) ?? "", /this Node has no such sockets/)
      const throwing: Land = () => {
        throw new Error("no such thing")
      }
      assert.match((yield* failingCheck(throwing)) ?? "", /no such thing/)
    }))
})

/**
 * The relay between two peers that do nothing by themselves: what it asks of them, call by call, what it counts, when it
 * gives up, and what it says then. (`@headgate/testing` has peers that live, and runs thousands of their lives.)
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  BufferPool,
  type ConfigError,
  Headgate,
  type Peer,
  type PeerEvents,
  Relay,
  type RelayOptions,
  type RelayOutcome
} from "headgate"

const text = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")
const bytesOf = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0))

/** A peer that notes what it is asked, and tells only what a test makes it tell. */
class HandPeer implements Peer {
  readonly calls: Array<string> = []
  readonly label: string
  unaccepted = 0
  unsent: number | undefined = undefined
  /** Writes are done at once, from inside; how many were inside one another at most. */
  isInstant = false
  deepest = 0
  private depth = 0
  /** What throws when it is called. */
  broken: string | undefined = undefined
  private events: PeerEvents | undefined = undefined
  private written: ((accepted: boolean) => void) | undefined = undefined
  private ended: (() => void) | undefined = undefined

  constructor(label: string) {
    this.label = label
  }

  attach(events: PeerEvents): void {
    this.note("attach")
    this.events = events
  }
  readStart(): void {
    this.note("on")
  }
  readStop(): void {
    this.note("off")
  }
  write(views: ReadonlyArray<Uint8Array>, done: (accepted: boolean) => void): void {
    this.note(`write ${views.map(text).join("|")}`)
    this.written = done
    this.deepest = Math.max(this.deepest, ++this.depth)
    if (this.isInstant) done(true)
    this.depth--
  }
  end(done: () => void): void {
    this.note("end")
    this.ended = done
  }
  abort(): void {
    this.note("abort")
  }
  unacceptedBytes(): number {
    return this.unaccepted
  }
  unsentBytes(): number | undefined {
    return this.unsent
  }

  tell(what: string | Uint8Array): void {
    this.events?.onBytes(typeof what === "string" ? bytesOf(what) : what)
  }
  tellEnd(): void {
    this.events?.onEnd()
  }
  tellReset(cause: unknown): void {
    this.events?.onReset(cause)
  }
  done(accepted = true): void {
    this.written?.(accepted)
  }
  doneEnding(): void {
    this.ended?.()
  }
  /** The calls since this was last asked. */
  asked(): ReadonlyArray<string> {
    return this.calls.splice(0)
  }

  private note(call: string): void {
    this.calls.push(call)
    if (this.broken !== undefined && call.startsWith(this.broken)) throw new Error(`${call} is broken`)
  }
}

const world = (relay: RelayOptions = {}, options: Headgate.HeadgateOptions = {}) =>
  Layer.orDie(Layer.provideMerge(
    Relay.layer(relay),
    Headgate.layerManual({ limit: 4, reserve: 1, bufferSize: 8, debug: true, ...options })
  ))

/** A turn of the event loop, with all runs that are due. */
const turn = Effect.gen(function*() {
  for (let i = 0; i < 3; i++) {
    yield* Headgate.Stepper.settle
    yield* Effect.yieldNow
  }
})

const connect = Effect.gen(function*() {
  const [client, target] = [new HandPeer("client"), new HandPeer("target")]
  const fiber = yield* Effect.forkScoped(Relay.use((relay) => relay.run(client, target)), { startImmediately: true })
  const asked = () => [client.asked(), target.asked()]
  const outcome = Effect.map(turn, (): RelayOutcome | "goes on" => {
    const exit = fiber.pollUnsafe()
    return exit !== undefined && Exit.isSuccess(exit) ? exit.value : "goes on"
  })
  return { client, target, fiber, asked, outcome }
})

const snapshot = Relay.use((relay) => relay.snapshot)

/** Everything that the pool has, for a test that gives it back itself. */
const holdAll = Effect.map(BufferPool, (pool) =>
  Array.from({ length: 4 }, () => {
    const buffer = pool.tryTakeUnsafe("tx")
    if (buffer === undefined) throw new Error("the test expected a buffer here")
    return () => pool.giveBackUnsafe(buffer)
  }))

/** Lines with their errors, as `level message: error`. */
const logged = <A, E, R>(test: (lines: Array<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    lines.push(`${logLevel} ${(Array.isArray(message) ? message : [message]).map(String).join(": ")}`)
  })
  return Effect.provide(test(lines), Logger.layer([logger]))
}

describe("a connection", () => {
  it.effect("relays both ways, passes both ends on, and counts each direction for itself", () =>
    Effect.gen(function*() {
      const { asked, client, outcome, target } = yield* connect
      assert.deepStrictEqual(asked(), [["attach", "on"], ["attach", "on"]])
      client.tell("abc")
      target.tell("12345")
      assert.deepStrictEqual(asked(), [["write 12345"], ["write abc"]])
      assert.strictEqual((yield* BufferPool.snapshot).used, 2)
      client.done()
      target.done()
      assert.strictEqual((yield* BufferPool.snapshot).used, 0)
      client.tellEnd()
      assert.deepStrictEqual(asked(), [[], ["end"]])
      target.doneEnding()
      target.tellEnd()
      client.doneEnding()
      assert.deepStrictEqual(asked(), [["end"], []])
      const expected = { end: "completed", cause: undefined, requestBytes: 3, responseBytes: 5 } as const
      assert.deepStrictEqual(yield* outcome, expected)
      assert.deepStrictEqual(yield* snapshot, {
        connections: 0,
        waitingDirections: 0,
        overdraftBytes: 0,
        overdraftHighWaterBytes: 0,
        overdrafts: 0,
        requestBytes: 3,
        responseBytes: 5,
        ended: { completed: 1, reset: 0, idle: 0, queueTimeout: 0, stalled: 0, shutdown: 0 }
      })
    }).pipe(Effect.scoped, Effect.provide(world())))

  it.effect("writes at most turnBytes in a turn, across the buffer's end too, and the rest in the next", () =>
    Effect.gen(function*() {
      const { asked, client, target } = yield* connect
      asked()
      client.tell("abcdef")
      assert.deepStrictEqual(target.asked(), ["write abcde"])
      client.asked()
      target.done()
      assert.deepStrictEqual(target.asked(), [])
      yield* turn
      assert.deepStrictEqual(target.asked(), ["write f"])
      client.tell("ghijklm")
      target.done()
      assert.deepStrictEqual(target.asked(), ["write gh|ij"])
      target.done()
      yield* turn
      assert.deepStrictEqual(target.asked(), ["write klm"])
    }).pipe(Effect.scoped, Effect.provide(world({ turnBytes: 5 }))))

  it.effect("that finds no buffer keeps what came, counts it, pauses its source, and goes on when one comes", () =>
    Effect.gen(function*() {
      const give = yield* holdAll
      const { asked, client, outcome, target } = yield* connect
      asked()
      client.tell("abc")
      client.tell("de")
      assert.deepStrictEqual(asked(), [["off"], []])
      const { connections, overdraftBytes, overdraftHighWaterBytes, overdrafts, waitingDirections } = yield* snapshot
      assert.deepStrictEqual([connections, overdraftBytes, overdraftHighWaterBytes, overdrafts, waitingDirections], [
        1,
        5,
        5,
        2,
        1
      ])
      give[0]?.()
      give[1]?.()
      assert.strictEqual(yield* outcome, "goes on")
      assert.deepStrictEqual(target.asked(), ["write abcde"])
      assert.strictEqual((yield* snapshot).overdraftBytes, 0)
      assert.strictEqual((yield* snapshot).overdraftHighWaterBytes, 5)
      target.done()
      assert.deepStrictEqual([(yield* snapshot).requestBytes, (yield* snapshot).waitingDirections], [5, 0])
    }).pipe(Effect.scoped, Effect.provide(world())))

  it.effect("cuts a share of its bytes exactly where the buffer's end falls: no view is empty", () =>
    Effect.gen(function*() {
      const { client, target } = yield* connect
      target.asked()
      client.tell("abcdef")
      for (const share of ["write ab", "write cd"]) {
        assert.deepStrictEqual(target.asked(), [share])
        target.done()
        yield* turn
      }
      client.tell("ghijk")
      for (const share of ["write ef", "write gh", "write ij", "write k"]) {
        assert.deepStrictEqual(target.asked(), [share])
        target.done()
        yield* turn
      }
    }).pipe(Effect.scoped, Effect.provide(world({ turnBytes: 2 }))))

  it.effect("passes no end on before bytes that wait for a buffer", () =>
    Effect.gen(function*() {
      const give = yield* holdAll
      const { client, target } = yield* connect
      target.asked()
      client.tell("abc")
      client.tellEnd()
      yield* turn
      assert.deepStrictEqual(target.asked(), [])
      for (const back of give) back()
      yield* turn
      assert.deepStrictEqual(target.asked(), ["write abc"])
      target.done()
      assert.deepStrictEqual(target.asked(), ["end"])
    }).pipe(Effect.scoped, Effect.provide(world())))

  it.effect("whose pool has closed ends with its next byte, and that is kept nowhere", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const pool = yield* Scope.provide(BufferPool.make({ name: "closing", limit: 4, bufferSize: 8 }), scope)
      const relay = yield* Relay.make().pipe(Effect.provideService(BufferPool, pool))
      const [client, target] = [new HandPeer("client"), new HandPeer("target")]
      const fiber = yield* Effect.forkScoped(relay.run(client, target), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      client.tell("abc")
      yield* turn
      assert.strictEqual((yield* Fiber.join(fiber)).end, "shutdown")
      assert.strictEqual((yield* relay.snapshot).overdraftBytes, 0)
    }).pipe(Effect.scoped, Effect.provide(world())))
})

describe("a peer that is done from inside write", () => {
  it.effect("is not written to from inside it, however much is to be written", () =>
    Effect.gen(function*() {
      const { client, target } = yield* connect
      client.tell("12345678")
      client.tell("abcdefgh")
      client.tell("ij")
      target.asked()
      target.isInstant = true
      target.done()
      assert.deepStrictEqual([target.asked(), target.deepest], [["write abcdefgh", "write ij"], 1])
      assert.strictEqual((yield* BufferPool.snapshot).used, 0)
    }).pipe(Effect.scoped, Effect.provide(world())))
})

describe("a write in flight", () => {
  /** Somebody waits from now on, so that who is stalled is reset. */
  const shortage = Effect.map(BufferPool, (pool) => {
    for (let left = 4; left > 0; left--) pool.tryTakeUnsafe("tx")
    const waiter = pool.waitQueue.waiter({ target: "w", criticality: "tx", wake: () => false })
    assert.strictEqual(pool.waitQueue.takeOrWaitUnsafe(waiter), "queued")
  })
  const stalled = Effect.map(snapshot, ({ ended }) => ended.stalled)
  const isStalledAfter5Seconds = Effect.gen(function*() {
    yield* shortage
    yield* TestClock.adjust("4999 millis")
    assert.strictEqual(yield* stalled, 0)
    yield* TestClock.adjust("1 millis")
    assert.strictEqual(yield* stalled, 1)
  })

  it.effect("is stalled since it began, if the buffer of the one before had been given back", () =>
    Effect.gen(function*() {
      const { client, target } = yield* connect
      client.tell("abc")
      target.done()
      yield* TestClock.adjust("4 seconds")
      client.tell("def")
      yield* isStalledAfter5Seconds
    }).pipe(Effect.scoped, Effect.provide(world({ stallTimeout: "5 seconds" }))))

  it.effect("is stalled since it began, if it is the first, however long nothing came", () =>
    Effect.gen(function*() {
      const { client } = yield* connect
      yield* TestClock.adjust("4 seconds")
      client.tell("abc")
      yield* isStalledAfter5Seconds
    }).pipe(Effect.scoped, Effect.provide(world({ stallTimeout: "5 seconds" }))))

  it.effect("makes progress by what the kernel takes of it", () =>
    Effect.gen(function*() {
      const KiB = 1024
      const { client, target } = yield* connect
      client.tell(new Uint8Array(128 * KiB))
      target.unaccepted = 128 * KiB
      yield* shortage
      yield* TestClock.adjust("4 seconds")
      target.unaccepted = 64 * KiB
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* stalled, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* stalled, 1)
    }).pipe(Effect.scoped, Effect.provide(world({ stallTimeout: "5 seconds" }, { bufferSize: 128 * 1024 }))))

  it.effect("is looked at once a second, as soon as it takes longer than stallGrace, and even while it makes progress", () => {
    const asked: Array<string> = []
    const sampleUnsent = (peers: ReadonlyArray<Peer>) => void asked.push(peers.map(({ label }) => label).join("+"))
    return Effect.gen(function*() {
      const KiB = 1024
      const { client, target } = yield* connect
      client.tell(new Uint8Array(128 * KiB))
      target.unaccepted = 128 * KiB
      const looks: Array<number> = []
      for (let second = 1; second <= 5; second++) {
        if (second === 3) target.unaccepted = 64 * KiB
        yield* TestClock.adjust("1 second")
        looks.push(asked.length)
      }
      assert.deepStrictEqual(looks, [0, 0, 1, 2, 3])
      assert.deepStrictEqual(asked, ["target", "target", "target"])
    }).pipe(
      Effect.scoped,
      Effect.provide(
        world({ stallGrace: "2 seconds", idleTimeout: "1 hour", sampleUnsent }, { bufferSize: 128 * 1024 })
      )
    )
  })
})

describe("a connection is idle if", () => {
  /** A relay that is asked once a second about whoever is quiet; `asked` says about whom. */
  const sampled = () => {
    const asked: Array<string> = []
    const sampleUnsent = (peers: ReadonlyArray<Peer>) => void asked.push(peers.map(({ label }) => label).join("+"))
    return { asked, layer: world({ idleTimeout: "8 seconds", stallGrace: "1 hour", sampleUnsent }) }
  }

  it.effect("its peers' kernels take nothing of a write in flight", () => {
    const { asked, layer } = sampled()
    return Effect.gen(function*() {
      const { client, outcome, target } = yield* connect
      client.tell("12345678")
      target.unaccepted = 8
      yield* TestClock.adjust("1 second")
      for (let second = 2; second <= 9; second++) {
        target.unaccepted--
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(asked, ["target+client", ...Array.from({ length: 8 }, () => "target")])
      assert.strictEqual(yield* outcome, "goes on")
      yield* TestClock.adjust("7999 millis")
      assert.strictEqual(yield* outcome, "goes on")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* snapshot).ended.idle, 1)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("its peers' kernels deliver nothing of what they took; nobody is asked when all is delivered", () => {
    const { asked, layer } = sampled()
    return Effect.gen(function*() {
      const { client, outcome, target } = yield* connect
      client.tell("abc")
      target.done()
      target.unsent = 3
      const from = asked.length
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(asked.slice(from), ["target+client", "target"])
      target.unsent = 2
      yield* TestClock.adjust("1 second")
      target.unsent = 0
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(asked.slice(from + 2), ["target", "target"])
      yield* TestClock.adjust("7999 millis")
      assert.deepStrictEqual([yield* outcome, asked.length - from], ["goes on", 4])
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* snapshot).ended.idle, 1)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("nothing moves: who has been settled is asked about again only when bytes were written since", () => {
    const { asked, layer } = sampled()
    return Effect.gen(function*() {
      const { client, target } = yield* connect
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(asked.splice(0), ["target+client"])
      client.tell("abc")
      target.done()
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(asked, ["target"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})

describe("sampleUnsent is asked", () => {
  it.effect("about nobody who is not quiet, and more often than once a second if idleTimeout is short", () => {
    const asked: Array<number> = []
    return Effect.gen(function*() {
      const { client, target } = yield* connect
      for (let turn = 0; turn < 5; turn++) {
        client.tell("abc")
        target.done()
        yield* TestClock.adjust("250 millis")
      }
      assert.deepStrictEqual(asked, [])
      target.unsent = 1
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual(asked, [2, 1, 1])
    }).pipe(
      Effect.scoped,
      Effect.provide(world({ idleTimeout: "4 seconds", sampleUnsent: (peers) => void asked.push(peers.length) }))
    )
  })
})

describe("a wait for a buffer is bounded by queueTimeout, counted from when the first of both directions began to wait:", () => {
  it.effect.each(
    [
      [["request"], 2000],
      [["response"], 2000],
      [["request", "response"], 2000],
      [["response", "request"], 2000]
    ] as const
  )("%s", ([order, endsMs]) =>
    Effect.gen(function*() {
      yield* holdAll
      const { asked, client, outcome, target } = yield* connect
      asked()
      for (const side of order) {
        if (side === "request") client.tell("abc")
        else target.tell("123")
        yield* TestClock.adjust(500)
      }
      yield* TestClock.adjust(endsMs - 500 * order.length - 1)
      assert.strictEqual(yield* outcome, "goes on")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* outcome, {
        end: "queueTimeout",
        cause: undefined,
        requestBytes: 0,
        responseBytes: 0
      })
      assert.deepStrictEqual([client.asked().at(-1), target.asked().at(-1)], ["abort", "abort"])
      assert.strictEqual((yield* snapshot).overdraftBytes, 0)
    }).pipe(Effect.scoped, Effect.provide(world({ queueTimeout: "2 seconds" }))))
})

describe("what must not happen resets the connection, and the outcome or the log says what it was:", () => {
  const causeOf = (outcome: RelayOutcome | "goes on") =>
    outcome === "goes on" ? outcome : `${outcome.end}: ${String(outcome.cause)}`

  it.effect("a peer that is reset", () =>
    Effect.gen(function*() {
      const { client, outcome, target } = yield* connect
      target.tellReset("ECONNRESET")
      assert.strictEqual(causeOf(yield* outcome), "reset: ECONNRESET")
      assert.deepStrictEqual([client.asked().at(-1), target.asked().at(-1)], ["abort", "abort"])
    }).pipe(Effect.scoped, Effect.provide(world())))

  it.effect("bytes behind an end", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const { client, outcome } = yield* connect
        client.tellEnd()
        client.tell("x")
        const error = "Error: client sent bytes behind its own end"
        assert.strictEqual(causeOf(yield* outcome), `reset: ${error}`)
        assert.deepStrictEqual(lines, [`Error a connection of client broke; it was reset: ${error}`])
      }).pipe(Effect.scoped, Effect.provide(world()))
    ))

  it.effect("bytes without end after a pause: 128 KiB are borne, one more is not", () =>
    Effect.gen(function*() {
      yield* holdAll
      const { client, outcome } = yield* connect
      client.tell(new Uint8Array(64 * 1024))
      client.tell(new Uint8Array(64 * 1024))
      assert.strictEqual(yield* outcome, "goes on")
      client.tell("x")
      assert.strictEqual(causeOf(yield* outcome), "reset: Error: client sent on after it was asked to pause")
    }).pipe(Effect.scoped, Effect.provide(world())))

  it.effect("a write that is not accepted", () =>
    Effect.gen(function*() {
      const { client, outcome, target } = yield* connect
      client.tell("abc")
      target.done(false)
      assert.strictEqual(causeOf(yield* outcome), "reset: Error: target is gone")
      assert.strictEqual((yield* BufferPool.snapshot).used, 0)
    }).pipe(Effect.scoped, Effect.provide(world())))

  it.effect("a write that is done twice", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const { client, outcome, target } = yield* connect
        client.tell("abc")
        target.done()
        target.done()
        const error = "Error: target was done twice with a write"
        assert.strictEqual(causeOf(yield* outcome), `reset: ${error}`)
        assert.deepStrictEqual(lines, [`Error a connection of client broke; it was reset: ${error}`])
      }).pipe(Effect.scoped, Effect.provide(world()))
    ))

  it.effect.each(["attach", "on", "write", "end", "off"])(
    "a peer whose %s throws",
    (call) =>
      logged((lines) =>
        Effect.gen(function*() {
          if (call === "off") yield* holdAll
          const [client, target] = [new HandPeer("client"), new HandPeer("target")]
          if (call === "off") client.broken = call
          else target.broken = call
          const fiber = yield* Effect.forkScoped(Relay.use((relay) => relay.run(client, target)), {
            startImmediately: true
          })
          client.tell("abc")
          target.done()
          client.tellEnd()
          yield* turn
          const error = `Error: ${call === "write" ? "write abc" : call} is broken`
          assert.strictEqual(causeOf(yield* Fiber.join(fiber)), `reset: ${error}`)
          assert.deepStrictEqual(lines, [`Error a connection of client broke; it was reset: ${error}`])
          assert.deepStrictEqual([client.asked().at(-1), target.asked().at(-1)], ["abort", "abort"])
          assert.strictEqual((yield* BufferPool.snapshot).used, call === "off" ? 4 : 0)
          client.tell("x")
          assert.strictEqual(lines.length, 1)
        }).pipe(Effect.scoped, Effect.provide(world()))
      )
  )

  it.effect("a peer whose abort throws: the other is aborted all the same, and all comes back", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const { client, outcome, target } = yield* connect
        client.tell("abc")
        client.broken = "abort"
        target.tellReset("gone")
        assert.strictEqual(causeOf(yield* outcome), "reset: gone")
        assert.strictEqual(target.asked().at(-1), "abort")
        assert.deepStrictEqual(lines, ["Error a connection of client broke; it was reset: Error: abort is broken"])
        target.done(false)
        assert.strictEqual((yield* BufferPool.snapshot).used, 0)
      }).pipe(Effect.scoped, Effect.provide(world()))
    ))
})

describe("the relay says", () => {
  it.effect("whom it reset for having taken nothing, how long, and how many waited", () =>
    logged((lines) =>
      Effect.gen(function*() {
        const stuck = [yield* connect, yield* connect]
        for (const { client, target } of stuck) {
          target.tell("12345678")
          client.asked()
        }
        const pool = yield* BufferPool
        assert.isDefined(pool.tryTakeUnsafe("tx"))
        assert.isDefined(pool.tryTakeUnsafe("tx"))
        for (const target of ["a", "b", "c"]) {
          pool.waitQueue.takeOrWaitUnsafe(pool.waitQueue.waiter({ target, criticality: "rx", wake: () => false }))
        }
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(lines, ["Warn reset 2 connections whose peers took nothing for 5000 ms, while 3 waited"])
        for (const { client, outcome } of stuck) {
          assert.deepStrictEqual(yield* outcome, {
            end: "stalled",
            cause: undefined,
            requestBytes: 0,
            responseBytes: 0
          })
          assert.strictEqual(client.asked().at(-1), "abort")
        }
        assert.strictEqual((yield* snapshot).ended.stalled, 2)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(lines.length, 1)
      }).pipe(Effect.scoped, Effect.provide(world({ stallTimeout: "5 seconds" })))
    ))

  it.effect("once that sampleUnsent threw, and goes on", () => {
    const sampleUnsent = () => {
      throw new Error("no /proc")
    }
    return logged((lines) =>
      Effect.gen(function*() {
        const { client } = yield* connect
        client.tell("abc")
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(lines, ["Error sampleUnsent threw; this is reported once: Error: no /proc"])
      }).pipe(Effect.scoped, Effect.provide(world({ sampleUnsent })))
    )
  })

  it.effect("which of its options break a rule", () =>
    Effect.gen(function*() {
      const untyped = (options: { readonly [field: string]: unknown }): RelayOptions => options
      const problems = (options: RelayOptions) =>
        Effect.map(Effect.flip(Effect.scoped(Relay.make(options))), (error: ConfigError) => error.message)
      const time = "must be a duration above zero, such as \"1 second\" or a number of milliseconds"
      for (const field of ["idleTimeout", "queueTimeout", "stallTimeout", "stallGrace"]) {
        assert.strictEqual(yield* problems(untyped({ [field]: 0 })), `${field} = 0: ${time}`)
      }
      const size = "must be an integer of bytes from 1 to 256 KiB"
      for (const turnBytes of [0, 256 * 1024 + 1, 1.5]) {
        assert.strictEqual(yield* problems({ turnBytes }), `turnBytes = ${turnBytes}: ${size}`)
      }
      assert.strictEqual(
        yield* problems(untyped({ sampleUnsent: true, speed: 1 })),
        "sampleUnsent = true: must be a function of peers\nspeed = 1: is not an option; those are idleTimeout, " +
          "queueTimeout, stallTimeout, stallGrace, turnBytes, sampleUnsent"
      )
      yield* Effect.scoped(Relay.make({ turnBytes: 256 * 1024, idleTimeout: "Infinity" }))
    }).pipe(Effect.provide(Headgate.layerManual())))
})

describe("what the defaults are:", () => {
  it.effect("five minutes without a byte are idle, and not a moment less", () =>
    Effect.gen(function*() {
      const { outcome } = yield* connect
      yield* TestClock.adjust(5 * 60_000 - 1)
      assert.strictEqual(yield* outcome, "goes on")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* outcome, { end: "idle", cause: undefined, requestBytes: 0, responseBytes: 0 })
    }).pipe(Effect.scoped, Effect.provide(world())))

  it.effect("two minutes of waiting for a buffer", () =>
    Effect.gen(function*() {
      yield* holdAll
      const { client, outcome } = yield* connect
      client.tell("abc")
      yield* TestClock.adjust(2 * 60_000 - 1)
      assert.strictEqual(yield* outcome, "goes on")
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* snapshot).ended.queueTimeout, 1)
    }).pipe(Effect.scoped, Effect.provide(world())))

  it.effect("thirty seconds without progress, once somebody has waited for one second", () =>
    Effect.gen(function*() {
      const { outcome, target } = yield* connect
      target.tell("12345678")
      const pool = yield* BufferPool
      yield* TestClock.adjust("1 minute")
      for (let i = 0; i < 3; i++) pool.tryTakeUnsafe("tx")
      const waiter = pool.waitQueue.waiter({ target: "w", criticality: "tx", wake: () => false })
      assert.strictEqual(pool.waitQueue.takeOrWaitUnsafe(waiter), "queued")
      yield* TestClock.adjust(999)
      assert.strictEqual(yield* outcome, "goes on")
      yield* TestClock.adjust(1)
      assert.strictEqual((yield* snapshot).ended.stalled, 1)
    }).pipe(Effect.scoped, Effect.provide(world())))
})

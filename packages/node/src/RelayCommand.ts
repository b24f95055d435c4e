/**
 * `headgate relay`: from flags to a running relay, and from a signal to an orderly end.
 *
 * The first SIGTERM or SIGINT stops accepting and lets connections finish for `--drain-timeout`; what is left then, or at a
 * second signal, is reset. The last line says whether every buffer came back; if one did not, `process.exitCode` becomes 1.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { BufferPool } from "headgate"
import * as Fs from "node:fs"
import * as Address from "./Address.ts"
import { flags, type RelaySettings, settings, tell } from "./RelayFlags.ts"
import * as RelayServer from "./RelayServer.ts"

/**
 * The command, to be put under a program of yours.
 *
 * @category commands
 * @since 0.1.0
 */
export const relayCommand = Command.make("relay", flags, (input) =>
  settings(input).pipe(
    Effect.catch(tell(64)),
    Effect.flatMap((checked) => run(checked).pipe(Effect.provide(RelayServer.layer(checked)))),
    Effect.catchTag("ConfigError", tell(64)),
    Effect.catchTag(["ListenFailed", "AllocationFailed"], tell(1))
  )).pipe(Command.withDescription("Relays TCP and Unix-socket connections within a fixed memory budget"))

type Picture = Effect.Success<RelayServer.RelayServer["picture"]>

/** Until it is interrupted, which is what `NodeRuntime.runMain` makes of a signal. */
const run = (checked: RelaySettings) =>
  Effect.gen(function*() {
    const signals = yield* heardSignals
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
    const server = yield* Scope.provide(RelayServer.make(checked), scope)
    // A fiber that is interrupted can wait for nothing any more, so another one ends the relay.
    const end = Effect.flatMap(Effect.forkDetach(shutDown(checked, server, scope, signals)), Fiber.join)
    yield* Effect.onInterrupt(Effect.andThen(startUp(checked, server), Effect.never), () => end)
  }).pipe(Effect.scoped)

/** Every SIGTERM and SIGINT from now on, also one that comes before anybody waits for it. */
const heardSignals: Effect.Effect<Queue.Queue<void>, never, Scope.Scope> = Effect.gen(function*() {
  const heard = yield* Queue.unbounded<void>()
  const note = () => void Queue.offerUnsafe(heard, undefined)
  // Before whoever interrupts this fiber: so the first signal has been heard when the end begins.
  const listen = Effect.sync(() => process.prependListener("SIGTERM", note).prependListener("SIGINT", note))
  yield* Effect.acquireRelease(listen, () => Effect.sync(() => process.off("SIGTERM", note).off("SIGINT", note)))
  return heard
})

const startUp = (checked: RelaySettings, server: RelayServer.RelayServer): Effect.Effect<void> =>
  Effect.gen(function*() {
    const routes = server.listening.map((address, at) => {
      const target = checked.routes[at]?.target
      return `${Address.format(address)} -> ${target === undefined ? "?" : Address.format(target)}`
    })
    yield* Effect.logInfo(`relaying ${routes.join(", ")}`)
    const { server: { landing } } = yield* server.picture
    yield* Effect.logInfo(`${budget(checked)}; outside it: ${outside(landing)}; landing ${landing}`)
    if (server.stats === undefined) return
    yield* Effect.logInfo(`status page on ${Address.format(server.stats)}`)
    if (isLoopback(server.stats)) return
    yield* Effect.logWarning(
      `the status page has no authentication, and ${Address.format(server.stats)} is not loopback`
    )
  })

const budget = ({ bufferSize, limit, reserve }: RelaySettings): string =>
  `budget ${mebibytes(limit * bufferSize)} MiB: ${limit} buffers of ${bufferSize} bytes, ${reserve} in reserve`

/** What the budget does not bound. */
const outside = (landing: string): string =>
  `${landing === "plain" ? "up to 128 KiB per connection and direction in this process, and " : ""}` +
  `the kernel's socket buffers, ${kernelWorstCase()}`

const mebibytes = (bytes: number): string => (bytes / 1024 ** 2).toFixed(bytes < 1024 ** 2 ? 2 : 0)

/** What the kernel may hold for one peer that never reads: the largest send buffer it grows to. */
const kernelWorstCase = (): string => {
  try {
    const most = Number(Fs.readFileSync("/proc/sys/net/ipv4/tcp_wmem", "utf8").trim().split(/\s+/)[2])
    return `up to ${mebibytes(most)} MiB for each peer that does not read (sysctl net.ipv4.tcp_wmem lowers it)`
  } catch {
    return "as large as this system lets them grow"
  }
}

/** Of an address that is bound, and so numeric. */
const isLoopback = (address: Address.Address): boolean =>
  address._tag === "Unix" || address.host === "::1" || (address.host?.startsWith("127.") ?? false)

const shutDown = (
  checked: RelaySettings,
  server: RelayServer.RelayServer,
  scope: Scope.Closeable,
  signals: Queue.Dequeue<void>
): Effect.Effect<void, never, BufferPool> =>
  Effect.gen(function*() {
    const before = yield* server.picture
    yield* Effect.logInfo(
      `stopping: ${before.server.open} connections open, ${Duration.format(checked.drainTimeout)} to finish`
    )
    // The signal that began this, if one did: the next one ends it.
    yield* Queue.poll(signals)
    yield* Effect.raceFirst(server.drain, Queue.take(signals))
    const { server: { open } } = yield* server.picture
    if (open > 0) yield* Effect.logWarning(`resetting ${open} connections that did not finish`)
    yield* Scope.close(scope, Exit.void)
    yield* report(yield* server.picture)
  })

/** A socket that was reset still owes its last write's callback, and so its buffer: that is given two seconds. */
const report = (last: Picture): Effect.Effect<void, never, BufferPool> =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const state = yield* pool.snapshot.pipe(
      Effect.repeat({ until: ({ used }) => used === 0, times: 100, schedule: Schedule.spaced("20 millis") }),
      Effect.andThen(pool.snapshot)
    )
    const waiting = Object.values(state.classes).reduce((sum, { waiting }) => sum + waiting, 0)
    if (state.used === 0 && waiting === 0) {
      return yield* Effect.logInfo(
        `stopped after ${last.server.accepted} connections: nothing leaked, all buffers are back and nobody waits`
      )
    }
    yield* Effect.logError(`leaked: ${state.used} buffers are still lent, and ${waiting} wait`)
    // An interrupted fiber can fail with nothing but that: the process itself has to say it.
    yield* Effect.sync(() => process.exitCode = 1)
  })

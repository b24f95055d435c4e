/**
 * `headgate relay`: from flags to a running relay, and from a signal to an orderly end.
 *
 * The first SIGTERM or SIGINT stops accepting and lets connections finish for `--drain-timeout`; what is left then, or at a
 * second signal, is reset. The last line says whether every buffer came back.
 *
 * @since 0.1.0
 */
import { Command } from "effect/cli"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { BufferPool } from "headgate"
import * as Fs from "node:fs"
import * as Address from "./Address.ts"
import { flags, type RelaySettings, settings, tell, type Told } from "./RelayFlags.ts"
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

/** Until a signal comes. */
const run = (checked: RelaySettings) =>
  Effect.gen(function*() {
    const scope = yield* Effect.acquireRelease(Scope.make(), (scope, exit) => Scope.close(scope, exit))
    const server = yield* Scope.provide(RelayServer.make(checked), scope)
    yield* startUp(checked, server)
    // The fiber that a signal interrupts can wait for nothing any more, so another one ends the relay.
    const end = Effect.flatMap(Effect.forkDetach(shutDown(checked, server, scope)), Fiber.join)
    yield* Effect.onInterrupt(Effect.never, () => end)
  }).pipe(Effect.scoped)

const startUp = (checked: RelaySettings, server: RelayServer.RelayServer): Effect.Effect<void> =>
  Effect.gen(function*() {
    const routes = checked.routes.map(({ target }, at) => {
      const address = server.listening[at]
      return `${address === undefined ? "?" : Address.format(address)} -> ${Address.format(target)}`
    })
    yield* Effect.logInfo(`relaying ${routes.join(", ")}`)
    yield* Effect.logInfo(
      `budget ${
        mebibytes(checked.limit * checked.bufferSize)
      } MiB: ${checked.limit} buffers of ${checked.bufferSize} bytes, ` +
        `${checked.reserve} in reserve; outside it: up to 128 KiB per connection and direction in this process, and the kernel's ` +
        `socket buffers, ${kernelWorstCase()}; landing plain`
    )
    if (checked.stats === undefined || server.stats === undefined) return
    yield* Effect.logInfo(`status page on ${Address.format(server.stats)}`)
    if (!isLoopback(checked.stats)) {
      yield* Effect.logWarning(
        `the status page has no authentication, and ${Address.format(checked.stats)} is not loopback`
      )
    }
  })

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

const isLoopback = (address: Address.Address): boolean =>
  address._tag === "Unix" ||
  address.host === "localhost" || address.host === "::1" || (address.host?.startsWith("127.") ?? false)

const shutDown = (
  checked: RelaySettings,
  server: RelayServer.RelayServer,
  scope: Scope.Closeable
): Effect.Effect<void, Told, BufferPool> =>
  Effect.gen(function*() {
    const before = yield* server.picture
    yield* Effect.logInfo(
      `stopping: ${before.server.open} connections open, ${Duration.format(checked.drainTimeout)} to finish`
    )
    yield* Effect.raceFirst(server.drain, signal)
    yield* Scope.close(scope, Exit.void)
    yield* report(yield* server.picture)
  })

/** Another SIGTERM or SIGINT. */
const signal: Effect.Effect<void> = Effect.suspend(() => {
  const came = Deferred.makeUnsafe<void>()
  const note = () => void Deferred.doneUnsafe(came, Effect.void)
  process.on("SIGTERM", note).on("SIGINT", note)
  return Effect.ensuring(
    Deferred.await(came),
    Effect.sync(() => process.off("SIGTERM", note).off("SIGINT", note))
  )
})

/** A socket that was reset still owes its last write's callback, and so its buffer: that is given two seconds. */
const report = (last: Effect.Success<RelayServer.RelayServer["picture"]>): Effect.Effect<void, Told, BufferPool> =>
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
    return yield* tell(1)({ message: `leaked: ${state.used} buffers are still lent, and ${waiting} wait` })
  })

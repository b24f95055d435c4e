/**
 * The real relay, as a user starts it: the `headgate relay` command, in a process of its own.
 *
 * Invariant: what the demo knows of it comes from its two doors only, its log and its status page; so it may be replaced by
 * any script that takes the same flags (a test puts a broken one in its place).
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Children from "./children.ts"
import { look, type Stats, waiting } from "./statsPage.ts"

export const relayScript = new URL("../src/bin.ts", import.meta.url)

export interface RelayProcess {
  readonly child: Children.Child
  readonly port: number
  readonly statsPort: number
  /** What a user would type. */
  readonly command: string
  /** One line for each time it reset connections, in its own words. */
  readonly evictions: ReadonlyArray<string>
  /** Waits until every buffer is back, then stops it in order. It has had so many connections at a time, at most. */
  readonly stop: (mostConnections: number) => Effect.Effect<End>
}

/** The relay's last figures, if it still answered; and what was lost. */
export interface End {
  readonly last: Stats | undefined
  readonly lost: ReadonlyArray<string>
}

const portAfter = (pattern: RegExp) => (line: string): number | undefined => {
  const port = pattern.exec(line)?.[1]
  return port === undefined ? undefined : Number(port)
}

const quoted = (word: string): string => word.includes(" ") ? `"${word}"` : word

export const start = (
  script: URL,
  name: string,
  origin: number,
  flags: ReadonlyArray<string>
): Effect.Effect<RelayProcess, Children.DemoFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const where = ["--listen", "127.0.0.1:0", "--target", `127.0.0.1:${origin}`, "--stats", "127.0.0.1:0"]
    const child = yield* Children.start(name, script, ["relay", ...where, ...flags, "--drain-timeout", "2 seconds"])
    const evictions: Array<string> = []
    child.onLine((line) => {
      const words = /reset \d+ connections whose .*/.exec(line)?.[0]
      if (words !== undefined) evictions.push(words)
    })
    const port = yield* child.says(portAfter(/relaying \S+:(\d+) -> /))
    const statsPort = yield* child.says(portAfter(/status page on \S+:(\d+)/))
    const command = ["headgate", "relay", ...flags.map(quoted)].join(" ")
    return { child, port, statsPort, command, evictions, stop: (most) => stop(child, statsPort, most) }
  })

/** Buffers of connections that were just closed may still be on their way back. */
const backSeconds = 5
const stopSeconds = 10

const allBack = (statsPort: number): Effect.Effect<Stats, Children.DemoFailed> =>
  Effect.suspend(() => {
    const once = Effect.andThen(Effect.sleep("100 millis"), look(statsPort))
    const isBack = (stats: Stats): boolean =>
      stats.pool.used === 0 && waiting(stats) === 0 && stats.relay.connections === 0
    return Effect.repeat(once, { until: isBack, times: backSeconds * 10 })
  })

const stop = (child: Children.Child, statsPort: number, mostConnections: number): Effect.Effect<End> =>
  Effect.gen(function*() {
    const last = yield* Effect.result(allBack(statsPort))
    child.kill("SIGTERM")
    const how = yield* Effect.timeoutOrElse(child.exit, {
      duration: `${stopSeconds} seconds`,
      orElse: () => Effect.succeed(`no end within ${stopSeconds} s`)
    })
    const lost = how === 0 ? [] : [`${child.name}: did not stop in order (${how})`]
    if (last._tag === "Failure") return { last: undefined, lost: [`${child.name}: ${last.failure.message}`, ...lost] }
    return {
      last: last.success,
      lost: [...leaks(child.name, last.success), ...excess(child.name, last.success, mostConnections), ...lost]
    }
  })

/** All clients are gone: then nothing may be left. */
const leaks = (name: string, stats: Stats): ReadonlyArray<string> => {
  const left: ReadonlyArray<readonly [count: number, words: string]> = [
    [stats.pool.used, "buffers are not back"],
    [waiting(stats), "still wait for a buffer"],
    [stats.relay.connections, "connections are still open"]
  ]
  return left.flatMap(([count, words]) => count === 0 ? [] : [`${name}: ${count} ${words} though all clients are gone`])
}

/** What one direction of a connection may hold beside its buffer; the relay says so when it starts. */
export const overdraftBytes = 128 * 1024

/** Its budget, to the byte. The memory of its process is shown but not judged: the runtime's share is not the relay's. */
const excess = (name: string, { pool, relay }: Stats, mostConnections: number): ReadonlyArray<string> => {
  const bound = mostConnections * 2 * overdraftBytes
  return [
    ...(pool.highWater <= pool.limit ? [] : [`${name}: lent ${pool.highWater} of ${pool.limit} buffers`]),
    ...(relay.overdraftHighWaterBytes <= bound
      ? []
      : [`${name}: held ${relay.overdraftHighWaterBytes} bytes beside its buffers, more than ${bound}`])
  ]
}

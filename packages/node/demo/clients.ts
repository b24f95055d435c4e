/**
 * The demo's clients: plain Node sockets, in the process that you started.
 *
 * Invariant: a request ends in exactly one of two ways: every byte of the answer came, compared by SHA-256, or a line says
 * what was lost of it.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Net from "node:net"
import { hashOf, type Request, requestOf } from "./content.ts"

const at = (port: number): Net.NetConnectOpts => ({ host: "127.0.0.1", port, noDelay: true })

export interface RequestOptions {
  readonly port: number
  readonly what: string
  readonly timeoutSeconds: number
}

/** Asks, and checks the answer; what was lost, or undefined. */
export const request = (options: RequestOptions, asked: Request): Effect.Effect<string | undefined> =>
  Effect.suspend(() => {
    let received = 0
    const lost = (why: string): string =>
      `${options.what} ${asked.seed}: ${why}, ${received} of ${asked.bytes} bytes came`
    const exchange = Effect.callback<string | undefined>((resume) => {
      const hash = Crypto.createHash("sha256")
      const socket = Net.connect(at(options.port))
      socket.on("data", (bytes) => {
        received += bytes.length
        hash.update(bytes)
      })
      socket.on("error", (error) => resume(Effect.succeed(lost(error.message))))
      socket.on("end", () => {
        if (received !== asked.bytes) return resume(Effect.succeed(lost("cut short")))
        resume(Effect.sync(() => hash.digest("hex") === hashOf(asked) ? undefined : lost("not byte-equal")))
      })
      socket.end(requestOf(asked))
      return Effect.sync(() => socket.destroy())
    })
    return Effect.timeoutOrElse(exchange, {
      duration: `${options.timeoutSeconds} seconds`,
      orElse: () => Effect.succeed(lost(`no end within ${options.timeoutSeconds} s`))
    })
  })

/** What came of many requests. */
export interface Answers {
  /** A line for each that lost something. */
  readonly lost: ReadonlyArray<string>
  readonly slowestMs: number
  readonly tookMs: number
}

/** Many requests with the seeds 1 to `count`, so many at once. */
export const requests = (
  options: RequestOptions & { readonly count: number; readonly bytes: number; readonly atOnce: number },
  onDone: (done: number) => void
): Effect.Effect<Answers> =>
  Effect.suspend(() => {
    const startedAt = performance.now()
    const lost: Array<string> = []
    let done = 0
    let slowestMs = 0
    const one = (seed: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const askedAt = performance.now()
        return Effect.map(request(options, { bytes: options.bytes, seed }), (line) => {
          slowestMs = Math.max(slowestMs, performance.now() - askedAt)
          if (line !== undefined) lost.push(line)
          onDone(++done)
        })
      })
    const seeds = Array.from({ length: options.count }, (_, i) => i + 1)
    return Effect.map(
      Effect.forEach(seeds, one, { concurrency: options.atOnce, discard: true }),
      () => ({ lost, slowestMs, tookMs: performance.now() - startedAt })
    )
  })

/** Connects, asks for much, and reads nothing: not even what Node would read ahead. */
const neverReader = (port: number, asked: Request): Net.Socket => {
  const socket = Net.connect(at(port))
  socket.on("error", () => {}).pause().write(requestOf(asked))
  return socket
}

/** Peers that never read, until the scope closes. */
export const neverReaders = (
  port: number,
  count: number,
  bytes: number
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => Array.from({ length: count }, (_, i) => neverReader(port, { bytes, seed: i }))),
    (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
  ))

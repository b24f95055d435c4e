/**
 * The operator's view over HTTP, and the worked example of an applet.
 *
 * Node parses HTTP; the bytes of a page come from an `Applet` that fills the response channel of a small stream at `tx`, the
 * most critical class, and from no other memory. With a reserve of 3 or more one buffer is always out of the reach of the
 * relay's own traffic, so the page answers when nothing else does. Requests are read without a pooled buffer.
 *
 * | path | what |
 * |---|---|
 * | `/` | for people, plain text |
 * | `/stats.json` | the same picture as JSON |
 * | `/metrics` | Prometheus text |
 * | `/healthz` | 200 while the process lives |
 * | `/readyz` | 200 while it accepts connections, else 503 |
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { PrometheusMetrics } from "effect/observability"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { Applet, type AppletScheduler, BufferPool, type ByteChannel, ByteStream, type TaskScheduler } from "headgate"
import * as HeadgateMetrics from "headgate/HeadgateMetrics"
import * as Http from "node:http"
import type * as Net from "node:net"
import type { Address } from "./Address.ts"
import { type Picture, toJson, toSamples, toText } from "./internal/statusPage.ts"
import { bind, type ListenFailed } from "./NodeListener.ts"

/** Requests served at one time; more are refused, for each may hold a buffer while its client reads. */
const mostRequests = 16
/** A client that takes nothing for so long is dropped: it would hold a buffer at `tx`. */
const writeTimeout = "5 seconds"
/** A whole page, waiting for buffers included. */
const pageTimeout = "30 seconds"

type Services = BufferPool | TaskScheduler | AppletScheduler

/**
 * Serves the picture that `look` takes, on `address`, until the scope closes. Requests that name a `Host` other than the
 * address or a loopback name are refused.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  address: Address,
  look: Effect.Effect<Picture>
): Effect.Effect<Net.Server, ListenFailed, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const run = Effect.runForkWith(yield* Effect.context<Services>())
    let serving = 0
    const server = Http.createServer((request, response) => {
      const refusal = refuse(request, address, serving)
      if (refusal !== undefined) return plain(response, ...refusal)
      serving++
      response.once("close", () => serving--)
      run(answer(request, response, look))
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => stop(server)))
    yield* bind(server, address)
    return server
  })

const stop = (server: Http.Server): void => {
  server.close()
  server.closeAllConnections()
}

const plain = (response: Http.ServerResponse, status: number, text: string): void => {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "connection": "close" }).end(`${text}\n`)
}

const refuse = (
  request: Http.IncomingMessage,
  address: Address,
  serving: number
): readonly [status: number, text: string] | undefined => {
  if (!isKnownHost(request.headers.host, address)) return [421, "this status page does not answer to that host name"]
  if (request.method !== "GET" && request.method !== "HEAD") return [405, "only GET and HEAD"]
  return serving >= mostRequests ? [503, "too many requests for the status page at once"] : undefined
}

/** A page on another site could have a browser ask here under that site's name: such names are refused. */
const isKnownHost = (header: string | undefined, address: Address): boolean => {
  if (address._tag === "Unix") return true
  const host = (header ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "").toLowerCase()
  const own = address.host?.toLowerCase()
  return ["localhost", "127.0.0.1", "::1"].includes(host) || host === own || isWildcard(own) && /^[\d.]+$|:/.test(host)
}

const isWildcard = (host: string | undefined): boolean => host === undefined || host === "0.0.0.0" || host === "::"

const answer = (
  request: Http.IncomingMessage,
  response: Http.ServerResponse,
  look: Effect.Effect<Picture>
): Effect.Effect<void, never, Services> =>
  Effect.gen(function*() {
    const picture = yield* look
    const page = yield* pageOf(request.url ?? "/", picture)
    if (page === undefined) return plain(response, 404, "there are /, /stats.json, /metrics, /healthz and /readyz")
    response.writeHead(page.status, { "content-type": page.type, "cache-control": "no-store", "connection": "close" })
    if (request.method === "HEAD") return void response.end()
    yield* Effect.scoped(produce(page.content, response))
  }).pipe(Effect.onExit(() => Effect.sync(() => response.end())))

interface Page {
  readonly status: number
  readonly type: string
  readonly content: Iterable<string>
}

const text = (content: Iterable<string>, status = 200): Page => ({ status, type: "text/plain; charset=utf-8", content })

const pageOf = (url: string, picture: Picture): Effect.Effect<Page | undefined> => {
  switch (url.replace(/\?.*$/, "")) {
    case "/":
      return Effect.succeed(text(toText(picture)))
    case "/stats.json":
      return Effect.succeed({ status: 200, type: "application/json", content: [toJson(picture)] })
    case "/metrics":
      return Effect.map(
        prometheus(picture),
        (lines) => ({ status: 200, type: "text/plain; version=0.0.4", content: [lines] })
      )
    case "/healthz":
      return Effect.succeed(text(["ok\n"]))
    case "/readyz":
      return Effect.succeed(picture.server.accepting ? text(["ready\n"]) : text(["not accepting\n"], 503))
    default:
      return Effect.succeed(undefined)
  }
}

const prometheus = (picture: Picture): Effect.Effect<string> =>
  HeadgateMetrics.publishSamples(toSamples(picture)).pipe(
    Effect.andThen(PrometheusMetrics.format()),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

/** An applet writes the page into the stream's response channel; the stream writes that into the HTTP response. */
const produce = (
  content: Iterable<string>,
  response: Http.ServerResponse
): Effect.Effect<void, never, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    let isWritten = false
    const stream = yield* ByteStream.make({
      name: "status page",
      response: "tx",
      fillers: { response: "applet" },
      process: (self) =>
        Effect.gen(function*() {
          // The applet may have written on while the response took what was there.
          while ((self.response.buffer?.length ?? 0) > 0) yield* drain(pool, self.response, response)
          if (isWritten || response.destroyed) return yield* self.end
          self.response.wakeFillerUnsafe("io")
        })
    })
    const encoder = new TextEncoder()
    const pieces = content[Symbol.iterator]()
    let rest = new Uint8Array(0)
    yield* Applet.make({
      name: "status applet",
      channel: stream.response,
      run: (input) =>
        Effect.sync(() => {
          if (Option.isNone(input)) return "wait"
          while (input.value.room > 0) {
            const piece = rest.length === 0 ? pieces.next() : undefined
            if (piece?.done === true) {
              isWritten = true
              break
            }
            if (piece !== undefined) rest = encoder.encode(piece.value)
            const count = Math.min(rest.length, input.value.room)
            input.value.write(rest.subarray(0, count))
            rest = rest.subarray(count)
          }
          stream.wakeUnsafe("message")
          return isWritten ? "done" : "wait"
        })
    })
    yield* stream.await
  }).pipe(Effect.timeoutOrElse({ duration: pageTimeout, orElse: () => Effect.sync(() => response.destroy()) }))

/**
 * Hands the channel's bytes to the response, and waits until it has taken them; then their buffer goes back. Until the last
 * callback the buffer is pinned: even if this is interrupted, its memory is nobody else's while the socket may read it.
 */
const drain = (
  pool: BufferPool["Service"],
  channel: ByteChannel.ByteChannel,
  response: Http.ServerResponse
): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const buffer = channel.buffer
    if (buffer === undefined) return resume(Effect.void)
    const views = buffer.readViews()
    const count = buffer.length
    let unwritten = views.length
    const written = () => {
      unwritten--
      if (unwritten > 0) return
      pool.unpinUnsafe(buffer)
      resume(Effect.sync(() => buffer.consume(count)))
    }
    pool.pinUnsafe(buffer)
    for (const view of views) response.write(view, written)
  }).pipe(Effect.timeoutOrElse({ duration: writeTimeout, orElse: () => Effect.sync(() => response.destroy()) }))

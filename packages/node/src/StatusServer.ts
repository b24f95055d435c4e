/**
 * The operator's view over HTTP, and the worked example of an applet.
 *
 * Node parses HTTP; the bytes of a page are put into the response channel of a small stream by an `Applet`, at `tx`, the most
 * critical class. With a reserve of 3 or more one buffer is always out of the reach of the relay's own traffic, so the page
 * answers when nothing else does. Requests are read without a pooled buffer, and what a probe asks is answered without one.
 *
 * Invariant: a request holds a place, a stream, an applet and a buffer for as long as its client is there, and a page that was
 * cut short never looks complete.
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
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Metric from "effect/Metric"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import {
  Applet,
  type AppletScheduler,
  BufferPool,
  type ByteBuffer,
  type ByteChannel,
  ByteStream,
  type TaskScheduler
} from "headgate"
import * as HeadgateMetrics from "headgate/HeadgateMetrics"
import * as Http from "node:http"
import * as Net from "node:net"
import type { Address } from "./Address.ts"
import { type Picture, toJson, toSamples, toText } from "./internal/statusPage.ts"
import { bind, type ListenFailed } from "./NodeListener.ts"

/** Pages served at one time; more are refused, for each may hold a buffer while its client reads. */
const mostPages = 16
/** Connections at one time, those of probes included. They come out of the files that `AcceptGate` spares. */
const mostConnections = 24
/** A client that takes nothing for so long is dropped: it would hold a buffer at `tx`. */
const writeTimeout = "5 seconds"
/** A whole page, waiting for buffers included. */
const pageTimeout = "30 seconds"

type Services = BufferPool | TaskScheduler | AppletScheduler

/**
 * Serves the picture that `look` takes, on `address`, until the scope closes. Without a host it listens on loopback only.
 * Requests that name a `Host` other than the address or a loopback name are refused.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  address: Address,
  look: Effect.Effect<Picture>
): Effect.Effect<Net.Server, ListenFailed, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const own = onLoopback(address)
    const run = yield* FiberSet.makeRuntime<Services>()
    const pages = yield* Semaphore.make(mostPages)
    const server = Http.createServer((request, response) => {
      // Every answer closes its connection: a request that was sent behind another one is never answered.
      if (response.socket === null) return
      const refusal = refuse(request, own)
      if (refusal !== undefined) return plain(response, ...refusal)
      const fiber = run(answer(request, response, pages, look))
      response.once("close", () => fiber.interruptUnsafe())
    })
    server.maxConnections = mostConnections
    yield* Effect.addFinalizer(() => Effect.sync(() => stop(server)))
    yield* bind(server, own)
    // A connection that could not be accepted, for want of files: its client asks again.
    server.on("error", () => {})
    return server
  })

const onLoopback = (address: Address): Address =>
  address._tag === "Tcp" && address.host === undefined ? { ...address, host: "127.0.0.1" } : address

const stop = (server: Http.Server): void => {
  server.close()
  server.closeAllConnections()
}

const plain = (response: Http.ServerResponse, status: number, text: string): void => {
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "connection": "close" }).end(`${text}\n`)
}

const refuse = (
  request: Http.IncomingMessage,
  own: Address
): readonly [status: number, text: string] | undefined => {
  if (!isKnownHost(request.headers.host, own)) return [421, "this status page does not answer to that host name"]
  return request.method === "GET" || request.method === "HEAD" ? undefined : [405, "only GET and HEAD"]
}

/** A page on another site could have a browser ask here under that site's name: such names are refused. */
const isKnownHost = (header: string | undefined, own: Address): boolean => {
  if (own._tag === "Unix") return true
  const host = (header ?? "").replace(/:\d+$/, "").replace(/^\[|\]$/g, "").toLowerCase()
  if (["localhost", "127.0.0.1", "::1", own.host?.toLowerCase()].includes(host)) return true
  // Whoever listens on all addresses is asked by any of them; a site's name is none.
  return (own.host === "0.0.0.0" || own.host === "::") && Net.isIP(host) !== 0
}

const answer = (
  request: Http.IncomingMessage,
  response: Http.ServerResponse,
  pages: Semaphore.Semaphore,
  look: Effect.Effect<Picture>
): Effect.Effect<void, never, Services> =>
  Effect.gen(function*() {
    const path = (request.url ?? "/").replace(/\?.*$/, "")
    if (path === "/healthz") return plain(response, 200, "ok")
    const picture = yield* look
    if (path === "/readyz") {
      return picture.server.accepting ? plain(response, 200, "ready") : plain(response, 503, "not accepting")
    }
    const page = yield* pageOf(path, picture)
    if (page === undefined) return plain(response, 404, "there are /, /stats.json, /metrics, /healthz and /readyz")
    const served = yield* pages.withPermitsIfAvailable(1)(serve(page, request.method === "HEAD", response))
    if (Option.isNone(served)) plain(response, 503, "too many requests for the status page at once")
  }).pipe(
    Effect.onExit((exit) => Effect.sync(() => Exit.isFailure(exit) && response.destroy())),
    Effect.tapDefect((defect) => Effect.logError("the status page broke", defect))
  )

interface Page {
  readonly type: string
  readonly content: Iterable<string>
}

const pageOf = (path: string, picture: Picture): Effect.Effect<Page | undefined> => {
  switch (path) {
    case "/":
      return Effect.succeed({ type: "text/plain; charset=utf-8", content: toText(picture) })
    case "/stats.json":
      return Effect.succeed({ type: "application/json", content: [toJson(picture)] })
    case "/metrics":
      return Effect.map(
        prometheus(picture),
        (lines) => ({ type: "text/plain; version=0.0.4; charset=utf-8", content: [lines] })
      )
    default:
      return Effect.succeed(undefined)
  }
}

const prometheus = (picture: Picture): Effect.Effect<string> =>
  HeadgateMetrics.publishSamples(toSamples(picture)).pipe(
    Effect.andThen(PrometheusMetrics.format()),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )

/** The head goes out with the first bytes, so that a page for which no buffer comes can still be refused. */
const serve = (page: Page, isHead: boolean, response: Http.ServerResponse): Effect.Effect<void, never, Services> =>
  Effect.suspend(() => {
    response.setHeader("content-type", page.type).setHeader("cache-control", "no-store").setHeader(
      "connection",
      "close"
    )
    return isHead ? Effect.void : Effect.scoped(produce(page.content, response))
  }).pipe(
    Effect.andThen(Effect.sync(() => void response.end())),
    Effect.timeoutOrElse({ duration: pageTimeout, orElse: () => Effect.sync(() => giveUp(response)) })
  )

const giveUp = (response: Http.ServerResponse): void => {
  if (response.headersSent) response.destroy()
  else plain(response, 503, `no buffer could be had within ${pageTimeout}`)
}

/** An applet writes the page into the stream's response channel; the stream writes that into the HTTP response. */
const produce = (
  content: Iterable<string>,
  response: Http.ServerResponse
): Effect.Effect<void, never, Services | Scope.Scope> =>
  Effect.gen(function*() {
    const pool = yield* BufferPool
    const fill = filler(content)
    let isWritten = false
    const stream = yield* ByteStream.make({
      name: "status page",
      response: "tx",
      fillers: { response: "applet" },
      process: (self) =>
        Effect.gen(function*() {
          // The applet may have written on while the response took what was there.
          while (!isGone(response) && (self.response.buffer?.length ?? 0) > 0) {
            yield* drain(pool, self.response, response)
          }
          if (isWritten || isGone(response)) return yield* self.end
          self.response.wakeFillerUnsafe("io")
        })
    })
    yield* Applet.make({
      name: "status applet",
      channel: stream.response,
      run: (input) =>
        Effect.sync(() => {
          if (Option.isNone(input)) return "wait"
          isWritten = fill(input.value)
          stream.wakeUnsafe("message")
          return isWritten ? "done" : "wait"
        })
    })
    yield* stream.await
  })

/** Puts as much of the content as there is room for behind what was put before; true when nothing is left. */
const filler = (content: Iterable<string>): (buffer: ByteBuffer) => boolean => {
  const encoder = new TextEncoder()
  const pieces = content[Symbol.iterator]()
  let rest = new Uint8Array(0)
  return (buffer) => {
    while (buffer.room > 0) {
      if (rest.length === 0) {
        const piece = pieces.next()
        if (piece.done === true) return true
        rest = encoder.encode(piece.value)
      }
      const count = Math.min(rest.length, buffer.room)
      buffer.write(rest.subarray(0, count))
      rest = rest.subarray(count)
    }
    return false
  }
}

/** From then on Node drops what is written, and the callbacks of the writes with it. */
const isGone = (response: Http.ServerResponse): boolean => response.destroyed || response.socket?.destroyed !== false

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
    if (buffer === undefined || isGone(response)) return resume(Effect.void)
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

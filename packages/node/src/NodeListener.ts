/**
 * Accepts connections, and no more at a time than one gate admits.
 *
 * Invariant: a connection is either served, or waits untouched: in the kernel's backlog while accepting is paused, or (the few
 * that were accepted before the pause took hold) parked, unread, in order of arrival. None is closed for want of a place.
 *
 * Why a gate of its own: at the limit of open files libuv accepts and closes what waits, without a word to Node, which to a
 * client looks like an orderly end. So accepting pauses before that limit. And Node has no pause for a server: see `pausable`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Address from "./Address.ts"
import { abortSocket, socketOptions } from "./NodePeer.ts"

/**
 * An address that could not be listened on: which, and why.
 *
 * @category errors
 * @since 0.1.0
 */
export class ListenFailed extends Data.TaggedError("ListenFailed")<{
  readonly address: Address.Address
  /** The system's name of the error, such as `EADDRINUSE`. */
  readonly code: string
  /** The same in words. */
  readonly why: string
}> {
  override get message(): string {
    return `cannot listen on ${Address.format(this.address)}: ${this.why} (${this.code})`
  }
}

/**
 * What a gate admits. All may be left out.
 *
 * @category options
 * @since 0.1.0
 */
export interface AcceptGateOptions {
  /** Connections served at a time, over all listeners of the gate. Default: as many as the open files allow. */
  readonly maxConnections?: number | undefined
  /** Files that one connection needs: itself and its target. Default 2. */
  readonly filesPerConnection?: number | undefined
  /** Files that this process may open, and has open now. Default: what `/proc/self` says; elsewhere no limit is known. */
  readonly openFiles?: { readonly limit: number; readonly used: number } | undefined
}

/**
 * A gate's state and its counters since it was made.
 *
 * @category models
 * @since 0.1.0
 */
export interface AcceptSnapshot {
  /** Connections served now, and accepted ones that wait for a place. */
  readonly open: number
  readonly parked: number
  /** Connections that may be served at a time; Infinity if nothing limits them. */
  readonly places: number
  readonly paused: boolean
  readonly accepted: number
  /** How often accepting paused because all places were taken, and because open files were short. */
  readonly pausesFull: number
  readonly pausesFiles: number
}

interface Pausable {
  readonly pause: () => void
  readonly resume: () => void
}

interface Parked {
  readonly serve: () => void
}

/** Files left to logs, name lookups and whatever else the process opens. */
const spareFiles = 32

/** How long accepting rests when open files are short. */
const filesRestMs = 100

const readText = (path: string): string => {
  try {
    return Fs.readFileSync(path, "utf8")
  } catch {
    return ""
  }
}

const openFilesNow = (): { readonly limit: number; readonly used: number } => {
  const limit = /^Max open files\s+(\d+)/m.exec(readText("/proc/self/limits"))?.[1]
  if (limit === undefined) return { limit: Infinity, used: 0 }
  return { limit: Number(limit), used: Fs.readdirSync("/proc/self/fd").length }
}

/**
 * How many connections are served at a time, over all listeners that share it.
 *
 * @category models
 * @since 0.1.0
 */
export class AcceptGate {
  readonly #places: number
  readonly #lastFile: number
  readonly #listeners = new Set<Pausable>()
  readonly #parked: Array<Parked> = []
  #rest: NodeJS.Timeout | undefined
  #open = 0
  #paused = false
  #accepted = 0
  #pausesFull = 0
  #pausesFiles = 0

  constructor(options: AcceptGateOptions) {
    const { limit, used } = options.openFiles ?? openFilesNow()
    const byFiles = Math.max(1, Math.floor((limit - used - spareFiles) / (options.filesPerConnection ?? 2)))
    this.#places = Math.min(options.maxConnections ?? Infinity, byFiles)
    this.#lastFile = limit - Math.ceil(spareFiles / 2)
  }

  snapshot(): AcceptSnapshot {
    return {
      open: this.#open,
      parked: this.#parked.length,
      places: this.#places,
      paused: this.#paused,
      accepted: this.#accepted,
      pausesFull: this.#pausesFull,
      pausesFiles: this.#pausesFiles
    }
  }

  /** A listener that pauses with the others, until it is removed. */
  add(listener: Pausable): void {
    this.#listeners.add(listener)
    if (this.#paused) listener.pause()
  }

  remove(listener: Pausable): void {
    this.#listeners.delete(listener)
  }

  /** A connection was accepted, under this file number: it is served now, or when there is a place. */
  enter(connection: Parked, file: number): void {
    this.#accepted += 1
    if (this.#open < this.#places) this.#serve(connection)
    else this.#parked.push(connection)
    if (this.#open >= this.#places && !this.#paused) {
      this.#pausesFull += 1
      this.#pause()
    }
    if (file >= this.#lastFile) this.rest()
  }

  /** A connection is over: its place is the next one's. */
  leave(): void {
    this.#open -= 1
    const next = this.#parked.shift()
    if (next !== undefined) this.#serve(next)
    else this.#resumeIfPossible()
  }

  /** A parked connection will not be served any more. */
  forget(connection: Parked): void {
    const at = this.#parked.indexOf(connection)
    if (at >= 0) this.#parked.splice(at, 1)
  }

  /** Open files are short: accepting pauses for a moment. */
  rest(): void {
    if (this.#rest !== undefined) return
    this.#pausesFiles += 1
    this.#pause()
    this.#rest = setTimeout(() => {
      this.#rest = undefined
      this.#resumeIfPossible()
    }, filesRestMs)
    this.#rest.unref()
  }

  #serve(connection: Parked): void {
    this.#open += 1
    connection.serve()
  }

  #pause(): void {
    if (this.#paused) return
    this.#paused = true
    for (const listener of this.#listeners) listener.pause()
  }

  #resumeIfPossible(): void {
    if (!this.#paused || this.#rest !== undefined || this.#open >= this.#places) return
    this.#paused = false
    for (const listener of this.#listeners) listener.resume()
  }
}

/**
 * A gate for the listeners of one relay.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeGate = (options: AcceptGateOptions = {}): Effect.Effect<AcceptGate> =>
  Effect.sync(() => new AcceptGate(options))

/**
 * A server that listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface NodeListener {
  /** Where it is bound, with the port that it got. */
  readonly address: Address.Address
  /** Accepts no more, and removes a Unix socket's file; connections go on. What still waits for a place is reset. Safe to repeat. */
  readonly stop: Effect.Effect<void>
}

/**
 * What a listener does with connections.
 *
 * @category options
 * @since 0.1.0
 */
export interface ListenOptions<R> {
  readonly gate: AcceptGate
  /**
   * One connection's life, in a fiber of the listener's scope. The socket is paused; when the effect is over it is aborted, if
   * it was not closed by then.
   */
  readonly handler: (socket: Net.Socket) => Effect.Effect<void, never, R>
}

const method = (target: object, name: string): ((...args: ReadonlyArray<unknown>) => unknown) | undefined => {
  const found: unknown = Reflect.get(target, name)
  return typeof found === "function" ? (...args) => Reflect.apply(found, target, args) : undefined
}

const fileOf = (handle: object | undefined): number =>
  handle !== undefined && "fd" in handle && typeof handle.fd === "number" ? handle.fd : -1

const handleOf = (holder: object): object | undefined => {
  const handle: unknown = "_handle" in holder ? holder._handle : undefined
  return typeof handle === "object" && handle !== null ? handle : undefined
}

/**
 * Lets a server that is about to listen be paused: then clients stay in the kernel's backlog.
 *
 * libuv accepts while it polls a listening socket for input, which `readStart` and `readStop` of its handle turn on and off
 * once libuv takes it for readable; opening its own file again, between bind and listen, makes it so. Where Node has no such
 * handle, nothing happens, and clients beyond the places are accepted and parked.
 */
const pausable = (server: Net.Server): Pausable => {
  let handle: object | null = null
  Object.defineProperty(server, "_handle", {
    configurable: true,
    enumerable: true,
    get: () => handle,
    set: (next: object | null) => {
      handle = next
      if (next !== null) method(next, "open")?.(fileOf(next))
    }
  })
  return {
    pause: () => {
      if (handle === null) return
      method(handle, "readStart")?.()
      method(handle, "readStop")?.()
    },
    resume: () => {
      if (handle !== null) method(handle, "readStart")?.()
    }
  }
}

const reasons: { readonly [code: string]: string } = {
  EADDRINUSE: "address already in use",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EADDRNOTAVAIL: "this machine does not have that address",
  ENOTFOUND: "name not found",
  EAI_AGAIN: "the name server does not answer",
  EAFNOSUPPORT: "this machine does not have that kind of address",
  EINVAL: "not a valid address",
  ENOENT: "no such directory",
  ENOTDIR: "a part of its path is not a directory",
  EROFS: "read-only file system",
  EMFILE: "too many open files",
  ENFILE: "too many open files in the system"
}

const codeOf = (error: unknown): string => {
  const code: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "code") : undefined
  return typeof code === "string" ? code : "unknown"
}

const listenFailed = (address: Address.Address, error: unknown): ListenFailed => {
  const code = codeOf(error)
  return new ListenFailed({ address, code, why: reasons[code] ?? String(error) })
}

const listenOptions = (address: Address.Address): Net.ListenOptions => {
  if (address._tag === "Unix") return { path: address.path }
  return address.host === undefined ? { port: address.port } : { port: address.port, host: address.host }
}

/**
 * Has any of Node's servers listen on an address: over when it does. Interrupted, nothing listens.
 *
 * @category utils
 * @since 0.1.0
 */
export const bind = (server: Net.Server, address: Address.Address): Effect.Effect<void, ListenFailed> =>
  Effect.callback((resume) => {
    const onError = (error: unknown): void => {
      server.off("listening", onListening)
      resume(Effect.fail(listenFailed(address, error)))
    }
    const onListening = (): void => {
      server.off("error", onError)
      resume(Effect.void)
    }
    server.once("error", onError)
    server.once("listening", onListening)
    server.listen(listenOptions(address))
    return Effect.sync(() => {
      server.off("error", onError)
      server.off("listening", onListening)
      server.on("error", () => {})
      server.close()
    })
  })

/** Whether anybody listens on a Unix socket's path. */
const isServed = (path: string): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const socket = Net.connect(path)
    const answer = (served: boolean): void => {
      socket.destroy()
      resume(Effect.succeed(served))
    }
    socket.once("connect", () => answer(true))
    socket.on("error", (error) => answer(codeOf(error) !== "ECONNREFUSED"))
    return Effect.sync(() => socket.destroy())
  })

const isSocketFile = (path: string): boolean => Fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket() ?? false

/**
 * Removes the file of a Unix socket on which nobody listens: what a killed process leaves behind. A directory that is not
 * there is told here, for libuv would call it a lack of permission.
 */
const removeStale = (address: Address.UnixAddress): Effect.Effect<void, ListenFailed> =>
  Effect.gen(function*() {
    if (!Fs.existsSync(Path.dirname(address.path))) return yield* listenFailed(address, { code: "ENOENT" })
    if (!isSocketFile(address.path) || (yield* isServed(address.path))) return
    yield* Effect.try({ try: () => Fs.unlinkSync(address.path), catch: (error) => listenFailed(address, error) })
  })

/**
 * One connection's life, in callbacks: `over` is called once, when it has ended by itself or because what is returned was
 * called. For whoever has so many that a fiber for each is too much.
 *
 * @internal
 */
export type Serve = (socket: Net.Socket, over: () => void) => () => void

/** What a listener's connections share. */
interface Shared {
  readonly gate: AcceptGate
  readonly serve: Serve
  readonly connections: Connections
}

/**
 * Those that are not over, each of which knows its place. No `Set`: when one is added to and deleted from without pause, each of
 * its outgrown tables keeps the next one alive, and all that is in it, until a full collection. No connection would die young.
 */
class Connections {
  readonly all: Array<Accepted> = []
  /** Called when the last is over. */
  whenEmpty: () => void = () => {}

  add(connection: Accepted): void {
    connection.place = this.all.length
    this.all.push(connection)
  }

  delete({ place }: Accepted): void {
    const last = this.all.pop()
    if (last !== undefined && last.place !== place) {
      this.all[place] = last
      last.place = place
    }
    if (this.all.length === 0) this.whenEmpty()
  }
}

/** A connection from its arrival to its end. */
class Accepted implements Parked {
  place = 0
  readonly socket: Net.Socket
  private readonly shared: Shared
  /** Undefined while it is parked. */
  private stop: (() => void) | undefined = undefined

  constructor(socket: Net.Socket, shared: Shared) {
    this.socket = socket
    this.shared = shared
    shared.connections.add(this)
  }

  serve(): void {
    this.stop = this.shared.serve(this.socket, () => this.over())
  }

  /** Ends it: at once if nobody serves it yet, else as soon as whoever does is ready. */
  end(): void {
    if (this.stop === undefined) this.refuse()
    else this.stop()
  }

  get isParked(): boolean {
    return this.stop === undefined
  }

  private refuse(): void {
    this.shared.gate.forget(this)
    this.shared.connections.delete(this)
    abortSocket(this.socket)
  }

  private over(): void {
    abortSocket(this.socket)
    this.shared.connections.delete(this)
    this.shared.gate.leave()
  }
}

/** A fiber for each, whose defect ends nothing else. */
const byHandler = <R>(
  handler: ListenOptions<R>["handler"],
  run: (effect: Effect.Effect<void, never, R>) => Fiber.Fiber<void>
): Serve =>
(socket, over) => {
  const fiber = run(Effect.suspend(() => handler(socket)))
  fiber.addObserver((exit) => {
    if (exit._tag === "Failure" && !Cause.hasInterruptsOnly(exit.cause)) {
      run(Effect.logError("a connection died of a defect", exit.cause))
    }
    over()
  })
  return () => fiber.interruptUnsafe()
}

interface Server {
  readonly net: Net.Server
  readonly start: () => void
  readonly stop: Effect.Effect<void>
  /** Ends all connections, and waits for their ends. */
  readonly end: Effect.Effect<void>
}

const ignored = (): void => {}

const makeServer = (gate: AcceptGate, serve: Serve): Server => {
  const connections = new Connections()
  const shared = { gate, serve, connections }
  const net = Net.createServer({ ...socketOptions, pauseOnConnect: true }, (socket) => {
    socket.on("error", ignored)
    gate.enter(new Accepted(socket, shared), fileOf(handleOf(socket)))
  })
  const switches = pausable(net)
  return {
    net,
    start: () => {
      net.on("error", () => gate.rest())
      gate.add(switches)
    },
    stop: Effect.sync(() => {
      gate.remove(switches)
      net.close()
      for (const parked of connections.all.filter(({ isParked }) => isParked)) parked.end()
    }),
    end: Effect.callback((resume) => {
      connections.whenEmpty = () => resume(Effect.void)
      if (connections.all.length === 0) return connections.whenEmpty()
      for (const connection of connections.all.slice()) connection.end()
    })
  }
}

/**
 * Listens on an address for the rest of the scope, whose end stops accepting and then interrupts the connections' fibers.
 * The file of a Unix socket on which nobody listens is replaced.
 *
 * Sockets are paused, half-open and made with `NodePeer.socketOptions`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const listen = <R = never>(
  address: Address.Address,
  options: ListenOptions<R>
): Effect.Effect<NodeListener, ListenFailed, R | Scope.Scope> =>
  Effect.flatMap(
    Effect.context<R>(),
    (context) => listenServing(address, options.gate, byHandler(options.handler, Effect.runForkWith(context)))
  )

/**
 * The same, for lives in callbacks.
 *
 * @internal
 */
export const listenServing = (
  address: Address.Address,
  gate: AcceptGate,
  serve: Serve
): Effect.Effect<NodeListener, ListenFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const server = makeServer(gate, serve)
    if (address._tag === "Unix") yield* removeStale(address)
    yield* Effect.addFinalizer(() => Effect.andThen(server.stop, server.end))
    yield* bind(server.net, address)
    server.start()
    return { address: Address.ofBound(server.net.address()) ?? address, stop: server.stop }
  })

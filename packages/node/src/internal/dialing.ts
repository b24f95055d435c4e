/**
 * Sockets on their way to a target: one address after the other, until one answers.
 *
 * Invariant: at most one of them is open at a time, and it is `socket`, in the step in which it was opened; whoever made the
 * dialing closes it. One limit of time covers all addresses: each gets an even share of what is left of it.
 *
 * It is steps in callbacks, not a loop of effects: most targets are one address, and a connection that lives for a millisecond
 * would spend a tenth of its cost on the frames around a wait.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Net from "node:net"
import type { ConnectFailure } from "../Connect.ts"
import { abortSocket, closeSocket } from "../NodePeer.ts"
import type { Timers } from "./timers.ts"

const failures: { readonly [code: string]: readonly [ConnectFailure, string] } = {
  ECONNREFUSED: ["refused", "connection refused"],
  ECONNRESET: ["refused", "connection reset"],
  ENOENT: ["refused", "no such socket"],
  ENOTSOCK: ["refused", "not a socket"],
  EAGAIN: ["refused", "its queue is full"],
  ETIMEDOUT: ["timeout", "no answer"],
  ENOTFOUND: ["nameNotFound", "name not found"],
  EAI_AGAIN: ["nameNotFound", "the name server does not answer"],
  EHOSTUNREACH: ["unreachable", "host unreachable"],
  ENETUNREACH: ["unreachable", "network unreachable"],
  EADDRNOTAVAIL: ["unreachable", "no local address or port for it"],
  EAFNOSUPPORT: ["unreachable", "this machine does not have that kind of address"],
  EACCES: ["noPermission", "permission denied"],
  EPERM: ["noPermission", "permission denied"],
  EMFILE: ["tooManyOpenFiles", "too many open files"],
  ENFILE: ["tooManyOpenFiles", "too many open files in the system"]
}

/** How one address, or the lookup, failed. */
export class Attempt extends Data.TaggedError("Attempt")<{ readonly why: ConnectFailure; readonly words: string }> {}

export const attemptOf = (error: unknown): Attempt => {
  const code: unknown = typeof error === "object" && error !== null ? Reflect.get(error, "code") : undefined
  const known = typeof code === "string" ? failures[code] : undefined
  return known === undefined
    ? new Attempt({ why: "failed", words: String(error) })
    : new Attempt({ why: known[0], words: `${known[1]} (${String(code)})` })
}

export const noAnswer = (ms: number): Attempt =>
  new Attempt({ why: "timeout", words: `no answer within ${Duration.format(Duration.millis(Math.round(ms)))}` })

// ---- sockets ------------------------------------------------------------------------------------------------------------

const dialNode = (options: Net.NetConnectOpts): Net.Socket => Net.connect(options)

const nameOf = (options: Net.NetConnectOpts): string =>
  "host" in options && options.host !== undefined ? `${options.host} ` : ""

const none: ReadonlyArray<string> = []

type Tell = (outcome: Net.Socket | Attempt) => void

export class Dialing {
  isClosed = false
  /** The last that was opened. */
  socket: Net.Socket | undefined = undefined
  private readonly timers: Timers
  private readonly dial: (options: Net.NetConnectOpts) => Net.Socket
  private endpoints: ReadonlyArray<Net.NetConnectOpts> = []
  /** Of those that have failed: what is said of each, and why the last of them did. */
  private failures: ReadonlyArray<string> = none
  private why: ConnectFailure = "timeout"
  private deadline = 0
  /** What the next answer is waited for with: a timer, or a lookup. */
  private stopWaiting: () => void = () => {}
  /** Until it is known how it ended, or nobody wants to know any more. */
  private tell: Tell | undefined = undefined

  constructor(timers: Timers, dial: (options: Net.NetConnectOpts) => Net.Socket = dialNode) {
    this.timers = timers
    this.dial = dial
  }

  get now(): number {
    return this.timers.now()
  }

  /** `tell` is called once, with the first that answers, paused, or why none did; not after `close`. Begin once. */
  begin(endpoints: ReadonlyArray<Net.NetConnectOpts>, deadline: number, tell: Tell): void {
    if (this.isClosed) return
    this.endpoints = endpoints
    this.deadline = deadline
    this.tell = tell
    this.next()
  }

  /** What comes before there are endpoints, and `close` stops; it may have begun the dialing by the time that it is known. */
  isPreparedBy(stop: () => void): void {
    if (this.endpoints.length === 0) this.stopWaiting = stop
  }

  /** Nothing is told from here on. A socket that ended in order is closed, any other aborted. Safe to repeat. */
  close(): void {
    this.isClosed = true
    this.tell = undefined
    this.stopWaiting()
    if (this.socket !== undefined) closeSocket(this.socket)
  }

  private next(): void {
    const at = this.failures.length
    const endpoint = this.endpoints[at]
    if (endpoint === undefined) return this.over(new Attempt({ why: this.why, words: this.failures.join(", ") }))
    const shareMs = (this.deadline - this.now) / (this.endpoints.length - at)
    try {
      this.open(endpoint, shareMs)
    } catch (error) {
      this.failed(this.socket, error)
    }
  }

  /**
   * Its listeners stay: an error later is the peer's to judge, and must be heard by somebody. Whoever closes the dialing from
   * inside `dial` closes this socket, too.
   */
  private open(endpoint: Net.NetConnectOpts, shareMs: number): void {
    const socket = this.dial(endpoint).pause()
    this.socket = socket
    if (this.tell === undefined) return this.close()
    socket.on("error", (error) => this.failed(socket, error))
    socket.on("connect", () => this.connected(socket))
    this.stopWaiting = this.timers.after(shareMs, () => this.failed(socket, noAnswer(shareMs)))
  }

  private connected(socket: Net.Socket): void {
    if (socket === this.socket) this.over(socket)
  }

  private failed(socket: Net.Socket | undefined, error: unknown): void {
    if (this.tell === undefined || socket !== this.socket) return
    this.stopWaiting()
    if (socket !== undefined) abortSocket(socket)
    const { why, words } = error instanceof Attempt ? error : attemptOf(error)
    const endpoint = this.endpoints[this.failures.length]
    const name = this.endpoints.length > 1 && endpoint !== undefined ? nameOf(endpoint) : ""
    this.failures = [...this.failures, `${name}${words}`]
    this.why = why
    this.next()
  }

  private over(outcome: Net.Socket | Attempt): void {
    const { tell } = this
    this.tell = undefined
    this.stopWaiting()
    tell?.(outcome)
  }
}

/**
 * The load on one relay, a process of its own: the clients before it, the origin behind it, and what befalls them.
 *
 * Invariant: it has as many connections as it has actors, and each ends: in order, or by a reset that somebody provoked. What
 * is not so is told at once.
 */
import * as Fs from "node:fs"
import * as Net from "node:net"
import { abortSocket } from "../src/NodePeer.ts"
import { Conversation, nameBytes } from "./conversation.ts"
import { Dice } from "./dice.ts"
import { Lateness } from "./lateness.ts"
import { type Range, restMs, type Role, scriptOf } from "./mix.ts"
import { Naps } from "./naps.ts"
import { answer, LoadOptions, LoadQuestion, type LoadSample, optionsOf, tell } from "./talk.ts"

const { actors, seed, times } = optionsOf(LoadOptions)

/** Conversations that are over are known for some time: the relay may still bring them. */
const mostKnown = 5000

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Ports that the system gives to nobody. While the origin is away, its port must not become a client's, and above all not
 * the relay's own: a socket that connects to the port it has been given is connected to itself, and echoes.
 */
const originPort = (attempt: number): number => {
  const range = "/proc/sys/net/ipv4/ip_local_port_range"
  const firstGiven = Fs.existsSync(range) ? Number.parseInt(Fs.readFileSync(range, "utf8"), 10) : 32_768
  return firstGiven - 1 - (process.pid * 7 + attempt * 101) % (firstGiven - 1024)
}

class Origin {
  port = 0
  readonly sockets = new Set<Net.Socket>()
  private readonly bring: (id: number, socket: Net.Socket) => void
  private server = Net.createServer()

  constructor(bring: (id: number, socket: Net.Socket) => void) {
    this.bring = bring
  }

  async start(): Promise<void> {
    for (let attempt = 0; attempt < 1000; attempt++) {
      if (await this.listen(originPort(attempt))) return
    }
    throw new Error("the origin finds no port")
  }

  /** Gone, with all its connections. */
  stop(): void {
    this.server.close()
    for (const socket of this.sockets) abortSocket(socket)
  }

  /** Nobody else is given its port; should somebody have taken it all the same, a load without an origin would prove nothing. */
  async restart(): Promise<void> {
    for (let attempt = 0; attempt < 200; attempt++) {
      if (await this.listen(this.port)) return
      await pause(50)
    }
    throw new Error(`the origin does not get its port ${this.port} back`)
  }

  private listen(port: number): Promise<boolean> {
    return new Promise((resolve) => {
      const server = Net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.accepted(socket))
      server.once("error", () => resolve(false))
      server.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => {
        this.server = server
        this.port = port
        resolve(true)
      })
    })
  }

  private accepted(socket: Net.Socket): void {
    this.sockets.add(socket)
    socket.on("error", () => {}).once("close", () => this.sockets.delete(socket))
    let head = Buffer.alloc(0)
    const cutShort = (): void => {
      tell(`an orderly end came to the origin after ${head.length} bytes, before it knew of whom`)
      abortSocket(socket)
    }
    const read = (bytes: Buffer): void => {
      head = Buffer.concat([head, bytes])
      if (head.length < nameBytes) return
      socket.off("data", read).off("end", cutShort)
      socket.unshift(head.subarray(nameBytes))
      this.bring(head.readUInt32BE(0), socket)
    }
    socket.on("data", read).on("end", cutShort)
  }
}

class Load {
  readonly origin = new Origin((id, socket) => this.brought(id, socket))
  private readonly naps = new Naps()
  private readonly lateness = new Lateness()
  private readonly open = new Set<Conversation>()
  private readonly known = new Map<number, Conversation>()
  private readonly dice: ReadonlyArray<readonly [role: Role, dice: Dice]>
  private readonly kills = new Dice(seed, -1)
  private readonly outages = new Dice(seed, -2)
  private nextId = 1
  private isGoing = false
  private isOriginAway = false
  private relayPort = 0
  private lives: Promise<unknown> = Promise.resolve()
  private readonly counts = { conversations: 0, completed: 0, provoked: 0, late: 0, kills: 0, outages: 0, bytes: 0 }

  constructor() {
    const roles = (["mixed", "slowReader", "neverReader", "slowLoris"] as const).flatMap((role) =>
      Array.from({ length: actors[role] }, () => role)
    )
    this.dice = roles.map((role, at) => [role, new Dice(seed, at)])
  }

  go(relayPort: number): void {
    this.relayPort = relayPort
    this.isGoing = true
    this.naps.calm()
    this.lives = Promise.all([
      ...this.dice.map(([role, dice]) => this.act(role, dice)),
      this.again(this.kills, times.killEveryMs, () => this.kill()),
      this.again(this.outages, times.outageEveryMs, () => this.outage())
    ])
  }

  /** Begins nothing more, and sees what was begun to its end, for as long as it may take. */
  async rest(patienceMs: number): Promise<void> {
    this.isGoing = false
    this.naps.hurry()
    await Promise.race([this.lives, pause(patienceMs)])
    for (const one of this.open) tell(`hangs, ${Math.round(patienceMs / 1000)} s after the load's end: ${one}`)
  }

  sample(): LoadSample {
    return { ...this.counts, open: this.open.size }
  }

  private async again(dice: Dice, [least, most]: Range, act: () => unknown): Promise<void> {
    while (this.isGoing) {
      await this.naps.nap(dice.between(least, most))
      if (this.isGoing) await act()
    }
  }

  private async act(role: Role, dice: Dice): Promise<void> {
    while (this.isGoing) {
      await this.converse(role, dice)
      await this.naps.nap(restMs(role, dice, times))
    }
  }

  private converse(role: Role, dice: Dice): Promise<void> {
    return new Promise((resolve) => {
      const socket = Net.connect({ port: this.relayPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true })
      const conversation = new Conversation(this.nextId++, scriptOf(role, dice, times), socket, this.naps, {
        failed: tell,
        over: (it) => {
          this.left(it)
          resolve()
        }
      })
      if (this.isOriginAway) conversation.provoked = "found no origin"
      this.open.add(conversation)
      this.known.set(conversation.id, conversation)
      const oldest = this.known.size > mostKnown ? this.known.keys().next().value : undefined
      if (oldest !== undefined) this.known.delete(oldest)
    })
  }

  private brought(id: number, socket: Net.Socket): void {
    const conversation = this.known.get(id)
    if (conversation !== undefined) return conversation.attach(socket)
    tell(`the origin was told a name that nobody has: ${id}`)
    abortSocket(socket)
  }

  private left(it: Conversation): void {
    this.open.delete(it)
    this.counts.conversations++
    this.counts.bytes += it.bytes
    if (it.isInOrder) this.counts.completed++
    else if (it.provoked !== undefined) this.counts.provoked++
    // Its reader could not read: the relay was right to take it for stuck.
    else if (this.lateness.sinceMs(performance.now() - 2 * times.stallTimeoutMs) > times.stallTimeoutMs / 4) {
      this.counts.late++
    } else tell(`was reset, and nobody had provoked it: ${it}`)
  }

  private kill(): void {
    const victims = [...this.open]
    victims[this.kills.between(0, victims.length - 1)]?.kill(this.kills.side())
    this.counts.kills++
  }

  private async outage(): Promise<void> {
    this.counts.outages++
    this.isOriginAway = true
    for (const one of this.open) one.provoked ??= "lost its origin"
    this.origin.stop()
    await this.naps.nap(this.outages.between(...times.outageMs))
    await this.origin.restart()
    this.isOriginAway = false
    for (const one of this.open) one.missedOrigin()
  }
}

const load = new Load()

answer(LoadQuestion, async (question) => {
  switch (question.do) {
    case "listen":
      await load.origin.start()
      return { port: load.origin.port }
    case "go":
      load.go(question.relayPort)
      return {}
    case "rest":
      await load.rest(question.patienceMs)
      return {}
    case "sample":
      return load.sample()
  }
})

/**
 * One relay and its load, from start to stop, as the soak sees them.
 *
 * Invariant: at each rest every conversation has come to its end, and nothing may be left in the relay; at the stop it must
 * end by itself, with 0, and say that nothing leaked.
 */
import type { Landing } from "../src/Landing.ts"
import { Dice } from "./dice.ts"
import type { Memory } from "./memory.ts"
import type { Stand, Times } from "./mix.ts"
import { Child, LoadSample, Nothing, Port, RelaySample, Stopped } from "./talk.ts"

/** Beyond that of the load, for its answer. */
const answerMs = 60_000

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export interface StandingOptions {
  readonly stand: Stand
  readonly seed: number
  readonly landing: Landing
  readonly times: Times
  readonly relay: URL
  readonly failed: (who: string, what: string) => void
}

export interface Sample {
  readonly relay: RelaySample
  readonly load: LoadSample
  readonly memory: Memory
}

const bufferBytes = 64 * 1024

export class Standing {
  readonly stand: Stand
  resizes = 0
  /** Of all waits so far. */
  oldestWaitMs = 0
  private readonly options: StandingOptions
  private readonly load: Child
  private relay: Child | undefined = undefined
  private port = 0
  private readonly dice: Dice
  private resizing: Promise<unknown> = Promise.resolve()
  private timer: NodeJS.Timeout | undefined = undefined
  private isGoing = false

  constructor(options: StandingOptions) {
    const { failed, seed, stand, times } = options
    this.options = options
    this.stand = stand
    this.dice = new Dice(seed, stand.limit, -3)
    const loadSeed = new Dice(seed, stand.limit).between(0, 2 ** 31)
    const asked = { seed: loadSeed, actors: stand.actors, times }
    this.load = new Child(new URL("./load.ts", import.meta.url), asked, (what) => failed("the load", what))
  }

  async start(): Promise<void> {
    const { failed, landing, relay, stand: { limit, reserve }, times } = this.options
    const { port: originPort } = await this.load.ask({ do: "listen" }, Port)
    const asked = { landing, originPort, limit, reserve, times }
    this.relay = new Child(relay, asked, (what) => failed("the relay", what))
    this.port = (await this.relay.ask({ do: "listen" }, Port)).port
  }

  async go(): Promise<void> {
    await this.load.ask({ do: "go", relayPort: this.port }, Nothing)
    this.isGoing = true
    this.resizeLater()
  }

  async sample(): Promise<Sample> {
    const [relay, load] = await Promise.all([
      this.ask({ do: "sample" }, RelaySample),
      this.load.ask({ do: "sample" }, LoadSample)
    ])
    this.oldestWaitMs = Math.max(this.oldestWaitMs, relay.oldestWaitMs)
    const { allocated, heapBytes, rssBytes } = relay
    return { relay, load, memory: { heapBytes, rssBytes: rssBytes - allocated * bufferBytes } }
  }

  /** The load ends, and all that it began; then nothing is left. */
  async rest(): Promise<Sample> {
    this.isGoing = false
    clearTimeout(this.timer)
    await this.resizing
    await this.resize(this.stand.limit)
    const { queueTimeoutMs, patienceMs } = this.options.times
    const restMs = queueTimeoutMs + patienceMs
    await this.load.ask({ do: "rest", patienceMs: restMs }, Nothing, restMs + answerMs)
    const deadline = Date.now() + patienceMs
    for (;;) {
      const sample = await this.sample()
      const left = Object.entries(sample.relay.left).filter(([, count]) => count !== 0)
      if (left.length === 0) return sample
      if (Date.now() > deadline) {
        const what = left.map(([what, count]) => `${count} ${what}`).join(", ")
        this.options.failed("the relay", `left, with nobody there: ${what}`)
        return sample
      }
      await pause(250)
    }
  }

  async stop(): Promise<void> {
    const { says } = await this.ask({ do: "stop" }, Stopped)
    if (says !== "nothing leaked") this.options.failed("the relay", `its last words: ${says}`)
    await this.relay?.leaves()
  }

  kill(): void {
    this.isGoing = false
    clearTimeout(this.timer)
    this.load.kill()
    this.relay?.kill()
  }

  private ask<S extends Parameters<Child["ask"]>[1]>(question: object, schema: S): Promise<S["Type"]> {
    if (this.relay === undefined) throw new Error("the relay has not been started")
    return this.relay.ask(question, schema)
  }

  private resizeLater(): void {
    if (!this.isGoing) return
    const [least, most] = this.options.times.resizeEveryMs
    this.timer = setTimeout(() => {
      this.resizing = this.resize(this.dice.of(this.stand.limits)).then(() => this.resizeLater(), () => {})
    }, this.dice.between(least, most))
  }

  private async resize(limit: number): Promise<void> {
    this.resizes++
    await this.ask({ do: "resize", limit }, Nothing)
  }
}

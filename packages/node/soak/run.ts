/**
 * The soak of one landing: all relays at once, in quarters (or halves), each a load and then a rest; a line for each minute and limit; what was
 * wrong, or that nothing was.
 */
import type { Landing } from "../src/Landing.ts"
import { grown } from "./memory.ts"
import { type Stand, stands, type Times, times } from "./mix.ts"
import { minuteLine, type Seen, summary, verdict } from "./report.ts"
import { Standing } from "./standing.ts"

export interface SoakOptions {
  readonly minutes: number
  readonly seed: number
  readonly landing: Landing
  readonly print: (line: string) => void
  /** Default: as `mix.ts` says. */
  readonly stands?: ReadonlyArray<Stand> | undefined
  readonly times?: Times | undefined
  /** Loads, each with a rest behind it, between which memory is compared. Default 4; 2 in less than 4 minutes. */
  readonly loads?: number | undefined
  /** What is started as the relay. Default: the real one. */
  readonly relay?: URL | undefined
}

/** So many failures are told of each process; the others are counted. */
const mostFailures = 10

class Failures {
  private readonly told = new Map<string, Array<string>>()
  private more = 0
  private readonly first = Promise.withResolvers<void>()

  /** Resolves with the first one: going on would find out no more. */
  readonly any: Promise<void> = this.first.promise

  note(who: string, what: string): void {
    const told = this.told.get(who) ?? []
    this.told.set(who, told)
    if (told.length < mostFailures) told.push(`${who}: ${what}`)
    else this.more++
    this.first.resolve()
  }

  get isEmpty(): boolean {
    return this.told.size === 0
  }

  get lines(): ReadonlyArray<string> {
    const lines = [...this.told.values()].flat()
    return this.more === 0 ? lines : [...lines, `and ${this.more} more`]
  }
}

export const soak = async (options: SoakOptions): Promise<ReadonlyArray<string>> => {
  const { landing, print, seed } = options
  const failures = new Failures()
  const seen = (options.stands ?? stands).map((stand): Seen => ({
    standing: new Standing({
      stand,
      seed,
      landing,
      times: options.times ?? times,
      relay: options.relay ?? new URL("./relay.ts", import.meta.url),
      failed: (who, what) => failures.note(`limit ${stand.limit}, ${who}`, what)
    }),
    minutes: [],
    rests: []
  }))
  const limits = seen.map(({ standing }) => standing.stand.limit).join(", ")
  print(`soak: ${options.minutes} minutes, landing ${landing}, limits ${limits}, --seed ${seed}`)
  try {
    await perform(options, seen, failures)
  } catch (error) {
    failures.note("the soak", error instanceof Error ? error.message : String(error))
  } finally {
    for (const { standing } of seen) standing.kill()
  }
  for (const line of [...summary(seen), ...verdict(seen, `--landing ${landing} --seed ${seed}`, failures.lines)]) {
    print(line)
  }
  return failures.lines
}

/** So many minutes of load; rests come on top. */
const perform = async (options: SoakOptions, seen: ReadonlyArray<Seen>, failures: Failures): Promise<void> => {
  const all = <A>(act: (one: Seen) => Promise<A>): Promise<Array<A>> => Promise.all(seen.map(act))
  const loads = options.loads ?? (options.minutes < 4 ? 2 : 4)
  const loadMs = options.minutes * minuteMs / loads
  let elapsedMs = 0
  await all(({ standing }) => standing.start())
  for (let load = 1; load <= loads && failures.isEmpty; load++) {
    await all(({ standing }) => standing.go())
    while (elapsedMs < load * loadMs && failures.isEmpty) {
      const untilMs = Math.min(load * loadMs, nextMinuteMs(elapsedMs))
      await Promise.race([failures.any, pause(untilMs - elapsedMs)])
      elapsedMs = untilMs
      if (elapsedMs % minuteMs > 0 || !failures.isEmpty) continue
      const samples = await all(async (one) => ({ one, sample: await one.standing.sample() }))
      for (const { one, sample } of samples) {
        one.minutes.push({ sample, load })
        options.print(minuteLine(elapsedMs / minuteMs, one, sample))
      }
    }
    await all(async (one) => one.rests.push(await one.standing.rest()))
  }
  await all(({ standing }) => standing.stop())
  // Shorter than that, the first load is over before everything has been compiled.
  if (options.minutes / loads < 1) return
  for (const one of seen) {
    for (const what of growth(one)) failures.note(`limit ${one.standing.stand.limit}`, what)
  }
}

const nextMinuteMs = (elapsedMs: number): number => (Math.floor(elapsedMs / minuteMs) + 1) * minuteMs

const minuteMs = 60_000

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const growth = ({ minutes, rests }: Seen): ReadonlyArray<string> => {
  const of = (load: number) => minutes.filter((one) => one.load === load).map(({ sample }) => sample.memory)
  const atRest = rests.map(({ memory }) => memory)
  return [
    ...grown("rest", atRest.slice(0, 1), atRest.slice(1).slice(-1)),
    ...(rests.length > 1 ? grown("load", of(1), of(rests.length)) : [])
  ]
}

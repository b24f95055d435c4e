/**
 * Cuts a script down while it still breaks the same law: connections first, then events by halves, quarters and so on, then
 * numbers and settings. Greedy: each cut that keeps the failure is kept, until none does.
 */
import type { EndScript, Event, LinkScript, Report, Script } from "../RelaySimulation.ts"

/** Smaller scripts, each made from the best so far when it is asked for: what helped is built upon. */
type Cut = (best: () => Script) => Iterable<Script>

export const shrunk = (script: Script, run: (script: Script) => Report, maxSteps: number): Script => {
  let best = script
  let steps = 0
  const lawOf = (one: Script): string | undefined => {
    const report = run(one)
    steps += report.steps
    return report.violations[0]?.law
  }
  const law = lawOf(script)
  if (law === undefined) return script
  for (let before: Script | undefined = undefined; before !== best;) {
    before = best
    for (const cut of cuts) {
      for (const candidate of cut(() => best)) {
        if (steps > maxSteps) return best
        if (lawOf(candidate) === law) best = candidate
      }
    }
  }
  return best
}

const withoutLinks: Cut = function*(best) {
  for (let at = best().links.length - 1; at >= 0; at--) if (best().links.length > 1) yield withoutLink(best(), at)
}

const withoutLink = (script: Script, at: number): Script => ({
  ...script,
  links: script.links.toSpliced(at, 1),
  events: script.events.filter((event) => !("link" in event) || event.link !== at).map((event) =>
    "link" in event && event.link > at ? { ...event, link: event.link - 1 } : event
  )
})

/** By halves first, from the end on: most of a long script has nothing to do with what failed. */
const withoutEvents: Cut = function*(best) {
  for (let size = Math.ceil(best().events.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = best().events.length - size; from > -size; from -= size) {
      const start = Math.max(0, from)
      yield { ...best(), events: best().events.toSpliced(start, from + size - start) }
    }
  }
}

const smaller = (value: number): ReadonlyArray<number> =>
  [1, Math.floor(value / 2), value - 1].filter((one) => one > 0 && one < value)

/** For each item, and each way to make it simpler: what the list is then. */
const each = function*<A>(
  items: () => ReadonlyArray<A>,
  simpler: (item: A) => ReadonlyArray<A>
): Iterable<ReadonlyArray<A>> {
  for (let at = 0; at < items().length; at++) {
    for (let way = 0;; way++) {
      const item = items()[at]
      const one = item === undefined ? undefined : simpler(item)[way]
      if (one === undefined) break
      yield items().with(at, one)
    }
  }
}

const simplerEvents: Cut = function*(best) {
  for (const events of each(() => best().events, simplerEvent)) yield { ...best(), events }
}

const simplerEvent = (event: Event): ReadonlyArray<Event> => {
  switch (event.does) {
    case "write":
      return smaller(event.bytes).map((bytes) => ({ ...event, bytes }))
    case "pass":
      return smaller(event.ms).map((ms) => ({ ...event, ms }))
    case "run":
      return smaller(event.tasks).map((tasks) => ({ ...event, tasks }))
    case "hold":
    case "giveBack":
    case "failCreations":
      return smaller(event.count).map((count) => ({ ...event, count }))
    case "move":
      return event.bytes === undefined
        ? []
        : [undefined, ...smaller(event.bytes)].map((bytes) => ({ ...event, bytes }))
    default:
      return []
  }
}

const simplerLinks: Cut = function*(best) {
  for (const links of each(() => best().links, simplerLink)) yield { ...best(), links }
}

const simplerLink = (link: LinkScript): ReadonlyArray<LinkScript> => [
  ...[link.connectMs, link.refused].filter((one) => one !== undefined).map(() => ({
    ...link,
    connectMs: undefined,
    refused: undefined
  })),
  ...simplerEnd(link.client).map((client) => ({ ...link, client })),
  ...simplerEnd(link.target).map((target) => ({ ...link, target }))
]

/** Without each of its properties: what is left out has no bound and takes no time. */
const simplerEnd = (end: EndScript): ReadonlyArray<EndScript> =>
  Object.entries(end).filter(([, value]) => value !== undefined).map(([name]) => ({ ...end, [name]: undefined }))

const simplerSettings: Cut = function*(best) {
  if (best().shuffle !== undefined) yield { ...best(), shuffle: undefined }
  if (best().yieldEvery !== undefined) yield { ...best(), yieldEvery: undefined }
  if (best().pool.ageAfterMs !== undefined) yield { ...best(), pool: { ...best().pool, ageAfterMs: undefined } }
  if (best().relay.turnBytes !== undefined) yield { ...best(), relay: { ...best().relay, turnBytes: undefined } }
  for (const pools of each(() => [best().pool], simplerPool)) {
    for (const pool of pools) yield { ...best(), pool }
  }
}

const simplerPool = (pool: Script["pool"]): ReadonlyArray<Script["pool"]> => [
  ...smaller(pool.reserve).map((reserve) => ({ ...pool, reserve })),
  ...smaller(pool.limit).filter((limit) => limit > pool.reserve).map((limit) => ({ ...pool, limit }))
]

const cuts: ReadonlyArray<Cut> = [withoutLinks, withoutEvents, simplerSettings, simplerLinks, simplerEvents]

/** One measurement: a relay that is started for it, a load for each work, and all are gone afterwards. */
import type { Contestant, Relaying } from "./contestants.ts"
import { Load } from "./load/process.ts"
import type { Figures, Relay, Work } from "./load/questions.ts"

/** The works at the same time, through one relay, each by a load of its own: their figures, in their order. */
export const measureTogether = async (
  { start }: Contestant,
  works: ReadonlyArray<Work>
): Promise<ReadonlyArray<Figures>> => {
  const loads = works.map((work) => new Load(work))
  try {
    const origins = await Promise.all(loads.map((load) => load.origin()))
    const relaying = await start(origins.flatMap(({ echoPort, streamPort }) => [streamPort, echoPort]))
    try {
      return await Promise.all(loads.map((load, at) => load.run(relayFor(relaying, at))))
    } finally {
      await relaying.stop()
    }
  } finally {
    for (const load of loads) load.stop()
  }
}

const relayFor = ({ pid, ports }: Relaying, at: number): Relay => {
  const [streamPort, echoPort] = ports.slice(2 * at)
  if (streamPort === undefined || echoPort === undefined) {
    throw new Error("a relay listens for fewer targets than it was given")
  }
  return { pid, streamPort, echoPort }
}

export const measure = async (contestant: Contestant, work: Work): Promise<Figures> => {
  const [figures = {}] = await measureTogether(contestant, [work])
  return figures
}

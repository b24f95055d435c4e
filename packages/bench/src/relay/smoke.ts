/** Every work, small, with every contestant that needs nothing of the system's packages: whether they are done, not how fast. */
import { settingsOf } from "@headgate/node/RelayFlags"
import * as Result from "effect/Result"
import { type Contestant, headgate, nodeSocket, pipe, pipeline } from "./contestants.ts"
import type { Figures, Work } from "./load/questions.ts"
import { measure, measureBeside } from "./measure.ts"

const times = { warmMs: 0, windowMs: 60 }
const streams: Work = { is: "bulk", connections: 3, ...times }
const messages: Work = { is: "paced", connections: 2, pauseMs: 1, ...times }

const works: ReadonlyArray<Work> = [
  { is: "pingPong", connections: 3, ...times },
  { is: "churn", connections: 3, ...times },
  { is: "idle", connections: 3, restMs: 50 },
  { is: "neverReaders", connections: 3, offeredBytes: 10_000, restMs: 50 },
  { is: "besideStuck", stuck: 2, connections: 2, patienceMs: 5000, ...times }
]

const isKnown = (landing: string): boolean =>
  Result.isSuccess(settingsOf({ listen: ["127.0.0.1:0"], target: "127.0.0.1:1", landing }))

export const contestants: ReadonlyArray<Contestant> = [
  headgate("plain"),
  ...(isKnown("readiness") ? [headgate("readiness")] : []),
  pipe,
  pipeline,
  nodeSocket
]

/** The figures of each work, by its name; fails if one was not done. */
export const smoke = async (contestant: Contestant): Promise<ReadonlyMap<string, Figures>> => {
  const figures = new Map<string, Figures>()
  for (const work of works) figures.set(work.is, await measure(contestant, work))
  const beside = await measureBeside(contestant, streams, messages)
  return figures.set(streams.is, beside.streams).set(messages.is, beside.messages)
}

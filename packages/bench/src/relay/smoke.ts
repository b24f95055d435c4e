/** Every work, small, with every contestant that needs nothing of the system's packages: whether they are done, not how fast. */
import { settingsOf } from "@headgate/node/RelayFlags"
import * as Result from "effect/Result"
import { type Contestant, headgate, nodeSocket, pipe, pipeline } from "./contestants.ts"
import type { Figures, Work } from "./load/questions.ts"
import { measureTogether } from "./measure.ts"

const times = { warmMs: 0, windowMs: 60 }

/** What everybody is measured by. */
const common: ReadonlyArray<Work> = [
  { is: "bulk", connections: 3, onTheWayBytes: 256 * 1024, ...times },
  { is: "pingPong", connections: 3, ...times },
  { is: "churn", connections: 3, ...times }
]

const others: ReadonlyArray<Work> = [
  { is: "paced", connections: 2, pauseMs: 1, ...times },
  { is: "idle", connections: 3, restMs: 50 },
  { is: "neverReaders", connections: 3, offeredBytes: 10_000, restMs: 50 },
  { is: "besideStuck", stuck: 2, connections: 2, patienceMs: 600, windowMs: 60 }
]

const isKnown = (landing: string): boolean =>
  Result.isSuccess(settingsOf({ listen: ["127.0.0.1:0"], target: "127.0.0.1:1", landing }))

export interface Smoke {
  readonly contestant: Contestant
  readonly works: ReadonlyArray<Work>
}

export const smokes: ReadonlyArray<Smoke> = [
  { contestant: headgate("plain"), works: [...common, ...others] },
  ...(isKnown("readiness") ? [{ contestant: headgate("readiness"), works: [...common, ...others] }] : []),
  { contestant: pipe, works: [...common, ...others] },
  { contestant: pipeline, works: common },
  { contestant: nodeSocket, works: common }
]

/** The figures of each work, in their order; fails if one was not done. All at a time: it is starting processes that takes long. */
export const smoke = ({ contestant, works }: Smoke): Promise<ReadonlyArray<Figures>> =>
  measureTogether(contestant, works)

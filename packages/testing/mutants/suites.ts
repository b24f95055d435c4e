/**
 * Which tests state which law, for each part of the library: the most likely to notice first. A mutant is judged by these,
 * all of which stood before it.
 */
import type { Law, Part } from "./mutant.ts"

export interface Tests {
  readonly file: string
  /** Only those whose full name matches. */
  readonly only?: RegExp
  /** Histories per property: enough for its mutants, and few enough for every day. */
  readonly runs?: number
}

const testing = (name: string, rest: Omit<Tests, "file"> = {}): Tests => ({
  file: `packages/testing/test/${name}.test.ts`,
  ...rest
})
const headgate = (name: string, rest: Omit<Tests, "file"> = {}): Tests => ({
  file: `packages/headgate/test/${name}.test.ts`,
  ...rest
})
const node = (name: string, rest: Omit<Tests, "file"> = {}): Tests => ({
  file: `packages/node/test/${name}.test.ts`,
  ...rest
})

const poolModel = testing("PoolModel", { only: /history of a pool/, runs: 250 })
const runQueueModel = testing("PoolModel", { only: /history of a run queue/ })
const chains = testing("DesignRules", { only: /100 000 entities/ })
const core = [poolModel, testing("DesignRules", { only: /^(?!.*100 000)/ })]

/** Fibers as data, between any two of whose steps something may happen; and entities likewise. */
const programs = headgate("face/Laws", { only: /programs of fibers/, runs: 200 })
const plays = headgate("face/EntityLaws", { runs: 60 })
/** Every schedule of a few fibers, with an interruption anywhere. */
const explored = testing("explorer/Headgate", { only: /withBuffer > 2 fibers/ })
/** An interruption at each operation. */
const scopes = testing("sweep/acquire", { only: /acquire in a scope that goes on/ })
const lives = testing("sweep/entities", { only: /(Applet\.make \(.*\)|Task#end|ByteChannel\.alloc), .* > uncontended/ })
const tried = testing("sweep/headgate", { only: /BufferPool\.tryAcquire, interrupted/ })
const makings = testing("sweep/acquire", { only: /a task's making/ })
const misuse = headgate("ByteBuffer", { only: /a misuse changes nothing|the memory behind/ })
const insideRuns = headgate("face/Waking", { only: /inside a run nobody waits/ })
const [acceptance, ageing, applet, channel, closing, schedulers, task] = [
  headgate("face/Acceptance", { only: /the counters after every step/ }),
  headgate("face/Ageing"),
  headgate("face/Applet"),
  headgate("face/Channel"),
  headgate("face/Closing"),
  headgate("face/Schedulers"),
  headgate("face/Task")
]

/** What went wrong in HAProxy, one test for each class. */
const counting = headgate("history/counting")
const queueing = headgate("history/waiting")
const running = headgate("history/running")

const bytes = testing("relay/bytes", { only: /every byte once/, runs: 10 })
const turns = testing("relay/bytes", { only: /turn|stack flat/ })
const ends = testing("relay/ends")
const readiness = testing("relay/readiness")
const hasty = testing("mutantGuards/relay")
const overdraft = testing("relay/waiting", { only: /overdraft/ })
const timeouts = testing("relay/waiting", { only: /timeouts/ })
/** What is quick first; what takes seconds not at all. */
const marks = testing("relay/stall", { only: /Progress|victims|sampled once a second|longest first/ })
const stall = testing("relay/stall", { only: /^(?!.*(Progress|victims|20 kB\/s|newcomers'))/ })

const peers = node("NodePeer", { only: /a peer over IPv4|paused from the first/ })

export const suites: { readonly [P in Part]: { readonly [L in Law]?: ReadonlyArray<Tests> } } = {
  core: {
    L1: core,
    L2: core,
    L3: core,
    L4: core,
    L5: core,
    L6: core,
    L7: core,
    L8: core,
    L11: [...core, headgate("List")],
    runs: [runQueueModel],
    turns: [chains]
  },
  fibers: {
    L1: [programs],
    L2: [misuse, headgate("face/Acceptance", { only: /never see another's bytes/ }), programs],
    L3: [programs, headgate("Finalizer")],
    L4: [closing, explored, programs],
    L5: [programs],
    L6: [headgate("face/Waking", { only: /two pools never mix/ }), programs],
    L7: [programs],
    L8: [insideRuns, acceptance],
    L9: [explored, scopes, tried, programs],
    L11: [testing("mutantGuards/pool"), programs],
    ageing: [ageing]
  },
  entities: {
    L2: [channel, headgate("Identity", { only: /a run pins each buffer/ }), plays],
    L3: [plays, task],
    L4: [applet, channel],
    L5: [channel],
    L6: [applet, channel],
    L7: [channel],
    L8: [channel, insideRuns],
    L9: [testing("mutantGuards/entities"), makings, lives, channel],
    runs: [task, applet, channel],
    turns: [schedulers]
  },
  history: {
    L1: [counting],
    L5: [counting],
    L6: [queueing],
    L7: [counting],
    L8: [counting],
    runs: [running],
    wakes: [queueing]
  },
  relay: {
    L2: [ends],
    L3: [readiness, ends],
    L8: [readiness, testing("relay/stall", { only: /as fast as they leave/ })],
    L9: [ends],
    L11: [ends],
    bytes: [hasty, readiness, overdraft, bytes],
    ends: [ends],
    overdraft: [overdraft],
    stall: [marks, stall],
    bounds: [timeouts],
    turns: [readiness, turns]
  },
  node: {
    L2: [peers],
    L9: [node("Dialing"), node("sweep/node", { only: /Connect.connect/ })],
    ends: [node("Dialing", { only: /a life/ }), node("RelayServer", { only: /breaks|resets what is left/ })],
    overdraft: [peers],
    bounds: [node("Connect", { only: /refused|falls back/ }), node("StatusServer", { only: /it answers while/ })]
  }
}

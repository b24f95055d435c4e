/** The rows of the pool bench, and its plots: what is compared with what, and what must come of it. */
import type { Curve, Plot } from "../plot.ts"
import type { Samples } from "../rounds.ts"
import { type Comparison, median, type Side } from "../rows.ts"
import { leavers, manyWaiters, queues } from "./subjects.ts"

const side = (name: string, key: string = name): Side => ({ name, key })

const ns = "ns"
const names: Readonly<Record<string, string>> = {
  headgate: "withBuffer",
  Semaphore: "Semaphore.withPermit",
  Pool: "Pool.use"
}
const named = (name: string): string => names[name] ?? name

const inOneLoop: Comparison = {
  work: "core: take and give back, all compiled into one loop",
  unit: ns,
  ours: side("gate", "core in one loop"),
  peer: side("array free list", "free list in one loop")
}

/** What the interpreter costs where it has seen nothing else. */
const alone = (work: string, ours: string, peer: string, peerName: string = peer): Comparison => ({
  work: `${work}, in a process that does nothing else`,
  unit: ns,
  ours: side(ours, `${ours}, alone`),
  peer: side(peerName, `${peer}, alone`),
  net: "driver, alone"
})

/** `sizes` are those of the run: a row at a size that is not among them has the greatest that is. */
export const comparisons = (sizes: ReadonlyArray<number>): ReadonlyArray<Comparison> => {
  const least = sizes[0] ?? 1
  const most = sizes.at(-1) ?? 1
  const many = Math.min(manyWaiters, most)
  const chain = (who: string, size: number) => side(named(who), `hand-off of ${who} ${size}`)
  const yielding = (who: string) => side(named(who), `yielding of ${who} ${many}`)
  const leave = (who: string, size: number) => side(named(who), `leave of ${who} ${size}`)
  const atMost = (must: number, want?: number) => want === undefined ? { must } : { must, want }

  const handOff = (peer: string, bounds: Pick<Comparison, "must" | "want">): Comparison => ({
    work: `hand-off, ${many} waiting, synchronous bodies`,
    unit: ns,
    ours: chain("headgate", many),
    peer: chain(peer, many),
    ...bounds
  })
  const withYield = (peer: string, bounds: Pick<Comparison, "must" | "want">): Comparison => ({
    work: `hand-off, ${many} waiting, a yield in each body`,
    unit: ns,
    ours: yielding("headgate"),
    peer: yielding(peer),
    ...bounds
  })

  return [
    {
      work: "core: take and give back",
      unit: ns,
      ours: side("gate", "core"),
      peer: side("array free list", "free list"),
      ...atMost(2, 1.5)
    },
    {
      work: "one buffer for an effect",
      unit: ns,
      ours: side("withBuffer"),
      peer: side("Semaphore.withPermit", "withPermit"),
      net: "driver",
      ...atMost(0.8, 0.6)
    },
    {
      work: "one buffer for a function",
      unit: ns,
      ours: side("withBufferSync"),
      peer: side("Semaphore.withPermit", "withPermit"),
      net: "driver",
      ...atMost(0.25, 0.15)
    },
    {
      work: "one buffer for a scope",
      unit: ns,
      ours: side("acquire"),
      peer: side("Pool.get"),
      net: "driver",
      ...atMost(1, 0.8)
    },
    inOneLoop,
    alone("one buffer for an effect", "withBuffer", "withPermit", "Semaphore.withPermit"),
    alone("one buffer for a function", "withBufferSync", "withPermit", "Semaphore.withPermit"),
    alone("one buffer for a scope", "acquire", "Pool.get"),
    {
      work: `hand-off, ${most} waiting beside ${least} waiting`,
      unit: ns,
      ours: { ...chain("headgate", most), name: `${most} waiting` },
      peer: { ...chain("headgate", least), name: `${least} waiting` },
      ...atMost(2, 1.3)
    },
    handOff("Semaphore", atMost(1 / 50, 1 / 100)),
    handOff("Pool", atMost(1 / 5, 1 / 8)),
    handOff("generic-pool", atMost(1)),
    handOff("tarn", atMost(1 / 3)),
    withYield("Semaphore", { want: 1 / 30 }),
    withYield("Pool", { want: 1 / 3 }),
    {
      work: `hand-off, ${many} waiting, beside a bare resume`,
      unit: ns,
      ours: chain("headgate", many),
      peer: side("Effect.callback", `bare resume ${many}`),
      ...atMost(2.5, 1.5)
    },
    {
      work: `wake and run each of ${many} tasks`,
      unit: ns,
      ours: side("Task", `tasks ${many}`),
      peer: side("Deferred and fiber, a scope per run", `deferred fibers ${many}`),
      ...atMost(1, 0.5)
    },
    {
      work: `wake and run each of ${many} tasks`,
      unit: ns,
      ours: side("Task", `tasks ${many}`),
      peer: side("Deferred and fiber, no scope per run", `deferred fibers, no scopes ${many}`)
    },
    {
      work: `leave, ${most} waiting beside ${least} waiting`,
      unit: ns,
      ours: { ...leave("headgate", most), name: `${most} waiting` },
      peer: { ...leave("headgate", least), name: `${least} waiting` },
      ...atMost(2)
    },
    { work: `leave, ${many} waiting`, unit: ns, ours: leave("headgate", many), peer: leave("Semaphore", many) },
    {
      work: "heap allocated, one buffer for an effect",
      unit: "bytes",
      ours: side("withBuffer", "heap of withBuffer"),
      peer: side("Semaphore.withPermit", "heap of withPermit"),
      net: "heap of driver",
      ...atMost(1)
    },
    {
      work: "heap allocated, core: take and give back",
      unit: "bytes",
      ours: side("gate", "heap of core"),
      peer: side("array free list", "heap of free list"),
      judged: "ours",
      ...atMost(0)
    }
  ]
}

/** `stopped`: for each subject that left sizes out, the first of them. */
export const plots = (
  sizes: ReadonlyArray<number>,
  samples: Samples,
  stopped: ReadonlyMap<string, number>
): ReadonlyArray<Plot> => {
  const curve = (name: string, subject: string, measure = subject): Curve => {
    const at = stopped.get(subject)
    return {
      name,
      points: sizes.flatMap((size) => {
        const values = samples.get(`${measure} ${size}`)
        return values === undefined ? [] : [{ size, value: median(values) }]
      }),
      ...(at === undefined ? {} : { stopped: `over 20 s at ${at}` })
    }
  }
  const waiting = "waiters"
  return [
    {
      id: "hand-off",
      title: "Hand-off",
      sizeLabel: waiting,
      valueLabel: "CPU ns per hand-off",
      curves: [
        ...queues.map((who) => curve(named(who), `hand-off of ${who}`)),
        curve("bare Effect.callback", "bare resume")
      ]
    },
    {
      id: "park",
      title: "Beginning to wait",
      sizeLabel: waiting,
      valueLabel: "CPU ns per waiter",
      curves: queues.map((who) => curve(named(who), `hand-off of ${who}`, `hand-off of ${who} parked`))
    },
    {
      id: "leave",
      title: "Giving up, from the middle of the queue",
      sizeLabel: waiting,
      valueLabel: "CPU ns per leaver",
      curves: leavers.map((who) => ({ ...curve(named(who), `leave of ${who}`), hue: queues.indexOf(who) }))
    },
    {
      id: "tasks",
      title: "Waking tasks",
      sizeLabel: "tasks",
      valueLabel: "CPU ns per wake and run",
      curves: [curve("Task", "tasks"), curve("Deferred and fiber", "deferred fibers")]
    }
  ]
}

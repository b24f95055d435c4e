/**
 * Rounds: all contestants one after the other, then all of them again (A B C, A B C, …), so that what the machine does
 * meanwhile happens to all of them. Each contestant does its work in a process of its own, started anew in each round.
 */

/** Somebody who can be measured. */
export interface Contestant {
  /** Its measures are called this, or this, a blank and more. */
  readonly name: string
  /** One round: a value for each measure. Throws if the work was not done. */
  readonly run: () => Promise<Readonly<Record<string, number>>>
  /** Why it cannot run on this machine, if it cannot: then it is said, and is no fault. */
  readonly unavailable?: string | undefined
}

/** For each measure, its value in each round. */
export type Samples = ReadonlyMap<string, ReadonlyArray<number>>

export interface Outcome {
  readonly samples: Samples
  readonly failed: ReadonlyArray<Absence>
  readonly unavailable: ReadonlyArray<Absence>
}

export interface Absence {
  readonly contestant: string
  readonly why: string
}

export const interleave = async (
  contestants: ReadonlyArray<Contestant>,
  { print, rounds }: { readonly rounds: number; readonly print: (line: string) => void }
): Promise<Outcome> => {
  const samples = new Map<string, Array<number>>()
  const failed: Array<Absence> = []
  const unavailable = contestants.flatMap(({ name, unavailable: why }) =>
    why === undefined ? [] : [{ contestant: name, why }]
  )
  for (const { contestant, why } of unavailable) print(`${contestant} cannot run here: ${why}`)
  let running = contestants.filter((contestant) => contestant.unavailable === undefined)
  for (let round = 1; round <= rounds; round++) {
    const startedAt = performance.now()
    for (const { name, run } of running) {
      try {
        for (const [key, value] of Object.entries(await run())) {
          const values = samples.get(key)
          if (values === undefined) samples.set(key, [value])
          else values.push(value)
        }
      } catch (error) {
        // Its earlier rounds are not shown either: work that failed once is not measured.
        const why = error instanceof Error ? error.message : String(error)
        print(`${name} failed: ${why}`)
        failed.push({ contestant: name, why })
        for (const key of samples.keys()) if (key === name || key.startsWith(`${name} `)) samples.delete(key)
      }
    }
    running = running.filter(({ name }) => failed.every(({ contestant }) => contestant !== name))
    print(`round ${round} of ${rounds}: ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
  }
  return { samples, failed, unavailable }
}

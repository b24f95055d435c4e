/**
 * What the explorer cannot schedule: real timers, microtasks and promises. While a run is under way, which is synchronous,
 * their doors are watched; a program that uses one is not explored, and is told so.
 */

interface Door {
  readonly name: string
  readonly of: object
  readonly key: string
  /** What it answers: nothing that would ever call back. */
  readonly answer: unknown
}

const never = new Promise<never>(() => {})

const doors: ReadonlyArray<Door> = [
  ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask"].map((key) => ({
    name: key,
    of: globalThis,
    key,
    answer: undefined
  })),
  { name: "a promise", of: Promise.prototype, key: "then", answer: never }
]

/** Runs `run` with every such door replaced by one that reports its name and does nothing. */
export const watched = <A>(report: (door: string) => void, run: () => A): A => {
  const restores = doors.flatMap(({ answer, key, name, of }) => {
    const original = Object.getOwnPropertyDescriptor(of, key)
    if (original === undefined) return []
    const value = () => {
      report(name)
      return answer
    }
    Object.defineProperty(of, key, { ...original, value })
    return [() => Object.defineProperty(of, key, original)]
  })
  try {
    return run()
  } finally {
    for (const restore of restores) restore()
  }
}

/** Everything that is left to chance, decided by one seed. */

/** Numbers from 0 to below 1 (mulberry32). */
export const randomOf = (seed: number): () => number => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export class Dice {
  private readonly random: () => number

  /** The same numbers give the same dice; each of several numbers that differ, others. */
  constructor(...seeds: ReadonlyArray<number>) {
    this.random = randomOf(seeds.reduce((mixed, seed) => randomOf(mixed + seed)() * 2 ** 32, 0))
  }

  between(least: number, most: number): number {
    return Math.floor(least + this.random() * (most - least + 1))
  }

  /** As often a hundred as a thousand as ten thousand. */
  magnitude(least: number, most: number): number {
    return Math.floor(least * (most / least) ** this.random())
  }

  of<A>(choices: readonly [A, ...ReadonlyArray<A>]): A {
    return choices[Math.floor(this.random() * choices.length)] ?? choices[0]
  }

  side(): "client" | "origin" {
    return this.random() < 0.5 ? "client" : "origin"
  }
}

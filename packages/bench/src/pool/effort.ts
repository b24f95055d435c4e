/** How much is done: for figures, and to see that everything works. */
import type { PoolBench } from "./bench.ts"

export const full: Pick<PoolBench, "effort" | "rounds"> = {
  rounds: 3,
  effort: { warmUpMs: 1000, measureMs: 240, batch: 2000, sizes: [10, 100, 1000, 10_000, 100_000] }
}

export const tiny: Pick<PoolBench, "effort" | "rounds"> = {
  rounds: 1,
  effort: { warmUpMs: 0, measureMs: 0, batch: 10, sizes: [2, 20] }
}

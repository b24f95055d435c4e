/** A broken promise of this library itself: never the caller's fault, always a bug to report. */
export class BrokenInvariant extends Error {
  override readonly name = "BrokenInvariant"
}

/** For hot paths: `if (…) throw broken(…)` builds its text only when something is broken. */
export const broken = (fact: string): BrokenInvariant =>
  new BrokenInvariant(`headgate broke its own invariant: ${fact}. Please report it.`)

export function assert(condition: boolean, fact: string): asserts condition {
  if (!condition) throw broken(fact)
}

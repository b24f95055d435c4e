/** A broken promise of this library itself: never the caller's fault, always a bug to report. */
export class BrokenInvariant extends Error {
  override readonly name = "BrokenInvariant"
}

export function assert(condition: boolean, fact: string): asserts condition {
  if (!condition) throw new BrokenInvariant(`headgate broke its own invariant: ${fact}. Please report it.`)
}

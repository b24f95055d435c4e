/**
 * Samples of something that changes, as they come: the latest one, and the first one of which something holds.
 */
import * as Effect from "effect/Effect"

export class Watch<A> {
  latest: A | undefined = undefined
  readonly #listeners = new Set<(sample: A) => void>()

  note(sample: A): void {
    this.latest = sample
    for (const listener of this.#listeners) listener(sample)
  }

  /** Calls it for each sample from now on. */
  on(listener: (sample: A) => void): void {
    this.#listeners.add(listener)
  }

  /** The next sample of which it holds. */
  until(holds: (sample: A) => boolean): Effect.Effect<A> {
    return Effect.callback((resume) => {
      const listener = (sample: A): void => {
        if (holds(sample)) resume(Effect.succeed(sample))
      }
      this.#listeners.add(listener)
      return Effect.sync(() => this.#listeners.delete(listener))
    })
  }
}

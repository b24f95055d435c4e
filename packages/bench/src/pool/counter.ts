/** The body that all contestants run: it writes one byte, counts, and tells when the last one has run. */
import * as Effect from "effect/Effect"

export class Counter {
  private count = 0
  private target = -1
  private resolve: () => void = () => {}
  private readonly bytes = new Uint8Array(64)

  readonly tick = (): void => {
    this.write(this.bytes)
    if (this.count === this.target) this.resolve()
  }

  readonly tickEffect: Effect.Effect<void> = Effect.sync(this.tick)

  write(bytes: Uint8Array): void {
    bytes[0] = ++this.count
  }

  /** Resolves when it has ticked `more` times from now on. */
  until(more: number): Promise<void> {
    this.target = this.count + more
    return new Promise((resolve) => {
      this.resolve = resolve
    })
  }

  /** Ticks since the last call. */
  readonly take = (): number => {
    const { count } = this
    this.count = 0
    this.target = -1
    return count
  }
}

/**
 * What is equal only to itself, and printed as its state: buffers, entities, channels, pools. Effect compares plain objects
 * by content, which would make one of two entities that look alike, and walk their memory to find out.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"

export abstract class Identity implements Equal.Equal {
  /** Its state in a few words and numbers: no bytes, and nothing that points back. */
  abstract toJSON(): object

  toString(): string {
    return JSON.stringify(this)
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString()
  }
  [Equal.symbol](that: Equal.Equal): boolean {
    return this === that
  }
  [Hash.symbol](): number {
    return Hash.random(this)
  }
}

/**
 * Who is who: fibers by the names that the program gave them; and who meddles with whom. An interruption of a fiber that is
 * masked, and the look at whether one is over, leave no trace for a scheduler, so these doors of every fiber are watched.
 *
 * A fiber that a named one forked on the quiet (inside a race, a timeout, a layer) belongs to the named one's *family*: what
 * they do to each other cannot be seen, so their steps are never taken for independent.
 */
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

export type AnyFiber = Fiber.Fiber<unknown, unknown>

export class Known {
  readonly name: string
  readonly family: string
  /** What its end is called in a footprint. */
  get end(): string {
    return `end of ${this.name}`
  }
  /** Operations it began. */
  operations = 0
  /** What the program says that it is at. */
  at: string | undefined = undefined
  /** The look at its end that nobody watches. */
  readonly poll: AnyFiber["pollUnsafe"]

  constructor(name: string, family: string, poll: AnyFiber["pollUnsafe"]) {
    this.name = name
    this.family = family
    this.poll = poll
  }

  get isOver(): boolean {
    return this.poll() !== undefined
  }

  /** Where it stands, for a trace. */
  get place(): string {
    return this.at === undefined ? `operation ${this.operations}` : `operation ${this.operations} ("${this.at}")`
  }
}

export interface Watcher {
  readonly interrupted: (known: Known) => void
  readonly observed: (known: Known) => void
  readonly ended: (known: Known, exit: Exit.Exit<unknown, unknown>) => void
}

export class Fibers {
  private readonly known = new Map<AnyFiber, Known>()
  private readonly names = new Set<string>()
  private readonly counts = new Map<string, number>()
  private readonly watcher: Watcher

  constructor(watcher: Watcher) {
    this.watcher = watcher
  }

  name(fiber: AnyFiber, name: string): Known {
    this.names.add(name)
    return this.watched(fiber, name, `fiber ${name}`)
  }

  has(name: string): boolean {
    return this.names.has(name)
  }

  /** Who a fiber is; one that nobody named is named after `parent`. */
  of(fiber: AnyFiber, parent?: Known): Known {
    const known = this.known.get(fiber)
    if (known !== undefined) return known
    return this.watched(fiber, this.numbered(`${parent?.name ?? "outside"}/`), parent?.family ?? "outside")
  }

  private watched(fiber: AnyFiber, name: string, family: string): Known {
    const before = this.known.get(fiber)
    const known = new Known(name, family, before?.poll ?? fiber.pollUnsafe.bind(fiber))
    this.known.set(fiber, known)
    if (before === undefined) this.watch(fiber)
    return known
  }

  private watch(fiber: AnyFiber): void {
    const { addObserver, interruptUnsafe, pollUnsafe } = fiber
    fiber.addObserver((exit) => this.watcher.ended(this.of(fiber), exit))
    const interrupted: AnyFiber["interruptUnsafe"] = (...by) => {
      this.watcher.interrupted(this.of(fiber))
      interruptUnsafe.apply(fiber, by)
    }
    const observed: AnyFiber["addObserver"] = (observer) => {
      this.watcher.observed(this.of(fiber))
      return addObserver.call(fiber, observer)
    }
    const polled: AnyFiber["pollUnsafe"] = () => {
      this.watcher.observed(this.of(fiber))
      return pollUnsafe.call(fiber)
    }
    Object.defineProperties(fiber, {
      interruptUnsafe: { value: interrupted },
      addObserver: { value: observed },
      pollUnsafe: { value: polled }
    })
  }

  get current(): Known | undefined {
    const fiber = Fiber.getCurrent()
    return fiber === undefined ? undefined : this.of(fiber)
  }

  /** A name for the next of its kind: the same in every run that has made as many of them. */
  numbered(prefix: string): string {
    const count = (this.counts.get(prefix) ?? 0) + 1
    this.counts.set(prefix, count)
    return `${prefix}${count}`
  }

  /** Those that are not over, in words. */
  unfinished(): string {
    return [...this.known.values()].filter(({ isOver }) => !isOver).map(({ name, place }) => `${name} at ${place}`)
      .join(", ")
  }
}

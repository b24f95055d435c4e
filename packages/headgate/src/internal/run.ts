/**
 * Whether a fiber is inside an entity's run: a token, fresh for each run and cleared at its exit, that fibers inherit.
 *
 * What a run allocates is garbage when it is over, and must look like that to V8, which learns for each object literal in the
 * source whether its objects live long, and if so puts all later ones among the old, for good. Beside what entities are made
 * of, and what is made while V8 marks its heap, it learns it wrongly of a run's: then 10 000 tasks were woken and run in 2.1 us
 * each, and not in 1.0. So a run has no literal in common with what lives, or it is shown to die, below.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { touch } from "./version.ts"

/** What a run holds until its exit: the channels whose buffers it allocated. */
export interface RunPin {
  readonly afterRun: () => void
}

/** Copied for each run: `Scope.makeUnsafe` makes those that live, too. */
const emptyScope = Scope.makeUnsafe()
/** For all that nothing was added to. */
const closedState: Scope.State.Closed = { _tag: "Closed", exit: Exit.void }

/** One run, from its start to its exit: what its fiber's context says of it, and the scope that is the run's own. */
export class Run {
  active = true
  /** The entity whose run it is. */
  readonly entity: object
  private pins: Array<RunPin> | undefined = undefined
  private readonly fiber: Fiber.Fiber<unknown, unknown>
  private readonly outside: Context.Context<never>
  private readonly scope: Scope.Closeable = { ...emptyScope }

  /** The fibers that it starts inherit the run and its scope. */
  constructor(entity: object, fiber: Fiber.Fiber<unknown, unknown>) {
    this.entity = entity
    this.fiber = fiber
    this.outside = fiber.context
    fiber.setContext(Context.add(this.inside(), Scope.Scope, this.scope))
  }

  hold(pin: RunPin): void {
    if (this.pins === undefined) this.pins = [pin]
    else this.pins.push(pin)
  }

  /** Closes its scope: undefined if nothing is left to be done for that. Its finalizers are inside the run. */
  close(exit: Exit.Exit<void, unknown>): Effect.Effect<void> | undefined {
    const { scope } = this
    if (scope.state._tag === "Empty" && Exit.isSuccess(exit)) {
      scope.state = closedState
      return undefined
    }
    if (scope.state._tag === "Open") this.fiber.setContext(this.inside())
    return Scope.closeUnsafe(scope, exit)
  }

  exit(): void {
    touch()
    this.active = false
    this.fiber.setContext(this.outside)
    if (this.pins === undefined) return
    for (const pin of this.pins) pin.afterRun()
  }

  private inside(): Context.Context<never> {
    return Context.add(this.outside, CurrentRun, this)
  }
}

export const CurrentRun = Context.Reference<Run | undefined>("headgate/internal/CurrentRun", {
  defaultValue: () => undefined
})

// Contexts share the literal in `Context.add`: V8 decides about it when it has seen a hundred, and so sees these first.
for (let n = 0; n < 300; n++) Context.add(Context.empty(), CurrentRun, undefined)

export const runOf = (fiber: Fiber.Fiber<unknown, unknown>): Run | undefined => {
  touch()
  const run = fiber.getRef(CurrentRun)
  return run !== undefined && run.active ? run : undefined
}

/** The run of the fiber that is executing now, if one is: callbacks are outside any run. */
export const currentRun = (): Run | undefined => {
  const fiber = Fiber.getCurrent()
  return fiber === undefined ? undefined : runOf(fiber)
}

/** Pools and maps of resources: what was made is released, once, and not while somebody uses it; nobody waits in vain. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Pool from "effect/Pool"
import * as RcMap from "effect/RcMap"
import * as Scope from "effect/Scope"
import type { Explored, World } from "../../../src/Explorer.ts"

interface Resource {
  readonly number: number
}

/** Makes resources, and watches over their lives. */
class Ledger {
  private made = 0
  private readonly alive = new Set<Resource>()
  private readonly uses = new Map<string, Resource>()
  private readonly usersEach: number

  constructor(usersEach: number) {
    this.usersEach = usersEach
  }

  /** Fails if the world says so, which it does as often as it has faults left. */
  acquire(world: World): Effect.Effect<Resource, string, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.suspend(() => {
        if (world.fault("a resource cannot be made")) return Effect.fail("refused")
        const resource = { number: ++this.made }
        this.alive.add(resource)
        return Effect.succeed(resource)
      }),
      (resource) => Effect.sync(() => void this.alive.delete(resource))
    )
  }

  /** Yields, so that others come meanwhile without a preemption of the bound. */
  readonly use = (user: string) => (resource: Resource): Effect.Effect<void> =>
    Effect.ensuring(
      Effect.andThen(Effect.sync(() => void this.uses.set(user, resource)), Effect.yieldNow),
      Effect.sync(() => void this.uses.delete(user))
    )

  readonly invariant = (): string | undefined => {
    const users = new Map<Resource, number>()
    for (const [user, resource] of this.uses) {
      if (!this.alive.has(resource)) return `${user} uses resource ${resource.number}, which is released`
      users.set(resource, (users.get(resource) ?? 0) + 1)
    }
    for (const [resource, count] of users) {
      if (count > this.usersEach) return `${count} use resource ${resource.number} at once`
    }
    return undefined
  }

  readonly kept = (): string | undefined =>
    this.alive.size === 0 ? undefined : `${this.alive.size} resources are not released`
}

interface Sharing<Made> {
  readonly ledger: Ledger
  readonly users: number
  readonly make: (world: World) => Effect.Effect<Made, never, Scope.Scope>
  readonly use: (made: Made, user: string) => Effect.Effect<unknown, string>
  /** Fibers beside the users, that are never interrupted. */
  readonly others?: (made: Made) => ReadonlyArray<readonly [string, Effect.Effect<unknown>]>
  /** Whether everything must be released as soon as nobody uses it, and not only when the scope of all ends. */
  readonly releasesAtOnce?: boolean
}

const shared =
  <Made>({ ledger, make, others = () => [], releasesAtOnce = false, use, users }: Sharing<Made>) =>
  (world: World): Explored => {
    let kept: string | undefined
    return {
      program: Effect.gen(function*() {
        const scope = yield* Scope.make()
        const made = yield* Scope.provide(make(world), scope)
        const fibers: Array<Fiber.Fiber<unknown>> = []
        for (let n = 1; n <= users; n++) {
          fibers.push(yield* world.fork(`user ${n}`, Effect.exit(use(made, `user ${n}`))))
        }
        for (const [name, effect] of others(made)) fibers.push(yield* world.fork(name, effect, { victim: false }))
        yield* world.await(...fibers)
        if (releasesAtOnce) kept = ledger.kept()
        yield* Scope.close(scope, Exit.void)
      }),
      invariant: ledger.invariant,
      atEnd: () => kept ?? ledger.kept()
    }
  }

export type Borrowing = "use" | "get" | "useAndInvalidate"

/** Borrowers from a pool: of a fixed size, or one that grows from `min` to `max`. */
export const pooled = (
  { max, min = max, usersEach = 1 }: {
    readonly max: number
    readonly min?: number
    readonly usersEach?: number
  },
  borrowing: Borrowing,
  users: number
) =>
(world: World): Explored => {
  const ledger = new Ledger(usersEach)
  return shared({
    ledger,
    users,
    make: (of) =>
      min === max
        ? Pool.make({ acquire: ledger.acquire(of), size: max, concurrency: usersEach })
        // As `makeWithTTL`, without its timer, which never ends.
        : Pool.makeWithStrategy({
          acquire: ledger.acquire(of),
          min,
          max,
          concurrency: usersEach,
          strategy: { run: () => Effect.void, onAcquire: () => Effect.void, reclaim: () => Effect.undefined }
        }),
    use: (pool, user) => {
      const use = ledger.use(user)
      if (borrowing === "use") return Pool.use(pool, use)
      if (borrowing === "get") return Effect.scoped(Effect.flatMap(Pool.get(pool), use))
      return Pool.use(pool, (resource) => Effect.andThen(use(resource), Pool.invalidate(pool, resource)))
    }
  })(world)
}

/** Users of one key of a map that counts them. */
export const mapped = (
  { idle = false, invalidated = false }: {
    readonly idle?: boolean
    readonly invalidated?: boolean
  },
  users: number
) =>
(world: World): Explored => {
  const ledger = new Ledger(Infinity)
  return shared({
    ledger,
    users,
    make: (of) =>
      RcMap.make<string, Resource, string, Scope.Scope>({
        lookup: () => ledger.acquire(of),
        idleTimeToLive: idle ? 10 : 0
      }),
    use: (map, user) => Effect.scoped(Effect.flatMap(RcMap.get(map, "key"), ledger.use(user))),
    others: (map) => invalidated ? [["invalidator", RcMap.invalidate(map, "key")]] : [],
    releasesAtOnce: !idle
  })(world)
}

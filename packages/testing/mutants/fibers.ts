/** Wrong variants of what fibers meet: the pool's effects, how a fiber waits, leases, ageing. */
import { mutantsOf } from "./mutant.ts"

const pool = mutantsOf("fibers", "packages/headgate/src/internal/pool.ts", [
  // ---- L9: interruption -----------------------------------------------------------------------------------------------
  {
    name: "acquire-registers-a-step-later",
    law: "L9",
    rule: "acquire takes what is free in one step, and binds it to the scope in the next",
    find: "        : this.untilClosed(scope, lease)\n",
    replace: "        : Effect.suspend(() => this.untilClosed(scope, lease))\n"
  },
  {
    name: "try-acquire-registers-a-step-later",
    law: "L9",
    rule: "tryAcquire never waits, so it needs no mask, however many its steps",
    find: "        return this.untilClosed(scope, lease)\n      }\n      if (this.gate.closed)",
    replace: "        return Effect.suspend(() => this.untilClosed(scope, lease))\n      }\n      if (this.gate.closed)"
  },

  // ---- L2, L3: ownership and conservation -----------------------------------------------------------------------------
  {
    name: "giving-back-twice-gives-twice",
    law: "L2",
    rule: "who gives back is believed, however often",
    find: "    if (!lease.live) throw this.misuse(\"a buffer was given back twice\")\n    this.end(lease)\n",
    replace: "    lease.live = true\n    lease.area.lent = true\n    this.end(lease)\n"
  },
  {
    name: "an-operation-in-flight-is-not-pinned-in-the-core",
    law: "L2",
    rule: "a pin is known to the lease alone",
    find: "    lease.pins++\n    this.gate.pin(lease.area)\n",
    replace: "    lease.pins++\n",
    and: [{
      file: "packages/headgate/src/internal/pool.ts",
      find: "    lease.pins--\n    this.gate.unpin(lease.area)\n",
      replace: "    lease.pins--\n"
    }]
  },
  {
    name: "a-foreign-waiter-is-let-in",
    law: "L6",
    rule: "a pool's queue takes whoever is a waiter",
    find: "waiter instanceof PoolWaiter && waiter.pool === this",
    replace: "waiter instanceof PoolWaiter"
  },

  {
    name: "a-scopes-end-keeps-the-buffer",
    law: "L3",
    rule: "what was acquired in a scope is its taker's to give back",
    find: "      this.end(lease)\n      return Effect.void\n    })\n    if (!isOpen)",
    replace: "      return Effect.void\n    })\n    if (!isOpen)"
  },

  // ---- L8: progress ---------------------------------------------------------------------------------------------------
  {
    name: "a-run-may-wait",
    law: "L8",
    rule: "a run that needs one more waits for it where it is",
    row: "E8",
    find: "    if (currentRun() !== undefined) return this.refusedAt(waiter.criticality, \"insideRun\")\n",
    replace: ""
  },
  {
    name: "nothing-is-created-before-the-first-taker",
    law: "L8",
    rule: "areas are created when somebody takes them",
    row: "E5",
    find: "pool.gate.preallocate(Math.max(settings.reserve + 1, settings.prealloc))",
    replace: "pool.gate.preallocate(settings.prealloc)"
  },
  {
    name: "strict-priority-without-ageing",
    law: "ageing",
    rule: "the less critical wait until the more critical want nothing",
    row: "F8",
    find: "if (settings.ageAfterMs !== Infinity) yield*",
    replace: "if (settings.ageAfterMs < 0) yield*"
  },

  // ---- closing --------------------------------------------------------------------------------------------------------
  {
    name: "closing-wakes-nobody-by-hand",
    law: "L4",
    rule: "a pool stepped by hand leaves its last wakes to a step that never comes",
    find: "  if (turns === Turns.byHand) { while (gate.pendingWakes > 0) gate.flush(wakesPerTurn) }\n",
    replace: "  void turns\n"
  }
])

/** The core's rules, broken for fibers and judged by programs of fibers. */
const gate = mutantsOf("fibers", "packages/headgate/src/internal/gate.ts", [
  {
    name: "check-then-register",
    law: "L4",
    rule: "a fiber that found no buffer queues, and does not look again: a yield may fall between the two",
    find: "    const area = this.claim(waiter.level)\n    if (area === undefined && !this.admits(waiter)) {",
    replace:
      "    const area = waiter.isFiber ? undefined : this.claim(waiter.level)\n    if (area === undefined && !this.admits(waiter)) {"
  },
  {
    name: "inline-resume",
    law: "L9",
    rule: "a fiber is resumed inside the step that granted",
    find: "push(waiter.isFiber ? this.readyFibers : this.ready, waiter)",
    replace: "push(this.ready, waiter)"
  },
  {
    name: "leave-loses-a-fibers-grant",
    law: "L9",
    rule: "who is interrupted after its grant takes the buffer with it",
    find: "else if (waiter.state === \"granted\") this.passOn(waiter)",
    replace: "else if (waiter.state === \"granted\") this.collect(waiter)"
  },
  {
    name: "give-back-forgets-to-offer-fibers",
    law: "L4",
    rule: "what comes back is free until the next flush",
    find: "    if (this.closed) return\n    this.shrink()\n    this.recover()\n    this.offer()\n",
    replace:
      "    if (this.closed) return\n    this.shrink()\n    this.recover()\n    if (this.ready.length > 0) this.offer()\n"
  },
  {
    name: "newcomers-past-the-queue",
    law: "L5",
    rule: "who is served is the one who came last",
    find: "      const head = this.queues[at]!.head\n      if (head !== undefined) return head\n",
    replace: "      const head = this.queues[at]!.tail\n      if (head !== undefined) return head\n"
  },
  {
    name: "closing-keeps-unused-areas",
    law: "L3",
    rule: "a closed pool keeps its unused areas for its holders' sake",
    find: "    this.destroyAbove(this.used)\n    this.settle()\n",
    replace: "    this.settle()\n"
  },
  {
    name: "reserve-for-nobody",
    law: "L7",
    rule: "a class leaves its margin behind only while somebody more critical waits",
    find: "    const margin = this.margins[at]!\n",
    replace: "    const margin = this.first() === undefined ? 0 : this.margins[at]!\n"
  },
  {
    name: "capacity-without-a-bound",
    law: "L1",
    rule: "a give-back raises the capacity to what was once the limit",
    find: "    if (this.capacity < this.limit) this.capacity = this.limit\n",
    replace: "    this.capacity = Math.max(this.capacity, this.limit, this.highWater + this.reserve)\n"
  }
])

const lease = mutantsOf("fibers", "packages/headgate/src/internal/buffer.ts", [
  {
    name: "a-stale-lease-may-be-written",
    law: "L2",
    rule: "who gave a buffer back knows that it did",
    find: "    if (!this.live) throw this.misuse(`${operation} on a buffer that was given back`)\n",
    replace: ""
  }
])

const memory = mutantsOf("fibers", "packages/headgate/src/internal/poolSettings.ts", [
  {
    name: "two-areas-share-their-memory",
    law: "L2",
    rule: "the memory of a buffer that was given back may serve two",
    find: "options.allocate ?? ((size) => new Uint8Array(size))",
    replace: "options.allocate ?? ((size) => (shared ??= new Uint8Array(size)))",
    and: [{
      file: "packages/headgate/src/internal/poolSettings.ts",
      find: "export interface Settings {\n",
      replace: "let shared: Uint8Array<ArrayBuffer> | undefined\n\nexport interface Settings {\n"
    }]
  }
])

const nesting = mutantsOf("fibers", "packages/headgate/src/internal/nesting.ts", [
  {
    name: "equal-margins-are-in-order",
    law: "L8",
    rule: "buffers needed together are taken in an order that never rises",
    find: "]! <= this.margins[at]!",
    replace: "]! < this.margins[at]!"
  }
])

const ageing = mutantsOf("fibers", "packages/headgate/src/internal/ageing.ts", [
  {
    name: "a-window-that-does-not-end",
    law: "ageing",
    rule: "a class is favoured while its head has waited too long",
    row: "E12",
    find: "leftMs <= 0 || gate.oldestWaitMs(at) < afterMs",
    replace: "gate.oldestWaitMs(at) < afterMs"
  },
  {
    name: "windows-of-250-ms",
    law: "ageing",
    rule: "a class is favoured for 250 ms in a second, or until its head is served",
    row: "E14",
    find: "const windowMs = Math.min(Math.max(waitedMs / 4, shortestWindowMs), longestWindowMs)",
    replace: "const windowMs = shortestWindowMs"
  },
  {
    name: "windows-without-a-pause",
    law: "ageing",
    rule: "a window that ended may begin again at once",
    find: "    Effect.andThen(Effect.sleep(4 * windowMs))\n",
    replace: "    Effect.andThen(Effect.sleep(1))\n"
  },
  {
    name: "favouring-outlives-its-fiber",
    law: "ageing",
    rule: "the table is restored when the window is over, not when its fiber is",
    find: "Effect.ensuring(Effect.sync(() => gate.favour(undefined)))",
    replace: "Effect.andThen(Effect.sync(() => gate.favour(undefined)))"
  },
  {
    name: "ageing-checks-then-registers",
    law: "ageing",
    rule: "nobody comes between the look that found nobody and the sleep that follows",
    find: "      if (gate.queues[endpoint]!.length + gate.queues[rx]!.length > 0) return resume(Effect.void)\n",
    replace: ""
  }
])

const loans = mutantsOf("fibers", "packages/headgate/src/internal/loan.ts", [
  {
    name: "the-buffer-comes-before-its-frame",
    law: "L9",
    rule: "withBuffer takes what is free, or queues, and promises to clean up in its next step",
    find: "  const loan = new Loan(request)\n  return Effect.onExitPrimitive(loan, () => {\n    loan.over()\n",
    replace:
      "  const loan = new Loan(request)\n  const lent = loan.asEffect()\n  return Effect.onExitPrimitive(lent, () => {\n    loan.over()\n"
  },
  {
    name: "a-lease-is-noted-a-step-later",
    law: "L9",
    rule: "what was taken, or collected, is noted when its use begins",
    find: "    this.lease = door\n    const { use } = this.request\n    return use(door)\n",
    replace: "    return Effect.suspend(() => {\n      this.lease = door\n      return this.request.use(door)\n    })\n"
  },
  {
    name: "release-only-after-success",
    law: "L9",
    rule: "withBuffer gives back when its body has returned",
    find: "  return Effect.onExitPrimitive(loan, () => {\n    loan.over()\n",
    replace: "  return Effect.onExitPrimitive(loan, (exit) => {\n    if (Exit.isSuccess(exit)) loan.over()\n"
  },
  {
    name: "an-interrupted-waiter-stays",
    law: "L9",
    rule: "who is interrupted while it waits is passed over when its turn comes",
    find: "    else if (this.waiter !== undefined) bank.leave(this.waiter)\n",
    replace: ""
  },
  {
    name: "waiting-cannot-be-interrupted",
    law: "L9",
    rule: "who waits for a buffer waits until it has one",
    find: "    return Effect.callback<A, E | Refusal, R>((resume) => this.sleep(resume))\n",
    replace: "    return Effect.uninterruptible(Effect.callback<A, E | Refusal, R>((resume) => this.sleep(resume)))\n"
  },
  {
    name: "an-interrupted-acquire-leaves-its-buffer-with-the-scope",
    law: "L9",
    rule: "an acquire that owned a buffer and was interrupted leaves it to the scope's end",
    find: "    if (Exit.isFailure(exit)) loan.over()\n",
    replace: "    if (Exit.isFailure(exit) && loan[\"lease\"] === undefined) loan.over()\n",
    and: [{
      file: "packages/headgate/src/internal/pool.ts",
      find: "lentUntil(this, criticality, (granted) => this.untilClosed(scope, granted))",
      replace:
        "lentUntil(this, criticality, (granted) => Effect.andThen(this.untilClosed(scope, granted), Effect.succeed(granted)))"
    }]
  },
  {
    name: "acquire-registers-in-a-step-of-its-own",
    law: "L9",
    rule:
      "who waited owns its buffer first, and binds it to the scope in the next step, from when on it is the scope's",
    find: "    if (Exit.isFailure(exit)) loan.over()\n",
    replace: "    if (Exit.isFailure(exit) && loan[\"lease\"] === undefined) loan.over()\n",
    and: [{
      file: "packages/headgate/src/internal/pool.ts",
      find: "lentUntil(this, criticality, (granted) => this.untilClosed(scope, granted))",
      replace: "lentUntil(this, criticality, (granted) => Effect.suspend(() => this.untilClosed(scope, granted)))"
    }]
  },
  {
    name: "a-throwing-body-keeps-its-buffer",
    law: "L3",
    rule: "withBufferSync gives back what a body that returned has used",
    find: "    try {\n      return Effect.succeed(use(lease))\n    } finally {\n      bank.end(lease)\n    }\n",
    replace: "    const value = use(lease)\n    bank.end(lease)\n    return Effect.succeed(value)\n"
  },
  {
    name: "a-wake-before-the-callback-is-lost",
    law: "L4",
    rule: "a fiber that is queued will be asleep before it is woken: no yield falls between",
    find: "    if (this.isTold) resume(this)\n    else this.resume = resume\n",
    replace: "    this.resume = resume\n"
  },
  {
    name: "a-fiber-declines-its-grant",
    law: "L11",
    rule: "a fiber's wake resumes it and promises nothing",
    find: "    this.resume?.(this)\n    return true\n",
    replace: "    this.resume?.(this)\n    return this.request === undefined\n"
  }
])

const finalizers = mutantsOf("fibers", "packages/headgate/src/internal/finalizer.ts", [
  {
    name: "the-second-finalizer-drops-the-first",
    law: "L3",
    rule: "a scope has one finalizer",
    find: "finalizer === undefined || finalizerKey === undefined ? [] : [[finalizerKey, finalizer]]",
    replace: "[]"
  },
  {
    name: "a-closed-scope-takes-finalizers",
    law: "L3",
    rule: "what is acquired in a scope that has closed is its taker's for ever",
    find: "  if (state._tag === \"Closed\") return false\n",
    replace: "  if (state._tag === \"Closed\") return true\n"
  }
])

export const fibers = [
  ...pool,
  ...loans,
  ...finalizers,
  ...gate,
  ...lease,
  ...memory,
  ...nesting,
  ...ageing
]

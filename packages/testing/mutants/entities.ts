/** Wrong variants of tasks, streams, applets and channels. */
import { mutantsOf } from "./mutant.ts"

const channel = mutantsOf("entities", "packages/headgate/src/internal/channel.ts", [
  {
    name: "drained-outside-a-run-is-forgotten",
    law: "L3",
    rule: "a channel that is emptied outside a run gives back when its filler runs next (the seed)",
    find: "    if (lease !== this.lease || lease.length > 0 || lease.pins > 0) return\n",
    replace:
      "    if (currentRun() === undefined || lease !== this.lease || lease.length > 0 || lease.pins > 0) return\n"
  },
  {
    name: "an-emptied-buffer-goes-although-pinned",
    law: "L2",
    rule: "a buffer that is empty goes back, whoever still uses its memory",
    find: "lease.length > 0 || lease.pins > 0) return",
    replace: "lease.length > 0) return"
  },
  {
    name: "a-run-does-not-pin",
    law: "L2",
    rule: "what a run allocated may be taken from it while it is suspended",
    find: "    this.runLease = this.lease\n    this.pool.pinUnsafe(this.lease)\n    run.hold(this)\n",
    replace: "    run.hold(this)\n"
  },
  {
    name: "a-run-pins-its-first-buffer-only",
    law: "L2",
    rule: "a run that gave its buffer back by hand has the next one unpinned",
    find: "run.entity !== this.filler || this.runLease === this.lease) return",
    replace: "run.entity !== this.filler || this.runLease !== undefined) return"
  },
  {
    name: "waiting-in-the-streams-name",
    law: "L4",
    rule: "a buffer for an applet's channel wakes the stream (the seed's bug)",
    find: "    this.filler.wakeUnsafe(\"resource\")\n    return true\n",
    replace: "    ;(this.stream ?? this.filler).wakeUnsafe(\"resource\")\n    return true\n",
    and: [
      {
        file: "packages/headgate/src/internal/channel.ts",
        find: "  filler: Filler | undefined = undefined\n",
        replace: "  filler: Filler | undefined = undefined\n  stream: Filler | undefined = undefined\n"
      },
      {
        file: "packages/headgate/src/ByteStream.ts",
        find: "    for (const channel of filled) channel.filler = entity\n",
        replace:
          "    for (const channel of filled) channel.filler = entity\n    for (const channel of channels) channel.stream = entity\n"
      }
    ]
  },
  {
    name: "a-grant-wakes-nobody",
    law: "L4",
    rule: "a filler finds its grant when it runs next",
    find: "    this.filler.wakeUnsafe(\"resource\")\n    return true\n",
    replace: "    return true\n"
  },
  {
    name: "a-grant-without-a-filler-is-kept",
    law: "L4",
    rule: "a grant for an applet to come waits for it",
    find: "    if (this.filler === undefined) return false\n    this.filler.wakeUnsafe(\"resource\")\n",
    replace: "    this.filler?.wakeUnsafe(\"resource\")\n"
  },
  {
    name: "an-uncollected-grant-is-kept",
    law: "L8",
    rule: "a grant that the run it woke did not collect waits for the next run",
    find: "      if (this.waiter.state === \"granted\" && this.waiter.grantNumber === told) {\n",
    replace: "      if (this.waiter.state === \"granted\" && this.waiter.grantNumber < 0) {\n"
  },
  {
    name: "a-run-passes-on-what-came-for-the-next",
    law: "L5",
    rule: "at its exit a run passes on whatever grant there is",
    find: "      if (this.waiter.state === \"granted\" && this.waiter.grantNumber === told) {\n",
    replace: "      if (this.waiter.state === \"granted\" && told >= 0) {\n"
  },
  {
    name: "a-dead-stream-stays-in-the-queue",
    law: "L6",
    rule: "who has ended is passed over when its turn comes",
    find: "    this.ended = true\n    this.pool.waitQueue.leaveUnsafe(this.waiter)\n",
    replace: "    this.ended = true\n"
  },
  {
    name: "a-dead-stream-keeps-its-bytes",
    law: "L3",
    rule: "a stream that ends leaves its bytes to whoever reads them",
    find: "    if (lease !== undefined) this.pool.giveBackUnsafe(lease)\n  }\n",
    replace: "    void lease\n  }\n"
  },
  {
    name: "applets-survive-their-stream",
    law: "L6",
    rule: "an applet ends by itself",
    find: "    if (this.filledBy === \"applet\") this.filler?.endUnsafe()\n",
    replace: ""
  },
  {
    name: "try-alloc-queues",
    law: "L6",
    rule: "who tries in vain is queued like who asks",
    find: "      if (buffer === undefined) return true\n",
    replace: "      if (buffer === undefined) return this.allocUnsafe() !== \"closed\"\n"
  },
  {
    name: "release-leaves-the-runs-pin",
    law: "L8",
    rule: "what a run released goes back when the run is over",
    find: "    if (currentRun()?.entity === this.filler) this.afterRun()\n",
    replace: ""
  }
])

const leases = mutantsOf("entities", "packages/headgate/src/internal/pool.ts", [
  {
    name: "emptied-under-a-pin-is-forgotten",
    law: "L8",
    rule: "the channel of a buffer that was emptied while pinned learns of the unpin when its filler runs next",
    find: "    lease.holder?.maybeEmpty(lease)\n",
    replace: ""
  }
])

const bytes = mutantsOf("entities", "packages/headgate/src/internal/buffer.ts", [
  {
    name: "a-buffer-given-back-by-hand-stays-in-its-channel",
    law: "L2",
    rule: "a channel keeps its buffer until it gives it back itself",
    find: "    this.holder?.gone(this)\n",
    replace: ""
  }
])

const doors = mutantsOf("entities", "packages/headgate/src/ByteChannel.ts", [
  {
    name: "an-alloc-scope-does-not-pin",
    law: "L2",
    rule: "an open alloc scope keeps the bytes and not the buffer",
    find:
      "  channel.pool.pinUnsafe(buffer)\n  return Effect.as(Effect.addFinalizer(() => Effect.sync(() => channel.pool.unpinUnsafe(buffer))), buffer)\n",
    replace: "  return Effect.as(Effect.addFinalizer(() => Effect.sync(() => releaseUnsafe(channel))), buffer)\n"
  },
  {
    name: "anybody-may-fill",
    law: "L6",
    rule: "whoever has a channel may allocate it",
    find: "if (run === undefined || run.entity === mine.filler) return mine",
    replace: "if (run === undefined || run.entity !== mine) return mine"
  },
  {
    name: "alloc-without-a-mask",
    law: "L9",
    rule: "alloc does not wait, so it needs no mask",
    find:
      "  Effect.uninterruptible(\n    Effect.withFiber((fiber): Effect.Effect<ByteBuffer, BufferPending | PoolClosed, Scope.Scope> => {",
    replace:
      "  Effect.suspend(() =>\n    Effect.withFiber((fiber): Effect.Effect<ByteBuffer, BufferPending | PoolClosed, Scope.Scope> => {"
  }
])

const streams = mutantsOf("entities", "packages/headgate/src/ByteStream.ts", [
  {
    name: "a-filter-asks-at-the-margin-that-it-empties",
    law: "L8",
    rule: "what empties a channel may ask at the channel's own margin",
    row: "E10",
    find: "if (responseMargin < requestMargin) return Effect.void",
    replace: "if (responseMargin <= requestMargin) return Effect.void"
  },
  {
    name: "leaves-one-queue-after-the-other",
    law: "L6",
    rule: "a stream that ends deals with one channel after the other",
    find: `          for (const channel of channels) channel.stop()
          for (const channel of channels) channel.endApplet()
          for (const channel of channels) channel.letGo()
`,
    replace: `          for (const channel of channels) {
            channel.letGo()
            channel.stop()
            channel.endApplet()
          }
`
  },
  {
    name: "responses-at-endpoint",
    law: "L7",
    rule: "a stream's response leaves as much behind it as an applet's",
    find: "(filledBy === \"applet\" ? \"endpoint\" : \"channel\")",
    replace: "\"endpoint\""
  }
])

const applets = mutantsOf("entities", "packages/headgate/src/Applet.ts", [
  {
    name: "again-without-a-buffer-spins",
    law: "runs",
    rule: "an applet that says again is run again",
    find: "verdict === \"again\" && Option.isSome(input)",
    replace: "verdict === \"again\""
  },
  {
    name: "an-applet-without-its-stream",
    law: "L6",
    rule: "an applet may be attached to a stream that has ended",
    find: "    if (channel.ended) {\n      entity.endUnsafe()\n    }\n",
    replace: ""
  },
  {
    name: "an-applet-made-without-a-mask",
    law: "L9",
    rule: "who makes an applet may be interrupted in the middle",
    find: "  Effect.uninterruptible(Effect.gen(function*() {\n    const scheduler = yield* AppletScheduler\n",
    replace: "  Effect.suspend(() => Effect.gen(function*() {\n    const scheduler = yield* AppletScheduler\n"
  }
])

const entity = mutantsOf("entities", "packages/headgate/src/internal/entity.ts", [
  {
    name: "a-start-before-the-first-sleep-is-lost",
    law: "L9",
    rule: "an entity's fiber sleeps before anybody can start it",
    find: "    else if (this.hasStarted) resume(this.turn)\n",
    replace: ""
  },
  {
    name: "interrupted-before-it-starts-it-never-ends",
    law: "L9",
    rule: "an entity's first operation is part of its making",
    find: "{ startImmediately: true }),\n",
    replace: "{}),\n"
  },
  {
    name: "an-end-that-may-stop-half-way",
    law: "L9",
    rule: "whoever ends an entity interrupts its run in a step of its own",
    find: "    this.fiber.interruptUnsafe(fiber.id)\n    return Effect.asVoid(Fiber.await(this.fiber))\n",
    replace: "    return Fiber.interrupt(this.fiber)\n"
  },
  {
    name: "a-run-that-ends-itself-is-interrupted",
    law: "runs",
    rule: "an end is an end, from inside a run too",
    find: "this.run !== undefined && runOf(fiber) === this.run",
    replace: "this.run === undefined && runOf(fiber) !== undefined"
  },
  {
    name: "a-runs-pins-outlive-it",
    law: "L3",
    rule: "what a run pinned is unpinned by the next run",
    find: "    run?.exit()\n    afterRun?.()\n",
    replace: "    void run\n    afterRun?.()\n"
  },
  {
    name: "an-entitys-scope-outlives-it",
    law: "L3",
    rule: "what an entity added to its scope lives as long as the scope that it was made in",
    find: "Effect.andThen(unseen, Scope.close(this.scope, exit))",
    replace: "unseen"
  },
  {
    name: "a-run-is-over-when-it-suspends",
    law: "runs",
    rule: "a run is over for the queue when it has started",
    find: "      this.resume?.(this.turn)\n    })\n",
    replace: "      this.resume?.(this.turn)\n      this.runnable.finishedUnsafe()\n    })\n"
  },
  {
    name: "pending-is-a-failure",
    law: "L8",
    rule: "a run that found no buffer has failed",
    find: "isFinal(error) ? Effect.fail(error) : life",
    replace: "isFinal(error) ? Effect.fail(error) : Effect.die(error)"
  }
])

const run = mutantsOf("entities", "packages/headgate/src/internal/run.ts", [
  {
    name: "a-run-never-exits",
    law: "L8",
    rule: "who was forked by a run may not wait, even when that run is long over",
    find: "    this.active = false\n",
    replace: ""
  },
  {
    name: "a-run-that-added-nothing-leaves-its-scope-open",
    law: "runs",
    rule: "a run's scope is closed if something was added to it; what is added to others later is never run",
    find: "      scope.state = closedState\n",
    replace: ""
  },
  {
    name: "all-runs-have-one-scope",
    law: "runs",
    rule: "the scope of a run is that of all runs",
    find: "= { ...emptyScope }",
    replace: "= emptyScope"
  }
])

const turns = mutantsOf("entities", "packages/headgate/src/internal/turns.ts", [
  {
    name: "a-turn-without-depth",
    law: "turns",
    rule: "a turn starts every run that there is",
    find: "    try {\n      work.run(work.perTurn)\n",
    replace: "    try {\n      work.run(Infinity)\n"
  }
])

export const entities = [
  ...channel,
  ...leases,
  ...bytes,
  ...doors,
  ...streams,
  ...applets,
  ...entity,
  ...run,
  ...turns
]

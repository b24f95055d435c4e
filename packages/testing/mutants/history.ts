/** HAProxy's own bugs of thirteen years, one or two of a kind, made here: what the catalogue of its fixes says went wrong. */
import { mutantsOf } from "./mutant.ts"

const gate = mutantsOf("history", "packages/headgate/src/internal/gate.ts", [
  {
    name: "every-offer-wakes-all",
    law: "wakes",
    rule: "a release wakes everybody who waits, for anybody's sake",
    find: "  private offer(): void {\n",
    replace:
      "  private offer(): void {\n    for (const waiter of this.queues.flatMap(toArray)) waiter.wake(\"granted\")\n"
  },
  {
    name: "told-to-wait-and-put-in-no-list",
    law: "L6",
    rule: "who is told to wait puts itself in the queue",
    find: "    push(this.queues[waiter.level]!, waiter)\n",
    replace: ""
  },
  {
    name: "counted-before-it-is-created",
    law: "L1",
    rule: "an area is counted when its creation begins",
    find: "        const area = new Area(this.options.create())\n",
    replace:
      "        this.allocated++\n        const area = new Area(this.options.create())\n        this.allocated--\n"
  },
  {
    name: "a-failed-creation-leaves-the-capacity",
    law: "L8",
    rule: "an area that could not be created is free all the same",
    find: "      this.capacity = this.allocated\n      return false",
    replace: "      return false"
  },
  {
    name: "who-finds-no-memory-fails",
    law: "L8",
    rule: "who finds no memory has failed, and need not wait",
    find: "      this.lastFailure = cause\n",
    replace: "      this.lastFailure = cause\n      if (this.used > 0) throw cause\n"
  },
  {
    name: "responses-leave-nothing-to-the-operator",
    law: "L7",
    rule: "the operator's view is for quiet times",
    find: "Math.floor(l * options.reserve / 3)",
    replace: "l < 2 ? 0 : Math.floor(l * options.reserve / 3)"
  },
  {
    name: "a-head-that-may-not-be-served-goes-to-the-end",
    law: "L5",
    rule: "who is woken in vain queues again",
    find: "      if (area === undefined) return\n",
    replace: `      if (area === undefined) {
        this.dequeue(waiter)
        this.enqueue(waiter)
        return
      }
`
  }
])

const channel = mutantsOf("history", "packages/headgate/src/internal/channel.ts", [
  {
    name: "emptying-a-channel-wakes-its-filler",
    law: "wakes",
    rule: "who fills a channel is woken whenever it empties, whether it wants to or not",
    find: "  maybeEmpty(lease: Lease): void {\n",
    replace: "  maybeEmpty(lease: Lease): void {\n    this.filler?.wakeUnsafe(\"io\")\n"
  },
  {
    name: "who-finds-no-buffer-wakes-itself",
    law: "runs",
    rule: "who finds no buffer tries again in its next turn",
    find: "      if (door === \"queued\" || door === \"closed\") return door\n",
    replace: `      if (door === "queued") this.filler?.wakeUnsafe("resource")
      if (door === "queued" || door === "closed") return door
`
  }
])

const streams = mutantsOf("history", "packages/headgate/src/ByteStream.ts", [
  {
    name: "counted-before-it-is-known-to-be-right",
    law: "runs",
    rule: "an entity is counted first, and checked then",
    find: "    yield* inOrder(name, request, response, pool.reserve)\n",
    replace: `    scheduler.runnable(() => {})
    yield* inOrder(name, request, response, pool.reserve)
`
  }
])

const scheduler = mutantsOf("history", "packages/headgate/src/internal/scheduler.ts", [
  {
    name: "an-end-is-not-counted",
    law: "L1",
    rule: "entities are counted as they come",
    find: "        this.entities--\n",
    replace: ""
  }
])

export const history = [...gate, ...channel, ...streams, ...scheduler]

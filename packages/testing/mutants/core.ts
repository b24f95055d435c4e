/** Wrong variants of the core: of the gate, its lists, the margins, and the run queue. */
import { mutantsOf } from "./mutant.ts"

const gate = mutantsOf("core", "packages/headgate/src/internal/gate.ts", [
  // ---- L1: bound ------------------------------------------------------------------------------------------------------
  {
    name: "a-grant-may-eat-its-margin",
    law: "L1",
    rule: "one may be taken if as many are free as the margin",
    find: "    if (this.unused.length <= margin && !this.createBehind(margin)) return undefined\n",
    replace: "    if (this.unused.length < Math.max(1, margin) && !this.createBehind(margin)) return undefined\n"
  },
  {
    name: "shrinking-keeps-the-surplus-areas",
    law: "L1",
    rule: "a capacity that falls leaves the unused areas where they are",
    find: "    this.capacity = target\n    this.destroyAbove(target)\n",
    replace: "    this.capacity = target\n"
  },
  {
    name: "shrinking-by-the-favoured-margins",
    law: "L1",
    rule: "a shrinking capacity leaves the margins in force behind what is lent, not the ordinary ones",
    find: "target = Math.max(target, lentFrom + this.ordinaryMargins[at]!)",
    replace: "target = Math.max(target, lentFrom + this.margins[at]!)"
  },
  {
    name: "never-shrinks",
    law: "L1",
    rule: "a lower limit is for newcomers: what comes back stays",
    find: "    if (this.capacity <= this.limit) return\n",
    replace: "    return\n"
  },

  // ---- L2: ownership --------------------------------------------------------------------------------------------------
  {
    name: "a-pin-is-ignored-at-the-give-back",
    law: "L2",
    rule: "who gives back says that nobody uses the area any more",
    find: "    if (area.pins > 0) area.lent = false\n    else this.takeBack(area)\n",
    replace: "    this.takeBack(area)\n"
  },
  {
    name: "the-first-unpin-frees",
    law: "L2",
    rule: "pins do not count: the first that goes frees the area",
    find: "if (area.pins === 0 && !area.lent)",
    replace: "if (!area.lent)"
  },
  {
    name: "a-grant-is-handed-out-and-kept",
    law: "L2",
    rule: "who collected its grant may collect it again",
    find: "    waiter.state = \"idle\"\n    waiter.grant = undefined\n    unlink(waiter)\n    return area\n",
    replace: "    unlink(waiter)\n    return area\n"
  },
  {
    name: "a-lent-area-stays-in-the-free-list",
    law: "L2",
    rule: "taking looks at the free list and leaves it as it is",
    find: "    const area = this.unused.pop()\n",
    replace: "    const area = this.unused.at(-1)\n"
  },

  // ---- L3: conservation -----------------------------------------------------------------------------------------------
  {
    name: "the-last-unpin-forgets-the-area",
    law: "L3",
    rule: "an area whose lease ended under a pin is nobody's for ever",
    find: "    if (area.pins === 0 && !area.lent) this.takeBack(area)\n",
    replace: ""
  },
  {
    name: "leave-loses-a-grant",
    law: "L3",
    rule: "who leaves takes its grant with it",
    find: "else if (waiter.state === \"granted\") this.passOn(waiter)",
    replace: "else if (waiter.state === \"granted\") this.collect(waiter)"
  },
  {
    name: "a-closed-pool-keeps-what-comes-back",
    law: "L3",
    rule: "a give-back to a closed pool leaves its area standing",
    find: "    if (isKept && !this.closed) this.unused.push(area)\n    else this.forget(area)\n",
    replace: "    if (isKept && !this.closed) this.unused.push(area)\n    else if (!this.closed) this.forget(area)\n"
  },
  {
    name: "a-second-buffer-beside-the-grant",
    law: "L3",
    rule: "between grant and wake there is no state: who asks again takes another",
    row: "E7",
    find: "    if (waiter.state === \"granted\") return this.collect(waiter)\n    if (this.closed) return \"closed\"\n",
    replace: "    if (this.closed) return \"closed\"\n"
  },

  // ---- L4: no lost wakeup ---------------------------------------------------------------------------------------------
  {
    name: "give-back-forgets-to-offer",
    law: "L4",
    rule: "what comes back is free until somebody asks",
    find: "    if (this.closed) return\n    this.shrink()\n    this.recover()\n    this.offer()\n",
    replace: "    if (this.closed) return\n    this.shrink()\n    this.recover()\n"
  },
  {
    name: "wake-without-hand-off",
    law: "L4",
    rule:
      "one waiter is woken for what came back, and takes it if it is still there (the seed's rule, without its estimate)",
    find: `      const area = this.claim(waiter.level)
      if (area === undefined) return
      this.dequeue(waiter)
      this.grant(waiter, area)
`,
    replace: `      if (this.free <= this.margins[waiter.level]!) return
      this.dequeue(waiter)
      return this.announce(waiter, "granted")
`
  },
  {
    name: "estimate-offer",
    law: "L4",
    rule: "as many are served as allocated - used - reserve / 2 exceeds the wakes still to come (the seed's estimate)",
    find: `    for (let waiter = this.first(); waiter !== undefined; waiter = this.first()) {
`,
    replace: `    let estimate = this.allocated - this.used - Math.floor(this.reserve / 2) - this.pendingWakes
    for (let waiter = this.first(); waiter !== undefined && estimate-- > 0; waiter = this.first()) {
`
  },
  {
    name: "one-give-back-serves-one",
    law: "L4",
    rule: "an offer serves one waiter, for one buffer came back",
    find: "      this.dequeue(waiter)\n      this.grant(waiter, area)\n",
    replace: "      this.dequeue(waiter)\n      return this.grant(waiter, area)\n"
  },
  {
    name: "resize-forgets-to-offer",
    law: "L4",
    rule: "a higher limit is for those who ask next",
    find: "    this.limit = limit\n    this.shrink()\n    this.recover()\n    this.offer()\n",
    replace: "    this.limit = limit\n    this.shrink()\n    this.recover()\n"
  },
  {
    name: "trim-forgets-to-offer",
    law: "L4",
    rule: "trim forgets a failed creation and serves nobody",
    find: "    this.recover()\n    this.offer()\n    this.destroyAbove(Math.max(",
    replace: "    this.recover()\n    this.destroyAbove(Math.max("
  },
  {
    name: "no-offer-when-the-table-changes",
    law: "L4",
    rule: "another table is for what comes back next",
    row: "E15",
    find: "own : margins[at]!)\n    this.offer()\n",
    replace: "own : margins[at]!)\n"
  },
  {
    name: "closing-forgets-the-last-class",
    law: "L4",
    rule: "closing tells those who may still be served",
    find: "    for (const queue of this.queues) {\n      for (let waiter",
    replace: "    for (const queue of this.queues.slice(0, 3)) {\n      for (let waiter"
  },
  {
    name: "no-flush-is-asked-for",
    law: "L4",
    rule: "the wakes beyond one turn's share come with the next operation",
    find: "    if (this.ready.length > 0) this.options.schedule()\n",
    replace: ""
  },
  {
    name: "the-others-keep-their-margins-behind-the-favoured",
    law: "L4",
    rule: "favouring changes the order and not the margins (so the offer would have to pass over who is not entitled)",
    row: "E11",
    find: "margins.map((own, l) => l === 0 || l > at ? own : margins[at]!)",
    replace: "margins"
  },

  // ---- L5: order ------------------------------------------------------------------------------------------------------
  {
    name: "last-in-first-out",
    law: "L5",
    rule: "the one who came last is served first",
    find: "      const head = this.queues[at]!.head\n      if (head !== undefined) return head\n",
    replace: "      const head = this.queues[at]!.tail\n      if (head !== undefined) return head\n"
  },
  {
    name: "least-critical-first",
    law: "L5",
    rule: "who brings bytes in is served before who lets them out",
    find: "for (const at of this.table) {",
    replace: "for (const at of this.table.toReversed()) {"
  },
  {
    name: "asking-again-goes-to-the-tail",
    law: "L5",
    rule: "who asks again queues again (the seed: a woken waiter that fails goes to the tail)",
    find: "    if (waiter.state === \"queued\") return \"queued\"\n",
    replace: "    if (waiter.state === \"queued\") this.dequeue(waiter)\n"
  },
  {
    name: "margin-at-redemption",
    law: "L5",
    rule: "a grant is checked against the margin once more when it is collected, and given up if that fails",
    find: "    if (waiter.state === \"granted\") return this.collect(waiter)\n    if (this.closed) return \"closed\"\n",
    replace:
      `    if (waiter.state === "granted" && this.free >= this.margins[waiter.level]!) return this.collect(waiter)
    if (waiter.state === "granted") this.passOn(waiter)
    if (this.closed) return "closed"
`
  },
  {
    name: "the-favoured-class-before-tx",
    law: "L5",
    rule: "who is favoured is served before everybody",
    find: "at === favoured ? 0 : at\n",
    replace: "at === favoured ? -1 : at\n"
  },
  {
    name: "a-newcomer-takes-what-is-free",
    law: "L5",
    rule: "who comes while something is free need not look at margins",
    find: "    const area = this.claim(waiter.level)\n    if (area === undefined && !this.admits(waiter)) {",
    replace: "    const area = this.claim(0)\n    if (area === undefined && !this.admits(waiter)) {"
  },

  // ---- L6: single entry -----------------------------------------------------------------------------------------------
  {
    name: "double-enqueue",
    law: "L6",
    rule: "who asks twice is queued twice",
    find: "    if (waiter.state === \"queued\") return \"queued\"\n    const area",
    replace: "    const area"
  },
  {
    name: "leave-forgets-the-queue",
    law: "L6",
    rule: "who leaves is passed over when its turn comes",
    find: "    if (waiter.state === \"queued\") this.dequeue(waiter)\n    else if",
    replace: "    if (waiter.state === \"queued\") waiter.state = \"idle\"\n    else if"
  },
  {
    name: "collecting-leaves-the-wake-to-come",
    law: "L6",
    rule: "who collects before its wake is woken all the same",
    find: "    waiter.grant = undefined\n    unlink(waiter)\n",
    replace: "    waiter.grant = undefined\n"
  },
  {
    name: "max-waiting-counts-entities",
    law: "L6",
    rule: "maxWaiting bounds everybody, entities too",
    find: "return !waiter.isFiber || this.fibersQueued",
    replace: "return this.fibersQueued"
  },

  // ---- L7: reserve ----------------------------------------------------------------------------------------------------
  {
    name: "the-reserve-is-a-number",
    law: "L7",
    rule: "a grant creates the area that it lends, and none behind it",
    row: "E4",
    find: "    if (this.unused.length <= margin && !this.createBehind(margin)) return undefined\n",
    replace: "    if (this.unused.length === 0 && !this.createBehind(0) || this.free <= margin) return undefined\n"
  },
  {
    name: "trim-takes-the-reserve",
    law: "L7",
    rule: "trim keeps what is used",
    find: "Math.max(this.reserve + 1, this.used + this.reserve)",
    replace: "Math.max(this.reserve + 1, this.used)"
  },
  {
    name: "shrinking-leaves-no-margin",
    law: "L7",
    rule: "a shrinking capacity falls to what is lent, class by class",
    find: "target = Math.max(target, lentFrom + this.ordinaryMargins[at]!)",
    replace: "target = Math.max(target, lentFrom)"
  },

  // ---- L8: progress ---------------------------------------------------------------------------------------------------
  {
    name: "nobody-is-granted-above-the-limit",
    law: "L8",
    rule: "while more is used than the limit, nobody is granted",
    row: "E1",
    find: "    if (this.unused.length <= margin && !this.createBehind(margin)) return undefined\n",
    replace:
      "    if (this.unused.length <= margin && !this.createBehind(margin) || this.used >= this.limit) return undefined\n"
  },
  {
    name: "shrinking-to-used-and-reserve",
    law: "L8",
    rule: "a capacity above the limit falls to max(limit, used + reserve)",
    row: "E2",
    find: "target = Math.max(target, lentFrom + this.ordinaryMargins[at]!)",
    replace: "target = Math.max(this.limit, this.used + this.reserve)"
  },
  {
    name: "shrinking-counts-the-returning-buffer",
    law: "L8",
    rule: "a capacity shrinks before what comes back is counted as back",
    row: "E3",
    find: "    area.lent = false\n    const isKept",
    replace: "    if (!this.closed) this.shrink()\n    area.lent = false\n    const isKept",
    and: [{
      file: "packages/headgate/src/internal/gate.ts",
      find: "    if (this.closed) return\n    this.shrink()\n    this.recover()\n",
      replace: "    if (this.closed) return\n    this.recover()\n"
    }]
  },
  {
    name: "recovers-only-when-nobody-is-queued",
    law: "L8",
    rule: "a failed creation is forgotten when a give-back finds nobody queued",
    row: "E6",
    find: "    if (this.closed) return\n    this.shrink()\n    this.recover()\n",
    replace: "    if (this.closed) return\n    this.shrink()\n    if (this.queued === 0) this.recover()\n"
  },
  {
    name: "a-failure-outlives-the-last-waiter",
    law: "L8",
    rule: "a failed creation is forgotten only at a give-back",
    find: "    if (this.capacity < this.limit && this.queued === 0 && !this.closed) this.recover()\n",
    replace: ""
  },
  {
    name: "a-failed-creation-takes-the-free-areas-too",
    law: "L8",
    rule: "after a failed creation what is used is all that may exist",
    find: "      this.capacity = this.allocated\n",
    replace: "      this.capacity = this.used\n"
  },

  // ---- L11: isolation -------------------------------------------------------------------------------------------------
  {
    name: "a-wake-that-throws-has-accepted",
    law: "L11",
    rule: "a wake that throws will come to the door all the same",
    find: "    let accepted = false\n",
    replace: "    let accepted = true\n"
  },
  {
    name: "a-wake-that-throws-reaches-the-releaser",
    law: "L11",
    rule: "what a wake throws is its releaser's to handle",
    find: "      this.options.report(error, waiter)\n",
    replace: "      throw error\n"
  },
  {
    name: "who-declines-keeps-the-buffer",
    law: "L11",
    rule: "a wake that answers false is asked again by its next wake",
    find: "    else this.decline(waiter)\n",
    replace: "    else push(this.uncollected, waiter)\n"
  },
  {
    name: "wakes-inside-wakes",
    law: "L11",
    rule: "an operation inside a wake delivers its own wakes before it returns",
    find: "    if (this.ready.length > 0 && !this.draining) this.tellReady()\n",
    replace: "    this.draining = false\n    if (this.ready.length > 0) this.tellReady()\n"
  },
  {
    name: "closing-takes-grants",
    law: "L11",
    rule: "closing takes back what was granted and not collected",
    find: "    this.destroyAbove(this.used)\n    this.settle()\n",
    replace: `    for (const waiter of this.waiters()) {
      this.passOn(waiter)
      this.announce(waiter, "closed")
    }
    this.destroyAbove(this.used)
    this.settle()
`
  },
  {
    name: "all-wakes-in-one-step",
    law: "turns",
    rule: "an operation delivers every wake there is before it returns",
    find: "    this.drain(wakesPerStep)\n",
    replace: "    this.drain(100_000)\n"
  }
])

const lists = mutantsOf("core", "packages/headgate/src/internal/list.ts", [
  {
    name: "the-head-is-who-stood-behind-the-one-that-left",
    law: "L11",
    rule: "behind a head that leaves stands the next place, whether somebody is there or has left before",
    find: "  while (block.nodes[block.start] === undefined) block.start++\n",
    replace: "  if (block.nodes[block.start] === undefined) block.start++\n"
  },
  {
    name: "when-the-last-have-left-who-comes-stands-behind-the-first",
    law: "L11",
    rule: "when the last block becomes empty, whoever comes next stands behind the first block",
    find: "list.last = previous!",
    replace: "list.last = list.first"
  }
])

const criticality = mutantsOf("core", "packages/headgate/src/internal/gate.ts", [
  {
    name: "margins-are-rounded",
    law: "L8",
    rule: "margin(endpoint) is rounded, and at reserve 1 is that of rx",
    row: "E9",
    find: "Math.floor(l * options.reserve / 3)",
    replace: "Math.round(l * options.reserve / 3)"
  }
])

const ageing = mutantsOf("core", "packages/headgate/src/internal/gate.ts", [
  {
    name: "the-others-leave-one-more-than-the-favoured",
    law: "L8",
    rule: "while a class is favoured, the others leave its margin and one more",
    row: "E13",
    find: "l === 0 || l > at ? own : margins[at]!)",
    replace: "l === 0 || l >= at ? own : margins[at]! + 1)"
  }
])

const runQueue = mutantsOf("core", "packages/headgate/src/internal/runQueue.ts", [
  {
    name: "woken-while-running-is-forgotten",
    law: "runs",
    rule: "who is running sees for itself why it was woken",
    find: "    if (entry.reasons !== 0) this.enqueue(entry)\n",
    replace: "    entry.reasons = 0\n"
  },
  {
    name: "the-last-reason-stands-for-all",
    law: "runs",
    rule: "a second wake replaces the reason of the first",
    find: "entry.reasons |= reasons",
    replace: "entry.reasons = reasons"
  },
  {
    name: "runs-overlap",
    law: "runs",
    rule: "who is woken while it runs is queued at once",
    find: "if (entry.state === \"idle\") this.enqueue(entry)",
    replace: "if (entry.state !== \"queued\") this.enqueue(entry)"
  },
  {
    name: "a-pass-starts-later-wakes",
    law: "runs",
    rule: "a pass goes on while there is somebody queued",
    find: "started === max || entry.pass >= pass",
    replace: "started === max"
  },
  {
    name: "who-ended-is-started-once-more",
    law: "runs",
    rule: "who ends while queued makes its run before it goes",
    find: "    unlink(entry)\n    entry.state = \"ended\"\n",
    replace: "    entry.state = \"ended\"\n"
  },
  {
    name: "a-start-that-throws-ends-the-pass",
    law: "runs",
    rule: "a start that throws is the business of whoever drives the queue",
    find: "      this.report(error)\n",
    replace: "      throw error\n"
  },
  {
    name: "no-turn-is-asked-for",
    law: "runs",
    rule: "who is queued is run by whoever comes along",
    find: "    push(this.entries, entry)\n    this.schedule()\n",
    replace: "    push(this.entries, entry)\n"
  }
])

export const core = [...gate, ...lists, ...criticality, ...ageing, ...runQueue]

/** Wrong variants of the relay: of a connection's bytes and ends, of its bounds, and of the stall policy. */
import { mutantsOf } from "./mutant.ts"

const connection = mutantsOf("relay", "packages/headgate/src/internal/connection.ts", [
  // ---- bytes: every byte once and in order ----------------------------------------------------------------------------
  {
    name: "past-the-overdraft",
    law: "bytes",
    rule: "what arrives goes into the buffer if there is room, whatever lies in the overdraft",
    find: "const rest = this.overdraft.length > 0 ? bytes : this.place(bytes)",
    replace: "const rest = this.place(bytes)"
  },
  {
    name: "an-end-past-the-overdraft",
    law: "bytes",
    rule: "an end is passed on when the buffer is empty",
    find: "if (!this.sourceEnded || this.overdraft.length > 0 || this.isEnding) return false",
    replace: "if (!this.sourceEnded || this.isEnding) return false"
  },
  {
    name: "a-write-in-flight-is-not-pinned",
    law: "L2",
    rule: "until its write is done a buffer is its channel's, and goes with it",
    find: "    this.connection.shared.pool.pinUnsafe(buffer)\n",
    replace: "",
    and: [{
      file: "packages/headgate/src/internal/connection.ts",
      find: "    if (buffer !== undefined) this.connection.shared.pool.unpinUnsafe(buffer)\n",
      replace: ""
    }]
  },
  {
    name: "the-overdraft-keeps-the-peers-memory",
    law: "bytes",
    rule: "what cannot be placed is kept as the view that the peer told",
    find: "this.overdraft.push(new Uint8Array(rest))",
    replace: "this.overdraft.push(rest)"
  },
  {
    name: "a-write-done-twice-counts-twice",
    law: "ends",
    rule: "a peer says once that a write is done",
    find:
      "    if (count === 0 || buffer === undefined) throw new Error(`${this.sink.label} was done twice with a write`)\n",
    replace: "    if (count === 0 || buffer === undefined) return\n"
  },

  {
    name: "the-count-of-a-read-is-ignored",
    law: "bytes",
    rule: "a source fills what it is given",
    find: "    buffer.commit(count)\n",
    replace: "    buffer.commit(into.length)\n"
  },
  {
    name: "a-read-beside-a-write",
    law: "bytes",
    rule: "there is room behind what is being written, so the source may fill it",
    find: "if (this.isOver || this.inFlightBytes > 0 || this.closed) return false\n",
    replace: `if (this.isOver || this.closed) return false
    if (this.isReadable && this.inFlightBytes > 0 && this.source.read !== undefined && this.held !== undefined) {
      this.held.commit(this.source.read(this.held.writeView()))
      this.isReadable = false
    }
    if (this.inFlightBytes > 0) return false
`
  },

  // ---- ends: an orderly end is FIN, everything else a reset to both sides ---------------------------------------------
  {
    name: "a-reset-looks-like-an-end",
    law: "ends",
    rule: "a connection that was reset is ended towards its target",
    find: "      this.attempt(() => this.target.abort())\n",
    replace: "      this.attempt(() => end === \"reset\" ? this.target.end(() => {}) : this.target.abort())\n"
  },
  {
    name: "one-side-is-told",
    law: "ends",
    rule: "who reset a connection need not be told of it",
    find: "      this.attempt(() => this.client.abort())\n",
    replace: "      if (end !== \"reset\") this.attempt(() => this.client.abort())\n"
  },
  {
    name: "a-refused-write-counts",
    law: "ends",
    rule: "a write that is over has been accepted",
    find: "    if (!accepted) return this.connection.finish(\"reset\", new Error(`${this.sink.label} is gone`))\n",
    replace: ""
  },
  {
    name: "bytes-behind-an-end-follow-it",
    law: "ends",
    rule: "a source that has ended sends nothing more",
    find: "    if (this.sourceEnded) throw new Error(`${this.source.label} sent bytes behind its own end`)\n",
    replace: ""
  },
  {
    name: "who-has-moved-its-share-looks-whether-there-is-more",
    law: "turns",
    rule: "a source is read once more behind its share of a turn, in the next, whether it has told anything or not",
    find: "      this.isReadable = false\n      return\n    }\n    if (this.held",
    replace: "      return this.connection.shared.nextTurn(this)\n    }\n    if (this.held"
  },

  // ---- what comes back ------------------------------------------------------------------------------------------------
  {
    name: "a-write-that-landed-stays-pinned",
    law: "L3",
    rule: "a write that is over after its connection leaves its memory pinned",
    find: "    if (buffer !== undefined) this.connection.shared.pool.unpinUnsafe(buffer)\n",
    replace: "    if (buffer !== undefined && !this.isOver) this.connection.shared.pool.unpinUnsafe(buffer)\n"
  },
  {
    name: "an-end-keeps-its-buffers",
    law: "L3",
    rule: "the buffers of a connection go when its fiber notices",
    find: "    this.attempt(() => this.giveBack())\n",
    replace: ""
  },
  {
    name: "sockets-before-buffers",
    law: "L11",
    rule: "an end aborts both sockets, and then gives back",
    find: `    this.attempt(() => this.giveBack())
    if (end !== "completed") {
      this.attempt(() => this.client.abort())
      this.attempt(() => this.target.abort())
    }
`,
    replace: `    if (end !== "completed") {
      this.attempt(() => this.client.abort())
      this.attempt(() => this.target.abort())
    }
    this.attempt(() => this.giveBack())
`
  },
  {
    name: "a-throwing-peer-stops-the-end",
    law: "L11",
    rule: "a peer's methods do not throw",
    find: "      part()\n    } catch (error) {\n      this.shared.broke(this, error)\n    }\n",
    replace: "      part()\n    } catch (error) {\n      throw error\n    }\n"
  },

  {
    name: "a-read-of-nothing-keeps-its-buffer",
    law: "L3",
    rule: "who was told that there is something to read finds something",
    find: "    this.hold(buffer)\n    const into",
    replace: "    const into"
  },

  // ---- overdraft ------------------------------------------------------------------------------------------------------
  {
    name: "an-overdraft-of-one-read",
    law: "overdraft",
    rule: "at most 64 KiB come beyond the pool",
    row: "F9",
    find: "export const overdraftLimitBytes = 128 * 1024",
    replace: "export const overdraftLimitBytes = 64 * 1024"
  },
  {
    name: "an-overdraft-without-bound",
    law: "overdraft",
    rule: "a peer that was asked to pause sends no more than what was under way",
    find: "    if (this.overdraftBytes + rest.length > overdraftLimitBytes) {\n",
    replace: "    if (this.overdraftBytes < 0) {\n"
  },
  {
    name: "reading-goes-on-into-the-overdraft",
    law: "overdraft",
    rule: "reading is on while the buffer has room",
    find: "const isPlaceable = this.overdraft.length === 0 && this.mayFill\n",
    replace: "const isPlaceable = this.mayFill\n"
  },

  {
    name: "refilled-before-it-is-empty",
    law: "L8",
    rule: "a buffer with room is filled up again, whoever waits for one",
    find: "    return buffer.room > 0 && !this.connection.shared.isShort()\n",
    replace: "    return buffer.room > 0\n"
  },

  {
    name: "kept-in-hand-whoever-waits",
    law: "L8",
    rule: "a buffer that was emptied is filled again while its source has more",
    find: "    if (this.held !== undefined && this.connection.shared.isShort()) this.letGo()\n",
    replace: ""
  },

  // ---- turns ----------------------------------------------------------------------------------------------------------
  {
    name: "a-second-share-in-each-turn",
    law: "turns",
    rule: "a direction moves one share for the reader and one for the writer (where once it moved one buffer)",
    row: "F10",
    find: "return this.connection.shared.turnBytes - this.movedInTurn",
    replace: "return 2 * this.connection.shared.turnBytes - this.movedInTurn"
  },
  {
    name: "the-next-turn-is-for-those-who-read",
    law: "turns",
    rule: "only a direction that was reading is taken up in the next turn",
    find: "if (isPlaceable && !wanted && !this.isReadable) this",
    replace: "if (isPlaceable && !wanted && !this.isReadable && this.isReading) this"
  },
  {
    name: "told-again-and-again",
    law: "turns",
    rule: "reading is on while there is room, also of a source that is known to have something",
    find: "const wanted = !this.isReadable && isPlaceable",
    replace: "const wanted = isPlaceable"
  },
  {
    name: "pumping-inside-pumping",
    law: "turns",
    rule: "a write that is done at once pumps on, inside the pump that wrote",
    find: "    if (this.isPumping) return\n",
    replace: ""
  },

  // ---- stall: what is known of a write --------------------------------------------------------------------------------
  {
    name: "what-was-taken-before-the-write-counts",
    law: "stall",
    rule: "a write begins with whatever sample there is",
    find: "this.progress.begin(this.now(), this.written, this.stillHolds)\n",
    replace: `this.progress.begin(this.now(), this.written, this.stillHolds)
    if (this.sink.unsentBytes() !== undefined) this.progress.look(this.connection.shared.now(), this.sample())
`
  },
  {
    name: "a-first-look-is-activity",
    law: "bounds",
    rule: "bytes that had left before anybody looked are activity",
    find: "    if (before === undefined) return false\n",
    replace: "    if (before === undefined) return (sample.delivered ?? 0) > 0\n"
  }
])

const relayed = mutantsOf("relay", "packages/headgate/src/internal/relay.ts", [
  // ---- stall ----------------------------------------------------------------------------------------------------------
  {
    name: "stalled-only-if-nobody-was-served",
    law: "stall",
    rule: "the policy acts if no buffer was handed to anybody for stallGrace",
    row: "F1",
    find: "    const isShort = oldestWaitMs >= this.settings.stallGraceMs\n",
    replace: `    const { handOffs } = Effect.runSync(this.pool.snapshot).counters
    if (handOffs !== this.handOffsBefore) this.quietSince = now
    this.handOffsBefore = handOffs
    const isShort = oldestWaitMs >= this.settings.stallGraceMs && now - this.quietSince >= this.settings.stallGraceMs
`,
    and: [{
      file: "packages/headgate/src/internal/relay.ts",
      find: "  private hasFailedToSample = false\n",
      replace: "  private hasFailedToSample = false\n  private handOffsBefore = 0\n  private quietSince = 0\n"
    }]
  },
  {
    name: "sampled-only-under-shortage",
    law: "stall",
    rule: "writes are sampled while somebody waits",
    row: "F3",
    find: "const everyMs = isShort ? 0 : Math.min(",
    replace: "const everyMs = isShort ? 0 : 1e9 + Math.min("
  },
  {
    name: "evicts-while-nobody-waits",
    law: "stall",
    rule: "who is stuck goes, whether anybody waits or not",
    find: "const evicted = isShort ? this.evict(now, queued) : 0",
    replace: "const evicted = this.evict(now, Infinity)"
  },
  {
    name: "evicts-one-at-a-time",
    law: "stall",
    rule: "one pass evicts one",
    find: "victims(candidates, this.settings.stallTimeoutMs, queued)",
    replace: "victims(candidates, this.settings.stallTimeoutMs, Math.min(1, queued))"
  },

  // ---- bounds on waiting ----------------------------------------------------------------------------------------------
  {
    name: "own-writes-are-all-activity",
    law: "bounds",
    rule: "idleTimeout counts our own reads and writes",
    row: "F4",
    find: "if (direction.look(now)) direction.connection.lastActivityAt = now",
    replace: "direction.look(now)"
  },
  {
    name: "queue-timeout-is-stall-timeout",
    law: "bounds",
    rule: "a buffer is waited for as long as a write may stall",
    row: "F5",
    find: "queueTimeoutMs: durationMs(options.queueTimeout ?? 2 * 60_000)",
    replace: "queueTimeoutMs: durationMs(options.stallTimeout ?? 30_000)"
  },
  {
    name: "who-waits-is-idle",
    law: "bounds",
    rule: "the clock of idleTimeout goes on while a buffer is waited for",
    find: "    connection.lastActivityAt = Math.min(now, lastActivityAt + sinceLastMs)\n",
    replace: ""
  },

  // ---- ends -----------------------------------------------------------------------------------------------------------
  {
    name: "the-outcome-inside-the-end",
    law: "L9",
    rule: "who waits for a connection's outcome is resumed in the step that ended it",
    find: "this.turns.later(() => tell(outcome))",
    replace: "tell(outcome)"
  },
  {
    name: "an-interrupt-leaves-the-connection",
    law: "L9",
    rule: "who is interrupted leaves its connection to its peers",
    find: "      return Effect.sync(stop)\n",
    replace: ""
  },
  {
    name: "a-connection-made-before-anybody-waits",
    law: "L9",
    rule: "a connection is made, and then looked after",
    find: `    Effect.callback((resume) => {
      const stop = this.runUnsafe(client, target, (outcome) => resume(Effect.succeed(outcome)))
      return Effect.sync(stop)
    })
`,
    replace:
      `    Effect.flatMap(Effect.sync(() => this.connect(client, target)), (connection) => Effect.callback((resume) => {
      connection.whenOver((outcome) => this.turns.later(() => resume(Effect.succeed(outcome))))
      return Effect.sync(() => connection.finish("shutdown", undefined))
    }))
`
  },
  {
    name: "a-closed-relay-takes-connections",
    law: "ends",
    rule: "closing a relay ends the connections that there are",
    find: "    if (this.isClosed) connection.finish(\"shutdown\", undefined)\n",
    replace: ""
  }
])

const policy = mutantsOf("relay", "packages/headgate/src/StallPolicy.ts", [
  {
    name: "any-byte-is-progress",
    law: "stall",
    rule: "any byte that moves is progress",
    row: "F2",
    find: "export const progressBytes = 64 * 1024",
    replace: "export const progressBytes = 1"
  },
  {
    name: "a-held-buffer-begins-anew",
    law: "stall",
    rule: "a mark goes on behind a slow write, whatever the buffer still holds",
    find: "const goesOn = stillHolds || (",
    replace: "const goesOn = (stillHolds && now < 0) || ("
  },
  {
    name: "only-what-the-kernel-accepted-is-progress",
    law: "stall",
    rule: "what the other host has taken does not count",
    find: "(marked !== undefined && delivered !== undefined && delivered - marked >= progressBytes)",
    replace: "(marked !== undefined && delivered === undefined && marked >= progressBytes)"
  },
  {
    name: "shortest-first",
    law: "stall",
    rule: "who began to stall last goes first",
    find: "sort((a, b) => b.stalledMs - a.stalledMs)",
    replace: "sort((a, b) => a.stalledMs - b.stalledMs)"
  }
])

export const relay = [...connection, ...relayed, ...policy]

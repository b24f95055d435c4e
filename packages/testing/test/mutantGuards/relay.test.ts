/** What a relay must do for peers that are hasty within their contract. */
import { assert, describe, it } from "@effect/vitest"
import { SimulatedPeer } from "@headgate/testing/SimulatedPeer"
import * as Effect from "effect/Effect"
import { BufferPool } from "headgate/BufferPool"
import type { PeerEvents } from "headgate/Peer"
import { connectPeers, drain, outcome, relaySnapshot, turn, world } from "../relay/world.ts"

/** Tells what the test makes it tell, whether it is read or not. */
class HastyPeer extends SimulatedPeer {
  tells: PeerEvents = { onBytes: () => {}, onEnd: () => {}, onReset: () => {} }

  override attach(events: PeerEvents): void {
    this.tells = events
    super.attach(events)
  }
}

describe("an end", () => {
  it.effect("that is told while bytes lie in the overdraft is passed on behind them", () =>
    Effect.gen(function*() {
      const pool = yield* BufferPool
      const held = [1, 2].flatMap(() => pool.tryTakeUnsafe("tx") ?? [])
      const link = yield* connectPeers(new HastyPeer(), new SimulatedPeer())
      link.client.tells.onBytes(Uint8Array.of(1, 2, 3))
      link.client.tells.onEnd()
      yield* turn
      assert.strictEqual((yield* relaySnapshot).overdraftBytes, 3)
      assert.isFalse(link.target.isEnding)
      for (const buffer of held) pool.giveBackUnsafe(buffer)
      yield* drain(link)
      assert.deepStrictEqual(link.target.host.received, [Uint8Array.of(1, 2, 3)])
      assert.isTrue(link.target.host.sawEnd)
      link.target.host.end()
      yield* drain(link)
      assert.strictEqual((yield* outcome(link)).end, "completed")
    }).pipe(Effect.provide(world({ limit: 2, reserve: 1 }))))
})

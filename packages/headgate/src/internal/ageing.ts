/**
 * Ageing: strict priority alone would starve `rx` under ordinary downloads, and serving it blindly could deadlock the
 * responses it depends on. So a fiber favours, among `endpoint` and `rx`, the class whose head has waited longest, in
 * bounded windows. The core knows no clock; this is where time comes in.
 *
 * Invariant: favouring is off except inside a window of at most a quarter of the wait that caused it (250 ms to 4 s), and
 * windows are followed by four times their length without. The fiber sleeps while nobody waits.
 */
import * as Effect from "effect/Effect"
import type { Gate } from "./gate.ts"

const endpoint = 2
const rx = 3
const shortestWindowMs = 250
const longestWindowMs = 4000

export const ageing = (gate: Gate, afterMs: number): Effect.Effect<never> =>
  Effect.whileLoop({ while: () => true, body: () => turn(gate, afterMs), step: () => {} }).pipe(
    Effect.andThen(Effect.never)
  )

const turn = (gate: Gate, afterMs: number): Effect.Effect<void> => {
  const endpointMs = gate.oldestWaitMs(endpoint)
  const rxMs = gate.oldestWaitMs(rx)
  const at = rxMs >= endpointMs ? rx : endpoint
  if (gate.queues[endpoint]!.length + gate.queues[rx]!.length === 0) return somebodyWaits(gate)
  const waitedMs = Math.max(rxMs, endpointMs)
  return waitedMs < afterMs ? Effect.sleep(afterMs - waitedMs) : favour(gate, at, afterMs, waitedMs)
}

const somebodyWaits = (gate: Gate): Effect.Effect<void> =>
  Effect.withFiber((fiber) =>
    Effect.callback<void>((resume) => {
      // Somebody may have come since the look that found nobody: a yield may fall between.
      if (gate.queues[endpoint]!.length + gate.queues[rx]!.length > 0) return resume(Effect.void)
      gate.onWait = () => fiber.currentDispatcher.scheduleTask(() => resume(Effect.void), 0)
      return Effect.sync(() => {
        gate.onWait = undefined
      })
    })
  )

const favour = (gate: Gate, at: number, afterMs: number, waitedMs: number): Effect.Effect<void> => {
  const windowMs = Math.min(Math.max(waitedMs / 4, shortestWindowMs), longestWindowMs)
  return Effect.sync(() => gate.favour(at)).pipe(
    Effect.andThen(whileOld(gate, at, afterMs, windowMs)),
    Effect.ensuring(Effect.sync(() => gate.favour(undefined))),
    Effect.andThen(Effect.sleep(4 * windowMs))
  )
}

/** Sleeps for the window, or until no head of that class has waited long enough. */
const whileOld = (gate: Gate, at: number, afterMs: number, leftMs: number): Effect.Effect<void> =>
  leftMs <= 0 || gate.oldestWaitMs(at) < afterMs
    ? Effect.void
    : Effect.flatMap(
      Effect.sleep(Math.min(shortestWindowMs, leftMs)),
      () => whileOld(gate, at, afterMs, leftMs - shortestWindowMs)
    )

/** Scripts under which the relay once broke a law, or a law was wrong, each cut down, with what it found. They stay. */
import type { Script } from "@headgate/testing/RelaySimulation"

export const corpus: ReadonlyArray<{ readonly law: string; readonly found: string; readonly script: Script }> = [
  {
    law: "waits",
    found:
      "a buffer that was filled up again before it was empty never went to who waited, however well its reader read",
    script: {
      pool: { limit: 3, reserve: 2, bufferSize: 16384 },
      relay: { stallGraceMs: 250, stallTimeoutMs: 2500, queueTimeoutMs: 60000, idleTimeoutMs: 2000, samples: false },
      links: [
        { client: {}, target: {} },
        { client: { receiveBuffer: 2048 }, target: { sendBuffer: 16384, hostBuffer: 16384, readsPerSecond: 35000 } }
      ],
      events: [
        { does: "open", link: 1 },
        { does: "open", link: 0 },
        { does: "write", link: 1, side: "client", bytes: 255947 },
        { does: "write", link: 0, side: "client", bytes: 63947 },
        { does: "pass", ms: 5947 }
      ]
    }
  },
  {
    law: "honest",
    found:
      "the law was wrong: who is interrupted behind an orderly end of both sides, before it is told, resets nobody",
    script: {
      pool: { limit: 2, reserve: 1, bufferSize: 7 },
      relay: { stallGraceMs: 250, stallTimeoutMs: 3000, queueTimeoutMs: 6000, idleTimeoutMs: 8000, samples: true },
      links: [{ client: { done: "sync" }, target: {} }],
      events: [
        { does: "open", link: 0 },
        { does: "end", link: 0, side: "client" },
        { does: "pass", ms: 1 },
        { does: "end", link: 0, side: "target" },
        { does: "move", link: 0, side: "target", what: "deliver" },
        { does: "interrupt", link: 0 }
      ]
    }
  }
]

/** One measurement: a relay that is started for it, the load, and both are gone afterwards. */
import type { Contestant } from "./contestants.ts"
import { Load } from "./load/process.ts"
import type { Figures, Work } from "./load/questions.ts"

export const measure = async ({ start }: Contestant, work: Work): Promise<Figures> => {
  const load = new Load(work)
  try {
    const origin = await load.origin()
    const { pid, ports: [streamPort = 0, echoPort = 0], stop } = await start([origin.streamPort, origin.echoPort])
    try {
      return await load.run({ pid, streamPort, echoPort })
    } finally {
      await stop()
    }
  } finally {
    load.stop()
  }
}

/** The first work's streams and the second's messages at a time, by loads of their own: the figures of both. */
export const measureBeside = async (
  { start }: Contestant,
  streams: Work,
  messages: Work
): Promise<{ readonly streams: Figures; readonly messages: Figures }> => {
  const [one, other] = [new Load(streams), new Load(messages)]
  try {
    const [{ streamPort: streamTarget }, { echoPort: echoTarget }] = await Promise.all([one.origin(), other.origin()])
    const { pid, ports: [streamPort = 0, echoPort = 0], stop } = await start([streamTarget, echoTarget])
    try {
      const relay = { pid, streamPort, echoPort }
      const [figures, beside] = await Promise.all([one.run(relay), other.run(relay)])
      return { streams: figures, messages: beside }
    } finally {
      await stop()
    }
  } finally {
    one.stop()
    other.stop()
  }
}

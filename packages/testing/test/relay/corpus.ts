/** Scripts under which the relay once broke a law, each cut down, with what it found. They stay. */
import type { Script } from "@headgate/testing/RelaySimulation"

export const corpus: ReadonlyArray<{ readonly law: string; readonly found: string; readonly script: Script }> = []

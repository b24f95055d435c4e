/** All mutants, and one by name for whoever wants to see it run: `HEADGATE_MUTANT=double-enqueue vitest run …`. */
import { core } from "./core.ts"
import { entities } from "./entities.ts"
import { fibers } from "./fibers.ts"
import { history } from "./history.ts"
import { type Mutant, mutating } from "./mutant.ts"
import { node } from "./node.ts"
import { relay } from "./relay.ts"

export const all: ReadonlyArray<Mutant> = [...core, ...fibers, ...entities, ...history, ...relay, ...node]

/** The plugin with which a run of tests meets that mutant. */
export const only = (name: string) => {
  const mutant = all.find((each) => each.name === name)
  if (mutant === undefined) throw new Error(`no mutant is called ${name}; pnpm mutants --list shows all`)
  return mutating(() => mutant)
}

/**
 * A walk through all states that moves lead to within so many faults: those of fewest faults first, then of fewest moves. So
 * every state is gone on from once, with as many faults still to come as any history leaves it, and the first problem found is
 * one of the simplest.
 */

/** A state, and the moves that first led to it. */
export interface Node<S, M> {
  readonly state: S
  readonly path: ReadonlyArray<M>
}

export interface Made<S> {
  readonly state: S
  readonly problems: ReadonlyArray<string>
}

export interface Space<S, M> {
  readonly first: S
  readonly ordinary: (state: S) => ReadonlyArray<M>
  readonly faults: (state: S) => ReadonlyArray<M>
  /** Makes a move from where the node's path leads. */
  readonly make: (node: Node<S, M>, move: M) => Made<S>
  /** States with the same key are one. */
  readonly key: (state: S) => string
  /** What is wrong with a state that is new. */
  readonly judge: (state: S) => ReadonlyArray<string>
}

export interface Walked {
  readonly states: number
  readonly steps: number
  /** What is wrong after the first move after which something is, behind the moves that lead there. */
  readonly problems: ReadonlyArray<string>
}

/** The core checks itself, too: what it throws is a problem like any other. */
const attempt = <S>(make: () => Made<S>, before: S): Made<S> => {
  try {
    return make()
  } catch (error) {
    return { state: before, problems: [String(error)] }
  }
}

/** Every state within `faults` faults, every ordinary move from each, and every fault from those that may have one more. */
export const breadthFirst = <S, M>(space: Space<S, M>, faults: number): Walked => {
  const seen = new Set<string>()
  let steps = 0
  let problems: ReadonlyArray<string> = []

  const from = (node: Node<S, M>, move: M): Node<S, M> => {
    steps++
    const path = [...node.path, move]
    const made = attempt(() => space.make(node, move), node.state)
    if (made.problems.length > 0) problems = [...path.map((move) => JSON.stringify(move)), ...made.problems]
    return { state: made.state, path }
  }
  const isNew = ({ path, state }: Node<S, M>): boolean => {
    const key = space.key(state)
    if (seen.has(key)) return false
    seen.add(key)
    const wrong = space.judge(state)
    if (wrong.length > 0) problems = [...path.map((move) => JSON.stringify(move)), ...wrong]
    return true
  }

  let entries: ReadonlyArray<Node<S, M>> = [{ state: space.first, path: [] }]
  for (let left = faults; left >= 0; left--) {
    const queue = entries.filter(isNew)
    const faulty: Array<Node<S, M>> = []
    // What is found is walked in its turn.
    for (const node of queue) {
      for (const move of space.ordinary(node.state)) {
        const next = from(node, move)
        if (isNew(next)) queue.push(next)
        if (problems.length > 0) return { states: seen.size, steps, problems }
      }
      for (const move of left > 0 ? space.faults(node.state) : []) {
        faulty.push(from(node, move))
        if (problems.length > 0) return { states: seen.size, steps, problems }
      }
    }
    entries = faulty
  }
  return { states: seen.size, steps, problems }
}

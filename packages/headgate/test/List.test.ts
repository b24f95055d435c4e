/** The queue's list, beside two arrays (case 25 of those to port, with nodes enough for several blocks). */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Block, type Linked, List, push, shift, toArray, unlink } from "../src/internal/list.ts"
import { must } from "./face/harness.ts"

interface Node extends Linked<Node> {
  readonly name: number
}

const nodesOf = (count: number): Array<Node> =>
  Array.from({ length: count }, (_, name) => ({ name, block: undefined, place: 0 }))

const names = (list: List<Node>): Array<number> => toArray(list).map(({ name }) => name)

/** So many that they stand in several blocks. */
const many = 200

describe("the list that is left from the middle", () => {
  it("is what two arrays are, whatever is pushed, taken off, unlinked and pushed again", () => {
    const operation = fc.record({
      kind: fc.constantFrom("push", "shift", "unlink"),
      list: fc.nat({ max: 1 }),
      node: fc.nat({ max: many - 1 }),
      // Of those behind it, too.
      count: fc.constantFrom(1, 2, 70, many)
    })
    fc.assert(fc.property(fc.nat({ max: many }), fc.array(operation, { maxLength: 40 }), (first, operations) => {
      const lists = [new List<Node>(), new List<Node>()]
      const models: Array<Array<Node>> = [[], []]
      const nodes = nodesOf(many)
      const step = (kind: string, at: number, node: Node): void => {
        const [list, model] = [must(lists[at]), must(models[at])]
        const place = models.find((model) => model.includes(node))
        if (kind === "shift") {
          expect(shift(list)).toBe(model.shift())
        } else if (kind === "unlink") {
          unlink(node)
          place?.splice(place.indexOf(node), 1)
        } else if (place === undefined) {
          push(list, node)
          model.push(node)
        }
      }
      for (const node of nodes.slice(0, first)) step("push", 0, node)
      for (const { count, kind, list: at, node } of operations) {
        for (let n = 0; n < count; n++) step(kind, at, must(nodes[(node + n) % many]))
        for (const [i, list] of lists.entries()) {
          const model = must(models[i]).map(({ name }) => name)
          expect(names(list)).toEqual(model)
          expect([list.length, list.head?.name]).toEqual([model.length, model[0]])
        }
        for (const node of nodes) {
          const linked = models.findIndex((model) => model.includes(node))
          expect(node.block?.list).toBe(linked === -1 ? undefined : lists[linked])
        }
      }
    }))
  })

  it("goes on behind the last who is left, however many have left behind it", () => {
    for (const left of [1, 8, 9, 72, 73, 136, many]) {
      const list = new List<Node>()
      const nodes = nodesOf(many + 1)
      for (const node of nodes.slice(0, many)) push(list, node)
      for (const node of nodes.slice(many - left, many)) unlink(node)
      push(list, must(nodes[many]))
      expect(names(list)).toEqual([...Array.from({ length: many - left }, (_, name) => name), many])
    }
  })

  it("makes no block anew for what comes at one end and goes at the other", () => {
    const list = new List<Node>()
    const nodes = nodesOf(10 * many)
    const blocks = new Set<Block<Node> | undefined>()
    push(list, must(nodes[0]))
    for (const node of nodes.slice(1)) {
      push(list, node)
      blocks.add(node.block)
      shift(list)
    }
    expect([list.length, blocks.size]).toEqual([1, 2])
  })

  it("keeps no block in which nobody stands", () => {
    const list = new List<Node>()
    const nodes = nodesOf(10 * many)
    for (const node of nodes) push(list, node)
    // One stays, at the head; all others come and go behind it.
    for (const node of nodes.slice(1)) {
      unlink(node)
      push(list, node)
      unlink(node)
    }
    let blocks = 0
    for (let block: Block<Node> | undefined = list.first; block !== undefined; block = block.next) blocks++
    expect([list.length, list.head?.name, blocks]).toEqual([1, 0, 1])
  })
})

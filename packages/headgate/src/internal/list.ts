/**
 * An intrusive doubly linked list: the links live in the node, so linking allocates nothing and unlinking is O(1).
 *
 * Invariant: a node is in at most one list, and `node.list` says in which. That one field is what makes "queued twice is
 * queued once" and "whoever leaves is in no queue" checks of one comparison.
 */
export interface Linked<T> {
  list: List<T> | undefined
  previous: T | undefined
  next: T | undefined
}

export class List<T> {
  head: T | undefined = undefined
  tail: T | undefined = undefined
  length = 0
}

export const push = <T extends Linked<T>>(list: List<T>, node: T): void => {
  node.list = list
  node.previous = list.tail
  node.next = undefined
  if (list.tail === undefined) list.head = node
  else list.tail.next = node
  list.tail = node
  list.length++
}

/** Unlinks a node from the list it is in; does nothing if it is in none. */
export const unlink = <T extends Linked<T>>(node: T): void => {
  const list = node.list
  if (list === undefined) return
  if (node.previous === undefined) list.head = node.next
  else node.previous.next = node.next
  if (node.next === undefined) list.tail = node.previous
  else node.next.previous = node.previous
  node.list = node.previous = node.next = undefined
  list.length--
}

export const shift = <T extends Linked<T>>(list: List<T>): T | undefined => {
  const node = list.head
  if (node !== undefined) unlink(node)
  return node
}

/** O(length), for pictures. */
export const toArray = <T extends Linked<T>>(list: List<T>): Array<T> => {
  const nodes: Array<T> = []
  for (let node = list.head; node !== undefined; node = node.next) nodes.push(node)
  return nodes
}

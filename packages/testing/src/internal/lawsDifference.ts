/** Where two values that are data differ. */

/** The first place where they do and what is there, as one line; none if they are equal. */
export const differencesBetween = (expected: unknown, found: unknown): ReadonlyArray<string> => {
  const first = difference(expected, found)
  return first === undefined ? [] : [first]
}

const difference = (expected: unknown, found: unknown): string | undefined => {
  if (Object.is(expected, found)) return undefined
  if (!isComposite(expected) || !isComposite(found)) {
    return `: ${textOf(found)}, and by the specification ${textOf(expected)}`
  }
  // Pictures are compared by the million: so no list of names is made.
  for (const name in expected) {
    const inside = difference(expected[name], found[name])
    if (inside !== undefined) return inside.startsWith(":") ? name + inside : `${name}.${inside}`
  }
  for (const name in found) {
    if (!(name in expected)) return `${name}: ${textOf(found[name])}, and by the specification nothing`
  }
  return undefined
}

const isComposite = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null

const textOf = (value: unknown): string => value === undefined ? "nothing" : JSON.stringify(value)

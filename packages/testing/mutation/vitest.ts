/**
 * Takes vitest's place where the same tests are run thousands of times: it only collects them. What checks and spies is
 * vitest's own.
 */
import * as vitest from "vitest"

type Body = (...args: Array<unknown>) => unknown

/** A test, and the titles from its file's name down to its own. */
export interface Collected {
  readonly titles: ReadonlyArray<string>
  readonly body: Body
}

export const collected: Array<Collected> = []
let titles: ReadonlyArray<string> = []

/** Collects what loading a file registers. */
export const collect = async (file: string, load: () => Promise<unknown>): Promise<void> => {
  titles = [file]
  await load()
  titles = []
}

const isBody = (part: unknown): part is Body => typeof part === "function"

/** Options may stand before or behind it. */
const bodyOf = (title: string, rest: ReadonlyArray<unknown>): Body => {
  const body = rest.find(isBody)
  if (body === undefined) throw new TypeError(`"${title}" has no body`)
  return body
}

const printed = (title: string, row: unknown): string => {
  const values = Array.isArray(row) ? [...row] : [row]
  const fields = new Map(Object.entries(Object(row)))
  return title.replace(/%s/g, () => String(values.shift())).replace(
    /\$(\w+)/g,
    (name, field) => fields.has(field) ? String(fields.get(field)) : name
  )
}

type Register = (title: string, body: Body) => void

/** One for each row; an array is spread (`each`), or not (`for`). */
const rows =
  (register: Register, isSpread: boolean) =>
  (table: ReadonlyArray<unknown>) =>
  (title: string, ...rest: ReadonlyArray<unknown>): void => {
    for (const row of table) {
      const args: ReadonlyArray<unknown> = isSpread && Array.isArray(row) ? row : [row]
      register(printed(title, row), (...more) => bodyOf(title, rest)(...args, ...more))
    }
  }

const addTest: Register = (title, body) => void collected.push({ titles: [...titles, title], body })

const addSuite: Register = (title, body) => {
  const outer = titles
  titles = [...outer, title]
  body()
  titles = outer
}

const nothing = (): void => {}

export const test = Object.assign(
  (title: string, ...rest: ReadonlyArray<unknown>) => addTest(title, bodyOf(title, rest)),
  {
    each: rows(addTest, true),
    for: rows(addTest, false),
    skip: nothing,
    only: nothing,
    fails: nothing
  }
)
export const it = test

export const describe = Object.assign(
  (title: string, ...rest: ReadonlyArray<unknown>) => addSuite(title, bodyOf(title, rest)),
  { each: rows(addSuite, true) }
)

// `@effect/vitest` frees what the tests of a block share behind the last of them: here the process's end does.
export const [beforeAll, afterAll, beforeEach] = [nothing, nothing, nothing]
export const TestRunner = { getCurrentSuite: () => ({ tasks: [] }) }

export const { assert, vi } = vitest
export const expectTypeOf: typeof vitest.expectTypeOf = vitest.expectTypeOf

/** A soft expectation needs vitest's runner; here it is as hard as any other. */
export const expect = new Proxy(vitest.expect, {
  get: (target, name) => name === "soft" ? target : Reflect.get(target, name)
})

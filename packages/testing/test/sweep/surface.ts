/**
 * What a package offers, found at run time: every export of each of its modules, the statics of its services, and the
 * members of the objects that it hands out, each with the kind of thing that it is.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Fs from "node:fs"

export type Kind =
  | "effect"
  | "layer"
  | "service"
  | "error class"
  | "class"
  | "synchronous door"
  | "function"
  | "constant"

export interface Entry {
  /** `Module.export`, `Service.static` or `Service#member`. */
  readonly name: string
  readonly kind: Kind
}

const isFunction = (value: unknown): value is (...args: never) => unknown => typeof value === "function"

const isClass = (value: (...args: never) => unknown): boolean =>
  /^class\b/.test(Function.prototype.toString.call(value))

/** By the project's convention `*Unsafe` names a synchronous door; what other functions return is not known. */
const kindOf = (name: string, value: unknown): Kind => {
  if (Context.isKey(value)) return "service"
  if (Layer.isLayer(value)) return "layer"
  if (Effect.isEffect(value)) return "effect"
  if (!isFunction(value)) return "constant"
  if (isClass(value)) return value.prototype instanceof Error ? "error class" : "class"
  return name.endsWith("Unsafe") ? "synchronous door" : "function"
}

/** What every service key has. */
class Bare extends Context.Service<Bare, null>()("a service without statics") {}

const staticsOf = (name: string, service: object): ReadonlyArray<Entry> =>
  Object.entries(service).filter(([key]) => !(key in Bare)).map(([key, value]) => ({
    name: `${name}.${key}`,
    kind: kindOf(key, value)
  }))

/** Exports that are marked as internal are stripped from the published types. */
const internalsOf = (source: string): ReadonlySet<string> =>
  new Set([...source.matchAll(/@internal \*\/\nexport const (\w+)/g)].flatMap(([, name]) => name ?? []))

/** The modules in a package's `src`, but for `index.ts`, which only names them, and those that run when imported. */
export const surfaceOf = async (src: URL, programs: ReadonlyArray<string> = []): Promise<ReadonlyArray<Entry>> => {
  const files = Fs.readdirSync(src).filter((file) => file.endsWith(".ts") && !["index.ts", ...programs].includes(file))
  const entries = await Promise.all(files.map(async (file) => {
    const exports: { readonly [name: string]: unknown } = await import(new URL(file, src).href)
    const internals = internalsOf(Fs.readFileSync(new URL(file, src), "utf8"))
    return Object.entries(exports).filter(([name]) => !internals.has(name)).flatMap(
      ([name, value]): ReadonlyArray<Entry> => {
        const kind = kindOf(name, value)
        return kind === "service" && isFunction(value)
          ? [{ name, kind }, ...staticsOf(name, value)]
          : [{ name: `${file.slice(0, -".ts".length)}.${name}`, kind }]
      }
    )
  }))
  return entries.flat()
}

/**
 * What an object does that is handed out as an `S`. `hidden` are the doings of its class that are private to it: the type
 * refuses the name of one that is public.
 */
export const membersOf = <S extends object, H extends string>(
  name: string,
  object: S,
  ...hidden: ReadonlyArray<H extends keyof S ? never : H>
): ReadonlyArray<Entry> =>
  Object.entries(object)
    .map(([key, value]) => ({ key, name: `${name}#${key}`, kind: kindOf(key, value) }))
    .filter(({ key, kind }) => kind !== "constant" && !hidden.some((other) => other === key))
    .map(({ kind, name }) => ({ name, kind }))

/**
 * What is wrong with a table of rows for a surface: an effect, or a function of which nobody knows, without a row; a row for
 * nothing. `samples` are functions that return no effect, each with a call that shows it.
 */
export const gapsOf = (
  surface: ReadonlyArray<Entry>,
  rows: ReadonlyArray<string>,
  samples: { readonly [name: string]: () => unknown }
): ReadonlyArray<string> => {
  const swept = new Set(rows.map(baseOf))
  const names = new Set(surface.map(({ name }) => name))
  const gaps = surface.flatMap(({ kind, name }) => {
    if (swept.has(name)) return []
    if (kind === "effect" || kind === "layer") return [`${name} is public and has no row: ${kind}`]
    if (kind !== "function" || Object.hasOwn(samples, name)) return []
    return [`${name} is a function: it needs a row if it makes an effect, a sample if not, or to be named as private`]
  })
  const stale = [...swept, ...Object.keys(samples)].filter((name) => !names.has(name))
  const wrong = Object.entries(samples).filter(([, call]) => isWork(call())).map(([name]) => name)
  return [
    ...gaps,
    ...stale.map((name) => `there is no ${name} any more`),
    ...wrong.map((name) => `${name} makes an effect: it needs a row`)
  ]
}

/** A row's name may say more in brackets: `ByteChannel.alloc (inside a run)`. */
const baseOf = (row: string): string => row.replace(/ \(.*\)$/, "")

const isWork = (value: unknown): boolean => Effect.isEffect(value) || Layer.isLayer(value)

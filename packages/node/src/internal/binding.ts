/** What Node's own modules use, by name; undefined if this Node does not show it. */
export const binding = (name: string): object | undefined => {
  try {
    const of: unknown = Reflect.get(process, "binding")
    if (typeof of !== "function") return undefined
    const found: unknown = Reflect.apply(of, process, [name])
    return typeof found === "object" && found !== null ? found : undefined
  } catch {
    return undefined
  }
}

/**
 * Log-log plots as SVG, for light and for dark pages: how a cost grows with a size, with the exponent of each curve.
 */

export interface Point {
  readonly size: number
  readonly value: number
}

export interface Curve {
  readonly name: string
  readonly points: ReadonlyArray<Point>
  /** Why there are no points further on, if there are none. */
  readonly stopped?: string | undefined
  /** Which colour, if not its place among the curves: so that a peer has one colour in all plots. */
  readonly hue?: number
}

export interface Plot {
  /** For file names and links. */
  readonly id: string
  readonly title: string
  readonly sizeLabel: string
  readonly valueLabel: string
  /** The first is ours. */
  readonly curves: ReadonlyArray<Curve>
}

export type Theme = "light" | "dark"

/** The exponent b of the best `value = a * size^b`: least squares over the logarithms; `undefined` for fewer than two sizes. */
export const exponentOf = (points: ReadonlyArray<Point>): number | undefined => {
  const logs = points.map(({ size, value }) => [Math.log(size), Math.log(value)] as const)
  const mean = (pick: 0 | 1) => logs.reduce((sum, log) => sum + log[pick], 0) / logs.length
  const [meanX, meanY] = [mean(0), mean(1)]
  const spread = logs.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  return spread === 0 || logs.length === 0
    ? undefined
    : logs.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread
}

/** The exponents of a whole curve and of its last step: a curve that is flat at first and steep at last is neither alone. */
export const exponents = (points: ReadonlyArray<Point>): string | undefined => {
  const [whole, last] = [exponentOf(points), exponentOf(points.slice(-2))]
  return whole === undefined || last === undefined ? undefined : `${whole.toFixed(2)}, at last ${last.toFixed(2)}`
}

const width = 760
const height = 420
const area = { left: 92, right: 520, top: 46, bottom: 364 }

const themes = {
  light: {
    page: "#ffffff",
    text: "#1f2328",
    faint: "#d1d9e0",
    muted: "#59636e",
    curves: ["#0550ae", "#bc4c00", "#8250df", "#1a7f37", "#a40e26", "#6e7781"]
  },
  dark: {
    page: "#0d1117",
    text: "#f0f6fc",
    faint: "#30363d",
    muted: "#9198a1",
    curves: ["#58a6ff", "#f0883e", "#bc8cff", "#3fb950", "#ff7b72", "#8b949e"]
  }
} as const

export const svg = (plot: Plot, theme: Theme): string => {
  const colours = themes[theme]
  const points = plot.curves.flatMap((curve) => curve.points)
  const sizes = decades(points.map(({ size }) => size))
  const values = decades(points.map(({ value }) => value))
  const x = (size: number) => between(sizes, size, area.left, area.right)
  const y = (value: number) => between(values, value, area.bottom, area.top)
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="system-ui, sans-serif" font-size="12" fill="${colours.text}" role="img">`,
    `<title>${escaped(plot.title)}</title>`,
    `<rect width="${width}" height="${height}" fill="${colours.page}"/>`,
    text(area.left, 24, plot.title, `font-size="15" font-weight="600"`),
    ...ticks(sizes).flatMap((size) => [
      line([x(size), area.top], [x(size), area.bottom], colours.faint),
      text(x(size), area.bottom + 18, tick(size), `text-anchor="middle" fill="${colours.muted}"`)
    ]),
    ...ticks(values).flatMap((value) => [
      line([area.left, y(value)], [area.right, y(value)], colours.faint),
      text(area.left - 8, y(value) + 4, tick(value), `text-anchor="end" fill="${colours.muted}"`)
    ]),
    text((area.left + area.right) / 2, height - 16, plot.sizeLabel, `text-anchor="middle"`),
    text(
      0,
      0,
      plot.valueLabel,
      `text-anchor="middle" transform="translate(16 ${(area.top + area.bottom) / 2}) rotate(-90)"`
    ),
    ...plot.curves.flatMap((curve, index) => curveOf(curve, index, colourOf(curve, index, colours.curves), x, y)),
    ...legend(plot.curves, colours),
    "</svg>",
    ""
  ].join("\n")
}

/** The plot in a page: the dark one where the reader's page is dark. */
export const picture = ({ curves, id, title, valueLabel }: Plot, folder: string): string =>
  [
    "<picture>",
    `  <source media="(prefers-color-scheme: dark)" srcset="${folder}/growth-${id}-dark.svg">`,
    `  <img alt="${escaped(`${title}: ${valueLabel}, for ${curves.map(({ name }) => name).join(", ")}`)}" ` +
    `src="${folder}/growth-${id}-light.svg">`,
    "</picture>"
  ].join("\n")

type Range = readonly [number, number]
type Scale = (value: number) => number

/** The powers of ten that enclose all values. */
const decades = (values: ReadonlyArray<number>): Range => {
  if (values.length === 0) return [1, 10]
  const low = 10 ** Math.floor(Math.log10(Math.min(...values)) + 1e-9)
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values)) - 1e-9)
  return [low, high > low ? high : low * 10]
}

const between = ([low, high]: Range, value: number, from: number, to: number): number =>
  from + (to - from) * Math.log(value / low) / Math.log(high / low)

const ticks = ([low, high]: Range): ReadonlyArray<number> =>
  Array.from({ length: Math.round(Math.log10(high / low)) + 1 }, (_, power) => low * 10 ** power)

const tick = (value: number): string =>
  value >= 1 ? Math.round(value).toLocaleString("en-US").replaceAll(",", " ") : String(Number(value.toPrecision(1)))

const colourOf = ({ hue }: Curve, index: number, palette: ReadonlyArray<string>): string =>
  palette[(hue ?? index) % palette.length]!

const curveOf = (curve: Curve, index: number, colour: string, x: Scale, y: Scale): ReadonlyArray<string> => {
  const places = curve.points.map(({ size, value }) => [x(size), y(value)] as const)
  const last = places.at(-1)
  return [
    `<polyline fill="none" stroke="${colour}" stroke-width="${index === 0 ? 3 : 1.75}" points="${
      places.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ")
    }"/>`,
    ...places.map(([px, py]) =>
      `<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="${index === 0 ? 4 : 3}" fill="${colour}"/>`
    ),
    ...(curve.stopped === undefined || last === undefined
      ? []
      : [text(last[0] + 6, last[1] + 4, "✕", `fill="${colour}" font-weight="700"`)])
  ]
}

const legend = (
  curves: ReadonlyArray<Curve>,
  { curves: palette, muted }: { readonly curves: ReadonlyArray<string>; readonly muted: string }
): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let at = area.top + 8
  for (const [index, curve] of curves.entries()) {
    const { name, points, stopped } = curve
    const exponent = exponents(points)
    lines.push(
      line(
        [area.right + 16, at - 4],
        [area.right + 36, at - 4],
        colourOf(curve, index, palette),
        index === 0 ? 3 : 1.75
      ),
      text(area.right + 42, at, name, index === 0 ? `font-weight="600"` : "")
    )
    at += 15
    if (exponent !== undefined) {
      lines.push(text(area.right + 42, at, `exponent ${exponent}`, `fill="${muted}" font-size="11"`))
    }
    if (stopped !== undefined) {
      lines.push(text(area.right + 42, at += 14, `✕ ${stopped}`, `fill="${muted}" font-size="11"`))
    }
    at += 22
  }
  return lines
}

const line = ([x1, y1]: Range, [x2, y2]: Range, colour: string, thickness = 1): string =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${
    y2.toFixed(1)
  }" stroke="${colour}" stroke-width="${thickness}"/>`

const text = (x: number, y: number, content: string, attributes: string): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(content)}</text>`

const escaped = (content: string): string =>
  content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

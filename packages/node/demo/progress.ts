/**
 * What is seen while the demo works: on a terminal a few meters that are redrawn in place, otherwise plain lines.
 *
 * Invariant: meters leave no trace on a terminal, and elsewhere there is at most one line of them a second. Lines stay.
 */

/** A figure that changes: of something that is known to be full at `of`, or in words. */
export type Meter =
  | { readonly label: string; readonly value: number; readonly of: number }
  | { readonly label: string; readonly text: string }

export interface Screen {
  /** For good. Erases the meters first. */
  readonly line: (text?: string) => void
  /** Shows these meters instead of those before. */
  readonly draw: (meters: ReadonlyArray<Meter>) => void
}

/** The part of a stream that is used; `process.stdout` is one. */
export interface Output {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly write: (text: string) => unknown
}

const barCells = 30

const bar = (value: number, of: number): string =>
  "#".repeat(of > 0 ? Math.min(barCells, Math.ceil(value / of * barCells)) : 0).padEnd(barCells, ".")

const drawn = (meter: Meter): string => {
  const label = `   ${meter.label.padEnd(9)}`
  return "text" in meter ? label + meter.text : `${label}[${bar(meter.value, meter.of)}] ${meter.value} of ${meter.of}`
}

const terminal = (output: Output): Screen => {
  let shown = 0
  const erase = (): string => {
    const up = shown === 0 ? "" : `\x1b[${shown}A\r\x1b[J`
    shown = 0
    return up
  }
  return {
    line: (text = "") => output.write(`${erase()}${text}\n`),
    draw: (meters) => {
      const before = erase()
      shown = meters.length
      // A line that wraps would be two, and the cursor would not go up far enough.
      const lines = meters.map((meter) => `${drawn(meter).slice(0, (output.columns ?? 80) - 1)}\n`)
      output.write(before + lines.join(""))
    }
  }
}

const told = (meter: Meter): string => `${meter.label} ${"text" in meter ? meter.text : `${meter.value}/${meter.of}`}`

const plain = (output: Output): Screen => {
  let drawnAt = -Infinity
  return {
    line: (text = "") => output.write(`${text}\n`),
    draw: (meters) => {
      if (performance.now() - drawnAt < 1000) return
      drawnAt = performance.now()
      output.write(`   ... ${meters.map(told).join(", ")}\n`)
    }
  }
}

export const screen = (output: Output): Screen => output.isTTY === true ? terminal(output) : plain(output)

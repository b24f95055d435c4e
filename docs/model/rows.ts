/**
 * What the model must show: for each variant and size, the claims, and whether each holds. A row that must fail says by what
 * its trace is known. "Trace 1" to "trace 4" are the four shortest histories in which HAProxy's estimate loses a wakeup; they
 * have the names that they have in `@headgate/testing`'s SeedScenarios.
 */

export type Variant = "PARENT" | "SEED" | "HAND_OFF"

/** The model's `-D` names, and their values. */
export type Size = { readonly [name: string]: number | string }

export interface Row {
  readonly claim: string
  readonly expected: "holds" | "fails"
  /** What the failing run tells, in this order. */
  readonly story: ReadonlyArray<RegExp>
  readonly note: string
}

/** One compilation. */
export interface Build {
  readonly variant: Variant
  readonly size: Size
  /** Also with `--quick`. */
  readonly isQuick: boolean
  readonly rows: ReadonlyArray<Row>
}

const holds = (claim: string, note = ""): Row => ({ claim, expected: "holds", story: [], note })

const fails = (claim: string, note = "", ...story: ReadonlyArray<RegExp>): Row => ({
  claim,
  expected: "fails",
  story,
  note
})

/** Breaks a law by its number. */
const breaks = (law: string, note: string, ...story: ReadonlyArray<RegExp>): Row =>
  fails(law, note, ...story, new RegExp(`${law} is broken`))

const size = (limit: number, reserve: number, streams: number, applets: number, more: Size = {}): Size => ({
  LIMIT: limit,
  RESERVE: reserve,
  STREAMS: streams,
  APPLETS: applets,
  ...more
})

const build = (variant: Variant) => (size: Size, ...rows: ReadonlyArray<Row>): Build => ({
  variant,
  size,
  isQuick: false,
  rows
})
const parent = build("PARENT")
const seed = build("SEED")
const handOff = build("HAND_OFF")
const quick = (build: Build): Build => ({ ...build, isQuick: true })

/** A fault planted in `HAND_OFF`, the smallest size that shows it, and the law that it breaks. */
const planted = (fault: string, size: Size, row: Row): Build =>
  handOff({ ...size, FAULT: fault }, { ...row, note: row.note === "" ? "planted fault" : `planted fault: ${row.note}` })

const busy = /strangers become runnable(?![^]*is woken)/
const half = /credit 0, threshold 0, 1 queued(?![^]*is woken)/

const endless = { SESSIONS: 0 }
const mixed = { FIRST_APPLET: "RX" }
/** All that may happen, at once. */
const everything = { RESETS: 2, DECLINES: 1, TIMERS: 1, FAILURES: 2, WINDOWS: 1, CLOSE: 1 }
/** The four classes: streams at `rx` and `channel`, one applet at `tx`, the others at `endpoint`. */
const fourClasses = { FIRST_APPLET: "TX" }

export const builds: ReadonlyArray<Build> = [
  quick(parent(
    size(3, 1, 2, 1),
    holds("books"),
    fails("lost"),
    breaks("L8", "the parent's bug", /applet 0 finds none/, /stream 0 is queued/),
    fails("inTheStreamsName", "the parent's bug", /applet 0 finds none/, /stream 0 is queued/, /L8 is broken/)
  )),
  parent(size(3, 1, 2, 1, endless), fails("response"), fails("applet")),

  seed(
    size(3, 1, 2, 1, { SESSIONS: 2 }),
    holds("books"),
    holds("lost", "what the parent loses"),
    holds("L8", "what the parent loses")
  ),
  seed(size(3, 2, 1, 1), holds("L8", "trace 1 without strangers")),
  quick(seed(
    size(3, 2, 1, 1, { STRANGERS: 3 }),
    holds("books"),
    fails("lost", "", busy),
    breaks("L8", "", busy),
    fails("busyRunQueue", "trace 1: a busy run queue", busy, /L8 is broken/)
  )),
  seed(size(2, 1, 1, 1, { STRANGERS: 3 }), fails("busyRunQueue", "trace 1: a busy run queue", busy, /L8 is broken/)),
  seed(size(3, 1, 1, 4), holds("lost", "trace 2 with a reserve of 1")),
  quick(seed(size(3, 2, 1, 4), fails("lost"), fails("halfTheReserve", "trace 2: half the reserve", half))),
  seed(size(3, 1, 2, 2), holds("lost", "trace 3 with one side"), holds("L8")),
  seed(size(3, 1, 2, 2, { DECLINES: 1 }), holds("lost")),
  quick(seed(
    size(3, 1, 2, 2, mixed),
    fails("lost"),
    fails(
      "mixedSides",
      "trace 3: mixed sides",
      /applet 0 is woken/,
      /applet 0 finds none, at rx/,
      /applet 0 is queued/
    )
  )),
  seed(size(4, 2, 2, 3, mixed), fails("mixedSides", "trace 3: mixed sides", /applet 0 is woken/)),
  seed(size(3, 1, 1, 2, { ...mixed, HOGS: 1 }), breaks("L8", "trace 3 beside a response that nobody reads")),
  seed(size(2, 1, 1, 3), holds("lost", "trace 4 without a kill")),
  quick(seed(
    size(2, 1, 1, 3, { RESETS: 1 }),
    fails("lost"),
    fails("killedBeforeItRan", "trace 4: killed before it ran", /applet 0 is woken/, /applet 0 ends early/)
  )),
  seed(
    size(3, 2, 1, 4, { RESETS: 1 }),
    fails("killedBeforeItRan", "trace 4: killed before it ran", /applet 0 is woken/, /applet 0 ends early/)
  ),
  seed(
    size(3, 1, 2, 1, { ORDER: 1 }),
    breaks("L5", "who waits is overtaken", /stream 0 is queued/, /stream 1 takes, at tx/)
  ),
  quick(seed(size(3, 1, 2, 1, endless), fails("response"), fails("applet"))),
  seed(size(3, 1, 3, 1, endless), fails("request"), fails("response"), fails("applet")),

  quick(handOff(size(3, 1, 2, 1, { SESSIONS: 2 }), holds("safe"))),
  quick(handOff(size(3, 2, 1, 1, { STRANGERS: 3 }), holds("safe", "trace 1"))),
  quick(handOff(size(3, 2, 1, 4), holds("safe", "trace 2"))),
  quick(handOff(size(3, 1, 2, 2, mixed), holds("safe", "trace 3"))),
  handOff(size(4, 2, 2, 3, mixed), holds("safe", "trace 3")),
  handOff(size(3, 1, 1, 2, { ...mixed, HOGS: 1 }), holds("safe", "trace 3 beside a response that nobody reads")),
  quick(handOff(size(2, 1, 1, 3, { RESETS: 1 }), holds("safe", "trace 4"))),
  handOff(size(3, 2, 1, 4, { RESETS: 1 }), holds("safe", "trace 4")),
  handOff(size(2, 1, 2, 1, { RESPONSE: "ENDPOINT" }), holds("safe", "an applet fills the response")),
  handOff(size(4, 3, 2, 1, { ...everything, RESIZE: 6, ORDER: 1 }), holds("safe", "all that may happen")),
  quick(handOff(size(4, 3, 2, 1, everything), holds("safe", "all that may happen but a resize"))),
  handOff(
    size(4, 3, 2, 2, { ...everything, ...fourClasses, ORDER: 1 }),
    holds("safe", "four classes, all that may happen")
  ),
  handOff(size(4, 3, 2, 2, { ...fourClasses, SESSIONS: 2, RESETS: 2, DECLINES: 1, ORDER: 1 }), holds("safe")),
  handOff(size(4, 3, 3, 2, { ...fourClasses, SESSIONS: 2, RESETS: 2, DECLINES: 1 }), holds("safe")),
  handOff(size(4, 2, 2, 3, { ...mixed, STRANGERS: 2, RESETS: 2, DECLINES: 1, HOGS: 1 }), holds("safe")),
  handOff(size(4, 3, 2, 2, { SESSIONS: 2, WINDOWS: 2, FAILURES: 2 }), holds("safe", "ageing and short memory")),
  handOff(size(5, 1, 3, 1, { RESIZE: 2, RESETS: 1, ORDER: 1 }), holds("safe", "shrinking")),
  handOff(size(2, 1, 3, 1, { RESIZE: 5, FAILURES: 2, RESETS: 1 }), holds("safe", "growing, and short memory")),
  handOff(
    size(3, 1, 2, 1, { RESIZE: 2, FAILURES: 1, WINDOWS: 1, CLOSE: 1 }),
    holds("safe"),
    fails("neverQueued", "it happens"),
    fails("neverGranted", "it happens"),
    fails("neverGrantedWhenClosed", "it happens"),
    fails("neverQueuedForMemory", "it happens"),
    fails("neverServedByFavour", "it happens"),
    fails("neverQueuedWhileShrinking", "it happens")
  ),
  quick(handOff(size(3, 1, 2, 1, endless), holds("request"), holds("response"), holds("applet"))),
  handOff(size(3, 1, 3, 1, endless), holds("request"), holds("response"), holds("applet")),
  handOff(
    size(3, 1, 2, 1, { ...endless, RESETS: 2, DECLINES: 1 }),
    holds("request"),
    holds("response"),
    holds("applet")
  ),
  handOff(
    size(4, 3, 2, 2, endless),
    holds("response"),
    holds("applet"),
    fails("request", "strict priority starves rx")
  ),
  quick(handOff(
    size(4, 3, 2, 2, { ...endless, PATIENT: 1 }),
    holds("request", "ageing does not"),
    holds("response"),
    holds("applet")
  )),
  handOff(size(2, 1, 1, 2, endless), holds("response"), fails("request", "strict priority starves rx")),
  handOff(
    size(2, 1, 1, 2, { ...endless, PATIENT: 1 }),
    holds("request", "ageing does not"),
    holds("response"),
    holds("applet")
  ),
  handOff(size(2, 0, 2, 1), breaks("L8", "without a reserve all hold a request and wait for a response")),

  quick(planted("NO_OFFER", size(2, 1, 2, 1), fails("lost"))),
  planted("WAKE_ALONE", size(2, 1, 2, 1), breaks("L4", "")),
  planted("WAKE_ALONE", size(2, 1, 2, 1, { ORDER: 1 }), breaks("L5", "")),
  planted("WAKE_ALONE", size(2, 1, 2, 1, endless), fails("response")),
  planted("BARGING", size(2, 1, 3, 1, { ORDER: 1 }), breaks("L5", "")),
  planted("BARGING", size(2, 1, 2, 1), breaks("L7", "")),
  planted("NOT_THE_HEAD", size(2, 1, 1, 2, { ORDER: 1 }), breaks("L5", "")),
  planted("REVERSED", size(3, 1, 2, 1, { ORDER: 1 }), breaks("L5", "")),
  planted("STREAMS_NAME", size(2, 1, 2, 1), breaks("L8", "")),
  quick(planted("GRANT_FORGOTTEN", size(2, 1, 2, 1, { RESETS: 1 }), breaks("L3", "", /ends early/))),
  planted("GRANT_FORGOTTEN", size(2, 1, 2, 1, { DECLINES: 1 }), breaks("L8", "", /wants it no more/)),
  planted("STAYS_QUEUED", size(2, 1, 2, 1, { RESETS: 1 }), breaks("L6", "")),
  planted("QUEUED_TWICE", size(2, 1, 2, 1, { TIMERS: 1 }), breaks("L6", "")),
  planted("ROUNDED_MARGIN", size(2, 1, 2, 1, { RESPONSE: "ENDPOINT" }), breaks("L8", "")),
  planted(
    "ROUNDED_MARGIN",
    size(2, 1, 2, 1, { RESPONSE: "ENDPOINT", ...everything }),
    breaks("L8", "amid all the rest")
  ),
  planted("RESERVE_IS_A_NUMBER", size(3, 1, 2, 1, { FAILURES: 1 }), breaks("L7", "")),
  planted("LATE_RECOVERY", size(4, 1, 1, 1, { FAILURES: 1, HOGS: 2 }), breaks("L8", "", /a creation fails/)),
  planted("FREEZING_SHRINK", size(4, 1, 2, 0, { RESIZE: 2 }), breaks("L8", "", /the limit becomes 2/)),
  planted("SILENT_CLOSE", size(2, 1, 2, 1, { CLOSE: 1 }), breaks("L8", "", /the pool closes/)),
  planted("TABLE_WITHOUT_OFFER", size(2, 1, 2, 1, { WINDOWS: 1 }), breaks("L4", "", /rx is favoured/)),
  planted("ENDLESS_WINDOW", size(2, 1, 2, 1, { WINDOWS: 1 }), breaks("L8", "", /rx is favoured/))
]

/** What a process that makes load is asked, and what it answers. */
import * as Schema from "effect/Schema"

const times = { warmMs: Schema.Number, windowMs: Schema.Number }

export const Work = Schema.Union([
  Schema.Struct({
    is: Schema.Literal("bulk"),
    connections: Schema.Number,
    /** Of each stream: sent, and not yet read by its client. At least one piece. */
    onTheWayBytes: Schema.Number,
    ...times
  }),
  Schema.Struct({ is: Schema.Literal("pingPong"), connections: Schema.Number, ...times }),
  Schema.Struct({ is: Schema.Literal("paced"), connections: Schema.Number, pauseMs: Schema.Number, ...times }),
  Schema.Struct({ is: Schema.Literal("churn"), connections: Schema.Number, ...times }),
  Schema.Struct({ is: Schema.Literal("idle"), connections: Schema.Number, restMs: Schema.Number }),
  Schema.Struct({
    is: Schema.Literal("neverReaders"),
    connections: Schema.Number,
    offeredBytes: Schema.Number,
    restMs: Schema.Number
  }),
  Schema.Struct({
    is: Schema.Literal("besideStuck"),
    stuck: Schema.Number,
    connections: Schema.Number,
    patienceMs: Schema.Number,
    windowMs: Schema.Number
  })
])
export type Work = typeof Work.Type

/** Where the relay is: its process, and its listeners for the stream and for the echo. */
export const Relay = Schema.Struct({ pid: Schema.Number, streamPort: Schema.Number, echoPort: Schema.Number })
export type Relay = typeof Relay.Type

export const Origin = Schema.Struct({ streamPort: Schema.Number, echoPort: Schema.Number })
export type Origin = typeof Origin.Type

/** By name, with the unit in the name. */
export const Figures = Schema.Record(Schema.String, Schema.Number)
export type Figures = typeof Figures.Type

export const Outcome = Schema.Union([
  Schema.Struct({ figures: Figures }),
  Schema.Struct({ failure: Schema.String })
])

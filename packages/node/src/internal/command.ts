/** The program of the `headgate` command: it runs when it is imported, by `bin.ts`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { relayCommand } from "../RelayCommand.ts"
import { Told } from "../RelayFlags.ts"

const interrupted = 130

Command.make("headgate").pipe(
  Command.withDescription("Moves bytes within a fixed memory budget"),
  Command.withSubcommands([relayCommand]),
  Command.run({ version: "0.1.0" }),
  // Flags that do not exist are bad input like values that break a rule: what is wrong has been printed.
  Effect.mapError((error) =>
    error._tag === "ShowHelp" && error.errors.length > 0 ? new Told({ exitCode: 64, message: error.message }) : error
  ),
  Effect.provide(NodeServices.layer),
  // A signal is an order: whoever carried it out without fault ends with 0, or else has left the code that says so.
  NodeRuntime.runMain({
    teardown: (exit, onExit) =>
      Runtime.defaultTeardown(exit, (code) => onExit(code === interrupted ? Number(process.exitCode ?? 0) : code))
  })
)

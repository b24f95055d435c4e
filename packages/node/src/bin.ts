#!/usr/bin/env node
/**
 * The `headgate` command.
 *
 * @since 0.1.0
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Command } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { relayCommand } from "./RelayCommand.ts"

const interrupted = 130

Command.make("headgate").pipe(
  Command.withDescription("Moves bytes within a fixed memory budget"),
  Command.withSubcommands([relayCommand]),
  Command.run({ version: "0.1.0" }),
  Effect.provide(NodeServices.layer),
  // A signal is an order that was carried out: what the relay then does in order ends with 0.
  NodeRuntime.runMain({
    teardown: (exit, onExit) => Runtime.defaultTeardown(exit, (code) => onExit(code === interrupted ? 0 : code))
  })
)

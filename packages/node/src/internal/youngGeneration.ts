/**
 * For the command, imported before all else: the memory that V8 fills between two collections of the young generation stays as
 * small as it is when a process starts.
 *
 * Left alone it grows to 64 MiB and more, by which a relay of idle connections is twice as large as what it holds. A relay's
 * garbage is small and short-lived, and what it moves lies outside V8's heap, so there is little to gain by collecting it later.
 */
import { setFlagsFromString } from "node:v8"

setFlagsFromString("--semi-space-growth-factor=1")

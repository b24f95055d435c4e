/** In a lane a counterexample need not be small, only found: shrinking would take most of the time. */
import * as fc from "fast-check"

fc.configureGlobal({ endOnFailure: true })

/** Which tests judge the mutants of `packages/headgate/src`: those that take seconds, and for the relay's mutants minutes. */
export interface Suite {
  readonly tests: string
  /** Mutants of other files are none of its business; of all, if left out. */
  readonly judges?: RegExp
  /** Titles of tests that cost more than they find. */
  readonly except?: RegExp
}

const long = /5 000|100 000|32: load|never served|newcomers|20 kB|twenty thousand|honest/
const core = /\/(gate|runQueue|list)\.ts$/
const relay = /\/(relay|connection|Relay|StallPolicy|Peer)\.ts$/

export const suites: ReadonlyArray<Suite> = [
  { tests: "packages/headgate/test/!(readme).test.ts" },
  { tests: "packages/headgate/test/face/!(Laws).test.ts", except: long },
  { tests: "packages/headgate/test/history/!(catalogue).test.ts" },
  { tests: "packages/headgate/test/users/09-manual.test.ts" },
  { tests: "packages/testing/test/DesignRules.test.ts", judges: core, except: long },
  {
    tests: "packages/testing/test/{PoolModel,laws/Faults,laws/PoolObserver,laws/SchedulerObserver}.test.ts",
    judges: core
  },
  { tests: "packages/testing/test/laws/Histories.test.ts", judges: core, except: /wrong/ },
  { tests: "packages/testing/test/sweep/acquire.test.ts", judges: /\/(pool|waiters)\.ts$/ },
  { tests: "packages/testing/test/relay/!(simulation).test.ts", judges: relay, except: long }
]

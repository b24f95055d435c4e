/**
 * A process that is compared: any program, under a shell that ends it when the bench ends or says so.
 *
 * Invariant: nothing that was started outlives the bench, however that ends: the shell waits for the end of its input, which the
 * bench holds, and then kills.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import { createInterface } from "node:readline"
import type { Readable, Writable } from "node:stream"

/** As many open files as the system allows: some programs do not ask for them by themselves. */
const underShell = `ulimit -n "$(ulimit -Hn)"; "$@" </dev/null & echo "pid $!"; cat >/dev/null; kill -KILL $!; wait $!`

const patienceMs = 15_000
const mostLines = 20

/** Variables that would change what a relay does when its flags say nothing. */
const environment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HEADGATE_|NODE_OPTIONS$)/.test(name))),
  NO_COLOR: "1"
})

export class Running {
  private readonly shell: ChildProcessByStdio<Writable, Readable, Readable>
  private readonly lines: Array<string> = []
  private readonly ended: Promise<unknown>
  private readonly name: string

  constructor(name: string, command: ReadonlyArray<string>) {
    this.name = name
    this.shell = spawn("sh", ["-c", underShell, "sh", ...command], {
      env: environment(),
      stdio: ["pipe", "pipe", "pipe"]
    })
    this.ended = once(this.shell, "close")
    for (const input of [this.shell.stdout, this.shell.stderr]) {
      createInterface({ input }).on("line", (line) => {
        if (this.lines.push(line) > mostLines) this.lines.shift()
      })
    }
  }

  /** What `read` finds first, in a line that it said or by itself. */
  async says<A>(what: string, read: (line: string) => A | undefined): Promise<A> {
    for (const before = performance.now(); performance.now() - before < patienceMs;) {
      for (const line of ["", ...this.lines]) {
        const found = read(line)
        if (found !== undefined) return found
      }
      if (this.hasEnded()) break
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error(`${this.name} did not say ${what}: ${this.lines.slice(-3).join(" / ") || "not a word"}`)
  }

  /** The process that is measured, not the shell's. */
  pid(): Promise<number> {
    return this.says("its number", pidIn)
  }

  async stop(): Promise<void> {
    this.shell.stdin.end()
    await this.ended
  }

  /** It is only kept until the shell asks how it ended: its state, which stands behind its name in parentheses, is Z. */
  private hasEnded(): boolean {
    const pid = this.lines.map(pidIn).find((found) => found !== undefined)
    return pid !== undefined && Fs.readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ")
  }
}

const pidIn = (line: string): number | undefined => {
  const pid = /^pid (\d+)$/.exec(line)?.[1]
  return pid === undefined ? undefined : Number(pid)
}

/**
 * What the operating system says of a process: processor time and memory. Linux only, from `/proc`.
 *
 * Invariant: the figure is of the whole process, all of its threads, and no measured process helps to make it.
 */
import * as Fs from "node:fs"

/** `/proc/<pid>/stat` counts in ticks; `sysconf(_SC_CLK_TCK)` is 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/**
 * Processor time that the process has used until now, in milliseconds: the sum over its threads of the first field of
 * `schedstat` (nanoseconds on a processor, in the kernel too). Where the kernel was built without it, `utime` and `stime` of
 * `stat`, in steps of 10 ms.
 */
export const cpuMs = (pid: number): number => {
  const threads = Fs.readdirSync(`/proc/${pid}/task`)
  try {
    return threads.reduce((sum, thread) => sum + schedstat(pid, thread, 0), 0) / 1e6
  } catch (error) {
    if (Fs.existsSync(`/proc/${pid}/schedstat`)) throw error
    return ticks(pid) * 1000 / ticksPerSecond
  }
}

const schedstat = (pid: number, thread: string, field: number): number =>
  Number(Fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ")[field])

/**
 * Milliseconds for which its threads were ready to run and had no processor, until now: the second field. Undefined where the
 * kernel does not count it.
 */
export const waitedMs = (pid: number): number | undefined => {
  try {
    return Fs.readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + schedstat(pid, thread, 1), 0) / 1e6
  } catch (error) {
    if (Fs.existsSync(`/proc/${pid}/schedstat`)) throw error
    return undefined
  }
}

/** User and system time; the name of the program, which may have spaces in it, stands in parentheses before. */
const ticks = (pid: number): number => {
  const text = Fs.readFileSync(`/proc/${pid}/stat`, "latin1")
  const [user, system] = text.slice(text.lastIndexOf(")") + 2).split(" ").slice(11, 13)
  return Number(user) + Number(system)
}

/** Resident memory of the process now, in bytes: `VmRSS`. */
export const residentBytes = (pid: number): number => {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]
  if (kib === undefined) throw new Error(`process ${pid} has no memory: it has ended`)
  return Number(kib) * 1024
}

/**
 * Connections that have ended and that the kernel remembers for a minute (TIME_WAIT), as a part of as many as it remembers at
 * most. Beyond that it forgets at once, and an end costs less. Undefined where the kernel does not say.
 */
export const rememberedPart = (): number | undefined => {
  const most = "/proc/sys/net/ipv4/tcp_max_tw_buckets"
  if (!Fs.existsSync(most)) return undefined
  const now = /^TCP: .*\btw (\d+)/m.exec(Fs.readFileSync("/proc/net/sockstat", "latin1"))?.[1]
  return now === undefined ? undefined : Number(now) / Number(Fs.readFileSync(most, "latin1"))
}

/** Somebody listens on that port, IPv4. Known without a connection, which a relay would pass on to its target. */
export const isListening = (port: number): boolean => {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")} 00000000:0000 0A`
  return Fs.readFileSync("/proc/net/tcp", "latin1").includes(local)
}

/** A pool's options with nothing left open, and how the memory of one buffer is made. */
import type { BufferPoolOptions } from "../BufferPool.ts"
import { durationMs, withDefaults } from "./options.ts"

export interface Settings {
  readonly name: string
  readonly limit: number
  readonly reserve: number
  readonly bufferSize: number
  readonly prealloc: number
  readonly maxWaiting: number
  readonly ageAfterMs: number
  readonly leakThresholdMs: number | undefined
  readonly trackOrigins: boolean
  readonly wipe: boolean
  readonly debug: boolean
  readonly allocate: (size: number) => Uint8Array<ArrayBuffer>
}

export const settingsOf = (options: BufferPoolOptions): Settings => ({
  ...withDefaults(options),
  name: options.name ?? "default",
  bufferSize: options.bufferSize ?? 64 * 1024,
  maxWaiting: options.maxWaiting ?? Infinity,
  ageAfterMs: durationMs(options.ageAfter ?? 1000),
  leakThresholdMs: options.leakThreshold === undefined ? undefined : durationMs(options.leakThreshold),
  trackOrigins: options.trackOrigins ?? false,
  wipe: options.wipe ?? false,
  debug: options.debug ?? false,
  allocate: options.allocate ?? ((size) => new Uint8Array(size))
})

/** A buffer's memory: exactly as large as was asked for, and an ArrayBuffer of its own, which `debug` can transfer. */
export const makeMemory = ({ allocate, bufferSize }: Settings): Uint8Array<ArrayBuffer> => {
  const bytes = allocate(bufferSize)
  if (bytes.length === bufferSize && bytes.buffer.byteLength === bufferSize) return bytes
  throw new RangeError(
    `allocate was asked for ${bufferSize} bytes, and made ${bytes.length} in an ArrayBuffer of ${bytes.buffer.byteLength}`
  )
}

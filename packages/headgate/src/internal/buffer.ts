/**
 * The lease: what the face wraps around an area, fresh for each loan, so that a stale one can be told from the area's next
 * owner. Invariant: `area` is the area of this lease alone, and `live` is true exactly while the lease is.
 *
 * One function removes bytes (`consume`), so whoever holds a channel's buffer learns here that it became empty.
 */
import type { ByteBuffer } from "../ByteBuffer.ts"
import type { BufferMisuse } from "../PoolError.ts"
import type { Area } from "./gate.ts"
import { Identity } from "./identity.ts"
import { touch } from "./version.ts"

/** Who must know when the buffer is empty, or unpinned: the channel that holds it. */
export interface Holder {
  readonly maybeEmpty: (lease: Lease) => void
  /** The lease is over, whoever ended it. */
  readonly gone: (lease: Lease) => void
}

/** What a lease needs of its pool. */
export interface Lender {
  readonly name: string
  misuse(fact: string): BufferMisuse
}

// Everywhere Effect runs, but not in the language's own library.
declare const TextEncoder: new() => { encode(text: string): Uint8Array<ArrayBuffer> }
declare const TextDecoder: new() => { decode(bytes: Uint8Array): string }

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class Lease extends Identity implements ByteBuffer {
  live = true
  /** Pins made through this lease. They outlive it. */
  pins = 0
  holder: Holder | undefined = undefined
  private head = 0
  private filled = 0
  readonly area: Area
  readonly lender: Lender

  constructor(area: Area, lender: Lender) {
    super()
    this.area = area
    this.lender = lender
  }

  get pool(): string {
    return this.lender.name
  }
  get size(): number {
    return this.area.bytes.length
  }
  get length(): number {
    touch()
    return this.filled
  }
  get room(): number {
    touch()
    return this.live ? this.size - this.filled : 0
  }

  write(data: Uint8Array | string): number {
    const bytes = typeof data === "string" ? encoder.encode(data) : data
    this.mustFit(bytes.length, "write")
    const tail = this.tail()
    const first = Math.min(bytes.length, this.size - tail)
    this.area.bytes.set(first === bytes.length ? bytes : bytes.subarray(0, first), tail)
    if (first < bytes.length) this.area.bytes.set(bytes.subarray(first), 0)
    this.filled += bytes.length
    return bytes.length
  }

  consume(count: number): void {
    this.mustBeLive("consume")
    if (!isCount(count) || count > this.filled) throw this.misuse(`consume ${count} of ${this.filled} bytes`)
    this.filled -= count
    this.head = this.filled === 0 ? 0 : (this.head + count) % this.size
    if (this.filled === 0) this.holder?.maybeEmpty(this)
  }

  readViews(): ReadonlyArray<Uint8Array<ArrayBuffer>> {
    touch()
    if (this.filled === 0) return []
    const end = this.head + this.filled
    if (end <= this.size) return [this.view(this.head, end)]
    return [this.view(this.head, this.size), this.view(0, end - this.size)]
  }

  writeView(): Uint8Array<ArrayBuffer> {
    this.mustBeLive("writeView")
    const tail = this.tail()
    return this.view(tail, Math.min(this.size, tail + this.room))
  }

  commit(count: number): void {
    this.mustFit(count, "commit")
    const contiguous = Math.min(this.size - this.tail(), this.room)
    if (count > contiguous) throw this.misuse(`commit ${count} bytes of a writeView of ${contiguous}`)
    this.filled += count
  }

  toBytes(): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(this.filled)
    let at = 0
    for (const view of this.readViews()) {
      bytes.set(view, at)
      at += view.length
    }
    return bytes
  }

  toText(): string {
    return decoder.decode(this.toBytes())
  }

  /** The lease is over: nothing can be read or written through it any more. */
  expire(): void {
    touch()
    this.live = false
    this.filled = 0
    this.holder?.gone(this)
    this.holder = undefined
  }

  toJSON() {
    return { pool: this.pool, length: this.length, room: this.room }
  }
  override toString(): string {
    return `ByteBuffer(${this.pool}: ${this.live ? `${this.filled} of ${this.size} bytes` : "given back"})`
  }
  /** All of it is a view that there is already. */
  private view(from: number, to: number): Uint8Array<ArrayBuffer> {
    const { bytes } = this.area
    if (to - from === bytes.length) return bytes
    return new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from)
  }

  private tail(): number {
    return (this.head + this.filled) % this.size
  }

  private mustFit(count: number, operation: string): void {
    this.mustBeLive(operation)
    if (!isCount(count) || count > this.room) {
      throw this.misuse(`${operation} ${count} bytes into room for ${this.room}`)
    }
  }

  private mustBeLive(operation: string): void {
    touch()
    if (!this.live) throw this.misuse(`${operation} on a buffer that was given back`)
  }

  private misuse(fact: string): BufferMisuse {
    return this.lender.misuse(fact)
  }
}

const isCount = (count: number): boolean => Number.isInteger(count) && count >= 0

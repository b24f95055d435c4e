/**
 * A buffer against a plain array of bytes; and every misuse, which must change nothing and say what it was.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fc from "fast-check"
import { BufferMisuse, BufferPool, type ByteBuffer } from "headgate"

const seed = process.env["HEADGATE_SEED"]
const parameters = {
  numRuns: Number(process.env["HEADGATE_RUNS"] ?? 300),
  ...(seed === undefined ? {} : { seed: Number(seed) })
}

const bytesOf = (buffer: ByteBuffer) => buffer.readViews().flatMap((view) => [...view])

/** Runs a test with a pool of its own: eight buffers of `size` bytes. */
const withPool = (
  body: (pool: BufferPool["Service"]) => void,
  options: { readonly name?: string; readonly size?: number; readonly debug?: boolean; readonly wipe?: boolean } = {}
) => {
  const { debug, name = "small", size: bufferSize = 8, wipe } = options
  Effect.runSync(
    BufferPool.useSync(body).pipe(
      Effect.provide(BufferPool.layer({ name, limit: 8, bufferSize, debug, wipe, ageAfter: "Infinity" }))
    )
  )
}

const take = (pool: BufferPool["Service"]) => {
  const buffer = pool.tryTakeUnsafe("tx")
  if (buffer === undefined) throw new Error("the pool has a buffer to take")
  return buffer
}

describe("a buffer is a queue of bytes", () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("write"), bytes: fc.uint8Array({ maxLength: 12 }) }),
    fc.record({ kind: fc.constant("fill"), bytes: fc.uint8Array({ maxLength: 12 }) }),
    fc.record({ kind: fc.constant("consume"), bytes: fc.uint8Array({ maxLength: 12 }) })
  )

  it("what is written or committed is read in order and whole, wherever the head is", () => {
    let wraps = 0
    const property = fc.property(fc.integer({ min: 1, max: 11 }), fc.array(operation), (size, operations) => {
      withPool((pool) => {
        const buffer = take(pool)
        let model = new Array<number>()
        for (const { bytes, kind } of operations) {
          if (kind === "write") {
            const fitting = bytes.subarray(0, buffer.room)
            assert.strictEqual(buffer.write(fitting), fitting.length)
            model.push(...fitting)
          } else if (kind === "fill") {
            const view = buffer.writeView()
            assert.strictEqual(view.length === 0, buffer.room === 0)
            const fitting = bytes.subarray(0, view.length)
            view.set(fitting)
            buffer.commit(fitting.length)
            model.push(...fitting)
          } else {
            const count = Math.min(bytes.length, buffer.length)
            buffer.consume(count)
            model = model.slice(count)
          }
          const views = buffer.readViews()
          if (views.length > 1) wraps++
          assert.isAtMost(views.length, 2)
          assert.isTrue(views.every((view) => view.length > 0))
          assert.deepStrictEqual(bytesOf(buffer), model)
          assert.deepStrictEqual([...buffer.toBytes()], model)
          assert.deepStrictEqual([buffer.length, buffer.room, buffer.size], [model.length, size - model.length, size])
        }
        pool.giveBackUnsafe(buffer)
      }, { size })
    })
    fc.assert(property, parameters)
    assert.isAbove(wraps, 0)
  })

  it("a text is its UTF-8 bytes, also across the wrap", () => {
    withPool((pool) => {
      const buffer = take(pool)
      assert.strictEqual(buffer.write("abcdef"), 6)
      buffer.consume(5)
      assert.strictEqual(buffer.write("é€"), 5)
      assert.deepStrictEqual(buffer.readViews().map((view) => view.length), [3, 3])
      assert.strictEqual(buffer.toText(), "fé€")
      assert.strictEqual(buffer.length, 6)
    })
  })

  it("emptied, it offers all its room in one view again", () => {
    withPool((pool) => {
      const buffer = take(pool)
      buffer.write("abcdef")
      buffer.consume(4)
      assert.strictEqual(buffer.writeView().length, 2)
      buffer.consume(2)
      assert.strictEqual(buffer.writeView().length, 8)
    })
  })

  it("lent again, it is empty, and the lease before stays over", () => {
    withPool((pool) => {
      const before = take(pool)
      before.write("secret")
      pool.giveBackUnsafe(before)
      const after = take(pool)
      assert.deepStrictEqual([after.length, bytesOf(after), after.toText()], [0, [], ""])
      after.write("mine")
      assert.deepStrictEqual([before.length, before.room, before.readViews(), before.toText()], [0, 0, [], ""])
    })
  })
})

describe("a misuse changes nothing, and names pool, fact and numbers", () => {
  /** All that a misuse must leave alone, but for the count of misuses. */
  const stateOf = (pool: BufferPool["Service"], ...buffers: ReadonlyArray<ByteBuffer>) => {
    const { counters, ...snapshot } = Effect.runSync(pool.snapshot)
    return {
      snapshot,
      counters: { ...counters, misuse: 0 },
      buffers: buffers.map((buffer) => [buffer.length, buffer.room, bytesOf(buffer)])
    }
  }

  const misuses = (pool: BufferPool["Service"]) => Effect.runSync(pool.snapshot).counters.misuse

  /** A buffer that holds "abcd" of 8 bytes, across the wrap. */
  const half = (pool: BufferPool["Service"]) => {
    const buffer = take(pool)
    buffer.write("......")
    buffer.consume(5)
    buffer.write("abcd")
    buffer.consume(1)
    return buffer
  }

  const refused = (act: (buffer: ByteBuffer, pool: BufferPool["Service"]) => void, fact: string, debug = false) =>
    withPool((pool) => {
      const buffer = half(pool)
      const before = stateOf(pool, buffer)
      expectMisuse(() => act(buffer, pool), pool, fact)
      assert.deepStrictEqual(stateOf(pool, buffer), before)
      assert.strictEqual(buffer.toText(), "abcd")
      pool.giveBackUnsafe(buffer)
      assert.strictEqual(Effect.runSync(pool.snapshot).used, 0)
    }, { debug })

  const refusedWhenStale = (act: (buffer: ByteBuffer, pool: BufferPool["Service"]) => void, fact: string) =>
    withPool((pool) => {
      const stale = half(pool)
      pool.giveBackUnsafe(stale)
      const next = half(pool)
      const before = stateOf(pool, stale, next)
      expectMisuse(() => act(stale, pool), pool, fact)
      assert.deepStrictEqual(stateOf(pool, stale, next), before)
      pool.giveBackUnsafe(next)
      assert.strictEqual(Effect.runSync(pool.snapshot).used, 0)
    })

  const expectMisuse = (act: () => void, pool: BufferPool["Service"], fact: string) => {
    const counted = misuses(pool)
    let thrown: unknown = undefined
    try {
      act()
    } catch (error) {
      thrown = error
    }
    if (!(thrown instanceof BufferMisuse)) throw new Error(`not a misuse: ${String(thrown)}`)
    assert.deepInclude(thrown, { pool: pool.name, fact })
    assert.strictEqual(thrown.message, `pool "${pool.name}": ${fact}`)
    assert.strictEqual(misuses(pool), counted + 1)
  }

  for (
    const [what, count] of [["negative", -1], ["fractional", 1.5], ["not a number", Number.NaN], [
      "infinite",
      Infinity
    ]] as const
  ) {
    it(`consuming a count that is ${what}`, () => {
      refused((buffer) => buffer.consume(count), `consume ${count} of 4 bytes`)
    })
    it(`committing a count that is ${what}`, () => {
      refused((buffer) => buffer.commit(count), `commit ${count} bytes into room for 4`)
    })
  }

  it("writing more than the room", () => {
    refused((buffer) => buffer.write("12345"), "write 5 bytes into room for 4")
    refused((buffer) => buffer.write(new Uint8Array(9)), "write 9 bytes into room for 4")
    refused((buffer) => buffer.write("€€"), "write 6 bytes into room for 4")
  })

  it("consuming more than the length", () => {
    refused((buffer) => buffer.consume(5), "consume 5 of 4 bytes")
  })

  it("committing more than the room", () => {
    refused((buffer) => buffer.commit(5), "commit 5 bytes into room for 4")
  })

  it("committing more than the view that there was to fill", () => {
    withPool((pool) => {
      const buffer = take(pool)
      buffer.write("abcdef")
      buffer.consume(3)
      assert.deepStrictEqual([buffer.room, buffer.writeView().length], [5, 2])
      expectMisuse(() => buffer.commit(3), pool, "commit 3 bytes of a writeView of 2")
      assert.strictEqual(buffer.toText(), "def")
    })
  })

  it("writing, consuming, committing, or asking for room after it was given back", () => {
    refusedWhenStale((buffer) => buffer.write("x"), "write on a buffer that was given back")
    refusedWhenStale((buffer) => buffer.write(""), "write on a buffer that was given back")
    refusedWhenStale((buffer) => buffer.consume(0), "consume on a buffer that was given back")
    refusedWhenStale((buffer) => buffer.commit(0), "commit on a buffer that was given back")
    refusedWhenStale((buffer) => buffer.writeView(), "writeView on a buffer that was given back")
  })

  it("giving it back twice", () => {
    refusedWhenStale((buffer, pool) => pool.giveBackUnsafe(buffer), "a buffer was given back twice")
  })

  it("pinning one that was given back, or unpinning what nothing pins", () => {
    refusedWhenStale((buffer, pool) => pool.pinUnsafe(buffer), "a buffer was pinned that had been given back")
    refusedWhenStale((buffer, pool) => pool.unpinUnsafe(buffer), "a buffer was unpinned that nothing pins")
    refused((buffer, pool) => pool.unpinUnsafe(buffer), "a buffer was unpinned that nothing pins")
    refused((buffer, pool) => {
      pool.pinUnsafe(buffer)
      pool.unpinUnsafe(buffer)
      pool.unpinUnsafe(buffer)
    }, "a buffer was unpinned that nothing pins")
  })

  it("handing it to another pool", () => {
    withPool((other) => {
      const fact = "a buffer of pool \"small\" was handed to this one"
      const before = stateOf(other)
      withPool((pool) => {
        const buffer = half(pool)
        const mine = stateOf(pool, buffer)
        expectMisuse(() => other.giveBackUnsafe(buffer), other, fact)
        expectMisuse(() => other.pinUnsafe(buffer), other, fact)
        expectMisuse(() => other.unpinUnsafe(buffer), other, fact)
        assert.deepStrictEqual(stateOf(pool, buffer), mine)
        assert.deepStrictEqual(stateOf(other), before)
      })
    }, { name: "other" })
  })

  it("any of them, with the checks of debug on", () => {
    refused((buffer) => buffer.write("12345"), "write 5 bytes into room for 4", true)
    refused((buffer, pool) => pool.unpinUnsafe(buffer), "a buffer was unpinned that nothing pins", true)
  })
})

describe("the memory behind a lease", () => {
  it("is not lent to anybody while it is pinned, and is at the last unpin", () => {
    withPool((pool) => {
      const buffer = take(pool)
      buffer.write("in flight")
      const [view] = buffer.readViews()
      pool.pinUnsafe(buffer)
      pool.pinUnsafe(buffer)
      pool.giveBackUnsafe(buffer)
      const others = Array.from({ length: 7 }, () => take(pool))
      for (const other of others) other.writeView().fill(0)
      assert.isUndefined(pool.tryTakeUnsafe("tx"))
      pool.unpinUnsafe(buffer)
      assert.isUndefined(pool.tryTakeUnsafe("tx"))
      assert.strictEqual(new TextDecoder().decode(view), "in flight")
      pool.unpinUnsafe(buffer)
      assert.isDefined(pool.tryTakeUnsafe("tx"))
    }, { size: 16 })
  })

  it("shows old content to the next owner's writeView by default, and never to its reads", () => {
    withPool((pool) => {
      const first = take(pool)
      first.write("secret")
      pool.giveBackUnsafe(first)
      const second = take(pool)
      assert.strictEqual(new TextDecoder().decode(second.writeView().subarray(0, 6)), "secret")
      assert.deepStrictEqual(bytesOf(second), [])
    })
  })

  it("is zeroed at give-back with wipe", () => {
    withPool((pool) => {
      const first = take(pool)
      first.write("secret")
      const [view] = first.readViews()
      pool.giveBackUnsafe(first)
      assert.deepStrictEqual([...view ?? []], [0, 0, 0, 0, 0, 0])
      assert.deepStrictEqual([...take(pool).writeView()], [0, 0, 0, 0, 0, 0, 0, 0])
    }, { wipe: true })
  })

  it("is out of reach of old views after give-back with debug: they are empty", () => {
    withPool((pool) => {
      const first = take(pool)
      first.write("secret")
      const views = [...first.readViews(), first.writeView()]
      assert.deepStrictEqual(views.map((view) => view.length), [6, 2])
      pool.giveBackUnsafe(first)
      assert.deepStrictEqual(views.map((view) => view.length), [0, 0])
      const second = take(pool)
      second.write("mine")
      assert.strictEqual(second.toText(), "mine")
    }, { debug: true })
  })

  it("stays within reach of its pins' views until the last unpin with debug", () => {
    withPool((pool) => {
      const buffer = take(pool)
      buffer.write("secret")
      const [view] = buffer.readViews()
      pool.pinUnsafe(buffer)
      pool.giveBackUnsafe(buffer)
      assert.strictEqual(view?.length, 6)
      pool.unpinUnsafe(buffer)
      assert.strictEqual(view?.length, 0)
    }, { debug: true })
  })
})

/** What its author writes to have a decoder tried by the laws, and what becomes of a decoder that breaks one. */
import { expect, it } from "@effect/vitest"
import { laws } from "@headgate/testing/EntityLaws"
import * as PoolArbitrary from "@headgate/testing/PoolArbitrary"
import { caught } from "./caught.ts"
import * as FrameDecoder from "./FrameDecoder.ts"

const frames = Uint8Array.of(2, 104, 105, 3, 121, 111, 117)

const check = laws({
  make: FrameDecoder.make(),
  does: { decode: (decoder) => decoder.decode(frames) }
})

it.effect.prop("a decoder keeps the laws, whatever others do", [PoolArbitrary.histories], ([history]) => check(history))

it("a decoder that asks for its second buffer at the margin of the first is caught by L8", () => {
  const wrong = laws({
    make: FrameDecoder.make("rx", "rx"),
    does: { decode: (decoder) => decoder.decode(frames) }
  })
  expect(caught(wrong)).toMatchObject({
    _tag: "LawBroken",
    law: "L8",
    fact: "a fiber that holds a buffer at rx asks only at a smaller margin, and it asks at rx",
    numbers: { held: 1, asked: 1 },
    waiter: expect.stringMatching(/^entity 0 \(fiber #\d+\)$/)
  })
})

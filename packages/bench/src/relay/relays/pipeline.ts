/** A relay of two `pipeline`s per connection, which see to errors and ends themselves. */
import { pipeline } from "node:stream"
import { serve } from "./serve.ts"

/** `pipeline` has destroyed both; the other direction is told by that. */
const over = (): void => {}

await serve((client, target) => {
  pipeline(client, target, over)
  pipeline(target, client, over)
})

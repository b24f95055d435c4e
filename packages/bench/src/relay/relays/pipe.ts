/** A relay as nearly everybody writes it: two `pipe`s per connection, and a failure of one side ends both. */
import { serve } from "./serve.ts"

await serve((client, target) => {
  const drop = (): void => {
    client.destroy()
    target.destroy()
  }
  client.on("error", drop).pipe(target)
  target.on("error", drop).pipe(client)
})

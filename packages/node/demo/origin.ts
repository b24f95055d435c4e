/**
 * The origin, a process of its own: answers each request with the bytes that it asks for, then ends the connection.
 *
 * Invariant: it makes an answer while it is taken, and stores none. A client that does not read costs it one block.
 */
import * as Net from "node:net"
import { pipeline, Readable } from "node:stream"
import { answerOf, readRequest, requestBytes } from "./content.ts"
import { listenAndSay } from "./serve.ts"

const serve = (socket: Net.Socket): void => {
  let text = ""
  const onData = (bytes: Uint8Array): void => {
    text += Buffer.from(bytes).toString("latin1")
    if (text.length < requestBytes) return
    socket.off("data", onData).resume()
    const request = readRequest(text)
    if (request === undefined) socket.resetAndDestroy()
    else pipeline(Readable.from(answerOf(request), { highWaterMark: 1 }), socket, () => {})
  }
  socket.on("error", () => {}).on("data", onData)
}

listenAndSay(Net.createServer({ allowHalfOpen: true, noDelay: true }, serve))

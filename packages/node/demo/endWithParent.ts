/**
 * Loaded into every child before its own script (`node --import`): the child ends when its parent does.
 *
 * Why: a parent that is killed outright runs no finalizer. But its end of the pipe that is
 * the child's file 3 closes then, always.
 */
import * as Net from "node:net"

const parent = new Net.Socket({ fd: 3, readable: true, writable: false })
parent.on("error", () => process.exit(1)).on("end", () => process.exit(1)).resume().unref()

/**
 * Packs a folder of recorded traces: `node packages/testing/test/traces/pack.ts <folder>`.
 *
 * Invariant: the same folder gives the same bytes (files in the order of their names, no dates in the format).
 */
import { writeFileSync } from "node:fs"
import { brotliCompressSync, constants } from "node:zlib"
import { packed, readFolder } from "./traces.ts"

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error("Usage: node pack.ts <folder with fix, pre, real and init-table.json>")

const conformance = readFolder(folder)
const text = Buffer.from(JSON.stringify(conformance))
const bytes = brotliCompressSync(text, {
  params: {
    [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
    [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
    [constants.BROTLI_PARAM_SIZE_HINT]: text.length
  }
})
writeFileSync(packed, bytes)

const counts = Object.entries(conformance).map(([part, entries]) => `${part} ${entries.length}`)
console.log(`${counts.join(", ")}: ${text.length} bytes packed into ${bytes.length}`)

/**
 * A trace of requests through a store: each is a get, and a miss is followed by a set.
 */
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { keyOf, openByCount } from './by-count.mjs'

/**
 * @param {{ contender: string, file: string, objects: number, name: string }} args A cache of `objects` objects, in one shard; `name` is its
 *   segment.
 * @returns {Promise<number>} per cent of the requests that hit
 */
export async function replay(memory, { contender, file, objects, name }) {
  const requests = readTrace(memory, file)
  const cache = await openByCount(contender, objects, name)
  try {
    let hits = 0
    for (const id of requests) {
      const key = keyOf(id)
      if (cache.get(key) === undefined) cache.set(key)
      else hits++
    }
    return (hits / requests.length) * 100
  } finally {
    cache.close()
  }
}

/** @returns {Uint32Array} one key's number for each request */
function readTrace(memory, file) {
  memory.traces ??= new Map()
  if (!memory.traces.has(file)) {
    const bytes = gunzipSync(readFileSync(file))
    const copy = Buffer.from(bytes)
    memory.traces.set(file, new Uint32Array(copy.buffer, copy.byteOffset, copy.length / 4))
  }
  return memory.traces.get(file)
}

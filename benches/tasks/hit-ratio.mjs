/**
 * A trace of requests through a store: each is a get, and a miss is followed by a set.
 */
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { openByCount } from './by-count.mjs'

/**
 * @param {{ contender: string, file: string, objects: number, name: string }} args A cache of about `objects` objects, in one shard; `name` is its
 *   segment.
 * @returns {Promise<{ percent: number, capacity: number }>} of requests that hit, and how many objects there was room for
 */
export async function replay(memory, { contender, file, objects, name }) {
  const requests = readTrace(memory, file)
  const cache = await openByCount(contender, objects, name)
  try {
    let hits = 0
    for (const id of requests) {
      const key = `k${id}`
      if (cache.get(key) === undefined) cache.set(key)
      else hits++
    }
    return { percent: (hits / requests.length) * 100, capacity: cache.capacity }
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

/**
 * Replays a trace of requests in a cache: each request is a get, and a set follows a miss.
 */
import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { keyOf, openByCount } from './by-count.mjs'

/**
 * @param {{ contender: string, file: string, objects: number, name: string }} args `objects`: the capacity of the cache, which is
 *   one shard; `name`: its segment.
 * @returns {Promise<number>} the hit ratio in per cent
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

/** @returns {Uint32Array} the number of the key of each request */
function readTrace(memory, file) {
  memory.traces ??= new Map()
  if (!memory.traces.has(file)) {
    const bytes = gunzipSync(readFileSync(file))
    const copy = Buffer.from(bytes)
    memory.traces.set(file, new Uint32Array(copy.buffer, copy.byteOffset, copy.length / 4))
  }
  return memory.traces.get(file)
}

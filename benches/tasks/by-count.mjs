/**
 * Caches that hold a number of objects of one size, as traces and the literature count.
 *
 * cache-machine counts bytes: the segment gets as many pages, and the entries as many bytes, as give the wanted number. So it
 * does not depend on the layout of a segment.
 */

const SMALLEST = 2 * 2 ** 20
const PAGE = 4096
const UNIT = 64
/** As long as the longest key of a trace. */
const LONGEST_KEY = 'k999999'

/** @returns {Promise<{ capacity: number, get: (key: string) => unknown, set: (key: string) => unknown, close: () => void }>} */
export function openByCount(contender, objects, name) {
  return contender === 'lru-cache' ? openLruCache(objects) : openCacheMachine(objects, name)
}

async function openLruCache(objects) {
  const { LRUCache } = await import('lru-cache')
  const cache = new LRUCache({ max: objects })
  return { capacity: objects, get: (key) => cache.get(key), set: (key) => cache.set(key, true), close: () => undefined }
}

async function openCacheMachine(objects, name) {
  const { open, segments } = await import('../../dist/index.js')
  const opened = (size) => open({ name, size, near: false })
  const capacityOf = (size) => {
    const cache = opened(size)
    const { capacityBytes } = cache.stats()
    cache.close()
    segments.destroy(name)
    return capacityBytes
  }

  const entrySize = Math.max(2, Math.ceil(capacityOf(SMALLEST) / objects / UNIT)) * UNIT
  let size = SMALLEST
  for (let tries = 0; tries < 20; tries++) {
    const missing = objects * entrySize - capacityOf(size)
    if (missing <= 0) break
    size += Math.ceil(missing / PAGE) * PAGE
  }

  const cache = opened(size)
  const value = longestValue(cache, entrySize)
  return {
    capacity: Math.floor(cache.stats().capacityBytes / entrySize),
    get: (key) => cache.get(key),
    set: (key) => cache.set(key, value),
    close: () => {
      cache.close()
      segments.destroy(name)
    },
  }
}

/** Every entry takes `entrySize` bytes, whether its key is long or short. */
function longestValue(cache, entrySize) {
  for (let length = entrySize; length > 0; length -= 4) {
    cache.set(LONGEST_KEY, 'x'.repeat(length))
    if (cache.getEntry(LONGEST_KEY)?.size > entrySize) continue
    cache.clear()
    return 'x'.repeat(length)
  }
  throw new Error(`no value makes an entry of ${entrySize} bytes`)
}

/**
 * Caches with a limit in objects of one size, as traces and the literature count.
 *
 * cache-machine counts bytes. So `findPlan` searches for an entry size and a segment size with which exactly the wanted
 * number of entries fits. It fills trial segments instead of computing the sizes, so it does not depend on the layout.
 */

const MIN_SEGMENT = 2 * 2 ** 20
const MAX_SEGMENT = 64 * 2 ** 20
const PAGE = 4096
const UNIT = 64
const MIN_ENTRY = 8 * UNIT
/** All keys have the same length. */
const SOME_KEY = keyOf(0)

export function keyOf(number) {
  return String(number).padStart(8, '0')
}

/** @returns {Promise<{ get: (key: string) => unknown, set: (key: string) => unknown, close: () => void }>} */
export function openByCount(contender, objects, name) {
  return contender === 'lru-cache' ? openLruCache(objects) : openCacheMachine(objects, name)
}

async function openLruCache(objects) {
  const { LRUCache } = await import('lru-cache')
  const cache = new LRUCache({ max: objects })
  return { get: (key) => cache.get(key), set: (key) => cache.set(key, true), close: () => undefined }
}

async function openCacheMachine(objects, name) {
  const library = await import('../../dist/index.js')
  const { size, value } = planOf(library, objects, name)
  const cache = openOneShard(library, name, size)
  return {
    get: (key) => cache.get(key),
    set: (key) => cache.set(key, value),
    close: () => {
      cache.close()
      library.segments.destroy(name)
    },
  }
}

/** A segment has one shard for each 16 MiB, unless `maxEntrySize` is a fifth of the segment: then it has one shard. */
function openOneShard({ open }, name, size) {
  const isLarge = size > 16 * 2 ** 20
  return open({ name, size, near: false, ...(isLarge && { maxEntrySize: Math.floor(size / 5) }) })
}

/** By number of objects: the size of the segment, and a value that gives the entry its planned size. */
const plans = new Map()

function planOf(library, objects, name) {
  if (!plans.has(objects)) plans.set(objects, findPlan(library, objects, name))
  return plans.get(objects)
}

function findPlan(library, objects, name) {
  const within = (size, read) => {
    const cache = openOneShard(library, name, size)
    try {
      return read(cache)
    } finally {
      cache.close()
      library.segments.destroy(name)
    }
  }
  const room = within(MIN_SEGMENT, (cache) => cache.stats().capacityBytes)
  let size = MIN_SEGMENT
  for (let entry = firstEntry(room, objects); size < MAX_SEGMENT; entry += UNIT) {
    const value = within(MIN_SEGMENT, (cache) => longestValue(cache, entry))
    size = Math.max(MIN_SEGMENT, Math.floor((objects * entry) / PAGE) * PAGE)
    for (; size < MAX_SEGMENT; size += PAGE) {
      const capacity = within(size, (cache) => cache.stats().capacityBytes)
      if (capacity < objects * entry) continue
      const held = within(size, (cache) => countHeld(cache, objects, value))
      if (held === objects) return { size, value }
      if (held > objects) break
    }
  }
  throw new Error(`no segment holds exactly ${objects} entries`)
}

/**
 * The first entry size to try; larger than the minimum where a segment of the minimum size would hold too many entries.
 */
function firstEntry(room, objects) {
  return Math.max(MIN_ENTRY, Math.floor(room / (objects + 1) / UNIT) * UNIT)
}

/** The longest string that makes an entry of `entry` bytes. */
function longestValue(cache, entry) {
  for (let length = entry; length > 0; length--) {
    cache.set(SOME_KEY, 'x'.repeat(length))
    if (cache.getEntry(SOME_KEY)?.size <= entry) return 'x'.repeat(length)
  }
  throw new Error(`no value makes an entry of ${entry} bytes`)
}

function countHeld(cache, objects, value) {
  for (let number = 0; number < objects * 2; number++) cache.set(keyOf(number), value)
  return cache.size
}

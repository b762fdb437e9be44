/**
 * cache-machine as built in dist/: without the near cache, and with the near cache in both modes.
 */

/** The key that `notify` sets and `listen` waits for. */
const MESSAGE_KEY = 'message'

const variants = [
  {
    id: 'off',
    label: 'near: false',
    near: false,
    settings: '`near: false`: every get reads shared memory and decodes',
  },
  {
    id: 'copy',
    label: 'near: copy',
    near: { objects: 'copy' },
    settings: "`near: { objects: 'copy' }`, the default: a fresh object for every get",
  },
  {
    id: 'frozen',
    label: 'near: frozen',
    near: { objects: 'frozen' },
    settings: "`near: { objects: 'frozen' }`: one frozen object for each version and process",
  },
  {
    id: 'near-1000',
    label: 'near: 1,000 entries',
    near: { maxEntries: 1000 },
    settings: '`near: { maxEntries: 1000 }`; for the workload `memory` only',
    only: 'memory',
  },
]

/** @type {import('./index.mjs').Contender[]} */
export const cacheMachine = variants.map(({ id, label, near, settings, only }) => ({
  id: `cache-machine-${id}`,
  label: `cache-machine, ${label}`,
  package: 'cache-machine',
  settings: `${settings}; the segment is twice as large as the data (four times for 1 MiB Buffers); otherwise defaults`,
  only,
  inFlight: 0,
  open: (context) => openStore(context, near),
}))

async function openStore({ name, kind, bytes, limit }, near) {
  const { open, segments } = await import('../../dist/index.js')
  const cache = open({ name, size: limit ?? sizeFor(bytes, kind), near })
  return {
    get: (key) => cache.get(key),
    set: (key, value) => cache.set(key, value),
    setTagged: (key, value, tags) => cache.set(key, value, { tags }),
    invalidateTags: (tags) => cache.invalidateTags(tags),
    close: () => cache.close(),
    destroy: () => segments.destroy(name),
    notify: (text) => cache.set(MESSAGE_KEY, text),
    listen: (listener) => listen(cache, listener),
  }
}

/**
 * Hashes spread keys unevenly over shards, and no shard may have to evict. The fewer entries fill a shard, the more
 * spare room it needs.
 */
function sizeFor(bytes, kind) {
  const factor = kind === 'buffer-1m' ? 4 : 2
  return Math.max(64, Math.ceil((bytes * factor) / 2 ** 20)) * 2 ** 20
}

/** Calls `waitFor` in a loop, each time for a later version, until the cache is closed. */
function listen(cache, listener) {
  const wait = async (after) => {
    const { value, version } = await cache.waitFor(MESSAGE_KEY, { after })
    listener(value)
    return wait(version)
  }
  cache.set(MESSAGE_KEY, '')
  const { version } = cache.getEntry(MESSAGE_KEY)
  wait(version).catch((error) => {
    if (error.code !== 'ERR_CLOSED') throw error
  })
}

/**
 * cache-machine, as it is built in dist/: without the near cache, and with it in both of its modes.
 */

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
    settings: '`near: { maxEntries: 1000 }`; for the memory of 4 workers',
    only: 'memory',
  },
]

/** @type {import('./index.mjs').Contender[]} */
export const cacheMachine = variants.map(({ id, label, near, settings, only }) => ({
  id: `cache-machine-${id}`,
  label: `cache-machine, ${label}`,
  package: 'cache-machine',
  settings: `${settings}; the segment is twice as large as the data (four times for 1 MiB Buffers), and all else as it comes`,
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
    close: () => cache.close(),
    destroy: () => segments.destroy(name),
    ring: (text) => cache.set('bell', text),
    listen: (listener) => listen(cache, listener),
  }
}

/** Which shard a key is in is chance, and none may have to evict: the fewer entries fill one, the more room they need. */
function sizeFor(bytes, kind) {
  const times = kind === 'buffer-1m' ? 4 : 2
  return Math.max(64, Math.ceil((bytes * times) / 2 ** 20)) * 2 ** 20
}

/** `waitFor` again and again, each time for a later version; ends with the cache. */
function listen(cache, listener) {
  const wait = async (after) => {
    const { value, version } = await cache.waitFor('bell', { after, ref: true })
    listener(value)
    return wait(version)
  }
  cache.set('bell', '')
  const { version } = cache.getEntry('bell')
  wait(version).catch((error) => {
    if (error.code !== 'ERR_CLOSED') throw error
  })
}

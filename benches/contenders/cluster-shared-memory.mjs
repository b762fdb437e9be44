/**
 * cluster-shared-memory: an object in the cluster primary, asked over the default JSON channel.
 */

/** @type {import('./index.mjs').Contender[]} */
export const clusterSharedMemory = [
  {
    id: 'cluster-shared-memory',
    label: 'cluster-shared-memory',
    package: 'cluster-shared-memory',
    settings: 'as it comes (its unbounded store); no Buffers, which come back as plain objects; one call at a time',
    kinds: ['string', 'object'],
    server: 'primary',
    serialization: 'json',
    store: 'cluster-shared-memory',
    inFlight: 1,
    open: openStore,
  },
]

async function openStore() {
  const { default: library } = await import('cluster-shared-memory')
  return {
    get: (key) => library.get(key),
    set: (key, value) => library.set(key, value),
    close: () => undefined,
  }
}

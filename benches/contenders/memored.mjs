/**
 * memored: a Map in the cluster primary, asked with callbacks over the default JSON channel.
 */

/** @type {import('./index.mjs').Contender[]} */
export const memored = [
  {
    id: 'memored',
    label: 'memored',
    package: 'memored',
    settings: 'as it comes; no Buffers, which come back as plain objects; one call at a time',
    kinds: ['string', 'object'],
    server: 'primary',
    serialization: 'json',
    store: 'memored',
    inFlight: 1,
    open: openStore,
  },
]

async function openStore() {
  const { default: library } = await import('memored')
  const calling = (start) =>
    new Promise((resolve, reject) => {
      start((error, value) => (error ? reject(error) : resolve(value)))
    })
  return {
    get: (key) => calling((done) => library.read(key, done)),
    set: (key, value) => calling((done) => library.store(key, value, done)),
    close: () => undefined,
  }
}

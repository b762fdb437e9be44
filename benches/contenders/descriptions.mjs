/**
 * Descriptions that several contenders share: clients of a server, and libraries that keep their data in the cluster
 * primary.
 */

/**
 * A client of a server, once with one call at a time and once with 100 calls in flight.
 *
 * @param {{ id: string, label: string, package: string, server: 'redis' | 'memcached', settings: string, pipelined: string }} client
 *   `settings`: of the server; `pipelined`: how the client handles 100 calls in flight.
 * @param {(context: import('./index.mjs').Context, isPipelined: boolean) => Promise<import('./index.mjs').Store>} openStore
 * @returns {import('./index.mjs').Contender[]}
 */
export function clientVariants({ id, label, package: name, server, settings, pipelined }, openStore) {
  return [
    {
      id,
      label,
      package: name,
      settings: `${settings}; one call at a time`,
      server,
      inFlight: 1,
      open: (context) => openStore(context, false),
    },
    {
      id: `${id}-pipelined`,
      label: `${label}, 100 in flight`,
      package: name,
      settings: `${settings}; ${pipelined}`,
      server,
      inFlight: 100,
      open: (context) => openStore(context, true),
    },
  ]
}

/**
 * A library that keeps its data in the cluster primary and uses the default JSON channel.
 *
 * @param {string} name of the package; also the id and the label
 * @param {string} defaults the default settings, in words
 * @param {() => Promise<import('./index.mjs').Store>} open
 * @returns {import('./index.mjs').Contender}
 */
export function primaryLibrary(name, defaults, open) {
  return {
    id: name,
    label: name,
    package: name,
    settings: `${defaults}; no Buffers, which come back as plain objects; one call at a time`,
    kinds: ['string', 'object'],
    server: 'primary',
    serialization: 'json',
    store: name,
    inFlight: 1,
    open,
  }
}

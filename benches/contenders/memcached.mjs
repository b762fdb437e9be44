/**
 * memcached through memjs, over a Unix socket.
 *
 * Of the clients, `memcached` is slow with large values, and `memcache` and `memcache-client` do not reach a Unix socket. Nor does
 * memjs by its own parser of addresses; but it passes host and port on to `net.connect`, which takes a path for a port.
 */
import { codecOf } from './codecs.mjs'

const server = 'memcached over a Unix socket; objects as JSON'

/** @type {import('./index.mjs').Contender[]} */
export const memcached = [
  {
    id: 'memcached',
    label: 'memcached, memjs',
    package: 'memjs',
    settings: `${server}; one call at a time`,
    server: 'memcached',
    inFlight: 1,
    open: openStore,
  },
  {
    id: 'memcached-pipelined',
    label: 'memcached, memjs, 100 in flight',
    package: 'memjs',
    settings: `${server}; 100 calls in flight on its one connection`,
    server: 'memcached',
    inFlight: 100,
    open: openStore,
  },
]

async function openStore({ socket, kind }) {
  const { default: memjs } = await import('memjs')
  const connection = new memjs.Server('unix', socket, undefined, undefined, { timeout: 10 })
  const client = new memjs.Client([connection], { retries: 0, failoverTime: 0 })
  const { encode, decode, binary } = codecOf(kind)
  const text = (bytes) => (bytes === null ? undefined : decode(bytes.toString('utf8')))
  return {
    get: async (key) => {
      const { value } = await client.get(key)
      return binary ? value : text(value)
    },
    set: (key, value) => client.set(key, encode(value), {}),
    close: () => client.close(),
  }
}

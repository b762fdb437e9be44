/**
 * memcached through memjs, over a Unix socket.
 *
 * Other clients were tried: `memcached` is slow with large values; `memcache` and `memcache-client` cannot connect to a
 * Unix socket. The address parser of memjs does not accept a socket path either, but memjs passes host and port on to
 * `net.connect`, which accepts a path as port.
 */
import { codecOf } from './codecs.mjs'
import { clientVariants } from './descriptions.mjs'

/** @type {import('./index.mjs').Contender[]} */
export const memcached = clientVariants(
  {
    id: 'memcached',
    label: 'memcached, memjs',
    package: 'memjs',
    server: 'memcached',
    settings: 'memcached over a Unix socket; objects as JSON',
    pipelined: '100 calls in flight on its one connection',
  },
  openStore,
)

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

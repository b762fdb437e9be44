/**
 * Redis through ioredis, over a Unix socket.
 */
import { codecOf } from './codecs.mjs'

const server = 'Redis over a Unix socket, no persistence; objects as JSON'

/** @type {import('./index.mjs').Contender[]} */
export const ioredis = [
  {
    id: 'ioredis',
    label: 'Redis, ioredis',
    package: 'ioredis',
    settings: `${server}; one call at a time`,
    server: 'redis',
    inFlight: 1,
    open: (context) => openStore(context, { enableAutoPipelining: false }),
  },
  {
    id: 'ioredis-pipelined',
    label: 'Redis, ioredis, 100 in flight',
    package: 'ioredis',
    settings: `${server}; enableAutoPipelining, 100 calls in flight`,
    server: 'redis',
    inFlight: 100,
    open: (context) => openStore(context, { enableAutoPipelining: true }),
  },
]

async function openStore({ socket, name, kind }, options) {
  const { Redis } = await import('ioredis')
  const connect = () => new Redis({ path: socket, enableReadyCheck: false, ...options })
  const client = connect()
  // The server is shared with other contenders.
  const channel = `bell:${name}`
  const { encode, decode, binary } = codecOf(kind)
  const listeners = []
  return {
    get: binary ? (key) => client.getBuffer(key) : async (key) => decode(await client.get(key)),
    set: (key, value) => client.set(key, encode(value)),
    close: () => [client, ...listeners].forEach((connection) => connection.disconnect()),
    ring: (text) => client.publish(channel, text),
    listen: async (listener) => {
      const subscriber = connect()
      listeners.push(subscriber)
      subscriber.on('message', (_from, text) => listener(text))
      await subscriber.subscribe(channel)
    },
  }
}

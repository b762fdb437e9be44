/**
 * Redis through ioredis, over a Unix socket.
 */
import { codecOf } from './codecs.mjs'
import { clientVariants } from './descriptions.mjs'

/** @type {import('./index.mjs').Contender[]} */
export const ioredis = clientVariants(
  {
    id: 'ioredis',
    label: 'Redis, ioredis',
    package: 'ioredis',
    server: 'redis',
    settings: 'Redis over a Unix socket, no persistence; objects as JSON',
    pipelined: 'enableAutoPipelining, 100 calls in flight',
  },
  openStore,
)

async function openStore({ socket, name, kind }, enableAutoPipelining) {
  const { Redis } = await import('ioredis')
  const connect = () => new Redis({ path: socket, enableReadyCheck: false, enableAutoPipelining })
  const client = connect()
  // The name keeps the channel apart: other contenders use the same server.
  const channel = `wake-up:${name}`
  const { encode, decode, binary } = codecOf(kind)
  const subscribers = []
  return {
    get: binary ? (key) => client.getBuffer(key) : async (key) => decode(await client.get(key)),
    set: (key, value) => client.set(key, encode(value)),
    close: () => [client, ...subscribers].forEach((connection) => connection.disconnect()),
    notify: (text) => client.publish(channel, text),
    listen: async (listener) => {
      const subscriber = connect()
      subscribers.push(subscriber)
      subscriber.on('message', (_from, text) => listener(text))
      await subscriber.subscribe(channel)
    },
  }
}

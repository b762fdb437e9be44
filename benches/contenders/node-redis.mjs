/**
 * Redis through node-redis (the package `redis`), over a Unix socket. It pipelines the calls of one turn by itself.
 */
import { Buffer } from 'node:buffer'
import { codecOf } from './codecs.mjs'

const server = 'Redis over a Unix socket, no persistence; objects as JSON'

/** @type {import('./index.mjs').Contender[]} */
export const nodeRedis = [
  {
    id: 'node-redis',
    label: 'Redis, node-redis',
    package: 'redis',
    settings: `${server}; one call at a time`,
    server: 'redis',
    inFlight: 1,
    open: openStore,
  },
  {
    id: 'node-redis-pipelined',
    label: 'Redis, node-redis, 100 in flight',
    package: 'redis',
    settings: `${server}; 100 calls in flight, which it pipelines`,
    server: 'redis',
    inFlight: 100,
    open: openStore,
  },
]

async function openStore({ socket, name, kind }) {
  const { createClient, RESP_TYPES } = await import('redis')
  const client = createClient({ socket: { path: socket } })
  client.on('error', fail)
  await client.connect()

  // The server is shared with other contenders.
  const channel = `bell:${name}`
  const { encode, decode, binary } = codecOf(kind)
  const reader = binary ? client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }) : client
  const connections = [client]
  return {
    get: binary ? (key) => reader.get(key) : async (key) => decode(await reader.get(key)),
    set: (key, value) => client.set(key, encode(value)),
    close: () => connections.forEach((connection) => connection.destroy()),
    ring: (text) => client.publish(channel, text),
    listen: async (listener) => {
      const subscriber = client.duplicate()
      connections.push(subscriber)
      subscriber.on('error', fail)
      await subscriber.connect()
      await subscriber.subscribe(channel, listener)
    },
  }
}

function fail(error) {
  throw error
}

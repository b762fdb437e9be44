/**
 * Redis through node-redis (the package `redis`), over a Unix socket. The client pipelines the calls of one turn of the
 * event loop by itself.
 */
import { Buffer } from 'node:buffer'
import { codecOf } from './codecs.mjs'
import { clientVariants } from './descriptions.mjs'

/** @type {import('./index.mjs').Contender[]} */
export const nodeRedis = clientVariants(
  {
    id: 'node-redis',
    label: 'Redis, node-redis',
    package: 'redis',
    server: 'redis',
    settings: 'Redis over a Unix socket, no persistence; objects as JSON',
    pipelined: '100 calls in flight, which the client pipelines',
  },
  openStore,
)

async function openStore({ socket, name, kind }) {
  const { createClient, RESP_TYPES } = await import('redis')
  const client = createClient({ socket: { path: socket } })
  client.on('error', fail)
  await client.connect()

  // The name keeps the channel apart: other contenders use the same server.
  const channel = `wake-up:${name}`
  const { encode, decode, binary } = codecOf(kind)
  const reader = binary ? client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }) : client
  const connections = [client]
  return {
    get: binary ? (key) => reader.get(key) : async (key) => decode(await reader.get(key)),
    set: (key, value) => client.set(key, encode(value)),
    close: () => connections.forEach((connection) => connection.destroy()),
    notify: (text) => client.publish(channel, text),
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

/**
 * `process.send` to the primary, which keeps a Map and answers: the usual code without a library.
 *
 * servers/primary.mjs is the primary's side. JSON cannot hold bytes, so Buffers travel as base64 on the JSON channel.
 */
import { Buffer } from 'node:buffer'
import { PrimaryChannel } from '../servers/primary-channel.mjs'

const identity = (value) => value
const base64 = {
  encode: (value) => value.toString('base64'),
  decode: (text) => Buffer.from(text, 'base64'),
}
const asBuffer = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const shared = {
  package: 'node',
  server: 'primary',
  open: openStore,
}

/** @type {import('./index.mjs').Contender[]} */
export const processSend = [
  {
    ...shared,
    id: 'process-send-json',
    label: 'process.send, json',
    settings: 'a Map in the primary; the default serialization, Buffers as base64; one call at a time',
    serialization: 'json',
    inFlight: 1,
  },
  {
    ...shared,
    id: 'process-send-advanced',
    label: 'process.send, advanced',
    settings: "a Map in the primary; serialization: 'advanced' (structured clone); one call at a time",
    serialization: 'advanced',
    inFlight: 1,
  },
  {
    ...shared,
    id: 'process-send-json-pipelined',
    label: 'process.send, json, 100 in flight',
    settings: 'a Map in the primary; the default serialization, Buffers as base64; 100 calls in flight',
    serialization: 'json',
    inFlight: 100,
  },
]

async function openStore({ kind, serialization }) {
  const channel = new PrimaryChannel()
  const { encode, decode } = codecFor(kind, serialization)
  return {
    get: async (key) => decode(await channel.get(key)),
    set: (key, value) => channel.set(key, encode(value)),
    close: () => undefined,
    notify: (text) => channel.notify(text),
    listen: (listener) => channel.listen(listener),
  }
}

function codecFor(kind, serialization) {
  if (!kind?.startsWith('buffer')) return { encode: identity, decode: identity }
  return serialization === 'json' ? base64 : { encode: identity, decode: asBuffer }
}

/**
 * All contenders behind one interface. Each file describes one library in the variants that are measured.
 *
 * A description is plain data plus `open`. Only `open` loads the library, so the suite can read the descriptions
 * without it.
 */
import { betterSqlite3 } from './better-sqlite3.mjs'
import { cacheMachine } from './cache-machine.mjs'
import { clusterSharedMemory } from './cluster-shared-memory.mjs'
import { ioredis } from './ioredis.mjs'
import { collections } from './collections.mjs'
import { limiters } from './limiters.mjs'
import { lmdb } from './lmdb.mjs'
import { lruCache } from './lru-cache.mjs'
import { map } from './map.mjs'
import { memcached } from './memcached.mjs'
import { memored } from './memored.mjs'
import { nodeRedis } from './node-redis.mjs'
import { nodeSharedCache } from './node-shared-cache-x.mjs'
import { processSend } from './process-send.mjs'

/**
 * @typedef {object} Contender
 * @property {string} id
 * @property {string} label
 * @property {string} package the npm package, to report its version; 'node' for a part of Node
 * @property {string} settings in words, for the report
 * @property {string[]} [kinds] of values that it returns unchanged; default: all
 * @property {'redis' | 'memcached' | 'primary'} [server] the server that it needs beside its own process
 * @property {'json' | 'advanced'} [serialization] of the channel to the cluster primary
 * @property {string} [store] the library that answers in the primary; default: none
 * @property {boolean} [inProcess] each process has its own data and has to load it
 * @property {'memory' | 'limiter' | 'collections'} [only] the one workload that measures it; default: all
 * @property {number} inFlight 0: synchronous; 1: one asynchronous call at a time; more: so many calls in flight
 * @property {(context: Context) => Promise<Store>} open
 */

/**
 * @typedef {object} Context
 * @property {string} name of the store, different for each contender and scene
 * @property {string} folder a folder in shared memory
 * @property {string} [socket] of the server
 * @property {string} [kind] of the values
 * @property {number} bytes the approximate size of all values together
 * @property {string} [instance] of the server; default: the common one
 * @property {number} [limit] the maximum of bytes in the store, which evicts beyond it
 * @property {number} [entries] the maximum of entries, for stores that count entries
 */

/**
 * @typedef {object} Store Its methods are synchronous if `inFlight` is 0, and return promises otherwise.
 * @property {(key: string) => any} get undefined or null for a miss
 * @property {(key: string, value: any) => any} set
 * @property {() => any} close detaches from the store
 * @property {() => any} [destroy] removes the rest from the host, after `close`
 * @property {(text: string) => any} [notify] sends a text to all listeners
 * @property {(listener: (text: string) => void) => any} [listen] resolves when a `notify` would reach the listener
 * @property {(key: string, value: any, tags: string[]) => any} [setTagged] sets an entry with tags
 * @property {(tags: string[]) => any} [invalidateTags] ends the entries with one of these tags
 * @property {(key: string) => any} [consume] takes a token of the key; returns whether there was one
 * @property {(key: string) => any} [used] the number of tokens taken
 */

/** @type {Contender[]} */
export const contenders = [
  ...cacheMachine,
  ...lruCache,
  ...map,
  ...lmdb,
  ...betterSqlite3,
  ...nodeSharedCache,
  ...ioredis,
  ...nodeRedis,
  ...memcached,
  ...processSend,
  ...memored,
  ...clusterSharedMemory,
  ...limiters,
  ...collections,
]

/** @param {string} id */
export function contenderOf(id) {
  const found = contenders.find((contender) => contender.id === id)
  if (found === undefined) throw new Error(`There is no contender ${id}`)
  return found
}

/** Whether a call is a round trip to another process. The placement of both processes decides its cost. */
export function isRoundTrip({ server }) {
  return server !== undefined
}

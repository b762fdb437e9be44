/**
 * All contenders behind one interface; each file has one library in the variants that are measured.
 *
 * A description is plain data plus `open`, which loads the library only then: the suite itself reads the descriptions, too.
 */
import { betterSqlite3 } from './better-sqlite3.mjs'
import { cacheMachine } from './cache-machine.mjs'
import { clusterSharedMemory } from './cluster-shared-memory.mjs'
import { ioredis } from './ioredis.mjs'
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
 * @property {string} package the npm package, for its version; 'node' if it is part of Node
 * @property {string} settings in words, for the report
 * @property {string[]} [kinds] of values that it takes as they are; default: all
 * @property {'redis' | 'memcached' | 'primary'} [server] what it needs beside its own process
 * @property {'json' | 'advanced'} [serialization] of the channel to its primary
 * @property {string} [store] in the primary: which library answers there; default: none
 * @property {boolean} [inProcess] every process has data of its own, and has to load it
 * @property {'memory' | 'limiter'} [only] the workload that it is for; default: all
 * @property {number} inFlight 0: synchronous; 1: one call at a time; more: that many await their own call each
 * @property {(context: Context) => Promise<Store>} open
 */

/**
 * @typedef {object} Context
 * @property {string} name of the store: contenders and scenes do not share any
 * @property {string} folder an empty folder in memory
 * @property {string} [socket] of the server
 * @property {string} [kind] of the values
 * @property {number} bytes that all values take together, about
 * @property {string} [instance] of the server, if it shall not be the common one
 * @property {number} [limit] the store must not hold more bytes than this, but evict
 * @property {number} [entries] nor more entries, for those that count entries
 */

/**
 * @typedef {object} Store Synchronous, or with promises, as `inFlight` says.
 * @property {(key: string) => any} get undefined or null for a miss
 * @property {(key: string, value: any) => any} set
 * @property {() => any} close lets go
 * @property {() => any} [destroy] removes what is left on the host, after `close`
 * @property {(text: string) => any} [ring] tells all listeners
 * @property {(listener: (text: string) => void) => any} [listen] resolves when `ring` would be heard
 * @property {(key: string) => any} [consume] takes a token of the key: whether it was there
 * @property {(key: string) => any} [used] tokens that were taken
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
]

/** @param {string} id */
export function contenderOf(id) {
  const found = contenders.find((contender) => contender.id === id)
  if (found === undefined) throw new Error(`There is no contender ${id}`)
  return found
}

/** A round trip to another process: what it costs depends on where the two run. */
export function isRoundTrip({ server }) {
  return server !== undefined
}

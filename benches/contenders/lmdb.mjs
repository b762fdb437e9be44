/**
 * lmdb, the embedded store that several processes can share; a write here does not sync, and all is in memory.
 *
 * As it comes, the reads of one turn of the event loop go through one transaction, which sees no other process's writes;
 * `resetReadTxn` before each get makes them visible, as they are in every other shared store here.
 */
import { join } from 'node:path'

const common = 'noSync, noMemInit, putSync, in /dev/shm'
const encodings = { string: 'string', object: 'msgpack', 'buffer-16k': 'binary', 'buffer-1m': 'binary' }

/** @type {import('./index.mjs').Contender[]} */
export const lmdb = [
  {
    id: 'lmdb',
    label: 'lmdb',
    package: 'lmdb',
    settings: `as it comes (msgpack); ${common}; reads see no other process's writes within a turn of the event loop`,
    inFlight: 0,
    open: (context) => openStore(context),
  },
  {
    id: 'lmdb-fresh',
    label: 'lmdb, fresh read transaction',
    package: 'lmdb',
    settings: `as it comes (msgpack); ${common}; resetReadTxn before each get, which then sees other processes' writes`,
    inFlight: 0,
    open: (context) => openStore(context, { fresh: true }),
  },
  {
    id: 'lmdb-tuned',
    label: 'lmdb, best encoding',
    package: 'lmdb',
    settings: `encoding "string" or "binary"; for objects msgpack with shared structures; ${common}`,
    inFlight: 0,
    open: (context) => openStore(context, { tuned: true }),
  },
]

async function openStore({ folder, name, kind, bytes }, { fresh = false, tuned = false } = {}) {
  const { open } = await import('lmdb')
  const store = open({
    path: join(folder, name),
    mapSize: Math.max(256 * 2 ** 20, bytes * 4),
    noSync: true,
    noMemInit: true,
    ...(tuned && { encoding: encodings[kind], sharedStructuresKey: Symbol.for('structures') }),
  })
  return {
    get: fresh ? (key) => (store.resetReadTxn(), store.get(key)) : (key) => store.get(key),
    set: (key, value) => store.putSync(key, value),
    close: () => store.close(),
  }
}

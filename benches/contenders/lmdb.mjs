/**
 * lmdb, an embedded store that several processes can share. Writes do not sync here, and all data is in memory.
 *
 * By default, all reads in one turn of the event loop use one transaction, which does not see later writes of other
 * processes. `resetReadTxn` before each get makes them visible, as in every other shared store here.
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
    settings: `defaults (msgpack); ${common}; reads see no other process's writes within a turn of the event loop`,
    inFlight: 0,
    open: (context) => openStore(context),
  },
  {
    id: 'lmdb-fresh',
    label: 'lmdb, fresh read transaction',
    package: 'lmdb',
    settings: `defaults (msgpack); ${common}; resetReadTxn before each get, which then sees other processes' writes`,
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

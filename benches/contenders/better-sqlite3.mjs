/**
 * better-sqlite3: one table in a file in `/dev/shm`.
 */
import { join } from 'node:path'

const codecs = {
  string: { encode: (value) => value, decode: (stored) => stored },
  object: { encode: JSON.stringify, decode: (stored) => (stored === undefined ? undefined : JSON.parse(stored)) },
}

/** @type {import('./index.mjs').Contender[]} */
export const betterSqlite3 = [
  {
    id: 'better-sqlite3',
    label: 'better-sqlite3',
    package: 'better-sqlite3',
    settings:
      'WAL, synchronous off, mmap, 64 MiB page cache, WITHOUT ROWID for strings, prepared and plucked, objects as JSON; in /dev/shm',
    inFlight: 0,
    open: openStore,
  },
]

async function openStore({ folder, name, kind, bytes }) {
  const { default: Database } = await import('better-sqlite3')
  const { encode, decode } = codecs[kind] ?? codecs.string
  const database = new Database(join(folder, `${name}.sqlite`), { timeout: 10_000 })
  for (const pragma of ['journal_mode = WAL', 'synchronous = OFF', 'temp_store = MEMORY', 'cache_size = -65536']) {
    database.pragma(pragma)
  }
  database.pragma(`mmap_size = ${Math.max(2 ** 28, bytes * 2)}`)
  // Only small rows gain from WITHOUT ROWID: such a table keeps up to a quarter of a page of a row in its tree, and
  // puts the rest into overflow pages.
  const shape = kind === 'string' ? ' WITHOUT ROWID' : ''
  database.exec(`CREATE TABLE IF NOT EXISTS cache (key TEXT PRIMARY KEY, value)${shape}`)
  const select = database.prepare('SELECT value FROM cache WHERE key = ?').pluck()
  const upsert = database.prepare(
    'INSERT INTO cache VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  )
  return {
    get: (key) => decode(select.get(key)),
    set: (key, value) => upsert.run(key, encode(value)),
    close: () => database.close(),
  }
}

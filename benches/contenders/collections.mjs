/**
 * Collections that several processes share: those of cache-machine, its values rewritten as a whole, and Redis.
 *
 * Each store has the same calls. `load` makes one collection of each kind with `size` elements of 16 characters, and no
 * call changes their number for long, so each call finds collections of that size.
 */

/** An element of 16 characters. */
const element = (n) => `element ${String(n).padStart(8, '0')}`
const KEYS = { list: 'list', hash: 'hash', sorted: 'sorted' }

/** @type {import('./index.mjs').Contender[]} */
export const collections = [
  {
    id: 'collections',
    label: 'cache-machine, collections',
    package: 'cache-machine',
    settings: "`open({ size: '256mb', maxEntrySize: '16mb' })`; `list`, `hash`, `sortedSet`, `transaction`",
    only: 'collections',
    inFlight: 0,
    open: openOurs,
  },
  {
    id: 'whole-values',
    label: 'cache-machine, values as a whole',
    package: 'cache-machine',
    settings: 'the same segment; arrays and objects under `update`',
    only: 'collections',
    inFlight: 0,
    open: openWhole,
  },
  ...['ioredis', 'node-redis'].map((client) => ({
    id: `${client}-collections`,
    label: `Redis, ${client}`,
    package: client === 'ioredis' ? 'ioredis' : 'redis',
    settings: 'Redis over a Unix socket, no persistence; one call at a time',
    only: 'collections',
    server: 'redis',
    inFlight: 1,
    open: (context) => openRedis(context, client),
  })),
]

async function openSegment(name) {
  const { open, segments } = await import('../../dist/index.js')
  const cache = open({ name, size: '256mb', maxEntrySize: '16mb', near: false })
  return { cache, close: () => cache.close(), destroy: () => segments.destroy(name) }
}

async function openOurs({ name }) {
  const { cache, ...ends } = await openSegment(name)
  const [list, hash, sorted] = [cache.list('list'), cache.hash('hash'), cache.sortedSet('sorted')]
  return {
    load(size) {
      const numbers = Array.from({ length: size }, (_, n) => n)
      for (const key of Object.values(KEYS)) cache.delete(key)
      list.pushMany(numbers.map(element))
      hash.setMany(numbers.map((n) => [element(n), element(n)]))
      sorted.addMany(numbers.map((n) => [element(n), n]))
    },
    'push and pop': () => (list.push('element 12345678'), list.shift()),
    hset: (n) => hash.set(element(n), element(n + 1)),
    hget: (n) => hash.get(element(n)),
    zadd: (n) => sorted.add(element(n), n + 0.5),
    zrange: (n) => sorted.range(n, n + 10).length,
    zrank: (n) => sorted.rank(element(n)),
    transaction: () => cache.transaction((tx) => [tx.incr('a', -1), tx.incr('b')].length),
    ...ends,
  }
}

/** The way of before: each change reads the value, changes a copy and stores it. */
async function openWhole({ name }) {
  const { cache, ...ends } = await openSegment(name)
  const scores = () => cache.get('sorted')
  const inOrder = (all) => Object.entries(all).sort(([, a], [, b]) => a - b)
  return {
    load(size) {
      const numbers = Array.from({ length: size }, (_, n) => n)
      cache.set('list', numbers.map(element))
      cache.set('hash', Object.fromEntries(numbers.map((n) => [element(n), element(n)])))
      cache.set('sorted', Object.fromEntries(numbers.map((n) => [element(n), n])))
    },
    'push and pop': () => cache.update('list', (all) => [...all.slice(1), 'element 12345678']),
    hset: (n) => cache.update('hash', (all) => ({ ...all, [element(n)]: element(n + 1) })),
    hget: (n) => cache.get('hash')[element(n)],
    zadd: (n) => cache.update('sorted', (all) => ({ ...all, [element(n)]: n + 0.5 })),
    zrange: (n) => inOrder(scores()).slice(n, n + 10).length,
    zrank: (n) => inOrder(scores()).findIndex(([member]) => member === element(n)),
    ...ends,
  }
}

async function openRedis({ socket, name }, client) {
  const prefix = `${name}:`
  const [list, hash, sorted, a, b] = ['list', 'hash', 'sorted', 'a', 'b'].map((key) => prefix + key)
  const { send, close } = await connect(socket, client)
  const inBatches = async (size, command, key, argumentsOf) => {
    for (let from = 0; from < size; from += 1000) {
      const numbers = Array.from({ length: Math.min(1000, size - from) }, (_, i) => from + i)
      await send(command, key, ...numbers.flatMap(argumentsOf))
    }
  }
  return {
    async load(size) {
      await send('DEL', list, hash, sorted)
      await inBatches(size, 'RPUSH', list, (n) => [element(n)])
      await inBatches(size, 'HSET', hash, (n) => [element(n), element(n)])
      await inBatches(size, 'ZADD', sorted, (n) => [String(n), element(n)])
    },
    'push and pop': async () => [await send('RPUSH', list, 'element 12345678'), await send('LPOP', list)],
    hset: (n) => send('HSET', hash, element(n), element(n + 1)),
    hget: (n) => send('HGET', hash, element(n)),
    zadd: (n) => send('ZADD', sorted, String(n + 0.5), element(n)),
    zrange: (n) => send('ZRANGE', sorted, String(n), String(n + 9)),
    zrank: (n) => send('ZRANK', sorted, element(n)),
    transaction: async () => {
      const sent = [send('MULTI'), send('DECR', a), send('INCR', b), send('EXEC')]
      return (await Promise.all(sent)).length
    },
    close,
  }
}

async function connect(path, client) {
  if (client === 'ioredis') {
    const { Redis } = await import('ioredis')
    const connection = new Redis({ path, enableReadyCheck: false, enableAutoPipelining: false })
    return { send: (...command) => connection.call(...command), close: () => connection.disconnect() }
  }
  const { createClient } = await import('redis')
  const connection = createClient({ socket: { path } })
  await connection.connect()
  return { send: (...command) => connection.sendCommand(command), close: () => connection.close() }
}

/**
 * Transactions within one process, on both engines.
 */
import test from 'ava'
import { segments } from '../../index.ts'
import type { Transaction } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('changes are made together, and the result of the function is returned', (t) => {
  const cache = openCache(t)
  cache.set('a', 10)
  cache.set('gone', 1)
  const result = cache.transaction((tx) => {
    tx.incr('a', -4)
    tx.incr('b', 4)
    tx.set('c', { list: [1, { deep: true }] })
    t.true(tx.delete('gone'))
    t.false(tx.delete('missing'))
    t.is(cache.get('a'), 10)
    t.is(cache.get('b'), undefined)
    return 'done'
  })
  t.is(result, 'done')
  t.deepEqual(cache.getMany(['a', 'b', 'c', 'gone']), [6, 4, { list: [1, { deep: true }] }, undefined])
})

test('a function that throws changes nothing, and its error comes as it is', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const error = new Error('no')
  const thrown = t.throws(() =>
    cache.transaction((tx) => {
      tx.set('a', 2)
      tx.list('l').push(1)
      throw error
    }),
  )
  t.is(thrown, error)
  t.deepEqual(cache.getMany(['a', 'l']), [1, undefined])
})

test('reads see the own changes, as copies', (t) => {
  const cache = openCache(t)
  cache.set('a', { n: 1 })
  cache.transaction((tx) => {
    const bytes = Buffer.from([1, 2])
    const value = { n: 2 }
    tx.set('a', value)
    tx.set('bytes', bytes)
    bytes[0] = 9
    value.n = 9
    t.deepEqual(tx.get('a'), { n: 2 })
    const read = tx.get('bytes') as Buffer
    t.deepEqual([...read], [1, 2])
    read[0] = 7
    t.deepEqual([...(tx.get('bytes') as Buffer)], [1, 2])
    t.is(tx.take('a') === undefined, false)
    t.is(tx.get('a'), undefined)
    t.false(tx.has('a'))
    t.true(tx.has('bytes'))
    tx.set('a', 'again')
  })
  t.is(cache.get('a'), 'again')
  t.deepEqual([...(cache.get('bytes') as Buffer)], [1, 2])
})

test('values of every kind pass', (t) => {
  const cache = openCache(t)
  const values = [
    'text',
    'ä€𝄞',
    'lone \uD800',
    1.5,
    -0,
    Number.NaN,
    true,
    false,
    null,
    5n,
    2n ** 80n,
    [1, 'a'],
    { a: { b: 1 } },
  ]
  const structured = [new Date(5), new Map([[1, new Set([2])]]), new Uint8Array([1, 2]), Buffer.from('b'), [undefined]]
  const all = [...values, ...structured]
  all.forEach((value, n) => cache.set(`old${n}`, value))
  cache.transaction((tx) => {
    all.forEach((value, n) => {
      t.deepEqual(tx.get(`old${n}`), value)
      tx.set(`new${n}`, value)
      t.deepEqual(tx.get(`new${n}`), value)
    })
  })
  all.forEach((value, n) => t.deepEqual(cache.get(`new${n}`), value))
})

test('large values pass', (t) => {
  const cache = openCache(t, { size: '8mb' })
  const large = Buffer.alloc(700_000, 'x')
  cache.set('large', large)
  cache.transaction((tx) => {
    t.deepEqual(tx.get('large'), large)
    tx.set('copy', tx.get('large'))
  })
  t.deepEqual(cache.get('copy'), large)
})

test('a key that others change lets the function run again', (t) => {
  const cache = openCache(t)
  cache.set('n', 1)
  let runs = 0
  const seen = cache.transaction((tx) => {
    runs++
    const n = tx.get('n') as number
    if (runs === 1) cache.set('n', 5)
    tx.set('n', n + 1)
    return n
  })
  t.deepEqual([runs, seen, cache.get('n')], [2, 5, 6])
})

test('a key that appears, ends or is cleared lets it run again as well', (t) => {
  const cache = openStopped(t)
  const changes = [
    () => cache.set('absent', 1),
    () => cache.delete('there'),
    () => cache.invalidateTags('tag'),
    () => cache.clear(),
    () => advance(cache, 1000),
  ]
  for (const change of changes) {
    cache.clear()
    cache.set('there', 1, { ttl: 500, tags: ['tag'] })
    let runs = 0
    cache.transaction((tx) => {
      tx.get('absent')
      tx.get('there')
      if (++runs === 1) change()
      tx.set('result', runs)
    })
    t.is(cache.get('result'), 2)
  }
})

test('reads are of one state: a second read of another state lets it run again', (t) => {
  const cache = openCache(t)
  cache.setMany([
    ['a', 1],
    ['b', 1],
  ])
  const seen: unknown[] = []
  cache.transaction((tx) => {
    const a = tx.get('a')
    if (seen.length === 0) {
      seen.push('first')
      cache.setMany([
        ['a', 2],
        ['b', 2],
      ])
    }
    seen.push([a, tx.get('b')])
  })
  t.deepEqual(seen, ['first', [2, 2]])
})

test('after too many conflicts comes ERR_BUSY, with a hint', (t) => {
  const cache = openCache(t)
  let runs = 0
  const change = (tx: Transaction): void => {
    runs++
    tx.get('n')
    cache.incr('n')
    tx.set('n', 0)
  }
  const error = t.throws(() => cache.transaction(change), { code: 'ERR_BUSY' })
  t.regex((error as Error & { hint: string }).hint, /attempts/)
  t.is(runs, 16)
  t.throws(() => cache.transaction(change, { attempts: 2 }), { code: 'ERR_BUSY' })
  t.is(runs, 18)
})

test('a blind write conflicts with nothing', (t) => {
  const cache = openCache(t)
  let runs = 0
  cache.transaction((tx) => {
    runs++
    tx.set('n', 1)
    cache.set('n', 2)
  })
  t.deepEqual([runs, cache.get('n')], [1, 1])
})

test('namespaces change together', (t) => {
  const cache = openCache(t)
  const users = cache.namespace('users')
  cache.transaction((tx) => {
    tx.set('k', 'root')
    tx.namespace('users').set('k', 'user')
    tx.namespace('users').namespace('deep').set('k', 'deep')
    t.is(tx.namespace('users').get('k'), 'user')
    t.is(users.get('k'), undefined)
  })
  t.deepEqual([cache.get('k'), users.get('k'), users.namespace('deep').get('k')], ['root', 'user', 'deep'])
  t.is(
    users.transaction((tx) => tx.get('k')),
    'user',
  )
})

test('options of a write count as for set', (t) => {
  const cache = openStopped(t, { ttl: 5000 })
  cache.set('kept', 1, { ttl: 1000, tags: ['old'] })
  cache.set('there', 1)
  const version = cache.getEntry('there')?.version ?? 0
  cache.transaction((tx) => {
    t.false(tx.set('there', 2, { if: 'absent' }))
    t.false(tx.add('there', 2))
    t.false(tx.set('missing', 2, { if: 'present' }))
    t.false(tx.replace('missing', 2))
    t.false(tx.set('there', 2, { if: { version: version + 1 } }))
    t.true(tx.set('there', 2, { if: { version } }))
    t.true(tx.add('new', 1, { ttl: 300, tags: ['t'] }))
    t.false(tx.add('new', 2))
    t.true(tx.replace('new', 3, { keepTtl: true, tags: ['t'] }))
    t.true(tx.set('kept', 2, { keepTtl: true }))
    t.false(tx.set('over', 1, { expiresAt: 1 }))
    t.is(
      tx.update('n', (value) => ((value as number | undefined) ?? 0) + 1, { ttl: 700 }),
      1,
    )
    t.is(
      tx.update('n', (value) => (value as number) + 1),
      2,
    )
  })
  t.deepEqual(cache.getMany(['there', 'new', 'kept', 'over', 'n', 'missing']), [2, 3, 2, undefined, 2, undefined])
  t.deepEqual(
    ['there', 'new', 'kept', 'n'].map((key) => cache.ttl(key)),
    [5000, 300, 1000, 700],
  )
  cache.invalidateTags('t')
  t.is(cache.get('new'), undefined)
})

test('touch, incr and update keep what they keep outside', (t) => {
  const cache = openStopped(t)
  cache.set('n', 1, { ttl: 1000, tags: ['t'] })
  cache.set('m', 1, { ttl: 1000, tags: ['t'] })
  cache.transaction((tx) => {
    t.is(tx.incr('n', 2), 3)
    t.is(tx.incr('n', 2, { max: 4 }), 4)
    t.is(tx.incr('new', 5, { init: 10, ttl: 400 }), 15)
    t.true(tx.touch('m', 200))
    t.is(
      tx.update('m', (value) => (value as number) + 1),
      2,
    )
    t.false(tx.touch('missing', 200))
    tx.set('s', 1, { ttl: 900 })
    t.true(tx.touch('s', Infinity))
    t.throws(() => tx.incr('s', Number.NaN), { code: 'ERR_INVALID_ARGUMENT' })
    tx.set('text', 'a')
    t.throws(() => tx.incr('text'), { code: 'ERR_NOT_A_NUMBER' })
    t.throws(() => tx.incr('s', Number.MAX_SAFE_INTEGER), { code: 'ERR_OVERFLOW' })
  })
  t.deepEqual(
    ['n', 'm', 'new', 's'].map((key) => [cache.get(key), cache.ttl(key)]),
    [
      [4, 1000],
      [2, 200],
      [15, 400],
      [1, Infinity],
    ],
  )
  cache.invalidateTags('t')
  t.deepEqual(cache.getMany(['n', 'm']), [undefined, undefined])
})

test('collections are part of a transaction', (t) => {
  const cache = openStopped(t)
  cache.list('queue').push('a', 'b')
  cache.hash('user').set('name', 'Ada')
  cache.sortedSet('scores').add('ada', 5)
  cache.transaction((tx) => {
    const queue = tx.list('queue')
    t.is(queue.shift(), 'a')
    t.is(queue.push('c', 'd'), 3)
    t.deepEqual([...queue], ['b', 'c', 'd'])
    tx.hash('user').setMany({ name: 'Eve', token: 'x' })
    t.is(tx.hash('user').incr('visits', 3), 3)
    tx.sortedSet('scores').incr('ada', 2)
    tx.sortedSet('scores').add('eve', 9)
    tx.setOf('new', { ttl: 500, tags: ['t'] }).add('one', 'two')
    t.throws(() => tx.hash('queue').get('a'), { code: 'ERR_WRONG_TYPE' })
    t.throws(() => tx.get('queue'), { code: 'ERR_WRONG_TYPE' })
    t.deepEqual(cache.list('queue').toArray(), ['a', 'b'])
    tx.delete('gone')
  })
  t.deepEqual(cache.list('queue').toArray(), ['b', 'c', 'd'])
  t.deepEqual({ ...cache.hash('user').toObject() }, { name: 'Eve', token: 'x', visits: 3 })
  t.deepEqual(
    [...cache.sortedSet('scores')].map(([member, score]) => [member, score]),
    [
      ['ada', 7],
      ['eve', 9],
    ],
  )
  t.deepEqual([cache.setOf('new').size, cache.ttl('new')], [2, 500])
  cache.transaction((tx) => {
    tx.list('queue').popMany(3)
    t.false(tx.has('queue'))
  })
  t.false(cache.has('queue'))
})

test('a changed element of a collection is a conflict', (t) => {
  const cache = openCache(t)
  let runs = 0
  cache.transaction((tx) => {
    const size = tx.setOf('s').size
    if (++runs === 1) cache.setOf('s').add('other')
    tx.set('size', size)
  })
  t.deepEqual([runs, cache.get('size')], [2, 1])
})

test('an ended transaction and an asynchronous function are refused', (t) => {
  const cache = openCache(t)
  let kept: Transaction | undefined
  cache.transaction((tx) => (kept = tx) && undefined)
  t.throws(() => kept?.get('a'), { code: 'ERR_CLOSED' })
  t.throws(() => kept?.list('l').push(1), { code: 'ERR_CLOSED' })
  t.throws(() => cache.transaction(async (tx) => tx.set('a', 1)), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.transaction(() => Promise.reject(new Error('x'))), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(cache.get('a'), undefined)
  t.throws(() => cache.transaction(1 as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.transaction(() => 1, { attempts: 0 }), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.transaction(() => 1, { retries: 1 } as never), { code: 'ERR_INVALID_ARGUMENT' })
  cache.close()
  t.throws(() => cache.transaction(() => 1), { code: 'ERR_CLOSED' })
})

test('what has no room or is too large changes nothing', (t) => {
  const cache = openCache(t, { size: '2mb', eviction: 'none', maxEntrySize: '64kb' })
  t.throws(
    () =>
      cache.transaction((tx) => {
        tx.set('a', 1)
        tx.set('big', Buffer.alloc(100_000))
      }),
    { code: 'ERR_VALUE_TOO_LARGE' },
  )
  t.throws(
    () =>
      cache.transaction((tx) => {
        for (let n = 0; n < 40; n++) tx.set(`k${n}`, Buffer.alloc(60_000))
      }),
    { code: 'ERR_NO_SPACE' },
  )
  t.is(cache.size, 0)
  cache.transaction((tx) => {
    for (let n = 0; n < 5; n++) tx.set(`k${n}`, Buffer.alloc(60_000))
  })
  t.is(cache.size, 5)
})

test('too many keys are refused', (t) => {
  const cache = openCache(t)
  const change = (keys: number) => (): void =>
    cache.transaction((tx) => {
      for (let n = 0; n < keys; n++) tx.set(`k${n}`, n)
    })
  t.throws(change(1025), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(cache.size, 0)
  change(1024)()
  t.is(cache.size, 1024)
})

test('keys of text and of bytes are one key', (t) => {
  const cache = openCache(t)
  cache.transaction((tx) => {
    tx.set('k', 1)
    t.is(tx.get(Buffer.from('k')), 1)
    tx.set(new Uint8Array([0xff]), 2)
    tx.set('\uFFFD', 3)
    t.throws(() => tx.get(''), { code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => tx.set('x'.repeat(9000), 1), { code: 'ERR_KEY_TOO_LONG' })
  })
  t.deepEqual(cache.getMany(['k', new Uint8Array([0xff]), '\uFFFD']), [1, 2, 3])
})

test('a transaction outlives the segment', (t) => {
  const cache = openCache(t)
  const users = cache.namespace('users')
  users.set('u', 1)
  let runs = 0
  cache.transaction((tx) => {
    tx.get('a')
    if (++runs === 1) segments.destroy(cache.name, { force: true })
    tx.set('a', runs)
    tx.namespace('users').set('b', runs)
  })
  t.deepEqual([cache.get('a'), users.get('b'), users.get('u')], [runs, runs, undefined])
})

test('listeners, waits and near copies learn of the changes', async (t) => {
  const cache = openCache(t, { near: {} })
  cache.set('a', 1)
  for (let n = 0; n < 5; n++) cache.get('a')
  const waiting = cache.waitFor('new')
  const changes = cache.watch()
  cache.transaction((tx) => {
    tx.set('a', 2)
    tx.set('new', 3)
    tx.delete('missing')
  })
  t.is(cache.get('a'), 2)
  t.is((await waiting).value, 3)
  const first = await changes.next()
  const second = await changes.next()
  t.deepEqual(
    [first.value, second.value].map((change) => [change.type, change.key]),
    [
      ['set', 'a'],
      ['set', 'new'],
    ],
  )
  await changes.return?.()
})

/**
 * `hash`, `list`, `setOf` and `sortedSet`.
 */
import test from 'ava'
import type { SharedCache } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { temporaryDirectory, openCache, openStopped } from '../helpers/segment.ts'

test('a hash reads, sets and deletes its fields', (t) => {
  const cache = openCache(t)
  const user = cache.hash('user')
  t.is(user.get('name'), undefined)
  t.is(user.size, 0)
  t.true(user.set('name', 'Ada'))
  t.true(user.set('age', 36))
  t.is(user.setMany({ name: 'Grace', langs: ['cobol', 'asm'] }), 1)
  t.is(user.setMany([['born', 1906n]]), 1)
  t.is(user.get('name'), 'Grace')
  t.deepEqual(user.getMany(['langs', 'none', 'born', 'age']), [['cobol', 'asm'], undefined, 1906n, 36])
  t.true(user.has('age'))
  t.false(user.has('none'))
  t.deepEqual({ ...user.toObject() }, { age: 36, born: 1906n, langs: ['cobol', 'asm'], name: 'Grace' })
  t.deepEqual([...user.keys()], ['age', 'born', 'langs', 'name'])
  t.deepEqual([...user.values()], [36, 1906n, ['cobol', 'asm'], 'Grace'])
  t.deepEqual(new Map(user).get('age'), 36)
  t.is(user.take('age'), 36)
  t.is(user.take('age'), undefined)
  t.is(user.delete('name', 'none', 'born'), 2)
  t.is(user.size, 1)
  t.is(user.delete('langs'), 1)
  t.false(cache.has('user'))
})

test('the conditions of a field', (t) => {
  const user = openCache(t).hash('user')
  t.false(user.set('name', 'Ada', { if: 'present' }))
  t.true(user.set('name', 'Ada', { if: 'absent' }))
  t.false(user.set('name', 'Grace', { if: 'absent' }))
  t.true(user.set('name', 'Grace', { if: 'present' }))
  t.is(user.get('name'), 'Grace')
})

test('incr of a field counts, and refuses what is no number', (t) => {
  const user = openCache(t).hash('user')
  t.is(user.incr('visits'), 1)
  t.is(user.incr('visits', 2.5), 3.5)
  user.set('name', 'Ada')
  t.throws(() => user.incr('name'), { code: 'ERR_NOT_A_NUMBER' })
  t.throws(() => user.incr('visits', Number.MAX_VALUE), { code: 'ERR_OVERFLOW' })
  t.throws(() => user.incr('visits', Number.NaN), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(user.get('visits'), 3.5)
})

test('fields have lifetimes of their own', (t) => {
  const cache = openStopped(t)
  const user = cache.hash('user')
  user.set('token', 'x', { ttl: 1000 })
  user.set('name', 'Ada')
  t.is(user.ttl('token'), 1000)
  t.is(user.ttl('name'), Infinity)
  t.is(user.ttl('none'), undefined)
  advance(cache, 999)
  t.is(user.get('token'), 'x')
  t.is(user.ttl('token'), 1)
  advance(cache, 1)
  t.is(user.get('token'), undefined)
  t.is(user.size, 1)
  t.true(user.expire('name', '5s'))
  t.false(user.expire('token', '5s'))
  t.true(user.set('other', 1, '9s'))
  t.true(user.expire('other', Infinity))
  advance(cache, 5000)
  t.deepEqual([...user.keys()], ['other'])
  t.throws(() => user.expire('other', 0), { code: 'ERR_INVALID_TTL' })
})

test('a new collection has the lifetime and the tags that it was made with, and keeps them', (t) => {
  const cache = openStopped(t)
  const list = cache.list('list', { ttl: '10s', tags: ['red'] })
  list.push(1)
  advance(cache, 4000)
  list.push(2)
  t.is(cache.ttl('list'), 6000)
  t.deepEqual([...cache.keys({ tags: ['red'] })], ['list'])
  cache.invalidateTags(['red'])
  t.is(list.size, 0)
  list.push(3)
  advance(cache, 10_000)
  t.deepEqual(list.toArray(), [])
  t.throws(() => cache.list('list', { ttl: -1 }), { code: 'ERR_INVALID_TTL' })
  t.throws(() => cache.list('list', { expires: 1 } as never), { code: 'ERR_INVALID_ARGUMENT' })
})

test('a list pushes and pops at both ends', (t) => {
  const list = openCache(t).list<unknown>('list')
  t.is(list.push('b', 'c'), 2)
  t.is(list.unshift('-', 'a'), 4)
  t.deepEqual(list.toArray(), ['-', 'a', 'b', 'c'])
  t.is(list.shift(), '-')
  t.is(list.pop(), 'c')
  t.is(list.pushMany([1, 2, 3], { max: 4 }), 4)
  t.deepEqual(list.toArray(), ['b', 1, 2, 3])
  t.is(list.unshiftMany([9], { max: 2 }), 2)
  t.deepEqual([...list], [9, 'b'])
  t.deepEqual(list.popMany(5), ['b', 9])
  t.is(list.pop(), undefined)
  t.is(list.shift(), undefined)
  t.deepEqual(list.shiftMany(2), [])
  t.is(list.push(), 0)
})

test('positions of a list are those of an array', (t) => {
  const list = openCache(t).list<number>('list')
  const array = [0, 1, 2, 3, 4]
  list.pushMany(array)
  for (let start = -7; start <= 7; start++) {
    t.is(list.at(start), array.at(start), `at ${start}`)
    for (let end = -7; end <= 7; end++) t.deepEqual(list.slice(start, end), array.slice(start, end), `${start} ${end}`)
  }
  t.deepEqual(list.slice(), array)
  t.true(list.set(-1, 40))
  t.false(list.set(5, 0))
  t.false(list.set(-6, 0))
  t.is(list.insertBefore(0, -1), 6)
  t.is(list.insertAfter(40, 41), 7)
  t.is(list.insertAfter(7, 8), -1)
  t.deepEqual(list.toArray(), [-1, 0, 1, 2, 3, 40, 41])
  t.is(list.indexOf(3), 4)
  t.is(list.indexOf(3, 5), -1)
  t.is(list.indexOf(41, -1), 6)
  t.true(list.includes(40))
  t.is(list.trim(1, -1), 2)
  t.deepEqual(list.toArray(), [0, 1, 2, 3, 40])
  t.throws(() => list.at('0' as never), { code: 'ERR_INVALID_ARGUMENT' })
})

test('remove takes equal items from one end or all', (t) => {
  const list = openCache(t).list<string>('list')
  list.push('a', 'b', 'a', 'c', 'a')
  t.is(list.remove('a', -1), 1)
  t.deepEqual(list.toArray(), ['a', 'b', 'a', 'c'])
  t.is(list.remove('a', 1), 1)
  t.deepEqual(list.toArray(), ['b', 'a', 'c'])
  list.push('a')
  t.is(list.remove('a'), 2)
  t.is(list.remove('a'), 0)
})

test('a set holds different values', (t) => {
  const set = openCache(t).setOf<unknown>('set')
  t.is(set.add('a', 'b', 'a', 1, '1'), 4)
  t.is(set.add('b', null, true), 2)
  t.true(set.has(1))
  t.false(set.has(2))
  t.deepEqual(set.hasMany(['a', 'z', null]), [true, false, true])
  t.is(set.size, 6)
  t.deepEqual(set.toSet(), new Set(['1', 'a', 'b', 1, null, true]))
  t.is(set.delete('a', 'z'), 1)
  const sample = set.sample(3)
  t.is(new Set(sample).size, 3)
  t.true(set.hasMany(sample).every(Boolean))
  const popped = [set.pop(), ...set.popMany(10)]
  t.is(new Set(popped).size, 5)
  t.is(set.pop(), undefined)
  t.throws(() => set.popMany(-1), { code: 'ERR_INVALID_ARGUMENT' })
})

test('each member of a set is drawn', (t) => {
  const set = openCache(t).setOf<number>('set')
  const all = Array.from({ length: 10 }, (_, n) => n)
  set.add(...all)
  const drawn = new Set<number>()
  for (let round = 0; round < 5000 && drawn.size < 10; round++) for (const member of set.sample(2)) drawn.add(member)
  t.is(drawn.size, 10)
})

test('a sorted set keeps the order of scores', (t) => {
  const board = openCache(t).sortedSet<string>('board')
  t.true(board.add('ada', 10))
  t.false(board.add('ada', 12))
  t.deepEqual(
    board.addMany([
      ['grace', 12],
      ['alan', 3],
      ['ada', 12],
    ]),
    { added: 2, changed: 0 },
  )
  t.is(board.incr('alan', 4), 7)
  t.is(board.incr('kurt'), 1)
  const all = [
    ['kurt', 1],
    ['alan', 7],
    ['ada', 12],
    ['grace', 12],
  ] as const
  t.deepEqual(board.toArray(), all)
  t.deepEqual([...board], all)
  t.is(board.rank('ada'), 2)
  t.is(board.rank('ada', { reverse: true }), 1)
  t.is(board.rank('none'), undefined)
  t.is(board.score('alan'), 7)
  t.deepEqual(board.scores(['none', 'grace']), [undefined, 12])
  t.deepEqual(board.range(0, 2), all.slice(0, 2))
  t.deepEqual(board.range(0, 2, { reverse: true }), [
    ['grace', 12],
    ['ada', 12],
  ])
  t.deepEqual(board.range(-2), all.slice(-2))
  t.deepEqual(board.rangeByScore(1, 12, { withoutMin: true, limit: 2 }), all.slice(1, 3))
  t.deepEqual(board.rangeByScore(1, 12, { reverse: true, offset: 1, limit: 2 }), [
    ['ada', 12],
    ['alan', 7],
  ])
  t.is(board.countByScore(-Infinity, 7), 2)
  t.is(board.countByScore(1, 12, { withoutMin: true, withoutMax: true }), 1)
  t.deepEqual(board.popMin(), [['kurt', 1]])
  t.deepEqual(board.popMax(2), [
    ['grace', 12],
    ['ada', 12],
  ])
  t.is(board.delete('alan', 'none'), 1)
  t.is(board.size, 0)
})

test('the conditions of a score', (t) => {
  const board = openCache(t).sortedSet<string>('board')
  t.false(board.add('a', 1, { if: 'present' }))
  t.true(board.add('a', 5, { if: 'absent' }))
  board.add('a', 9, { if: 'absent' })
  t.is(board.score('a'), 5)
  board.add('a', 4, { only: 'greater' })
  t.is(board.score('a'), 5)
  board.add('a', 6, { only: 'greater' })
  t.is(board.score('a'), 6)
  t.is(board.incr('a', -10, { only: 'greater' }), undefined)
  t.is(board.incr('a', -1, { only: 'less' }), 5)
  board.add('inf', Infinity)
  t.throws(() => board.incr('inf', -Infinity), { code: 'ERR_OVERFLOW' })
  t.throws(() => board.add('a', Number.NaN), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(board.deleteByScore(0, 5), 1)
  t.is(board.deleteRange(0), 1)
})

test('values of every kind come back as they were', (t) => {
  const cache = openCache(t)
  const values: unknown[] = [
    'text',
    'é\u{1F600}',
    '\uD800 alone',
    '',
    0,
    -0,
    1.5,
    Infinity,
    true,
    false,
    null,
    5n,
    2n ** 80n,
    -(2n ** 80n),
    { a: 1 },
    [1, [2]],
    new Date(7),
    new Map([[1, { a: 2 }]]),
    new Set([1]),
    Buffer.from('bytes'),
    Uint8Array.of(1, 2),
  ]
  const hash = cache.hash('hash')
  values.forEach((value, n) => hash.set(`f${n}`, value))
  values.forEach((value, n) => t.deepEqual(hash.get(`f${n}`), value))
  const list = cache.list('list')
  list.pushMany(values)
  t.deepEqual(list.toArray(), values)
  t.throws(() => list.push(undefined), { code: 'ERR_UNDEFINED_VALUE' })
  t.throws(() => hash.set('f', () => 1), { code: 'ERR_UNSERIALIZABLE' })
  t.throws(() => hash.set('', 1), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => hash.set('\uD800', 1), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(list.size, values.length)
})

test('an element of 64 KiB and an answer above the size of the shared memory come back whole', (t) => {
  const list = openCache(t).list<string>('list')
  const items = ['a', 'b', 'c'].map((text) => text.repeat(64 * 1024))
  list.pushMany(items)
  t.deepEqual(list.toArray(), items)
  t.deepEqual(list.popMany(2), items.slice(1).toReversed())
})

test('a collection that would be too large stays as it was', (t) => {
  const cache = openCache(t, { maxEntrySize: '64kb' })
  const list = cache.list('list')
  list.push('x'.repeat(40_000))
  t.throws(() => list.push('y'.repeat(40_000)), { code: 'ERR_VALUE_TOO_LARGE' })
  t.is(list.size, 1)
})

test('many elements come in pages', (t) => {
  const cache = openCache(t)
  const numbers = Array.from({ length: 1000 }, (_, n) => n)
  cache.list('list').pushMany(numbers)
  t.deepEqual([...cache.list('list')], numbers)
  cache.hash('hash').setMany(numbers.map((n) => [`f${n}`, n] as const))
  t.is(cache.hash('hash').size, 1000)
  t.deepEqual(
    [...cache.hash<number>('hash').values()].toSorted((a, b) => a - b),
    numbers,
  )
})

test('code of the user that runs while a value is encoded may use collections', (t) => {
  const cache: SharedCache = openCache(t)
  const list = cache.list('list')
  const value = {
    toJSON() {
      cache.list('other').push('inner')
      return 'outer'
    },
  }
  const json: SharedCache = openCache(t, { codec: 'json' })
  json.list('list').push({ toJSON: () => (json.list('other').push('inner'), 'outer') })
  t.deepEqual(json.list('list').toArray(), ['outer'])
  t.deepEqual(json.list('other').toArray(), ['inner'])
  t.notThrows(() => list.push('plain'))
  t.is(typeof value.toJSON, 'function')
})

test('a custom codec encodes elements, and may call the cache', (t) => {
  const cache: SharedCache = openCache(t, {
    codec: {
      id: 7,
      encode: (value) => Buffer.from(JSON.stringify(value)),
      decode(bytes) {
        cache.list('other').push(1)
        return JSON.parse(Buffer.from(bytes).toString()) as unknown
      },
    },
  })
  cache.list('list').push({ a: 1 }, 'two', [3])
  t.deepEqual(cache.list('list').toArray(), [{ a: 1 }, 'two', [3]])
})

test('clear, has, delete, ttl, touch and keys treat a collection as one entry', (t) => {
  const cache = openStopped(t)
  cache.setOf('set').add(1, 2)
  cache.set('value', 1)
  t.true(cache.has('set'))
  t.deepEqual([...cache.keys()].toSorted(), ['set', 'value'])
  t.deepEqual([...cache.entries()], [['value', 1]])
  t.true(cache.touch('set', '5s'))
  t.is(cache.ttl('set'), 5000)
  t.true(cache.delete('set'))
  cache.setOf('set').add(3)
  cache.set('set', 'value')
  t.is(cache.get('set'), 'value')
  cache.delete('set')
  cache.setOf('set').add(4)
  cache.clear()
  t.is(cache.setOf('set').size, 0)
})

test('collections go through a snapshot, with the lifetimes of their fields', async (t) => {
  const cache = openStopped(t)
  cache.hash('hash').set('short', 1, '1m')
  cache.hash('hash').set('long', { a: 2 })
  cache.list('list').push(1, 'two')
  cache.sortedSet('sorted').add('a', 1.5)
  const path = `${temporaryDirectory(t)}/file`
  await cache.snapshot(path)
  cache.clear()
  await cache.restore(path)
  t.deepEqual({ ...cache.hash('hash').toObject() }, { short: 1, long: { a: 2 } })
  t.deepEqual(cache.list('list').toArray(), [1, 'two'])
  t.deepEqual(cache.sortedSet('sorted').toArray(), [['a', 1.5]])
  // The clock of the cache stands still, that of the snapshot does not.
  const left = cache.hash('hash').ttl('short') ?? 0
  t.true(left > 0 && left <= 60_000)
  advance(cache, 60_000)
  t.deepEqual([...cache.hash('hash').keys()], ['long'])
})

test('watch and waitFor meet the changes of a collection', async (t) => {
  const cache = openCache(t)
  const changes = cache.watch({ key: 'list' })
  cache.list('list').push(1)
  cache.list('list').pop()
  const types = []
  for await (const { type } of changes) if (types.push(type) === 2) break
  t.deepEqual(types, ['set', 'delete'])
})

test('getEntry shows a collection as a plain copy if it is asked to', (t) => {
  const cache = openCache(t)
  cache.hash('hash').setMany({ a: 1, b: [2] })
  cache.list('list').push('x', 'y')
  cache.setOf('set').add('m')
  cache.sortedSet('sorted').add('m', 2)
  cache.list('large').push(Buffer.alloc(100_000, 'x'))
  const shown = (key: string): unknown => cache.getEntry(key, { collections: true, peek: true })?.value
  t.deepEqual(
    shown('hash'),
    new Map<string, unknown>([
      ['a', 1],
      ['b', [2]],
    ]),
  )
  t.deepEqual(shown('list'), ['x', 'y'])
  t.deepEqual(shown('set'), new Set(['m']))
  t.deepEqual(shown('sorted'), new Map([['m', 2]]))
  t.deepEqual(shown('large'), [Buffer.alloc(100_000, 'x')])
  t.throws(() => cache.getEntry('list'), { code: 'ERR_WRONG_TYPE' })
})

test('a namespace has collections of its own', (t) => {
  const cache = openCache(t)
  cache.namespace('n').list('list').push(1)
  t.is(cache.list('list').size, 0)
  t.deepEqual(cache.namespace('n').list('list').toArray(), [1])
})

test('after close, the methods of a collection throw', (t) => {
  const cache = openCache(t)
  const list = cache.list('list')
  cache.close()
  t.throws(() => list.push(1), { code: 'ERR_CLOSED' })
  t.throws(() => list.size, { code: 'ERR_CLOSED' })
  t.throws(() => cache.list('list'), { code: 'ERR_CLOSED' })
})

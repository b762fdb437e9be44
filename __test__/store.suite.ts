/**
 * The contract of a `CacheStore`: what adapters rely on, as tests that any store must pass.
 *
 * `storeSuite` registers them for one factory, so a spec can call it for several stores and for several options of one. Every
 * step is looked at through all ways of reading, before it and after it: a store that keeps copies near its reader must
 * not serve yesterday's.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { ExecutionContext, TestFn } from 'ava'
import type { CacheStore, Duration, Key, SetOptions } from '../index.ts'

/** A fresh, empty store, and what moves its clock, which otherwise stands still. */
export interface OpenedStore {
  readonly store: CacheStore
  advance(milliseconds: number): void
}

export interface StoreTraits {
  /**
   * What `get` hands out for an object. `'copy'`: the caller's own, which may be changed. `'frozen'`: deeply frozen, and
   * perhaps the same one as for others. Default: `'copy'`.
   */
  readonly objects?: 'copy' | 'frozen'
}

/** Registers the suite. `open` makes a store that is removed when its test ends. */
export function storeSuite(
  test: TestFn,
  name: string,
  open: (t: ExecutionContext) => OpenedStore,
  { objects = 'copy' }: StoreTraits = {},
): void {
  const contract = (sentence: string, run: (t: ExecutionContext, opened: OpenedStore) => void): void => {
    test(`${name}: ${sentence}`, (t) => run(t, open(t)))
  }

  // ---- one key

  contract('undefined is a miss, every other value is a value', (t, { store }) => {
    absent(t, store, 'a')
    for (const value of [null, false, 0, '', Number.NaN]) {
      t.true(store.set('a', value))
      holds(t, store, 'a', value)
    }
  })

  contract('set replaces, and the next read sees it', (t, { store }) => {
    for (const value of ['text', 'other text', 1, { a: 1 }, { a: 2 }, [1], Buffer.from('x'), 'text']) {
      t.true(store.set('a', value))
      holds(t, store, 'a', value)
    }
  })

  contract('delete tells whether there was an entry', (t, { store }) => {
    t.false(store.delete('a'))
    store.set('a', 1)
    holds(t, store, 'a', 1)
    t.true(store.delete('a'))
    absent(t, store, 'a')
    t.false(store.delete('a'))
  })

  contract('values of every kind come back as they were', (t, { store }) => {
    for (const value of VALUES()) {
      store.set('a', value)
      holds(t, store, 'a', value)
    }
  })

  contract('an object keeps its cycles and what it has twice', (t, { store }) => {
    const inner = { x: 1 }
    const value: { twice: object[]; self?: unknown } = { twice: [inner, inner] }
    value.self = value
    store.set('a', value)
    const found = store.get('a') as typeof value
    t.is(found.self, found)
    t.is(found.twice[0], found.twice[1])
    t.deepEqual(found.twice[0], inner)
  })

  contract('the caller may change what it has set', (t, { store }) => {
    const value = { list: [1] }
    const bytes = Buffer.from('abc')
    store.set('a', value)
    store.set('b', bytes)
    store.setMany([
      ['c', value],
      ['d', bytes],
    ])
    value.list.push(2)
    bytes.fill('x')
    for (const key of ['a', 'c']) holds(t, store, key, { list: [1] })
    for (const key of ['b', 'd']) holds(t, store, key, Buffer.from('abc'))
  })

  if (objects === 'copy') {
    contract('the caller may change what it gets', (t, { store }) => {
      store.set('a', { list: [1] })
      const reads = [() => store.get('a'), () => store.getMany(['a'])[0]] as (() => { list: number[] })[]
      for (const read of reads) {
        read().list.push(2)
        holds(t, store, 'a', { list: [1] })
      }
    })
  } else {
    contract('what the caller gets is frozen all through', (t, { store }) => {
      store.set('a', { list: [{ x: 1 }] })
      for (const found of [store.get('a'), store.getMany(['a'])[0]] as { list: object[] }[]) {
        t.true([found, found.list, found.list[0]].every((object) => Object.isFrozen(object)))
      }
    })
  }

  contract('the caller may change bytes that it gets', (t, { store }) => {
    store.set('a', Buffer.from('abc'))
    for (const found of [store.get('a'), store.getMany(['a'])[0]] as Buffer[]) {
      found.fill('x')
      holds(t, store, 'a', Buffer.from('abc'))
    }
  })

  contract('__proto__ is data', (t, { store }) => {
    store.set('a', JSON.parse('{"__proto__":{"polluted":true}}'))
    const found = store.get('a') as object
    t.is(Object.getPrototypeOf(found), Object.prototype)
    t.true(Object.hasOwn(found, '__proto__'))
    t.is(({} as { polluted?: boolean }).polluted, undefined)
  })

  contract('what is no value throws and changes nothing', (t, { store }) => {
    store.set('a', 1)
    t.throws(() => store.set('a', undefined), { code: 'ERR_UNDEFINED_VALUE' })
    t.throws(() => store.set('a', () => 1), { code: 'ERR_UNSERIALIZABLE' })
    t.throws(() => store.set('a', { deep: [Symbol('s')] }), { code: 'ERR_UNSERIALIZABLE' })
    holds(t, store, 'a', 1)
  })

  // ---- keys

  contract('keys are any text, byte for byte', (t, { store }) => {
    for (const [index, key] of KEYS.entries()) t.true(store.set(key, index))
    for (const [index, key] of KEYS.entries()) holds(t, store, key, index)
    t.deepEqual([...store.keys()].toSorted(), KEYS.toSorted())
  })

  contract('a text and its UTF-8 bytes are one key', (t, { store }) => {
    for (const text of ['a', 'é€😀', 'x\uFFFDy']) {
      store.set(text, 'by text')
      holds(t, store, Buffer.from(text), 'by text')
      store.set(new TextEncoder().encode(text), 'by bytes')
      holds(t, store, text, 'by bytes')
      t.true(store.delete(Buffer.from(text)))
      absent(t, store, text)
    }
  })

  contract('keys have 1 byte to 8 KiB', (t, { store }) => {
    for (const key of ['x', 'x'.repeat(8192), 'é'.repeat(4096), Buffer.alloc(8192, 0xff)]) {
      t.true(store.set(key, 'value'))
      holds(t, store, key, 'value')
      t.deepEqual([...store.keys()].map(hex), [hex(key)])
      t.true(store.delete(key))
    }
  })

  contract('what is no key throws, in every method', (t, { store }) => {
    store.set('kept', 1)
    for (const [method, call] of Object.entries(byKey(store))) {
      for (const key of [undefined, null, 5, {}, '', new Uint8Array(0), 'lone \uD800', '\uDC00', new Uint16Array(1)]) {
        t.throws(() => call(key as Key), { code: 'ERR_INVALID_ARGUMENT' }, `${method} ${String(key)}`)
      }
      for (const key of ['x'.repeat(8193), 'é'.repeat(4097), Buffer.alloc(8193)]) {
        t.throws(() => call(key), { code: 'ERR_KEY_TOO_LONG' }, method)
      }
    }
    t.deepEqual([...store.keys()], ['kept'])
  })

  // ---- time

  contract('an entry lives until its deadline and not a millisecond longer', (t, { store, advance }) => {
    store.set('a', { v: 1 }, 1000)
    advance(999)
    holds(t, store, 'a', { v: 1 })
    t.is(store.ttl('a'), 1)
    advance(1)
    absent(t, store, 'a')
    t.false(store.touch('a', 1000))
    t.false(store.delete('a'))
  })

  contract('without a ttl nothing expires, and ttl is Infinity', (t, { store, advance }) => {
    store.set('a', 1)
    t.is(store.ttl('a'), Infinity)
    advance(86_400_000)
    holds(t, store, 'a', 1)
    t.is(store.ttl('none'), undefined)
  })

  contract('lifetimes are milliseconds or durations, alone or as an option', (t, { store }) => {
    const cases: [Duration, number][] = [
      [1500, 1500],
      ['250ms', 250],
      ['30s', 30_000],
      ['5m', 300_000],
      ['2h', 7_200_000],
      ['1d', 86_400_000],
    ]
    for (const [ttl, milliseconds] of cases) {
      for (const given of [ttl, { ttl }]) {
        store.set('a', 1, given)
        t.is(store.ttl('a'), milliseconds)
      }
    }
  })

  contract('a set without a ttl removes the deadline, keepTtl keeps it', (t, { store, advance }) => {
    store.set('a', 1, 1000)
    store.set('a', 2, { keepTtl: true })
    t.is(store.ttl('a'), 1000)
    store.set('a', 3)
    t.is(store.ttl('a'), Infinity)
    advance(1000)
    holds(t, store, 'a', 3)
  })

  contract('expiresAt is a moment; one that has passed deletes', (t, { store }) => {
    t.true(store.set('a', 1, { expiresAt: Date.now() + 60_000 }))
    const left = store.ttl('a') ?? 0
    t.true(left > 50_000 && left <= 60_000, `${left}`)
    t.false(store.set('a', 2, { expiresAt: Date.now() - 1 }))
    absent(t, store, 'a')
  })

  contract('touch gives a new lifetime and leaves the value', (t, { store, advance }) => {
    t.false(store.touch('a', 1000))
    store.set('a', [1], 1000)
    holds(t, store, 'a', [1])
    advance(900)
    t.true(store.touch('a', '1s'))
    t.is(store.ttl('a'), 1000)
    advance(900)
    holds(t, store, 'a', [1])
    advance(100)
    absent(t, store, 'a')
  })

  contract('touch can shorten a lifetime', (t, { store, advance }) => {
    store.set('a', 1, '1h')
    holds(t, store, 'a', 1)
    t.true(store.touch('a', 10))
    advance(10)
    absent(t, store, 'a')
  })

  contract('what is no lifetime throws and changes nothing', (t, { store }) => {
    store.set('a', 1, 5000)
    for (const ttl of [0, -1, Number.NaN, Infinity, '', '5', '0s', 'Infinity', null]) {
      t.throws(() => store.set('a', 2, ttl as Duration), { code: 'ERR_INVALID_TTL' }, String(ttl))
      t.throws(() => store.set('a', 2, { ttl } as SetOptions), { code: 'ERR_INVALID_TTL' }, String(ttl))
      t.throws(() => store.setMany([['a', 2]], { ttl } as SetOptions), { code: 'ERR_INVALID_TTL' }, String(ttl))
      t.throws(() => store.touch('a', ttl as Duration), { code: 'ERR_INVALID_TTL' }, String(ttl))
      t.throws(() => store.incr('n', 1, { ttl: ttl as Duration }), { code: 'ERR_INVALID_TTL' }, String(ttl))
    }
    t.throws(() => store.set('a', 2, { expiresAt: Number.NaN }), { code: 'ERR_INVALID_TTL' })
    t.throws(() => store.set('a', 2, { ttl: 1, expiresAt: Date.now() + 1000 }), { code: 'ERR_INVALID_ARGUMENT' })
    holds(t, store, 'a', 1)
    t.is(store.ttl('a'), 5000)
    absent(t, store, 'n')
  })

  // ---- conditions and counters

  contract("if: 'absent' and 'present' decide on what is there", (t, { store, advance }) => {
    t.false(store.set('a', 1, { if: 'present' }))
    absent(t, store, 'a')
    t.true(store.set('a', 1, { if: 'absent', ttl: 1000 }))
    t.false(store.set('a', 2, { if: 'absent' }))
    holds(t, store, 'a', 1)
    t.true(store.set('a', 3, { if: 'present', ttl: 1000 }))
    holds(t, store, 'a', 3)
    advance(1000)
    t.false(store.set('a', 4, { if: 'present' }))
    t.true(store.set('a', 5, { if: 'absent' }))
    holds(t, store, 'a', 5)
  })

  contract('options that a store has no use for are no mistake', (t, { store }) => {
    t.true(store.set('a', 1, { tags: ['x', 'y'], stale: '5m', ttl: 1000 }))
    holds(t, store, 'a', 1)
    t.is(store.ttl('a'), 1000)
  })

  contract('incr counts from 0, or from init, by any finite step', (t, { store }) => {
    t.is(store.incr('a'), 1)
    holds(t, store, 'a', 1)
    t.is(store.incr('a'), 2)
    holds(t, store, 'a', 2)
    t.is(store.incr('a', -3), -1)
    t.is(store.incr('a', 0.5), -0.5)
    holds(t, store, 'a', -0.5)
    t.is(store.incr('b', 1, { init: 100 }), 101)
    t.is(store.incr('b', 1, { init: 100 }), 102)
  })

  contract('incr has a lifetime only for a new counter, and clamps', (t, { store, advance }) => {
    store.incr('a', 1, { ttl: 1000 })
    advance(400)
    store.incr('a', 1, { ttl: 1000 })
    t.is(store.ttl('a'), 600)
    t.is(store.incr('a', 100, { max: 50 }), 50)
    t.is(store.incr('a', -100, { min: 5 }), 5)
    advance(600)
    t.is(store.incr('a'), 1)
    t.is(store.ttl('a'), Infinity)
  })

  contract('incr refuses what it cannot count on, and leaves it', (t, { store }) => {
    for (const value of ['5', null, true, 5n, { a: 1 }]) {
      store.set('a', value)
      t.throws(() => store.incr('a'), { code: 'ERR_NOT_A_NUMBER' })
      holds(t, store, 'a', value)
    }
    store.set('a', Number.MAX_SAFE_INTEGER)
    t.throws(() => store.incr('a'), { code: 'ERR_OVERFLOW' })
    holds(t, store, 'a', Number.MAX_SAFE_INTEGER)
    t.throws(() => store.incr('a', Number.NaN), { code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => store.incr('a', 1, { min: 2, max: 1 }), { code: 'ERR_INVALID_ARGUMENT' })
  })

  // ---- many keys

  contract('many-calls answer in the order of their input', (t, { store }) => {
    t.deepEqual(
      store.setMany([
        ['a', 1],
        ['b', { v: 2 }],
        ['c', null],
      ]),
      [true, true, true],
    )
    t.deepEqual(store.getMany(['c', 'none', 'b', 'a']), [null, undefined, { v: 2 }, 1])
    t.deepEqual(store.hasMany(['none', 'a', 'c']), [false, true, true])
    t.deepEqual(store.deleteMany(['a', 'none', 'c']), [true, false, true])
    t.deepEqual(store.getMany(['a', 'b', 'c']), [undefined, { v: 2 }, undefined])
  })

  contract('many-calls take nothing, and any iterable', (t, { store }) => {
    t.deepEqual([store.getMany([]), store.setMany([]), store.deleteMany([]), store.hasMany([])], [[], [], [], []])
    t.deepEqual(store.setMany(new Map([['a', 1]])), [true])
    t.deepEqual(store.getMany(new Set(['a'])), [1])
    t.deepEqual(store.hasMany(store.keys()), [true])
    t.deepEqual(
      store.deleteMany(
        (function* () {
          yield 'a'
        })(),
      ),
      [true],
    )
    absent(t, store, 'a')
  })

  contract('what is no iterable throws', (t, { store }) => {
    for (const wrong of [undefined, null, 5, 'abc', { a: 1 }]) {
      const what = { code: 'ERR_INVALID_ARGUMENT' }
      t.throws(() => store.getMany(wrong as never), what, `getMany ${String(wrong)}`)
      t.throws(() => store.setMany(wrong as never), what, `setMany ${String(wrong)}`)
      t.throws(() => store.deleteMany(wrong as never), what, `deleteMany ${String(wrong)}`)
      t.throws(() => store.hasMany(wrong as never), what, `hasMany ${String(wrong)}`)
    }
    t.throws(() => store.setMany(['ab'] as never), { code: 'ERR_INVALID_ARGUMENT' })
    t.deepEqual([...store.keys()], [])
  })

  contract('of a key that comes twice the last value stays', (t, { store }) => {
    const value = (i: number): string => `${i}\uFFFD`.slice(0, 1 + (i % 2))
    for (const key of ['a', 'x\uFFFD']) {
      t.deepEqual(store.setMany([0, 1, 2, 3, 4, 5, 6].map((i) => [key, value(i)])), Array(7).fill(true))
      holds(t, store, key, value(6))
      t.deepEqual(store.getMany([key, 'none', key]), [value(6), undefined, value(6)])
      t.deepEqual(store.deleteMany([key, key]), [true, false])
    }
  })

  contract('setMany has lifetimes for all and for each', (t, { store, advance }) => {
    store.setMany(
      [
        ['a', 1],
        ['b', 2, 500],
        ['c', 3, { ttl: '2s' }],
        ['d', 4, {}],
      ],
      1000,
    )
    t.deepEqual([...'abcd'].map((key) => store.ttl(key)).slice(0, 3), [1000, 500, 2000])
    t.is(store.ttl('d'), Infinity, 'its own options, which have none')
    advance(1000)
    t.deepEqual(store.hasMany([...'abcd']), [false, false, true, true])
  })

  contract('setMany stores nothing if anything is wrong with what it is given', (t, { store }) => {
    store.set('kept', 1)
    const wrong: [code: string, item: unknown][] = [
      ['ERR_UNDEFINED_VALUE', ['c', undefined]],
      ['ERR_UNSERIALIZABLE', ['c', { f: () => 1 }]],
      ['ERR_INVALID_ARGUMENT', ['', 1]],
      ['ERR_INVALID_ARGUMENT', ['\uD800', 1]],
      ['ERR_INVALID_ARGUMENT', [5, 1]],
      ['ERR_KEY_TOO_LONG', ['x'.repeat(8193), 1]],
      ['ERR_KEY_TOO_LONG', [Buffer.alloc(8193), 1]],
      ['ERR_INVALID_TTL', ['c', 1, 0]],
      ['ERR_INVALID_TTL', ['c', 1, { expiresAt: Number.NaN }]],
      ['ERR_INVALID_ARGUMENT', 'cd'],
      ['ERR_INVALID_ARGUMENT', undefined],
    ]
    for (const [code, item] of wrong) {
      const items = [['a', 1], ['kept', 2], item, ['b', 1]]
      t.throws(() => store.setMany(items as never), { code }, code)
      t.deepEqual([...store.keys()], ['kept'])
      holds(t, store, 'kept', 1)
    }
  })

  // ---- loading

  contract('getOrSet loads what is missing, once for all who ask meanwhile', async (t, { store, advance }) => {
    let loads = 0
    const load = async (): Promise<object> => {
      loads++
      await turn()
      return { number: loads }
    }
    const ask = (): Promise<unknown> => store.getOrSet('a', load, { ttl: 1000 })
    const values = await Promise.all([ask(), ask(), ask()])
    for (const value of [...values, await ask()]) t.deepEqual(value, { number: 1 })
    t.not(values[1], values[2])
    holds(t, store, 'a', { number: 1 })
    t.is(store.ttl('a'), 1000)
    t.deepEqual(await store.getOrSet('a', load, { ttl: 500, force: true }), { number: 2 })
    advance(500)
    t.deepEqual(await ask(), { number: 3 })
  })

  contract('getOrSet stores neither undefined nor errors', async (t, { store }) => {
    const error = new Error('no')
    const call = store.getOrSet('a', () => Promise.reject(error))
    await t.throwsAsync(call, { is: error })
    t.is(await store.getOrSet('a', () => undefined), undefined)
    absent(t, store, 'a')
    t.is(await store.getOrSet('a', () => 1, { ttl: () => 0 }), 1)
    absent(t, store, 'a')
    const signal = AbortSignal.abort(error)
    await t.throwsAsync(
      store.getOrSet('a', () => 1, { signal }),
      { is: error },
    )
    await t.throwsAsync(
      store.getOrSet('a', () => 1, { ttl: 0 }),
      { code: 'ERR_INVALID_TTL' },
    )
    await t.throwsAsync(store.getOrSet('a', 1 as never), { code: 'ERR_INVALID_ARGUMENT' })
    t.is(await store.getOrSet('a', () => 1), 1)
    holds(t, store, 'a', 1)
  })

  // ---- walking, clearing, namespaces

  contract('keys gives each key once, by prefix too', (t, { store, advance }) => {
    const names = Array.from({ length: 1000 }, (_, i) => `k:${i}`)
    store.setMany(names.map((key, i) => [key, i]))
    store.set('other', 1)
    store.set('gone', 1, 10)
    advance(10)
    t.deepEqual([...store.keys({ prefix: 'k:' })].toSorted(), names.toSorted())
    t.deepEqual([...store.keys()].toSorted(), [...names, 'other'].toSorted())
    t.deepEqual([...store.keys({ prefix: 'k:99' })].toSorted(), ['k:99', ...names.slice(990)].toSorted())
    t.deepEqual([...store.keys({ prefix: 'none' })], [])
  })

  contract('entries may be deleted while their keys are walked', (t, { store }) => {
    store.setMany(Array.from({ length: 1000 }, (_, i) => [`k${i}`, i]))
    let count = 0
    for (const key of store.keys()) if (store.delete(key)) count++
    t.is(count, 1000)
    t.deepEqual([...store.keys()], [])
  })

  contract('clear empties the store', (t, { store }) => {
    store.setMany([
      ['a', { v: 1 }],
      ['b', 'text'],
    ])
    holds(t, store, 'a', { v: 1 })
    holds(t, store, 'b', 'text')
    store.clear()
    absent(t, store, 'a')
    absent(t, store, 'b')
    t.deepEqual([...store.keys()], [])
    store.set('a', 2)
    holds(t, store, 'a', 2)
  })

  contract('a namespace has keys of its own', (t, { store, advance }) => {
    const [one, two] = [store.namespace('one'), store.namespace('two')]
    for (const [value, where] of [store, one, two].entries()) where.set('a', { value }, 1000)
    for (const [value, where] of [store, one, two].entries()) holds(t, where, 'a', { value })
    one.delete('a')
    absent(t, one, 'a')
    holds(t, store, 'a', { value: 0 })
    holds(t, two, 'a', { value: 2 })
    two.set('b', 1)
    t.deepEqual([...two.keys()].toSorted(), ['a', 'b'])
    t.deepEqual([...store.keys()], ['a'])
    advance(1000)
    absent(t, two, 'a')
    holds(t, two, 'b', 1)
  })

  contract('the same name is the same namespace, and may be nested', (t, { store }) => {
    store.namespace('one').set('a', 1)
    holds(t, store.namespace('one'), 'a', 1)
    store.namespace('one').namespace('inner').set('a', 2)
    holds(t, store.namespace('one').namespace('inner'), 'a', 2)
    holds(t, store.namespace('one'), 'a', 1)
    absent(t, store.namespace('inner'), 'a')
  })

  contract('clear of a namespace leaves all others', (t, { store }) => {
    const [one, two] = [store.namespace('one'), store.namespace('two')]
    for (const where of [store, one, two]) where.set('a', 1)
    for (const where of [store, one, two]) holds(t, where, 'a', 1)
    one.clear()
    absent(t, one, 'a')
    holds(t, store, 'a', 1)
    holds(t, two, 'a', 1)
  })

  contract('what can be no name of a namespace throws', (t, { store }) => {
    for (const wrong of ['', '\uD800', undefined, null, 5]) {
      t.throws(() => store.namespace(wrong as string), { code: 'ERR_INVALID_ARGUMENT' })
    }
  })

  // ---- the end

  contract('a closed store throws, and so do its namespaces; closing again is fine', (t, { store }) => {
    const inner = store.namespace('one')
    store.set('a', 1)
    store.close()
    for (const closed of [store, inner]) {
      const calls: ReturnType<typeof byKey> = {
        ...byKey(closed),
        keys: () => closed.keys().next(),
        clear: () => closed.clear(),
        namespace: () => closed.namespace('x'),
      }
      for (const [method, call] of Object.entries(calls)) {
        t.throws(() => call('a'), { code: 'ERR_CLOSED' }, method)
      }
    }
    t.notThrows(() => store.close())
    t.notThrows(() => inner.close())
  })

  contract('closing a namespace closes nothing else', (t, { store }) => {
    const [one, again] = [store.namespace('one'), store.namespace('one')]
    again.set('a', 1)
    one.close()
    holds(t, again, 'a', 1)
    store.set('a', 2)
    holds(t, store, 'a', 2)
  })
}

/** Every method that takes a key, with something for its other arguments. */
function byKey(store: CacheStore): Record<string, (key: Key) => unknown> {
  return {
    get: (key) => store.get(key),
    set: (key) => store.set(key, 1),
    delete: (key) => store.delete(key),
    has: (key) => store.has(key),
    ttl: (key) => store.ttl(key),
    touch: (key) => store.touch(key, 1000),
    incr: (key) => store.incr(key),
    getMany: (key) => store.getMany([key]),
    setMany: (key) => store.setMany([[key, 1]]),
    deleteMany: (key) => store.deleteMany([key]),
    hasMany: (key) => store.hasMany([key]),
  }
}

/** All ways of reading find this value, also the second time. */
function holds(t: ExecutionContext, store: CacheStore, key: Key, value: unknown): void {
  for (let i = 0; i < 2; i++) {
    const [found, one] = [store.get(key), store.getMany([key])[0]]
    t.true(isDeepStrictEqual(found, value), `get of ${String(key).slice(0, 20)}`)
    t.true(isDeepStrictEqual(one, value), `getMany of ${String(key).slice(0, 20)}`)
    t.true(store.has(key))
    t.deepEqual(store.hasMany([key]), [true])
    t.true((store.ttl(key) ?? 0) > 0)
  }
}

/** No way of reading finds anything. */
function absent(t: ExecutionContext, store: CacheStore, key: Key): void {
  for (let i = 0; i < 2; i++) {
    t.is(store.get(key), undefined)
    t.deepEqual(store.getMany([key]), [undefined])
    t.false(store.has(key))
    t.deepEqual(store.hasMany([key]), [false])
    t.is(store.ttl(key), undefined)
  }
}

/** Bytes of a key, short enough for a report. */
function hex(key: Key): string {
  const bytes = Buffer.from(key as string)
  return `${bytes.length} bytes, ${bytes.subarray(0, 20).toString('hex')}`
}

/** Texts that a careless store would take for another, or for something special. */
const KEYS: readonly string[] = [
  'a',
  'A',
  ' ',
  'a\0b',
  'é',
  'e\u0301',
  '€',
  '😀',
  '\uFEFF',
  'before\uFFFDafter',
  '__proto__',
  'constructor',
  'toString',
  '0',
  '00',
  '-1',
]

/** Made anew for each test: the values must not be shared either. */
function VALUES(): unknown[] {
  return [
    'x'.repeat(100_000),
    'é€😀 \uFFFD \uFEFF \0',
    -0,
    0.1,
    Infinity,
    -Infinity,
    Number.MAX_VALUE,
    true,
    0n,
    -(2n ** 63n),
    2n ** 200n,
    {},
    [],
    { a: { b: [1, 'x', null, { c: -1.5e-7 }] }, '': 1, 'a.b': 2 },
    [-0, Number.NaN, undefined, 5n],
    { u: undefined },
    new Date(0),
    /x+/giu,
    new Map<unknown, unknown>([
      ['a', 1],
      [{ k: 1 }, new Map()],
    ]),
    new Set([1, 'a', null]),
    new Uint8Array([1, 2, 3]),
    Buffer.from([1, 2, 3]),
    Buffer.alloc(100_000, 7),
    new Float64Array([0.5, -0]),
    new BigInt64Array([1n]),
    new DataView(new ArrayBuffer(8), 2, 4),
    new ArrayBuffer(5),
    new RangeError('why', { cause: 'because' }),
  ]
}

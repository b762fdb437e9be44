/**
 * Values with more levels than the documented maximum: `set` refuses them, and a read of one that a hostile process
 * wrote is a miss. No call overflows the stack.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { OpenOptions, SharedCache } from '../../index.ts'
import { Kind, decodeStructured, encodeStructured, nativeHandles } from '../helpers/internals.ts'
import { openCache } from '../helpers/segment.ts'

const WRAPS: Record<string, (inner: unknown) => object> = {
  arrays: (inner) => [inner],
  objects: (inner) => ({ inner, text: 'with a quote " and brackets [[{{' }),
  mixed: (inner) => [{ inner }],
}

/** A value of this many wraps. */
function nested(depth: number, wrap: (inner: unknown) => object): object {
  let value = wrap(1)
  for (let i = 1; i < depth; i++) value = wrap(value)
  return value
}

/** Writes a JSON text as any process of the user can, without the checks of `set`. */
function writeHostile(cache: SharedCache, key: string, text: string): void {
  nativeHandles.get(cache)?.set(key, text, Kind.Json)
}

for (const codec of ['auto', 'json'] as const) {
  test(`codec '${codec}' stores 1,000 levels, and refuses more, in each reading`, (t) => {
    const cache = openCache<object>(t, { codec })
    for (const [what, wrap] of Object.entries(WRAPS)) {
      const most = nested(what === 'mixed' ? 500 : 1000, wrap)
      cache.set(what, most)
      for (let i = 0; i < 2; i++) t.is(JSON.stringify(cache.get(what)), JSON.stringify(most), what)
      for (const levels of [1001, 3000, 100_000]) {
        t.throws(() => cache.set('deep', nested(levels, wrap)), {
          instanceOf: CacheError,
          code: 'ERR_UNSERIALIZABLE',
          // A stack overflow of JSON.stringify depends on the depth of the caller.
          message: levels === 100_000 ? /^\$ / : /^\$ (is nested in more than 1000 levels|.*stack)/,
        })
      }
    }
    t.false(cache.has('deep'))
  })
}

test("codec 'json' counts the levels that toJSON makes, and no bracket in a text", (t) => {
  const cache = openCache<unknown>(t, { codec: 'json' })
  t.throws(() => cache.set('a', { toJSON: () => nested(1001, (inner) => [inner]) }), { code: 'ERR_UNSERIALIZABLE' })
  const texts = ['['.repeat(5000), '\\"[{'.repeat(3000), { '{{"': '"[\\'.repeat(2000) }]
  const wide = Array.from({ length: 3000 }, () => [{ a: [] }])
  for (const value of [texts, wide]) {
    cache.set('a', value)
    t.deepEqual(cache.get('a'), value)
  }
})

test("codec 'json' refuses what toJSON throws, whatever that is", (t) => {
  const cache = openCache<unknown>(t, { codec: 'json' })
  for (const thrown of [null, undefined, 'text', Object.create(null), new Error('mine')]) {
    const toJSON = (): never => {
      throw thrown
    }
    t.throws(() => cache.set('a', { toJSON }), { instanceOf: CacheError, code: 'ERR_UNSERIALIZABLE' })
  }
})

const READERS: [what: string, options: Partial<OpenOptions>][] = [
  ['with near copies', {}],
  ['with frozen near copies', { near: { objects: 'frozen' } }],
  ['without a near cache', { near: false }],
  ["with codec 'json'", { codec: 'json' }],
]

for (const [what, options] of READERS) {
  test(`a hostile value of any depth is a miss, and a strict read throws: ${what}`, async (t) => {
    const cache = openCache(t, options)
    let misses = 0
    for (const levels of [1001, 5000, 50_000]) {
      for (const text of ['['.repeat(levels) + ']'.repeat(levels), '{"a":'.repeat(levels) + '1' + '}'.repeat(levels)]) {
        writeHostile(cache, 'deep', text)
        t.is(cache.get('deep'), undefined)
        t.is(cache.peek('deep'), undefined)
        t.is(cache.getEntry('deep'), undefined)
        t.deepEqual(cache.getMany(['deep', 'none']), [undefined, undefined])
        t.is(cache.take('deep'), undefined)
        t.is((misses += 5), cache.stats().degradedReads)
        t.false(cache.has('deep'), 'take has deleted it')
      }
    }
    writeHostile(cache, 'deep', '['.repeat(5000) + ']'.repeat(5000))
    t.is(await cache.getOrSet('deep', () => 'loaded'), 'loaded')
    t.is(cache.get('deep'), 'loaded')
    const strict = openCache(t, { ...options, strict: true })
    writeHostile(strict, 'deep', '['.repeat(5000) + ']'.repeat(5000))
    t.throws(() => strict.get('deep'), { instanceOf: CacheError, code: 'ERR_SEGMENT_CORRUPT' })
    t.throws(() => strict.take('deep'), { instanceOf: CacheError, code: 'ERR_SEGMENT_CORRUPT' })
    t.true(strict.has('deep'), 'a strict take deletes only what it returns')
  })
}

test('an Error is stored without its stack if that cannot be read, in all versions of Node.js', (t) => {
  const cache = openCache<Error>(t)
  const error = new TypeError('x')
  Object.assign(error, { name: error })
  cache.set('e', error)
  const back = cache.get('e')
  t.is(back?.name as unknown, back)
  t.is(back?.message, 'x')
  // Node 22 reads the stack by a getter, which throws for an error that is its own name.
  const later = new Error('y')
  Object.defineProperty(later, 'stack', {
    configurable: true,
    get: () => {
      throw new RangeError('Maximum call stack size exceeded')
    },
  })
  const stored = decodeStructured(encodeStructured([later])) as [Error]
  t.is(stored[0].message, 'y')
  t.false(Object.hasOwn(stored[0], 'stack'))
})

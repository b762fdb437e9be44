/**
 * Bytes as a whole value: they come back as they were, or every way to store them refuses them.
 */
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { resizableBuffer } from '../helpers/codec-values.ts'
import { openCache } from '../helpers/segment.ts'

const LENGTHS = [0, 1, 128, 129, 100_000]

class Packet extends Uint8Array {}

/** `Buffer` is no class for TypeScript, but a subclass of it exists in JavaScript. */
function subclassOfBuffer(): Uint8Array {
  const bytes = Buffer.from('text')
  class Image extends Uint8Array {}
  Object.setPrototypeOf(Image.prototype, Buffer.prototype)
  return Object.setPrototypeOf(bytes, Image.prototype) as Uint8Array
}

function appends(cache: SharedCache, bytes: Uint8Array): unknown {
  return cache.append('a', bytes)
}

function detached(): Uint8Array {
  const buffer = new ArrayBuffer(8)
  const bytes = new Uint8Array(buffer)
  structuredClone(buffer, { transfer: [buffer] })
  return bytes
}

function outOfBounds(): Uint8Array {
  const buffer = resizableBuffer(8, 8)
  const bytes = new Uint8Array(buffer, 4, 4)
  ;(buffer as ArrayBuffer & { resize(length: number): void }).resize(2)
  return bytes
}

function refused(): [what: string, bytes: Uint8Array, path: string][] {
  return [
    ['a subclass of Uint8Array', new Packet(3), '$ is an instance of Packet'],
    ['a subclass of Buffer', subclassOfBuffer(), '$ is an instance of Image'],
    ['no prototype', Object.setPrototypeOf(new Uint8Array(3), null) as Uint8Array, '$ is '],
    ['a detached buffer', detached(), '$ is a detached'],
    ['a view beyond its buffer', outOfBounds(), '$ is a detached'],
  ]
}

for (const codec of ['auto', 'json'] as const) {
  test(`codec '${codec}' refuses bytes that would come back as others, with the path`, async (t) => {
    const cache = openCache<unknown>(t, { codec })
    const ways: ((cache: SharedCache, bytes: Uint8Array) => unknown)[] = [
      (cache, bytes) => cache.set('a', bytes),
      (cache, bytes) => cache.set('a', bytes, { ttl: '1h', tags: ['t'] }),
      (cache, bytes) => cache.add('a', bytes),
      (cache, bytes) => cache.setMany([['a', bytes]]),
      (cache, bytes) => cache.swap('a', bytes),
      (cache, bytes) => cache.update('a', () => bytes),
      appends,
      (cache, bytes) => cache.publish('channel', bytes),
    ]
    for (const [what, bytes, path] of refused()) {
      for (const way of ways) {
        // `append` asks for a Uint8Array first, and this has its prototype no more.
        if (what === 'no prototype' && way === appends) continue
        const error = t.throws(() => way(cache, bytes), { instanceOf: CacheError, code: 'ERR_UNSERIALIZABLE' }, what)
        t.true(error?.message.startsWith(path), error?.message)
      }
    }
    t.is(cache.size, 0)
  })

  test(`codec '${codec}' stores bytes without names, with their class`, (t) => {
    const cache = openCache<unknown>(t, { codec })
    for (const length of LENGTHS) {
      const bytes = Buffer.alloc(length, 'abc')
      Object.defineProperty(bytes, 'hidden', { value: 1 })
      const foreign = runInNewContext(`new Uint8Array(${length})`) as Uint8Array
      for (const value of [bytes, new Uint8Array(bytes), new Uint8Array(new SharedArrayBuffer(length)), foreign]) {
        cache.set('a', value)
        const back = cache.get('a') as Uint8Array
        t.is(Object.getPrototypeOf(back), value === bytes ? Buffer.prototype : Uint8Array.prototype)
        t.true(Buffer.from(back).equals(value))
      }
    }
  })
}

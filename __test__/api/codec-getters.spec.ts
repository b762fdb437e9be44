/**
 * Getters and Proxies that run while a value is encoded.
 */
import test from 'ava'
import { bytesOf, roundTrip } from '../helpers/codec-values.ts'
import { encodeStructured, plainText } from '../helpers/internals.ts'

const revoked = Proxy.revocable({}, {})
revoked.revoke()

test('a getter is read once, and comes back as an ordinary property', (t) => {
  let reads = 0
  const value = {
    get at() {
      return new Date(++reads)
    },
  }
  t.deepEqual(Object.getOwnPropertyDescriptor(roundTrip(value), 'at'), {
    value: new Date(1),
    writable: true,
    enumerable: true,
    configurable: true,
  })
  t.is(reads, 1)
})

test('an error of a getter or a Proxy passes through, and properties that are not enumerable are left out', (t) => {
  const value = {
    get secret(): string {
      throw new RangeError('not yours')
    },
  }
  t.throws(() => encodeStructured(value), { instanceOf: RangeError, message: 'not yours' })
  t.throws(() => plainText(value), { instanceOf: RangeError, message: 'not yours' })
  t.throws(() => encodeStructured(revoked.proxy), { instanceOf: TypeError })
  Object.defineProperty(value, 'secret', { enumerable: false })
  t.deepEqual(roundTrip(value), {} as typeof value)
})

test('a Proxy of a plain object or array comes back as what the Proxy shows', (t) => {
  const proxy = new Proxy(
    { a: 1, b: [new Date(5)] },
    { get: (target, name) => (name === 'a' ? 2n : Reflect.get(target, name)) },
  )
  t.deepEqual(roundTrip(proxy), { a: 2n, b: [new Date(5)] } as unknown as typeof proxy)
  t.deepEqual(roundTrip(new Proxy([1, undefined], {})), [1, undefined])
})

test('a getter may itself encode a value', (t) => {
  const inner = { inner: new Set(['text'.repeat(50)]), shape: 1 }
  const innerBytes = bytesOf(inner)
  const outer = {
    before: 'before',
    get middle() {
      t.deepEqual(bytesOf(inner), innerBytes)
      return roundTrip(inner)
    },
    after: { inner: 1, shape: undefined },
  }
  t.deepEqual(roundTrip(outer), { before: 'before', middle: inner, after: outer.after })
})

test('a Map, a Set or an array that a getter changes during encoding is encoded as it was read', (t) => {
  const grown = new Map<string, unknown>([
    [
      'a',
      {
        get x() {
          return grown.size < 5 && grown.set(`b${grown.size}`, 1) && 1
        },
      },
    ],
  ])
  t.deepEqual([...roundTrip(grown).keys()], ['a', 'b1'])
  const shrunk: Set<unknown> = new Set<unknown>([
    {
      get x(): undefined {
        shrunk.clear()
        return undefined
      },
    },
    1,
    2,
  ])
  t.is(roundTrip(shrunk).size, 1)
  const list: unknown[] = [
    {
      get x() {
        list.length = 1
        return 1
      },
    },
    2,
    3,
  ]
  t.deepEqual(roundTrip(list), [{ x: 1 }, undefined, undefined])
})

test('the encoded bytes are valid until the next value is encoded, also after a very large value', (t) => {
  const small = bytesOf([new Date(1)])
  const large = encodeStructured(Buffer.alloc(5_000_000, 1))
  t.is(large.length, 5_000_011)
  t.deepEqual(bytesOf([new Date(1)]), small)
  t.true(encodeStructured([new Date(1)]).buffer.byteLength < 100_000)
})

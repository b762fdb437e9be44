/**
 * Each decoder on hostile bytes: what comes out is a value, or a `CacheError` with a code that says so; soon, in bounded memory,
 * and without a trace in any prototype. What the structured decoder gives can be encoded again, and is then the same.
 *
 * JSON and the codecs of users (v8, msgpackr) are met where users meet them: behind `get`, to which whatever they throw is damage.
 */
import assert from 'node:assert/strict'
import v8 from 'node:v8'
import { pack, unpack } from 'msgpackr'
import { CacheError, open, segments } from '../../dist/index.js'
import { fromBytes, fromText } from '../../dist/lib/codec/codec.js'
import { decodeStructured, encodeStructured } from '../../dist/lib/codec/structured.js'
import { Kind } from '../../dist/lib/native.js'
import { Corpus, fuzz, prototypesNow } from './harness.mjs'

const SLOW = 2000

await fuzz(({ below, seed }) => {
  const before = prototypesNow()
  const name = `fuzz-codecs-${process.pid}`
  const targets = [structured(below), structured(below), json(below), plain(below), throughCache(below, name)]
  let runs = 0
  return {
    run() {
      const target = targets[runs++ % targets.length]
      const input = target.corpus.next()
      const start = performance.now()
      try {
        target.corpus.note(input, target.decode(input))
        const took = performance.now() - start
        assert.ok(took < SLOW, `it took ${took} ms`)
        if (runs % 64 === 0) assert.equal(prototypesNow(), before)
      } catch (error) {
        console.log(`${target.name}, seed ${seed}, input ${input.toString('hex')}`)
        throw error
      }
    },
    end() {
      targets.at(-1).close()
      segments.destroy(name, { force: true })
    },
  }
})

/** Values of every kind that there is. */
function samples() {
  const loop = { name: 'loop', list: [1, 2.5, -0, Number.NaN] }
  loop.self = loop
  const holes = Object.assign([1, , 3], { extra: true }) // oxlint-disable-line no-sparse-arrays
  const error = new RangeError('far', { cause: new Error('near') })
  return [
    loop,
    holes,
    error,
    new Map([
      ['a', new Set([1, 'b', 3n])],
      [{ k: 1 }, new Date(5)],
    ]),
    [/a+b/giu, new Date(Number.NaN), undefined, null, true, -(2n ** 70n), 2n ** 60n, 'é€😀', 'x'.repeat(300)],
    Object.assign(Object.create(null), { __proto__: 1, bare: [] }),
    JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":2}}}'),
    [
      new Uint8Array(3),
      new Float64Array([1.5]),
      Buffer.from('bytes'),
      new DataView(new ArrayBuffer(9)),
      new ArrayBuffer(4),
    ],
    Array.from({ length: 30 }, (_, id) => ({ id, name: `name ${id}`, at: new Date(id), ok: id % 2 === 0 })),
    { deep: { deep: { deep: { deep: [[[[[]]]]] } } }, u: undefined },
  ]
}

function structured(below) {
  const corpus = new Corpus(
    samples().map((value) => Buffer.from(encodeStructured(value))),
    below,
  )
  return { name: 'structured', corpus, decode: (input) => outcomeOf(() => decodeTwice(input)) }
}

function decodeTwice(input) {
  const value = decodeStructured(input)
  if (typeof value !== 'object' || value === null) return value
  const again = decodeStructured(Buffer.from(encodeStructured(value)))
  // By their bytes, since `isDeepStrictEqual` takes two invalid dates for different; and more than once, since these also
  // depend on which shapes the encoder remembers.
  const same = () => Buffer.from(encodeStructured(value)).equals(encodeStructured(again))
  assert.ok(same() || same() || same(), 'encoded again it is another value')
  return value
}

/** Text kinds: the one exception that is none of ours is what `get` takes for damage. */
function json(below) {
  const texts = ['{"a":[1,2.5,null,true,"x"],"__proto__":{"b":1}}', '-ff', '[[[[]]]]', '"\\ud800"', '123456789abcdef']
  const corpus = new Corpus(texts.map(Buffer.from.bind(Buffer)), below)
  const kinds = [Kind.Json, Kind.BigIntHex]
  const decode = (input) =>
    kinds
      .map((kind) =>
        outcomeOf(
          () => fromText(input.toString(), kind),
          (error) => error instanceof SyntaxError,
        ),
      )
      .join()
  return { name: 'json', corpus, decode }
}

/** Bytes come back as they were, copied where they are not ours; an unknown kind is refused. */
function plain(below) {
  const corpus = new Corpus([Buffer.from('bytes')], below)
  const decode = (input) => {
    for (const kind of [Kind.Buffer, Kind.Uint8Array]) {
      const value = fromBytes(input, kind, 'auto', false)
      assert.ok(input.equals(value))
      assert.equal(Buffer.isBuffer(value), kind === Kind.Buffer)
      assert.ok(input.equals(value.fill(0)) === input.every((byte) => byte === 0), 'it shares memory')
    }
    return outcomeOf(() => fromBytes(input, Kind.Codec + below(200), 'auto', true))
  }
  return { name: 'plain', corpus, decode }
}

/** A handle whose codec writes what it is given, and reads it as v8 or msgpackr does. */
function throughCache(below, name) {
  const values = samples()
  const bytes = [...values.map((value) => v8.serialize(value)), ...values.slice(8).map((value) => pack(value))]
  const readers = { 1: (found) => v8.deserialize(found), 2: (found) => unpack(found), 3: (found) => JSON.parse(found) }
  const caches = Object.entries(readers).map(([id, decode]) => {
    return open({ name, size: '2mb', near: false, codec: { id: Number(id), encode: (value) => value, decode } })
  })
  const decode = (input) => {
    const cache = caches[below(caches.length)]
    cache.set('k', input)
    return outcomeOf(() => cache.get('k')) + outcomeOf(() => caches[0].get('k'))
  }
  return {
    name: 'through the cache',
    corpus: new Corpus(bytes, below),
    decode,
    close: () => caches.forEach((c) => c.close()),
  }
}

/** What tells one outcome from another; anything but a value or a `CacheError` is thrown on. */
function outcomeOf(decode, isFine = () => false) {
  try {
    return shapeOf(decode())
  } catch (error) {
    if (isFine(error)) return error.constructor.name
    if (!(error instanceof CacheError)) throw error
    assert.ok(['ERR_SEGMENT_CORRUPT', 'ERR_CODEC_MISMATCH'].includes(error.code), error.code)
    return `${error.code} ${error.message.replaceAll(/\d+/g, '#')}`
  }
}

function shapeOf(value) {
  if (typeof value !== 'object' || value === null) return typeof value
  const inside = Object.keys(value)
    .slice(0, 4)
    .map((key) => typeof value[key])
  return `${Object.prototype.toString.call(value)} ${inside.join()}`
}

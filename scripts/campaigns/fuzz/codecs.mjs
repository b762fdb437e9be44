/**
 * Fuzzes each decoder with hostile bytes. A decoder must return a value or throw a `CacheError` with the right code,
 * within two seconds, in bounded memory, and without a change to any prototype. A value of the structured decoder
 * must be the same after encoding and decoding it again.
 *
 * JSON and custom codecs (v8, msgpackr) are fuzzed through `get`, which reports any error that they throw as damage.
 */
import assert from 'node:assert/strict'
import v8 from 'node:v8'
import { pack, unpack } from 'msgpackr'
import { CacheError, open, segments } from '../../../dist/index.js'
import { decodeStructured, encodeStructured, fromBytes, fromText, Kind } from '../internals.mjs'
import { Corpus, fuzz, prototypesNow } from './harness.mjs'

/** Milliseconds that a decoder may take. */
const MAX_TIME = 2000

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
        assert.ok(took < MAX_TIME, `it took ${took} ms`)
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
  // Compares the bytes, since `isDeepStrictEqual` regards two invalid dates as different. Compares up to three times,
  // since the bytes also depend on the shapes that the encoder remembers.
  const same = () => Buffer.from(encodeStructured(value)).equals(encodeStructured(again))
  assert.ok(same() || same() || same(), 'encoding the value again gives another value')
  return value
}

/** Text kinds. `get` reports a `SyntaxError` as damage, so it is the only foreign error that is allowed. */
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

/** Bytes are returned as they were, as a copy unless the decoder owns them; an unknown kind is refused. */
function plain(below) {
  const corpus = new Corpus([Buffer.from('bytes')], below)
  const decode = (input) => {
    for (const kind of [Kind.Buffer, Kind.Uint8Array]) {
      const value = fromBytes(input, kind, 'auto', false)
      assert.ok(input.equals(value))
      assert.equal(Buffer.isBuffer(value), kind === Kind.Buffer)
      assert.ok(
        input.equals(value.fill(0)) === input.every((byte) => byte === 0),
        'the value shares memory with the input',
      )
    }
    return outcomeOf(() => fromBytes(input, Kind.Codec + below(200), 'auto', true))
  }
  return { name: 'plain', corpus, decode }
}

/** Handles with a codec that writes bytes unchanged and reads them with v8, msgpackr or JSON. */
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

/**
 * The outcome as text, to tell it from others. Throws any error that is neither a `CacheError` nor accepted by
 * `isFine`.
 */
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

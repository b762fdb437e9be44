/**
 * Error codes of damaged and foreign segments. Afterwards the cache still works and has lost nothing.
 */
import { closeSync, openSync, readSync, truncateSync, writeSync } from 'node:fs'
import { open, segments } from '../../index.ts'
import { allThrow, fill, provoke, stillFine } from '../helpers/provocations.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from '../helpers/segment.ts'

/** Overwrites a part of the segment's file. Returns a function that restores it. */
function patch(path: string, offset: number, bytes: Uint8Array): () => void {
  const before = Buffer.alloc(bytes.length)
  const write = (what: Uint8Array): void => {
    const file = openSync(path, 'r+')
    readSync(file, before, 0, before.length, offset)
    writeSync(file, what, 0, what.length, offset)
    closeSync(file)
  }
  write(bytes)
  const original = Buffer.from(before)
  return () => write(original)
}

provoke(['ERR_SEGMENT_VERSION'], 'a segment of another layout is not opened', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const { path, layoutVersion } = segments.inspect(name) ?? { path: '', layoutVersion: 0 }
  const newer = Buffer.alloc(4)
  newer.writeUInt32LE(layoutVersion + 1)
  const restore = patch(path, 8, newer)
  allThrow(t, 'ERR_SEGMENT_VERSION', [() => open({ name, size: SMALL })])
  t.like(segments.inspect(name), { name, readable: false })
  restore()
  stillFine(t, openCache(t, { name }))
})

provoke(['ERR_SEGMENT_CORRUPT'], 'a file that is no segment is not opened', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const path = segments.inspect(name)?.path ?? ''
  const restore = patch(path, 0, Buffer.from('nonsense'))
  allThrow(t, 'ERR_SEGMENT_CORRUPT', [() => open({ name, size: SMALL })])
  t.like(segments.inspect(name), { name, readable: false })
  restore()
  stillFine(t, openCache(t, { name }))
})

provoke(['ERR_SEGMENT_CORRUPT'], 'a truncated file is not opened until it is destroyed', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const path = segments.inspect(name)?.path ?? ''
  for (const length of [4 * 2 ** 20, 4096, 100, 0]) {
    truncateSync(path, length)
    allThrow(t, 'ERR_SEGMENT_CORRUPT', [() => open({ name, size: SMALL })])
  }
  t.true(segments.destroy(name, { force: true }))
  const anew = openCache(t, { name })
  fill(anew)
  stillFine(t, anew)
})

provoke(['ERR_SEGMENT_CORRUPT'], 'strict reads throw where other reads miss', (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  const lenient = openCache(t, { name, directory })
  const strict = openCache(t, { name, directory, strict: true })
  fill(lenient)
  truncateSync(segments.inspect(name, { directory })?.path ?? '', 100)

  // The first read that touches the missing pages may be a plain miss.
  t.is(lenient.get('kept1'), undefined)
  const before = lenient.stats().degradedReads
  t.is(lenient.get('kept1'), undefined)
  t.false(lenient.has('kept1'))
  t.is(lenient.getEntry('kept1'), undefined)
  t.is(lenient.ttl('kept1'), undefined)
  t.deepEqual(lenient.getMany(['kept1', 'kept2']), [undefined, undefined])
  t.deepEqual(lenient.hasMany(['kept1']), [false])
  t.deepEqual([...lenient], [])
  t.is(lenient.size, 0)
  t.like(lenient.stats(), { entries: 0, degradedReads: before + 10 })
  allThrow(t, 'ERR_SEGMENT_CORRUPT', [
    () => strict.get('kept1'),
    () => strict.has('kept1'),
    () => strict.getMany(['kept1']),
    () => strict.hasMany(['kept1']),
    () => [...strict.keys()],
    () => strict.size,
    () => lenient.set('a', 1),
    () => lenient.delete('a'),
    () => lenient.take('a'),
    () => lenient.setMany([['a', 1]]),
    () => lenient.deleteMany(['a']),
    () => lenient.swap('a', 1),
    () => lenient.update('a', () => 1),
    () => lenient.deletePrefix('a'),
    () => lenient.invalidateTags('a'),
    () => lenient.namespace('a'),
    () => lenient.clear(),
  ])

  segments.destroy(name, { directory, force: true })
  fill(lenient)
  stillFine(t, lenient)
  stillFine(t, strict)
})

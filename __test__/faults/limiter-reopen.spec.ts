/**
 * A limiter call on a segment that was destroyed opens the new one and tries again. Pending waits and user code run in
 * between; the second attempt still asks the same limiter for the same tokens.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { deserialize, serialize } from 'node:v8'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { segments } from '../../index.ts'
import type { Codec, Entry, Limiter, SetOptions, SharedCache } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import type { TestOptions } from '../helpers/segment.ts'

interface Pending {
  readonly cache: SharedCache
  readonly limiter: Limiter
  readonly entry: Promise<Entry>
}

/** A cache that waits for an entry of the segment that another handle has made anew; it has not noticed yet. */
function remade(t: ExecutionContext, value: unknown, set: SetOptions = {}, options: TestOptions = {}): Pending {
  const name = segmentName(t)
  const cache = openCache(t, { ...options, name })
  const limiter = cache.limiter('api', { limit: 5, window: '1h' })
  const entry = within('the entry', cache.waitFor('job'))
  segments.destroy(name, { force: true })
  openCache(t, { ...options, name }).set('job', value, set)
  return { cache, limiter, entry }
}

/** Takes 2 of 5 tokens with a call that opens the segment again, and expects the next call to find the other 3. */
function checkTokens(t: ExecutionContext, limiter: Limiter, key = 'a'): void {
  const expected = { allowed: true, limit: 5, remaining: 3, retryAfter: 0 }
  t.like(limiter.consume(key, 2), expected)
  t.like(limiter.peek(key), expected)
}

for (const [title, set] of [
  ['without a ttl', {}],
  ['with a ttl', { ttl: '1h' }],
] as const) {
  test(`a limiter is asked again as before when a pending wait finds an entry ${title}`, async (t) => {
    const { limiter, entry } = remade(t, 'new', set)
    checkTokens(t, limiter)
    t.is((await entry).value, 'new')
  })
}

test('a limiter is asked again as before for a key with U+FFFD', async (t) => {
  const { limiter, entry } = remade(t, 'new')
  checkTokens(t, limiter, '\uFFFD')
  t.is((await entry).value, 'new')
})

test('a limiter is asked again as before when a subscriber to the detachment uses another limiter', (t) => {
  const name = segmentName(t)
  const limiter = openCache(t, { name }).limiter('api', { limit: 5, window: '1h' })
  const other = openCache(t).limiter('other', { limit: 100, window: '2h', algorithm: 'gcra' })
  const onDetached = (message: unknown): void => {
    if ((message as { name: string }).name === name) other.consume('a', 7)
  }
  subscribe('cache-machine:detached', onDetached)
  t.teardown(() => unsubscribe('cache-machine:detached', onDetached))
  segments.destroy(name, { force: true })
  checkTokens(t, limiter)
  t.is(other.peek('a').remaining, 93)
})

test('a limiter is asked again as before when a codec uses another limiter', async (t) => {
  const other = openCache(t).limiter('other', { limit: 100, window: '2h', algorithm: 'fixed-window' })
  let decoded = 0
  const codec: Codec = {
    id: 1,
    encode: (value) => serialize(value),
    decode: (bytes) => {
      decoded++
      other.penalty('a', 7)
      return deserialize(bytes)
    },
  }
  const { limiter, entry } = remade(t, { fresh: true }, {}, { codec })
  checkTokens(t, limiter)
  t.deepEqual((await entry).value, { fresh: true })
  t.true(decoded > 0)
  t.is(other.peek('a').remaining, 100 - 7 * decoded)
})

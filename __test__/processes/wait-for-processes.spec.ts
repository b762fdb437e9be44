/**
 * `waitFor` between processes.
 *
 * `within` is not only a watchdog here: these waits keep no process alive, and the runner takes an idle process for a
 * hung test.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { noticesArrived } from '../helpers/notices.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'

test('waitFor resolves when another process sets the key', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  for (let i = 0; i < 50; i++) {
    const waiting = within('the entry', cache.waitFor(`job${i}`))
    await child.ask(['set', `job${i}`, { result: i }])
    t.deepEqual((await waiting).value, { result: i })
  }
})

test('waitFor in another process resolves when this process sets the key', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  child.send(['waitFor', 'a'])
  cache.set('a', Buffer.alloc(300_000, 'abc'))
  const { value } = await child.next<{ value: { value: Uint8Array } }>()
  t.is(Buffer.compare(value.value, Buffer.alloc(300_000, 'abc')), 0)
})

test('a wait in a namespace is for keys of that namespace, and ends when the cache it was made from is closed', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const own = cache.namespace('own')
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  let ended = false
  const waiting = within('the entry', own.waitFor('a')).finally(() => (ended = true))
  await child.ask(['set', 'a', 'of the root'])
  cache.namespace('other').set('a', "another's")
  t.is((await within('the entry of the root', cache.waitFor('a'))).value, 'of the root')
  await noticesArrived(own)
  t.false(ended)
  const again = openCache(t, { name }).namespace('own')
  again.set('a', 'its own')
  t.is((await waiting).value, 'its own')

  const pending = own.waitFor('never')
  cache.close()
  await t.throwsAsync(within('the end', pending), { instanceOf: CacheError, code: 'ERR_CLOSED' })
})

test('a chain of waits with after sees the last of all changes', async (t) => {
  const name = segmentName(t)
  const cache = openCache<number>(t, { name })
  const child = fork(t, 'counter', { name, size: SMALL, times: 5000 })
  await child.next()
  child.send('go')
  let after = 0
  let last = 0
  while (last < 5000) {
    const entry = await within('the next change', cache.waitFor('counter', { after }))
    t.true(entry.value > last && entry.version > after)
    last = entry.value
    after = entry.version
  }
  t.is(last, 5000)
})

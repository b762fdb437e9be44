/**
 * `segments.resize` while other processes and threads read, write, hold locks and subscribe.
 */
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import type { Seen } from '../children/resize-bystander.ts'

const KEYS = 400

test.serial('processes go on with reads, writes, locks and subscriptions through many resizes', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '4mb' })
  for (let i = 0; i < KEYS; i++) cache.set(`key ${i}`, `value ${i}`)
  const input = { name, size: '4mb', keys: KEYS }
  const others = [0, 1, 2].map((slot) => fork(t, 'resize-bystander', { ...input, slot, near: slot !== 1 }))
  for (const other of others) t.is(await other.next(), 'ready')
  const sizes = ['24mb', '4mb', '64mb', '8mb', '40mb', '16mb'] as const
  const sent: number[] = []
  for (let round = 0; round < 12; round++) {
    await eventually('an audience', () => cache.publish('channel', round) === 3)
    sent.push(round)
    const { evicted } = segments.resize(name, sizes[round % sizes.length] as '4mb')
    t.is(evicted, 0)
    for (let slot = 0; slot < 3; slot++) t.false(await tryLock(`lock ${slot}`), 'the lock is held')
  }
  for (const other of others) other.send('end')
  for (const [slot, other] of others.entries()) {
    const seen = await other.next<Seen>()
    t.like(seen, { wrong: [], detached: 0, held: true, messages: sent })
    t.true(seen.resized > 0 && seen.resized <= 12, `${seen.resized}`)
    t.is(cache.get(`own ${slot}`), seen.rounds)
    await other.exit
  }
  t.deepEqual(problems(cache), [])
  await eventually('the memory of the areas before', () => (segments.inspect(name)?.reservedBytes ?? 0) < 8 * 2 ** 20)

  async function tryLock(key: string): Promise<boolean> {
    const lock = await cache.lock(key, { timeout: 0 }).catch((error: unknown) => {
      if (error instanceof CacheError && error.code === 'ERR_TIMEOUT') return undefined
      throw error
    })
    lock?.release()
    return lock !== undefined
  }
})

test.serial('a process that is suspended finds everything when it goes on', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '4mb' })
  cache.set('k', 'before')
  const other = fork(t, 'operations', { name, size: '4mb' })
  t.is(await other.next(), 'ready')
  t.deepEqual(await other.ask(['get', 'k']), { value: 'before' })
  other.process.kill('SIGSTOP')
  segments.resize(name, '40mb')
  cache.set('k', 'after')
  const busy = t.throws<CacheError>(() => segments.resize(name, '8mb'), { code: 'ERR_BUSY' })
  t.regex(busy?.message ?? '', new RegExp(`process ${other.process.pid}`))
  other.process.kill('SIGCONT')
  t.deepEqual(await other.ask(['get', 'k']), { value: 'after' })
  t.is(segments.resize(name, '8mb').to, 8 * 2 ** 20)
  t.deepEqual(await other.ask(['get', 'k']), { value: 'after' })
})

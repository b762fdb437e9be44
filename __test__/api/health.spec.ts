/**
 * `cache.health()`: what can be used now, and what is wrong.
 */
import test from 'ava'
import { CacheError, open, segments } from '../../index.ts'
import type { SegmentInfo, Stats } from '../../index.ts'
import { healthOf } from '../../lib/segment/health.ts'
import type { HealthSource } from '../../lib/segment/health.ts'
import { openCache } from '../helpers/segment.ts'

test('a cache in good health has every check, and the checks leave no trace', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  cache.get('a')
  const { hits, misses, sets, deletes, entries } = cache.stats()
  const { status, checks } = cache.health()
  t.is(status, 'ok')
  t.deepEqual(
    checks.map(({ id, status: own, fix }) => [id, own, fix]),
    ['segment', 'write', 'processes', 'memory', 'damage', 'tags'].map((id) => [id, 'ok', undefined]),
  )
  t.like(cache.stats(), { hits, misses, sets, deletes, entries })
  t.is(cache.namespace('sessions').health().status, 'ok')
})

test('a destroyed segment is a problem, and not an error', (t) => {
  const cache = openCache(t)
  segments.destroy(cache.name, { force: true })
  const { status, checks } = cache.health()
  t.is(status, 'problem')
  t.like(checks[0], { id: 'segment', status: 'problem' })
  t.regex(checks[0]?.message ?? '', /destroyed/)
  cache.set('a', 1)
  t.is(cache.health().status, 'ok', 'a write has made it anew')
})

test('a closed cache throws', (t) => {
  const cache = openCache(t)
  cache.close()
  t.throws(() => cache.health(), { code: 'ERR_CLOSED' })
})

test('a visitor does not create the segment by its check', (t) => {
  const owner = openCache(t)
  const visitor = open({ name: owner.name, create: false })
  t.teardown(() => visitor.close())
  t.is(visitor.health().status, 'ok')
  owner.close()
  segments.destroy(owner.name, { force: true })
  t.is(visitor.health().status, 'problem')
  t.is(segments.inspect(owner.name), undefined)
})

const info = {
  entries: 3,
  size: 100,
  limitBytes: 100,
  path: '/none',
  processes: [] as readonly object[],
} as SegmentInfo
const sound: HealthSource = {
  info: () => info,
  stats: () => ({ damaged: 0, tagsUnjudged: 0 }) as Stats,
  write: () => undefined,
}
const fail = (): never => {
  throw new CacheError('ERR_BUSY', 'the shard is locked', { hint: 'Resume it.' })
}

for (const [what, source, id, status, message] of [
  ['a write that fails', { write: fail }, 'write', 'problem', /the shard is locked \(ERR_BUSY\)/],
  ['a segment that cannot be read', { info: fail }, 'segment', 'problem', /ERR_BUSY/],
  ['a count that cannot be read', { stats: fail }, 'damage', 'problem', /ERR_BUSY/],
  ['less memory than the size', { info: () => ({ ...info, limitBytes: 60 }) }, 'memory', 'warning', /100 .* 60/],
  ['damage', { stats: () => ({ damaged: 2, tagsUnjudged: 0 }) as Stats }, 'damage', 'warning', /^2 /],
  ['an unjudged tag', { stats: () => ({ damaged: 0, tagsUnjudged: 5 }) as Stats }, 'tags', 'warning', /^5 /],
] as const) {
  test(`${what} is a ${status} with a fix`, (t) => {
    const health = healthOf({ ...sound, ...source })
    t.is(health.status, status)
    const check = health.checks.find((one) => one.id === id)
    t.is(check?.status, status)
    t.regex(check?.message ?? '', message)
    t.truthy(check?.fix)
  })
}

test('the worst check decides, and an error of another kind passes through', (t) => {
  const worse = { ...sound, write: fail, stats: () => ({ damaged: 1, tagsUnjudged: 0 }) as Stats }
  t.is(healthOf(worse).status, 'problem')
  const broken = new Error('broken')
  const thrower = {
    ...sound,
    info: (): never => {
      throw broken
    },
  }
  t.is(
    t.throws(() => healthOf(thrower)),
    broken,
  )
})

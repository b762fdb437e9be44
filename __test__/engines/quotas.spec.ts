/**
 * Quotas on both engines: the same settings are refused, the same bytes are counted, and a reserve outlives pressure.
 */
import test from 'ava'
import { open, segments } from '../../index.ts'
import type { NamespaceOptions, SharedCache } from '../../index.ts'
import { segmentName } from '../helpers/segment.ts'

const MIB = 2 ** 20
const ENGINES = ['native', 'portable'] as const

for (const engine of ENGINES) {
  test(`${engine}: entries within a reserve outlive writes of others, in a segment of several shards`, (t) => {
    const name = segmentName(t)
    const cache = open({ name, engine, size: '34mb', near: false })
    t.teardown(() => (cache.close(), segments.destroy(name, { engine })))
    const kept = cache.namespace('kept', { reserve: '6mb' })
    for (let i = 0; i < 770; i++) kept.set(`k${i}`, 'x'.repeat(8000))
    t.true(kept.stats().bytes < 6 * MIB)
    for (let i = 0; i < 40_000; i++) cache.set(`p${i}`, 'x'.repeat(2000))
    t.true(cache.stats().evictions > 0)
    t.is(kept.size, 770)
    t.like(kept.stats(), { evictions: 0, evictedForOthers: 0, guaranteedBytes: 6 * MIB })
  })
}

test('both engines accept the same settings, and count the same bytes', (t) => {
  const name = segmentName(t)
  const settings: NamespaceOptions[] = [
    { reserve: 1 },
    { size: 300 },
    { reserve: 1000 },
    { reserve: '1gb' },
    { reserve: '4mb', size: '5mb' },
    { reserve: 5 * MIB },
    { size: Infinity, eviction: 'none' },
    { reserve: 0 },
  ]
  const outcomes = ENGINES.map((engine) => {
    const cache = open({ name, engine, size: '8mb', near: false })
    t.teardown(() => (cache.close(), segments.destroy(name, { engine })))
    return settings.map((setting, i) => outcomeOf(cache, setting, i))
  })
  t.deepEqual(outcomes[0], outcomes[1])
})

function outcomeOf(cache: SharedCache, setting: NamespaceOptions, step: number): unknown {
  try {
    const own = cache.namespace('own', setting)
    const stored = own.set(`k${step}`, 'x'.repeat(100 * step))
    const { bytes, guaranteedBytes, maximumBytes, evictedForSize, entries } = own.stats()
    return { stored, bytes, guaranteedBytes, maximumBytes, evictedForSize, entries }
  } catch (error) {
    return (error as { code?: string }).code
  }
}

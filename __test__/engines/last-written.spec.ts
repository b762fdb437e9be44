/**
 * The oracle under eviction: each hit of the portable engine is the value that was written last, whatever was evicted,
 * and the counts of its room stay sound.
 */
import test from 'ava'
import * as fc from 'fast-check'
import { open, segments } from '../../index.ts'
import type { Eviction } from '../../index.ts'
import { manualClock, problems, advance } from '../helpers/internals.ts'
import { segmentName } from '../helpers/segment.ts'

const KEYS = 400

interface Step {
  readonly what: 'set' | 'get' | 'delete' | 'incr' | 'touch' | 'clear' | 'time'
  readonly key: string
  readonly length: number
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.oneof(
    { weight: 60, arbitrary: fc.constant('set' as const) },
    { weight: 40, arbitrary: fc.constant('get' as const) },
    { weight: 4, arbitrary: fc.constantFrom('delete' as const, 'incr' as const, 'touch' as const) },
    { weight: 1, arbitrary: fc.constantFrom('clear' as const, 'time' as const) },
  ),
  key: fc.nat({ max: KEYS }).map((number) => `k${number}`),
  length: fc.integer({ min: 1, max: 30_000 }),
})

for (const eviction of ['s3-fifo', 'lru', 'none'] as const satisfies Eviction[]) {
  test(`${eviction}: a hit is the value that was written last`, (t) => {
    let evictions = 0
    fc.assert(
      fc.property(fc.array(step, { minLength: 500, maxLength: 1500 }), (steps) => {
        const name = segmentName(t)
        const engine = 'portable'
        const cache = open({ name, engine, eviction, size: '2mb', near: false, [manualClock]: true } as never)
        const written = new Map<string, unknown>()
        let serial = 0
        for (const { what, key, length } of steps) {
          const text = `${++serial}:`.padEnd(length, 'x')
          if (what === 'set' && cache.set(key, text, { ttl: 50 })) written.set(key, text)
          if (what === 'delete' && cache.delete(key)) written.delete(key)
          if (what === 'touch') cache.touch(key, 50)
          if (what === 'clear') cache.clear()
          if (what === 'clear') written.clear()
          if (what === 'time') advance(cache, 20)
          // Without eviction it throws where there is no room.
          if (what === 'incr' && eviction !== 'none' && !cache.has(key)) written.set(key, cache.incr(key, serial))
          const found = cache.get(key)
          if (found !== undefined && found !== written.get(key)) return false
        }
        const unsound = problems(cache)
        const { usedBytes, capacityBytes, entries, evictions: evicted } = cache.stats()
        evictions += evicted
        const isSound = usedBytes <= capacityBytes && entries === [...cache.keys()].length
        cache.close()
        segments.destroy(name, { engine, force: true })
        return unsound.length === 0 && isSound
      }),
      { numRuns: 15, endOnFailure: true },
    )
    t.is(evictions > 0, eviction !== 'none')
  })
}

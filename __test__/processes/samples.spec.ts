/**
 * Samples: which keys are hot and how long calls take, only while a viewer listens, on both engines.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { open } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { SampleView } from '../../lib/sampling/sample-view.ts'
import type { SampleFrame } from '../../lib/sampling/sample-view.ts'
import {
  CHANNEL,
  MAX_SAMPLED_KEY,
  TIME_CLASSES,
  readBatch,
  timeClassOf,
  timeOfClass,
} from '../../lib/sampling/samples.ts'
import { eventually } from '../helpers/eventually.ts'
import { onNative } from '../helpers/engine.ts'
import { openCache } from '../helpers/segment.ts'

const serial = onNative('another thread of the same segment', test.serial)

/** A view on the segment of a cache, which listens until the test ends or `stop` is called. */
function viewOf(
  t: ExecutionContext,
  { name }: SharedCache,
  engine: 'native' | 'portable',
): { view: SampleView; stop: () => void } {
  const viewer = open({ name, engine, create: false, near: false })
  const [view, end] = [new SampleView(), new AbortController()]
  const following = view.follow(viewer, end.signal)
  const stop = (): void => {
    end.abort()
    viewer.close()
  }
  t.teardown(async () => {
    stop()
    await following
  })
  return { view, stop }
}

/** Calls `work` until the frame has what is asked for. */
async function until(
  view: SampleView,
  work: () => void,
  isDone: (frame: SampleFrame) => boolean,
): Promise<SampleFrame> {
  return eventually(
    'samples',
    async () => {
      work()
      await turn()
      const frame = view.frame(10)
      return isDone(frame) && frame
    },
    30_000,
  )
}

for (const engine of ['native', 'portable'] as const) {
  serial(`hot keys and times, of hits of the near cache, hits, misses and writes: ${engine}`, async (t) => {
    const cache = openCache(t, { engine, size: '8mb' })
    for (let i = 0; i < 200; i++) cache.set(`k${i}`, { i })
    const space = cache.namespace('space', { near: false })
    space.set('far', 'value')
    const { view } = viewOf(t, cache, engine)
    let n = 0
    const frame = await until(
      view,
      () => {
        for (let i = 0; i < 3000; i++, n++) {
          // Every second read is of one key: a fixed interval between samples would see it always or never.
          cache.get(i % 2 === 0 ? 'k7' : `k${n % 200}`)
          if (i % 4 === 0) space.get('far')
          if (i % 8 === 0) cache.get('absent')
          if (i % 8 === 0) cache.set('written', n)
        }
      },
      ({ calls, hottest }) =>
        hottest.length > 3 && calls.set.samples > 5 && calls.miss.samples > 5 && calls.hit.samples > 20,
    )
    const [first, second] = frame.hottest
    t.deepEqual([first?.key, first?.namespace], ['k7', ''])
    t.deepEqual([second?.key, second?.namespace], ['far', 'space'])
    const written = frame.hottest.find(({ key }) => key === 'written')
    t.true((written?.writes ?? 0) > 0)
    // As many of a kind as there were: 4 near hits for each read of "far", within the error of samples.
    const { near, hit, miss, set } = frame.calls
    t.true(near.rate > 2 * hit.rate && near.rate < 8 * hit.rate, `${near.rate} ${hit.rate}`)
    t.true(miss.rate < hit.rate && set.rate < hit.rate)
    for (const { p50 = 0, p99 = 0, max = 0, samples, classes } of [near, hit, miss, set]) {
      t.true(p50 > 0 && p50 <= p99 && p99 <= max)
      t.is(
        classes.reduce((sum, count) => sum + count, 0),
        samples,
      )
    }
    t.deepEqual(frame.pids, [process.pid])
  })
}

serial('getMany counts each key; keys of bytes and long keys', async (t) => {
  const cache = openCache(t, { near: false })
  const bytes = Buffer.from([255, 0])
  const long = 'x'.repeat(MAX_SAMPLED_KEY + 1)
  cache.setMany([
    ['a', 1],
    [bytes, 2],
    [long, 3],
  ])
  const { view } = viewOf(t, cache, 'native')
  const frame = await until(
    view,
    () => {
      for (let i = 0; i < 500; i++) cache.getMany(['a', 'none', bytes, long])
    },
    ({ hottest, calls }) => hottest.length === 3 && calls.hit.rate > 0,
  )
  t.deepEqual(
    frame.hottest.map(({ key }) => String(key)).toSorted(),
    ['a', 'none', String(bytes)].toSorted(),
    'a long key is not sent',
  )
  t.is(frame.calls.hit.samples, 0, 'calls for many have no time')
})

serial('without a viewer nothing is sampled and nothing is sent; it ends with the viewer', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const work = (): void => {
    for (let i = 0; i < 20_000; i++) cache.get('a')
  }
  work()
  const { view, stop } = viewOf(t, cache, 'native')
  t.deepEqual(view.frame(10).hottest, [], 'not even what was called before')
  await until(view, work, ({ hottest }) => hottest.length === 1)
  stop()
  // A message reaches no subscription any more, so the process that sampled learns it with its next batch.
  await eventually('no samples', async () => {
    work()
    await turn()
    return cache.publish(CHANNEL, 'x') === 0
  })
  t.is(cache.get('a'), 1)
})

serial('a near cache that is sampled serves the same values', async (t) => {
  const cache = openCache(t, { near: { objects: 'frozen' } })
  cache.set('a', { n: 1 })
  const { view } = viewOf(t, cache, 'native')
  let wrong = 0
  await until(
    view,
    () => {
      for (let i = 0; i < 5000; i++) {
        const value = cache.get('a') as { n: number } | undefined
        if (value?.n !== 1 || !Object.isFrozen(value)) wrong++
        if (i % 1000 === 0 && cache.getMany(['a'])[0] === undefined) wrong++
      }
    },
    ({ calls }) => calls.near.samples > 20,
  )
  t.is(wrong, 0)
})

test('a message that is no batch is passed over', (t) => {
  const calls = { near: 0, hit: 1, miss: 0, set: 0 }
  const times = { near: [], hit: [[3, 1]], miss: [], set: [] }
  const batch = { pid: 1, calls, keys: [{ namespace: '', text: 'a', reads: 1, writes: 0 }], times }
  t.deepEqual(readBatch(JSON.stringify(batch)), batch as never)
  const wrong: unknown[] = [
    1,
    '',
    'x',
    'null',
    '[]',
    '{}',
    JSON.stringify({ ...batch, pid: 'a' }),
    JSON.stringify({ ...batch, calls: { near: 0 } }),
    JSON.stringify({ ...batch, calls: { ...calls, hit: -1 } }),
    JSON.stringify({ ...batch, keys: Array.from({ length: 65 }, () => batch.keys[0]) }),
    JSON.stringify({ ...batch, keys: [{ namespace: 1, text: 'a', reads: 1, writes: 0 }] }),
    JSON.stringify({ ...batch, keys: [{ namespace: '', reads: 1, writes: 0 }] }),
    JSON.stringify({ ...batch, keys: [null] }),
    JSON.stringify({ ...batch, times: { ...times, hit: [[TIME_CLASSES, 1]] } }),
    JSON.stringify({ ...batch, times: { ...times, hit: [[-1, 1]] } }),
    JSON.stringify({ ...batch, times: { ...times, hit: [1] } }),
  ]
  for (const message of wrong) t.is(readBatch(message), undefined, String(message))
})

test('classes of time', (t) => {
  for (let i = 0; i < TIME_CLASSES; i++) t.is(timeClassOf(timeOfClass(i) * 1.01), i)
  t.deepEqual([timeClassOf(0), timeClassOf(Infinity)], [0, TIME_CLASSES - 1])
})

test('a view forgets what is older than ten seconds, and keeps a bounded number of keys', (t) => {
  let now = 0
  const view = new SampleView(() => now)
  const keys = (from: number): object[] =>
    Array.from({ length: 64 }, (_, i) => ({ namespace: '', text: `k${from + i}`, reads: 1, writes: 1 }))
  const calls = { near: 0, hit: 64, miss: 0, set: 64 }
  const times = { near: [], hit: [[0, 64]], miss: [], set: [[4, 64]] }
  for (let i = 0; i < 100; i++) view.add({ pid: i % 3, calls, keys: keys(i * 64), times } as never)
  const frame = view.frame(10_000)
  t.is(frame.hottest.length, 2000)
  t.deepEqual(frame.hottest[0], { namespace: '', key: 'k0', reads: 1024, writes: 1024 })
  t.is(frame.calls.hit.rate, 6400 * 1024)
  t.deepEqual(frame.pids, [0, 1, 2])
  now = 5000
  t.is(view.frame(1).hottest[0]?.reads, 1024 / 5)
  now = 11_000
  t.deepEqual(view.frame(10).hottest, [])
  t.is(view.frame(10).calls.hit.p50, undefined)
})

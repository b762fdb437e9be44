/**
 * Values as the page gets them: as what they are, and bounded.
 */
import test from 'ava'
import { keyForm, valueForm } from '../../lib/dashboard/forms.ts'
import { shardsOf } from '../../lib/segment/shards.ts'
import { openCache } from '../helpers/segment.ts'

test('each kind of value', (t) => {
  t.deepEqual(valueForm('a'), { type: 'string', text: 'a', size: 1 })
  t.deepEqual(valueForm(null), { type: 'null', text: 'null' })
  t.deepEqual(valueForm(true), { type: 'boolean', text: 'true' })
  t.deepEqual(valueForm(-0), { type: 'number', text: '-0' })
  t.deepEqual(valueForm(Number.NaN), { type: 'number', text: 'NaN' })
  t.deepEqual(valueForm(12n), { type: 'bigint', text: '12n' })
  t.deepEqual(valueForm(new Date(0)), { type: 'Date', text: '1970-01-01T00:00:00.000Z' })
  t.deepEqual(valueForm(new Date(Number.NaN)), { type: 'Date', text: 'invalid' })
  t.deepEqual(valueForm(/a/gu), { type: 'RegExp', text: '/a/gu' })
  t.deepEqual(valueForm(Buffer.from('hi')), { type: 'Buffer', size: 2, bytes: 'aGk=' })
  t.deepEqual(valueForm(new Uint16Array([1])), { type: 'Uint16Array', size: 2, bytes: 'AQA=' })
  t.deepEqual(valueForm(new ArrayBuffer(1)), { type: 'ArrayBuffer', size: 1, bytes: 'AA==' })
  const one = { type: 'number', text: '1' }
  t.deepEqual(valueForm([1, undefined]), {
    type: 'Array',
    size: 2,
    items: [one, { type: 'undefined', text: 'undefined' }],
  })
  t.deepEqual(valueForm(new Set([1])), { type: 'Set', size: 1, items: [one] })
  const a = { type: 'string', text: 'a', size: 1 }
  t.deepEqual(valueForm(new Map([['a', 1]])), { type: 'Map', size: 1, entries: [[a, one]] })
  t.deepEqual(valueForm({ a: 1 }), { type: 'Object', size: 1, entries: [[a, one]] })
  const error = valueForm(Object.assign(new Error('no', { cause: 1 }), { code: 'E' })) as unknown as {
    entries: [{ text: string }, unknown][]
  }
  t.deepEqual(error.entries.map(([{ text }]) => text).toSorted(), ['cause', 'code', 'message', 'name', 'stack'])
})

test('cycles end, and large values are cut', (t) => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const form = valueForm(cycle) as unknown as { entries: [unknown, { type: string }][] }
  t.is(form.entries[0]?.[1].type, 'cycle')
  const text = valueForm('x'.repeat(100_000)) as { text: string; size: number }
  t.deepEqual([text.text.length, text.size], [20_000, 100_000])
  const bytes = valueForm(Buffer.alloc(100_000)) as { bytes: string; size: number }
  t.deepEqual([Buffer.from(bytes.bytes, 'base64').length, bytes.size], [4096, 100_000])
  const list = valueForm(Array.from({ length: 10_000 }, () => 1)) as unknown as { items: unknown[]; size: number }
  t.deepEqual([list.items.length, list.size], [500, 10_000])
  const wide = valueForm(Array.from({ length: 400 }, () => Array.from({ length: 400 }, () => 'y')))
  t.true(JSON.stringify(wide).length < 500_000)
  let deep: unknown = 1
  for (let i = 0; i < 5000; i++) deep = [deep]
  t.true(JSON.stringify(valueForm(deep)).length < 10_000)
})

test('keys are text or hexadecimal digits', (t) => {
  t.deepEqual(keyForm('a'), { text: 'a' })
  t.deepEqual(keyForm(Buffer.from([255, 0])), { hex: 'ff00' })
})

test('the shards add up to the segment, on both engines', (t) => {
  for (const engine of ['native', 'portable'] as const) {
    const cache = openCache(t, { engine, size: '40mb' })
    const limited = cache.namespace('limited', { size: '1mb' })
    for (let i = 0; i < 3000; i++) {
      cache.set(`k${i}`, 'x'.repeat(100))
      limited.set(`k${i}`, 'x'.repeat(100))
    }
    const shards = shardsOf(cache)
    const sum = (name: keyof (typeof shards)[number]): number => shards.reduce((total, shard) => total + shard[name], 0)
    const { usedBytes, capacityBytes, entries } = cache.stats()
    t.is(shards.length, 3, engine)
    t.deepEqual([sum('capacityBytes'), sum('usedBytes'), sum('words')], [capacityBytes, usedBytes, entries], engine)
    const outside = cache.stats({ scope: 'namespace' }).bytes
    t.is(sum('smallBytes') + sum('mainBytes'), outside, `${engine}: without those of a quota`)
  }
})

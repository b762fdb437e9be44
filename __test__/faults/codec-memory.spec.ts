/**
 * The structured format: hostile bytes cost memory only in proportion to their length. A process of its own measures
 * that.
 */
import test from 'ava'
import { fork } from '../helpers/fork.ts'
import type { Measured } from '../children/decoded-memory.ts'

test('a decoded value takes at most 80 times the memory of its bytes, and lengths without bytes take none', async (t) => {
  t.timeout(120_000)
  const { factors, grown } = await fork(t, 'decoded-memory').next<Measured>(100_000)
  for (const [what, factor] of Object.entries(factors)) {
    t.log(`${what}: ${factor.toFixed(1)}`)
    t.true(factor < 80, `${what}: ${factor.toFixed(1)} times`)
  }
  t.true(Math.max(...Object.values(factors)) > 40, 'otherwise this has measured nothing')
  for (const [what, { code, bytes }] of Object.entries(grown)) {
    t.is(code, 'ERR_SEGMENT_CORRUPT', what)
    t.true(bytes < 64 * 2 ** 20, `${what}: ${bytes} bytes more`)
  }
})

/**
 * Hostile bytes may cost only as much memory as they are long. Measured in a process of their own.
 */
import test from 'ava'
import type { Measured } from './children/decoded-memory.ts'
import { fork } from './helpers/fork.ts'

test('what comes out takes at most 80 times the bytes that went in, and promises take nothing', async (t) => {
  t.timeout(120_000)
  const { factors, grown } = await fork(t, 'decoded-memory').next<Measured>(100_000)
  for (const [what, factor] of Object.entries(factors)) {
    t.log(`${what}: ${factor.toFixed(1)}`)
    t.true(factor < 80, `${what}: ${factor.toFixed(1)} times`)
  }
  t.true(Math.max(...Object.values(factors)) > 40, 'else this has measured nothing')
  for (const [what, { code, bytes }] of Object.entries(grown)) {
    t.is(code, 'ERR_SEGMENT_CORRUPT', what)
    t.true(bytes < 64 * 2 ** 20, `${what}: ${bytes} bytes more`)
  }
})

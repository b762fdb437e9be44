/**
 * A process that opens with `create: false` beside the processes that use the segment: it sweeps nothing.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { open } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

/** Longer than a process needs to notice that there is something to sweep, by far. */
const LONG_MS = 1500

test.serial('a visitor sweeps nothing until its process opens the segment for use', async (t) => {
  const owner = openStopped(t)
  const { name } = owner
  for (let i = 0; i < 20; i++) owner.set(`key${i}`, i, { ttl: 1000 })
  owner.close()
  const visitor = open({ name, create: false })
  t.teardown(() => visitor.close())
  advance(visitor, 2000)
  t.is(visitor.get('key1'), undefined)
  await delay(LONG_MS)
  t.is(visitor.stats().expirations, 0)
  t.is(visitor.stats().entries, 20)
  openCache(t, { name })
  t.true(await eventually('this process sweeps', () => visitor.stats().expirations === 20))
})

test.serial('a visitor counts as attached, and takes its slot with it when it is killed', async (t) => {
  const cache = openCache(t)
  const visitor = fork(t, 'operations', { name: cache.name, create: false })
  await visitor.next()
  t.is(cache.stats().processes, 2)
  visitor.kill()
  await visitor.exit
  t.true(await eventually('its slot is free', () => cache.stats().processes === 1))
})

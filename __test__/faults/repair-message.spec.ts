/**
 * The diagnostics channel `repaired`.
 */
import test from 'ava'
import { listen } from '../helpers/channel-messages.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'

test.serial('the process that repairs what a killed process left publishes repaired', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const told = listen(t, name, 'repaired')
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  // Until a child was killed inside a write.
  await eventually(
    'a repair',
    async () => {
      const child = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] })
      await child.next()
      child.kill()
      await child.exit
      for (let i = 0; i < 20; i++) cache.set(`probe${i}`, i)
      return cache.stats().repairs > 0
    },
    40_000,
  )
  await eventually('the message', () => told.length > 0)
  t.deepEqual(told[0], ['repaired', { name, namespace: '', count: 0 }])
})

/**
 * Reports of adapters: at most one a minute of each kind.
 */
import test from 'ava'
import { reporter } from '../../lib/adapters/shared/reports.ts'

test('an error is passed on at most once a minute for each kind', (t) => {
  const passed: unknown[] = []
  let now = 1000
  const report = reporter(
    (error) => passed.push(error),
    () => now,
  )
  const busy = (): Error => Object.assign(new Error('busy'), { code: 'ERR_BUSY' })
  const [first, lost] = [busy(), new Error('3 messages were lost')]
  for (const error of [first, busy(), lost, new Error('14 messages were lost'), 'a text', 'a text']) report(error)
  t.deepEqual(passed.splice(0), [first, lost, 'a text'])
  now += 59_999
  report(busy())
  t.deepEqual(passed, [])
  now += 1
  const later = busy()
  report(later)
  t.deepEqual(passed, [later])
})

/**
 * `health` of the command: exit codes for probes.
 */
import { json, run } from '../helpers/command-line.ts'
import { onNative } from '../helpers/engine.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { startLargeWriter, suspendInsideWrite } from '../helpers/suspended-writer.ts'
import { isSuspended } from '../helpers/system.ts'

const test = onNative('another process')

test.serial('a segment in good health is exit code 0', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const { out, code } = await run(t, ['health', cache.name])
  t.is(code, 0)
  t.regex(out, /^ok +segment: the segment has 1 entries$/m)
  t.regex(out, /^ok +write: a write is possible$/m)
  t.deepEqual(await run(t, ['health', cache.name, '--quiet', '--strict']), { out: '', err: '', code: 0 })
  const { status, checks } = await json<{ status: string; checks: { id: string; fix: string | null }[] }>(t, [
    'health',
    cache.name,
  ])
  t.is(status, 'ok')
  t.deepEqual(
    checks.map(({ id, fix }) => [id, fix]),
    ['segment', 'write', 'processes', 'memory', 'damage', 'tags'].map((id) => [id, null]),
  )
})

test.serial('a suspended process is exit code 1, with the way out', async (t) => {
  const name = segmentName(t)
  const app = fork(t, 'operations', { name, size: SMALL })
  await app.next()
  const { pid } = app.process
  app.kill('SIGSTOP')
  await isSuspended(pid)
  const { out, code } = await run(t, ['health', name, '-q'])
  t.is(code, 1)
  t.regex(out, new RegExp(`^problem +processes: .* suspended: ${pid}$`, 'm'))
  t.regex(out, new RegExp(`kill -CONT ${pid}`))
  app.kill('SIGCONT')
})

test.serial('it ends also beside a process that is suspended inside a write', async (t) => {
  const cache = openCache(t, { size: '16mb' })
  const child = await startLargeWriter(t, { name: cache.name, size: '16mb' })
  await suspendInsideWrite(child, cache)
  const { code, out } = await run(t, ['health', cache.name, '-q'])
  t.is(code, 1)
  t.regex(out, /problem +processes/)
  child.kill('SIGCONT')
})

test.serial('without a segment it is exit code 1, and makes none', async (t) => {
  const { code, err } = await run(t, ['health', segmentName(t)])
  t.is(code, 1)
  t.regex(err, /ERR_NO_SEGMENT/)
})

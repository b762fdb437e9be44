/**
 * Error codes of the surroundings: full file systems, permissions, limits of a process, a missing addon. Afterwards the
 * cache still works and has lost nothing.
 */
import { chmodSync, chownSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { open, openRegion, segments } from '../../index.ts'
import type { CacheError } from '../../index.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { allThrow, fill, meet, provoke, provokeIf, stillFine } from '../helpers/provocations.ts'
import { SMALL, openCache, segmentName, smallFileSystem, temporaryDirectory } from '../helpers/segment.ts'
import { UNPRIVILEGED, canMount, isRoot, testIf, works } from '../helpers/system.ts'
import type { Outcomes } from '../children/limited.ts'

/** Runs synchronous code as another user. Only root can. */
function asUser<T>(user: number, run: () => T): T {
  process.seteuid?.(user)
  try {
    return run()
  } finally {
    process.seteuid?.(0)
  }
}

/** The hint of the error that the call throws. */
function hintOf(call: () => unknown): string {
  try {
    call()
  } catch (error) {
    return (error as CacheError).hint
  }
  return ''
}

provokeIf(canMount)(['ERR_NO_SPACE'], 'a full file system prevents open', (t) => {
  const directory = smallFileSystem(t, '16m')
  const name = segmentName(t, { directory })
  const cache = openCache(t, { name, directory, size: SMALL })
  fill(cache)
  const other = segmentName(t, { directory })
  allThrow(t, 'ERR_NO_SPACE', [() => open({ name: other, directory, size: '4gb' })])
  t.is(segments.inspect(other, { directory }), undefined)
  t.deepEqual(
    segments.list({ directory }).map((info) => info.name),
    [name],
  )
  stillFine(t, cache)
})

testIf(canMount)('a file system that fills up later causes evictions, never a crash', (t) => {
  const directory = smallFileSystem(t, '12m')
  const cache = openCache(t, { name: segmentName(t, { directory }), directory, size: '64mb' })
  let stored = 0
  for (let i = 0; i < 1000; i++) {
    try {
      if (cache.set(`k${i}`, Buffer.alloc(50_000, i))) stored++
      t.true(isDeepStrictEqual(cache.get(`k${i}`), Buffer.alloc(50_000, i)))
    } catch (error) {
      t.is((error as CacheError).code, 'ERR_NO_SPACE')
    }
  }
  t.true(stored > 20, `${stored} of 1000 stored`)
  t.deepEqual(problems(cache), [])
})

provoke(['ERR_PERMISSION'], 'a file that other users may read is refused', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const path = segments.inspect(name)?.path ?? ''
  t.is(statSync(path).mode & 0o777, 0o600)
  chmodSync(path, 0o666)
  const calls = [() => open({ name, size: SMALL }), () => segments.inspect(name), () => segments.destroy(name)]
  allThrow(t, 'ERR_PERMISSION', calls)
  for (const call of calls) t.regex(hintOf(call), new RegExp(`${path}, or changed its mode or names. Delete it`))
  chmodSync(path, 0o600)
  stillFine(t, openCache(t, { name }))
})

provokeIf(isRoot)(['ERR_PERMISSION'], 'a file of another user is refused', (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  fill(cache)
  cache.close()
  const path = segments.inspect(name)?.path ?? ''
  chownSync(path, UNPRIVILEGED, UNPRIVILEGED)
  const calls = [() => open({ name, size: SMALL }), () => segments.inspect(name), () => segments.destroy(name)]
  allThrow(t, 'ERR_PERMISSION', calls)
  for (const call of calls)
    t.regex(hintOf(call), new RegExp(`user ${UNPRIVILEGED} owns ${path}.*delete it as that user`))
  chownSync(path, 0, 0)
  stillFine(t, openCache(t, { name }))
})

provokeIf(isRoot)(['ERR_PERMISSION'], 'a name that another user has taken in advance is refused with its file', (t) => {
  const name = segmentName(t)
  openCache(t, { name }).close()
  const path = segments.inspect(name)?.path ?? ''
  const squatted = path.replace('.0.', `.${UNPRIVILEGED}.`)
  segments.destroy(name)
  t.teardown(() => rmSync(squatted, { force: true }))
  // Root takes the name of the unprivileged user, in any form.
  for (const mode of [0o600, 0o666, 0o000]) {
    writeFileSync(squatted, 'not a segment', { mode })
    chmodSync(squatted, mode)
    const calls = [
      () => open({ name, size: SMALL }),
      () => segments.inspect(name),
      () => segments.destroy(name, { force: true }),
    ].map((call: () => unknown) => () => asUser(UNPRIVILEGED, call))
    allThrow(t, 'ERR_PERMISSION', calls)
    for (const call of calls) t.regex(hintOf(call), new RegExp(`user 0 owns ${squatted}.*pass a directory`))
    rmSync(squatted)
  }
  asUser(UNPRIVILEGED, () => {
    const cache = open({ name, size: SMALL })
    fill(cache)
    stillFine(t, cache)
    cache.close()
    t.true(segments.destroy(name))
  })
})

testIf(isRoot)('a segment in a directory opens whatever the umask is', (t) => {
  const directory = temporaryDirectory(t)
  chmodSync(directory, 0o777)
  const before = process.umask(0o777)
  t.teardown(() => process.umask(before))
  asUser(UNPRIVILEGED, () => {
    const cache = open({ name: 'masked', directory, size: SMALL })
    const region = openRegion({ cache: 'masked', name: 'r', directory, size: 64 })
    for (const path of [segments.inspect('masked', { directory })?.path ?? '', region.path]) {
      t.is(statSync(path).mode & 0o777, 0o600)
    }
    fill(cache)
    stillFine(t, open({ name: 'masked', directory, size: SMALL }))
  })
})

testIf(isRoot)('a segment of shared memory opens whatever the umask is', (t) => {
  const name = segmentName(t)
  const before = process.umask(0o777)
  t.teardown(() => process.umask(before))
  asUser(UNPRIVILEGED, () => {
    const cache = open({ name, size: SMALL })
    t.is(statSync(segments.inspect(name)?.path ?? '').mode & 0o777, 0o600)
    fill(cache)
    stillFine(t, open({ name, size: SMALL }))
    t.true(segments.destroy(name, { force: true }))
  })
})

provoke(['ERR_PERMISSION'], 'a directory without write permission is refused', (t) => {
  const directory = join(temporaryDirectory(t), 'closed')
  mkdirSync(directory, { mode: 0o500 })
  const attempt = (): unknown => open({ name: 'never', directory, size: SMALL })
  if (!isRoot) return allThrow(t, 'ERR_PERMISSION', [attempt])
  // Root may write everywhere, so this call runs as another user.
  allThrow(t, 'ERR_PERMISSION', [() => asUser(UNPRIVILEGED, attempt)])
})

const limited: [string, ...string[]] = ['prlimit', '--memlock=65536:65536']
// Root is exempt from the limit by a capability. Another user might not reach the program of Node.js.
const lockLimited: typeof limited = isRoot ? ['setpriv', '--bounding-set=-ipc_lock', ...limited] : limited

provokeIf(works(...lockLimited, 'true'))(
  ['ERR_PERMISSION'],
  'lockMemory beyond the limit of the process is refused',
  async (t) => {
    const child = fork(t, 'locked-memory', `test-${process.pid}-locked`, { wrapper: lockLimited })
    const answer = await child.next<{ locked: string }>()
    t.deepEqual(answer, { locked: 'ERR_PERMISSION', ordinary: 'works: 1' })
    meet(t, answer.locked)
  },
)

provokeIf(works('prlimit', '--version'))(
  ['ERR_NO_SPACE'],
  'a process at one of its resource limits cannot open a segment',
  async (t) => {
    const name = segmentName(t)
    t.teardown(() => segments.destroy(`${name}-other`, { force: true }))
    const child = fork(t, 'limited', name)
    const outcomes = await child.next<Outcomes>()
    const refused = { under: 'ERR_NO_SPACE', after: 'works' }
    t.deepEqual(outcomes, { descriptors: refused, 'file size': refused, 'address space': refused })
    t.is(openCache(t, { name }).get('kept'), 4)
    meet(t, outcomes.descriptors.under)
  },
)

provoke(['ERR_NATIVE_UNAVAILABLE'], 'a missing addon is reported with the platform', async (t) => {
  const child = fork(t, 'broken-addon')
  const error = await child.next<{ name: string; code: string; message: string; hint: string; caused: boolean }>()
  t.like(error, { name: 'CacheError', code: 'ERR_NATIVE_UNAVAILABLE', caused: true })
  meet(t, error.code)
  t.regex(error.message, new RegExp(`${process.platform} ${process.arch}`))
  t.true(error.hint.length > 10)
})

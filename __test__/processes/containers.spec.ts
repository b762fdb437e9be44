/**
 * What the guides to Docker and Kubernetes say of two containers that share a folder in memory.
 */
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { segments } from '../../index.ts'
import type { SegmentProcess } from '../../index.ts'
import type { Answer } from '../children/member.ts'
import { run } from '../helpers/command-line.ts'
import { canContain, inContainer } from '../helpers/container.ts'
import type { ContainerOptions } from '../helpers/container.ts'
import { fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { ok } from '../helpers/member.ts'
import { smallFileSystem } from '../helpers/segment.ts'
import { canMount, testIf } from '../helpers/system.ts'

const possible = testIf(canContain && canMount)

/** The folder of POSIX shared memory, as in `docker run --ipc=container:NAME`. */
const SHM = '/dev/shm'

async function contained(t: ExecutionContext, options: ContainerOptions): Promise<Child> {
  const child = fork(t, 'member', {}, inContainer(options))
  await child.next()
  return child
}

/** A folder of this host that a container sees as another one. */
function mountPoint(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

possible('two containers with one /dev/shm share values, waits and locks', async (t) => {
  const volume = smallFileSystem(t, '64m')
  const [web, jobs] = await Promise.all([contained(t, { volume, at: SHM }), contained(t, { volume, at: SHM })])
  await ok(web, 'open', { name: 'app' })
  await ok(jobs, 'open', { name: 'app' })

  const waiting = ok(jobs, 'call', 'waitFor', 'key')
  await ok(web, 'call', 'set', 'key', { from: 'web' })
  t.like(await waiting, { value: { from: 'web' } })
  await ok(jobs, 'call', 'incr', 'counter')
  await ok(web, 'call', 'incr', 'counter')
  t.is(await ok(jobs, 'call', 'get', 'counter'), 2)

  // Both are the first process of their container, and this process is outside.
  const { processes = [] } = segments.inspect('app', { directory: volume }) ?? {}
  t.deepEqual(
    processes.map(({ pid }: SegmentProcess) => pid),
    [1, 1],
  )

  // A container that is killed leaves its lock to the other one, as each killed process does.
  await ok(web, 'lock', 'job')
  const next = ok(jobs, 'lock', 'job')
  web.kill()
  await web.exit
  t.is(typeof (await next), 'number')
  t.is(segments.inspect('app', { directory: volume })?.processes.length, 1)
  t.is(await ok(jobs, 'call', 'get', 'counter'), 2, 'the data stay')
})

possible('containers share a volume at different paths, as users without rights, with a read-only root', async (t) => {
  const volume = smallFileSystem(t, '64m')
  chownSync(volume, 1000, 1000)
  const user = { uid: 1000 }
  const [one, two] = [mountPoint(t), mountPoint(t)]
  const web = await contained(t, { volume, at: one, user, readOnly: true })
  const jobs = await contained(t, { volume, at: two, user, readOnly: true })
  await ok(web, 'open', { name: 'app', directory: one })
  await ok(jobs, 'open', { name: 'app', directory: two })
  await ok(web, 'call', 'set', 'key', 'value')
  t.is(await ok(jobs, 'call', 'get', 'key'), 'value')
  const { path } = segments.list({ directory: volume })[0] ?? { path: '' }
  t.is(path, '', 'this process is root, and has no segment there')
})

possible('containers of different users share by the group of the volume', async (t) => {
  const volume = smallFileSystem(t, '64m')
  const group = 2000
  chownSync(volume, 0, group)
  chmodSync(volume, 0o2770)
  const at = mountPoint(t)
  const web = await contained(t, { volume, at, user: { uid: 1000, groups: [group] } })
  const jobs = await contained(t, { volume, at, user: { uid: 1001, groups: [group] } })
  for (const child of [web, jobs]) await ok(child, 'open', { name: 'app', directory: at, group })
  await ok(web, 'call', 'set', 'key', 'value')
  t.is(await ok(jobs, 'call', 'get', 'key'), 'value')
  const { uid, gid, mode } = statSync(segments.inspect('app', { directory: volume, group })?.path ?? '')
  t.deepEqual([uid, gid, mode & 0o777], [1000, group, 0o660])

  // With the mode that Kubernetes gives an emptyDir, any user could have made the file.
  chmodSync(volume, 0o2777)
  const late = await contained(t, { volume, at, user: { uid: 1002, groups: [group] } })
  t.like(await late.ask<Answer>(['open', { name: 'app', directory: at, group }]), { code: 'ERR_PERMISSION' })
})

possible('a size above that of /dev/shm is a warning, and no write fails', async (t) => {
  const volume = smallFileSystem(t, '64m')
  const web = await contained(t, { volume, at: SHM })
  await ok(web, 'open', { name: 'app', size: '256mb' })
  const warnings = (await ok(web, 'warnings')) as string[]
  t.is(warnings.length, 1)
  t.regex(warnings[0] ?? '', /size of 268435456 bytes .*, but its folder \/dev\/shm has only 67108864 \(64 MiB\)/)
  const many = (start: number): unknown => Array.from({ length: 1000 }, (_, i) => [`key${start + i}`, 'x'.repeat(1000)])
  for (let i = 0; i < 80_000; i += 1000) {
    t.true(((await ok(web, 'call', 'setMany', many(i))) as boolean[]).every(Boolean))
  }
  t.true(((await ok(web, 'call', 'stats')) as { evictions: number }).evictions > 0)
})

possible('a probe by the command has the exit code 0 or 1', async (t) => {
  const volume = smallFileSystem(t, '64m')
  const web = await contained(t, { volume, at: SHM })
  const probe = inContainer({ volume, at: SHM, readOnly: true })
  t.is((await run(t, ['health', 'app', '--quiet'], probe)).code, 1, 'there is no segment yet')
  await ok(web, 'open', { name: 'app' })
  const { code, out, err } = await run(t, ['health', 'app', '--quiet'], probe)
  t.deepEqual([code, out, err], [0, '', ''])
})

possible('a container with a /dev/shm of its own has segments of its own', async (t) => {
  const [first, second] = [smallFileSystem(t, '16m'), smallFileSystem(t, '16m')]
  mkdirSync(join(second, 'other'))
  const web = await contained(t, { volume: first, at: SHM })
  const jobs = await contained(t, { volume: second, at: SHM })
  await ok(web, 'open', { name: 'app', size: '8mb' })
  await ok(jobs, 'open', { name: 'app', size: '8mb' })
  await ok(web, 'call', 'set', 'key', 'value')
  t.is(await ok(jobs, 'call', 'get', 'key'), undefined)
})

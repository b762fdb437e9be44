/**
 * Segments that are larger than their file system or than the memory limit of their container.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { dirname, join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { openRegion, regions, segments } from '../../index.ts'
import type { Region } from '../../index.ts'
import { cgroupFiles } from '../helpers/internals.ts'
import { readExposition } from '../helpers/exposition.ts'
import { openCache, segmentName, smallFileSystem, temporaryDirectory } from '../helpers/segment.ts'
import { canMount, testIf } from '../helpers/system.ts'

const MIB = 2 ** 20

/** The warnings about limits while `run` runs. */
async function warningsOf(run: () => unknown): Promise<string[]> {
  const warnings: (Error & { code?: string; detail?: string })[] = []
  const collect = (warning: Error): unknown => warnings.push(warning)
  process.on('warning', collect)
  try {
    run()
    await turn()
  } finally {
    process.off('warning', collect)
  }
  const ours = warnings.filter(({ code }) => code === 'CACHE_MACHINE_LIMIT')
  return ours.map(({ message, detail }) => `${message}. ${detail}`)
}

/** Lets the kernel show these cgroups: the file of the own cgroup, and files below the root by path. */
function showCgroups(t: ExecutionContext, own: string, files: Record<string, string>): void {
  const root = temporaryDirectory(t)
  for (const [path, text] of Object.entries({ ...files, 'own.txt': own })) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const before = { ...cgroupFiles }
  Object.assign(cgroupFiles, { own: join(root, 'own.txt'), root })
  t.teardown(() => Object.assign(cgroupFiles, before))
}

testIf(canMount).serial('a segment that is larger than its file system says so once, with both numbers', async (t) => {
  const directory = smallFileSystem(t, '16m')
  const name = segmentName(t, { directory })
  const open = () => openCache(t, { name, directory, size: '64mb' })
  const [warning = '', ...others] = await warningsOf(() => [open(), open().namespace('n'), open()])
  t.deepEqual(others, [])
  t.regex(warning, new RegExp(`"${name}" has a size of 67108864 bytes .64 MiB., but .* ${directory} .* 16777216 `))
  t.regex(warning, /smaller segment.*--shm-size/)
  const cache = open()
  t.is(cache.stats().limitBytes, 16 * MIB)
  t.like(segments.inspect(name, { directory }), { limitBytes: 16 * MIB, size: 64 * MIB })
  t.deepEqual(
    segments.list({ directory }).map(({ limitBytes }) => limitBytes),
    [16 * MIB],
  )
  const text = readExposition(cache.metrics().prometheus())
  t.deepEqual([...(text.get('cache_machine_limit_bytes')?.samples.values() ?? [])], [16 * MIB])
})

testIf(canMount).serial('a segment that is as large as its file system says nothing', async (t) => {
  const directory = smallFileSystem(t, '16m')
  const name = segmentName(t, { directory })
  t.deepEqual(await warningsOf(() => openCache(t, { name, directory, size: '16mb' })), [])
  t.is(segments.inspect(name, { directory })?.limitBytes, 16 * MIB)
})

const SHOWN: Record<string, [own: string, files: Record<string, string>, limit: number]> = {
  'version 2, in a container': ['0::/\n', { 'memory.max': '6291456\n' }, 6 * MIB],
  'version 2, on a host: the lowest limit of the cgroups around it counts': [
    '0::/system.slice/app.service\n',
    { 'system.slice/memory.max': '5242880\n', 'system.slice/app.service/memory.max': 'max\n' },
    5 * MIB,
  ],
  'version 2, without a limit': ['0::/app\n', { 'app/memory.max': 'max\n' }, 8 * MIB],
  'version 1, in a container that sees its cgroup as the root': [
    '4:memory:/docker/abc\n3:cpu:/docker/abc\n0::/\n',
    { 'memory/memory.limit_in_bytes': '6291456\n', 'cpu/memory.limit_in_bytes': '1\n' },
    6 * MIB,
  ],
  'version 1, on a host, with the unified hierarchy beside it': [
    '4:hugetlb,memory:/app/web\n0::/\n',
    { 'memory/app/web/memory.limit_in_bytes': '4194304\n', 'memory/memory.limit_in_bytes': '9223372036854771712\n' },
    4 * MIB,
  ],
  'version 1, without a limit': ['4:memory:/\n', { 'memory/memory.limit_in_bytes': '9223372036854771712\n' }, 8 * MIB],
  'no cgroups': ['', {}, 8 * MIB],
  'a limit above the size': ['0::/\n', { 'memory.max': '1073741824\n' }, 8 * MIB],
}

for (const [what, [own, files, limit]] of Object.entries(SHOWN)) {
  test.serial(`the limit of a cgroup is compared with the size: ${what}`, async (t) => {
    showCgroups(t, own, files)
    const name = segmentName(t)
    const warnings = await warningsOf(() => openCache(t, { name, size: '8mb' }))
    t.is(openCache(t, { name }).stats().limitBytes, limit)
    t.is(segments.inspect(name)?.limitBytes, limit)
    t.is(warnings.length, limit === 8 * MIB ? 0 : 1)
    if (limit === 8 * MIB) return
    t.regex(warnings[0] ?? '', new RegExp(`${name}.* 8388608 bytes .8 MiB.* cgroup is only ${limit} .*raise the limit`))
  })
}

test.serial('a region beyond the limit of the cgroup says so as a segment does', async (t) => {
  showCgroups(t, '0::/\n', { 'memory.max': `${4 * MIB}\n` })
  const cache = segmentName(t)
  const openIt = (name: string, size: number): Region => {
    const region = openRegion({ cache, name, size })
    t.teardown(() => {
      region.close()
      regions.destroy(cache, name, { force: true })
    })
    return region
  }
  const [warning = '', ...others] = await warningsOf(() => [openIt('large', 6 * MIB), openIt('large', 6 * MIB)])
  t.deepEqual(others, [])
  t.regex(warning, /the region ".*@large" has a size of 6291456 bytes .6 MiB., but the memory limit .* 4194304 /)
  t.deepEqual(await warningsOf(() => openIt('small', MIB)), [])
})

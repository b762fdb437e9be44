/**
 * `doctor`: each check as a function of facts, and with the real thing where this machine can have it.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { segments } from '../../index.ts'
import { json, run } from '../helpers/command-line.ts'
import { fork } from '../helpers/fork.ts'
import { CHECKS, judge, logindFacts, memoryOf } from '../helpers/internals.ts'
import type { Facts } from '../helpers/internals.ts'
import { SMALL, openCache, segmentName, smallFileSystem, temporaryDirectory } from '../helpers/segment.ts'
import { UNPRIVILEGED, canMount, isRoot, isSuspended, testIf, works } from '../helpers/system.ts'

const MIB = 2 ** 20
const NOW = 1_800_000_000_000

interface Report {
  readonly verdict: string
  readonly checks: { id: string; title: string; verdict: string; finding: string; fix: string | null }[]
}

type Segment = Facts['segments'][number]

function segment(name: string, size = 64 * MIB, processes: Segment['processes'] = []): Segment {
  const info = {
    name,
    path: `/dev/shm/cache-machine.1.1000.${name}`,
    size,
    limitBytes: size,
    reservedBytes: 4 * MIB,
    layoutVersion: 1,
    readable: true,
    createdAt: NOW - 90_000,
    eviction: 's3-fifo',
    maxEntrySize: 1,
    shards: 1,
    entries: 5,
    usedBytes: 1,
    capacityBytes: 2,
    processes,
  }
  return { info, processes, health: { verdict: 'ok', text: 'ok', hint: undefined } }
}

const RUNNING = { pid: 12, attachedAt: 0, packageVersion: '0.1.0', state: 'running', title: 'node app.js' } as const

/** A machine on which all is well. */
const WELL: Facts = {
  now: NOW,
  program: {
    version: '0.1.0',
    node: '22.12.0',
    platform: 'linux',
    arch: 'x64',
    engine: undefined,
    nativeProblem: undefined,
  },
  libc: { kind: 'glibc', version: '2.36' },
  user: { id: 1000, name: 'ada' },
  folder: {
    path: '/dev/shm',
    exists: true,
    isWritable: true,
    isMemory: true,
    total: 8192 * MIB,
    free: 8000 * MIB,
    group: undefined,
    squatters: [],
    unfinished: [],
  },
  cgroup: undefined,
  container: undefined,
  logind: undefined,
  segments: [segment('app', 64 * MIB, [RUNNING])],
  pm2: [],
  samples: [{ segment: 'app', own: 5, foreign: 0, damaged: 0, tagsUnjudged: 0 }],
}

/** Facts that differ from those of the good machine, with the verdict and a part of the finding and of the fix. */
const SQUATTER = { path: '/dev/shm/x', owner: 1000, group: 1000, mode: 0o600, links: 1, isFile: true }

const CASES: [
  id: string,
  changes: Partial<Facts>,
  verdict: 'ok' | 'warning' | 'problem',
  finding: RegExp,
  fix?: RegExp,
][] = [
  [
    'node-version',
    { program: { ...WELL.program, node: '20.18.3' } },
    'problem',
    /20\.18\.3 is not supported/,
    /20\.19/,
  ],
  ['node-version', { program: { ...WELL.program, node: '21.7.0' } }, 'problem', /21\.7\.0/, /22\.12/],
  ['node-version', { program: { ...WELL.program, node: '26.0.0' } }, 'ok', /26\.0\.0/],
  [
    'native-addon',
    { program: { ...WELL.program, nativeProblem: { message: 'a bundler took it', hint: 'Keep it out.' } } },
    'problem',
    /a bundler took it/,
    /Keep it out/,
  ],
  ['engine', { program: { ...WELL.program, engine: 'portable' } }, 'warning', /a cache of its own/, /Remove/],
  ['libc', { libc: { kind: 'glibc', version: '2.17' } }, 'problem', /2\.17 is older/, /musl/],
  ['libc', { libc: { kind: 'musl', version: undefined } }, 'ok', /musl, x64/],
  ['libc', { libc: undefined }, 'problem', /no shared memory/, /Linux/],
  ['folder', { folder: { ...WELL.folder, exists: false } }, 'problem', /does not exist/, /tmpfs/],
  ['folder', { folder: { ...WELL.folder, isWritable: false } }, 'problem', /may not write/, /right/],
  ['folder', { folder: { ...WELL.folder, path: '/var/x', isMemory: false } }, 'warning', /not in memory/, /tmpfs/],
  ['folder-size', { folder: { ...WELL.folder, free: MIB } }, 'problem', /1 MiB are free/, /--shm-size/],
  [
    'folder-size',
    { folder: { ...WELL.folder, total: 100 * MIB, free: 50 * MIB } },
    'warning',
    /may grow by 60 MiB/,
    /remount/,
  ],
  [
    'folder-size',
    { folder: { ...WELL.folder, total: 64 * MIB, free: 63 * MIB }, container: 'docker' },
    'warning',
    /default of Docker/,
    /--shm-size/,
  ],
  [
    'cgroup',
    { cgroup: { limit: 128 * MIB, used: 90 * MIB } },
    'warning',
    /limit of 128 MiB, 90 MiB are used/,
    /192 MiB/,
  ],
  ['cgroup', { cgroup: { limit: 512 * MIB, used: undefined } }, 'ok', /limit of 512 MiB; the segments may take 64 MiB/],
  [
    'squatted-names',
    { folder: { ...WELL.folder, squatters: [{ ...SQUATTER, owner: 33 }] } },
    'problem',
    /belongs to the user 33/,
    /as its owner or as root/,
  ],
  [
    'squatted-names',
    { folder: { ...WELL.folder, squatters: [{ ...SQUATTER, mode: 0o644 }] } },
    'problem',
    /mode 644/,
    /rm \/dev\/shm\/x/,
  ],
  [
    'squatted-names',
    { folder: { ...WELL.folder, group: 44, squatters: [{ ...SQUATTER, owner: 33, group: 33, mode: 0o660 }] } },
    'problem',
    /belongs to the group 33/,
    /as its owner or as root/,
  ],
  [
    'squatted-names',
    { folder: { ...WELL.folder, group: 33, squatters: [{ ...SQUATTER, group: 33, mode: 0o666 }] } },
    'problem',
    /mode 666/,
    /rm \/dev\/shm\/x/,
  ],
  ['unfinished', { folder: { ...WELL.folder, unfinished: ['a~1'] } }, 'warning', /1 file/, /next open/],
  ['left-over', { segments: [segment('old')] }, 'warning', /old \(1m 30s old\); they keep 4 MiB/, /destroy old/],
  [
    'other-layouts',
    { segments: [{ ...segment('old'), info: { ...segment('old').info, readable: false, layoutVersion: 7 } }] },
    'warning',
    /old \(layout 7\)/,
    /cache-machine\.1\.1000\.old/,
  ],
  [
    'suspended',
    { segments: [segment('app', MIB, [{ ...RUNNING, state: 'suspended' }])] },
    'problem',
    /12 of "app" \(node app\.js\)/,
    /kill -CONT 12/,
  ],
  [
    'codecs',
    { samples: [{ segment: 'app', own: 3, foreign: 2, damaged: 0, tagsUnjudged: 0 }] },
    'problem',
    /2 of 5 sampled/,
    /same codec/,
  ],
  ['codecs', { samples: [{ segment: 'app', own: 0, foreign: 2, damaged: 0, tagsUnjudged: 0 }] }, 'ok', /"app"/],
  [
    'damage',
    { samples: [{ segment: 'app', own: 0, foreign: 0, damaged: 2, tagsUnjudged: 1 }] },
    'warning',
    /app: 3/,
    /verify app/,
  ],
  [
    'remove-ipc',
    { logind: { removesIpc: true, lingers: false, lastSystemUser: 999 } },
    'warning',
    /ada ends/,
    /enable-linger ada/,
  ],
  ['remove-ipc', { logind: { removesIpc: false, lingers: false, lastSystemUser: 999 } }, 'ok', /RemoveIPC=no/],
  ['remove-ipc', { logind: { removesIpc: true, lingers: true, lastSystemUser: 999 } }, 'ok', /lingers/],
  ['remove-ipc', { logind: { removesIpc: true, lingers: false, lastSystemUser: 1000 } }, 'ok', /system user/],
  ['container', { container: 'docker' }, 'ok', /\/dev\/shm is that of the container alone/],
  [
    'pm2-memory',
    { pm2: [{ pid: 12, segment: 'app', name: 'api', limit: 150 * MIB }] },
    'problem',
    /"api" \(12\) has max_memory_restart 150 MiB/,
    /'214M'/,
  ],
  ['pm2-memory', { pm2: [{ pid: 12, segment: 'app', name: 'api', limit: undefined }] }, 'ok', /1 process of PM2/],
]

test('on a machine on which all is well, every check that applies is ok', (t) => {
  const findings = judge(WELL)
  t.deepEqual(
    findings.filter(({ verdict }) => verdict !== 'ok'),
    [],
  )
  t.true(findings.length > 10)
  t.is(new Set(CHECKS.map(({ id }) => id)).size, CHECKS.length)
})

for (const [index, [id, changes, verdict, finding, fix]] of CASES.entries()) {
  test(`check ${id}, case ${index}: ${verdict}`, (t) => {
    const found = judge({ ...WELL, ...changes }).find((check) => check.id === id)
    t.is(found?.verdict, verdict)
    t.regex(found?.finding ?? '', finding)
    if (fix === undefined) t.is(found?.fix, undefined)
    else t.regex(found?.fix ?? '', fix)
  })
}

test('every check has a case with a fix, or is never more than ok', (t) => {
  const fixed = new Set(CASES.filter(([, , , , fix]) => fix !== undefined).map(([id]) => id))
  t.deepEqual(
    CHECKS.map(({ id }) => id).filter((id) => !fixed.has(id)),
    ['container'],
  )
})

// ---- the real thing

async function finding(
  t: ExecutionContext,
  id: string,
  args: string[] = [],
  env: NodeJS.ProcessEnv = {},
): Promise<Report['checks'][number]> {
  const { checks } = await json<Report>(t, ['doctor', ...args], { env })
  const found = checks.find((check) => check.id === id)
  if (found === undefined) throw new Error(`no check ${id}`)
  return found
}

test.serial('doctor prints a line for each check, and its exit code follows the verdict', async (t) => {
  const directory = temporaryDirectory(t)
  const { out, code } = await run(t, ['doctor', '--directory', directory])
  t.regex(out, /^ok +Node\.js: Node\.js \d+/m)
  t.regex(out, /^ok +native addon: loaded, version \d/m)
  t.regex(out, /\n\d+ checks: \d+ problems, \d+ warnings\.\n$/)
  const report = await json<Report>(t, ['doctor', '--directory', directory])
  t.is(code, report.verdict === 'problem' ? 1 : 0)
  t.true(report.checks.every(({ verdict, fix }) => (verdict === 'ok') === (fix === null)))
})

test.serial('a left-over segment', async (t) => {
  const directory = temporaryDirectory(t)
  const cache = openCache(t, { directory })
  t.like(await finding(t, 'left-over', ['-d', directory]), { verdict: 'ok' })
  cache.close()
  const found = await finding(t, 'left-over', ['-d', directory])
  t.is(found.verdict, 'warning')
  t.true(found.finding.includes(cache.name))
  t.true(found.fix?.endsWith(`cache-machine destroy ${cache.name}`))
})

testIf(canMount).serial('a full tmpfs', async (t) => {
  const directory = smallFileSystem(t, '4m')
  openCache(t, { directory, size: '3mb' })
  t.like(await finding(t, 'folder-size', ['-d', directory]), { verdict: 'ok' })
  writeFileSync(join(directory, 'filler'), Buffer.alloc(2 * MIB))
  try {
    for (;;) writeFileSync(join(directory, 'rest'), Buffer.alloc(65_536), { flag: 'a' })
  } catch {
    // Full.
  }
  const found = await finding(t, 'folder-size', ['-d', directory])
  t.is(found.verdict, 'problem')
  t.regex(found.finding, /has 4 MiB, .* are free/)
  t.is((await run(t, ['doctor', '-d', directory])).code, 1)
})

testIf(isRoot).serial('a name that another user has squatted', async (t) => {
  const directory = temporaryDirectory(t)
  const cache = openCache(t, { directory })
  const { path } = segments.inspect(cache.name, { directory }) ?? { path: '' }
  const squatted = path.replace(cache.name, 'squatted')
  writeFileSync(squatted, '', { mode: 0o600 })
  t.true(works('chown', String(UNPRIVILEGED), squatted))
  const found = await finding(t, 'squatted-names', ['-d', directory])
  t.is(found.verdict, 'problem')
  t.true(found.finding.includes(squatted) && found.finding.includes(String(UNPRIVILEGED)), found.finding)
})

test.serial('a process that is suspended by SIGSTOP', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  const app = fork(t, 'operations', { name, directory, size: SMALL })
  await app.next()
  t.like(await finding(t, 'suspended', ['-d', directory]), { verdict: 'ok' })
  app.kill('SIGSTOP')
  await isSuspended(app.process.pid)
  const found = await finding(t, 'suspended', ['-d', directory])
  t.is(found.verdict, 'problem')
  t.true(found.fix?.includes(`kill -CONT ${app.process.pid}`))
})

test.serial('values of a wrong codec', async (t) => {
  const directory = temporaryDirectory(t)
  const codec = { id: 100, encode: (value: unknown) => Buffer.from(String(value)), decode: String }
  const cache = openCache(t, { directory })
  cache.set('ours', { a: 1 })
  openCache(t, { name: cache.name, directory, codec }).set('theirs', { a: 1 })
  t.like(await finding(t, 'codecs', ['-d', directory]), { verdict: 'problem' })
})

test.serial('the memory limit of PM2 in the environment of a worker', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  // As PM2 starts a worker.
  const wrapper = ['env', 'pm_id=0', 'name=api', `max_memory_restart=${100 * MIB}`]
  const app = fork(t, 'operations', { name, directory, size: SMALL }, { wrapper })
  await app.next()
  const found = await finding(t, 'pm2-memory', ['-d', directory])
  t.is(found.verdict, 'problem')
  t.regex(found.finding, new RegExp(`"api" \\(${app.process.pid}\\) has max_memory_restart 100 MiB`))
  // In cluster mode it is JSON.
  const settings = JSON.stringify({ name: 'web', max_memory_restart: 50 * MIB })
  const worker = fork(t, 'operations', { name, directory, size: SMALL }, { wrapper: ['env', `pm2_env=${settings}`] })
  await worker.next()
  app.kill()
  await app.exit
  t.regex((await finding(t, 'pm2-memory', ['-d', directory])).finding, /"web" .* 50 MiB/)
  t.deepEqual(
    [memoryOf('300M'), memoryOf('1G'), memoryOf('5'), memoryOf('lots'), memoryOf(undefined)],
    [300 * MIB, 2 ** 30, 5, undefined, undefined],
  )
})

test.serial('doctor works without the native addon, and says why it is missing', async (t) => {
  const env = { CACHE_MACHINE_NATIVE: '/no/such/file.node' }
  const found = await finding(t, 'native-addon', [], env)
  t.is(found.verdict, 'problem')
  t.true(found.finding.includes('/no/such/file.node'), found.finding)
  const { code, err } = await run(t, ['list'], { env })
  t.is(code, 1)
  t.regex(err, /ERR_NATIVE_UNAVAILABLE/)
  t.like(await finding(t, 'engine', [], { CACHE_MACHINE_ENGINE: 'portable' }), { verdict: 'warning' })
})

test('the settings of logind, with the last file that sets one', (t) => {
  const folder = temporaryDirectory(t)
  t.is(logindFacts(folder), undefined)
  const write = (path: string, text: string): void => {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  write('run/systemd/system/here', '')
  t.like(logindFacts(folder), { removesIpc: true, lingers: false, lastSystemUser: 999 })
  write('etc/systemd/logind.conf', '[Login]\n#RemoveIPC=yes\nRemoveIPC=no\n')
  write('etc/login.defs', 'SYS_UID_MAX  499\n')
  t.like(logindFacts(folder), { removesIpc: false, lastSystemUser: 499 })
  write('etc/systemd/logind.conf.d/50-keep.conf', '[Login]\nRemoveIPC=yes\n')
  t.like(logindFacts(folder), { removesIpc: true })
})

testIf(isRoot && works('unshare', '-m', 'true')).serial('RemoveIPC on a machine with logind', async (t) => {
  const script =
    'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system /run/systemd/logind.conf.d && ' +
    'echo "[Login]\nRemoveIPC=yes" > /run/systemd/logind.conf.d/x.conf && exec "$@"'
  const { out } = await run(t, ['doctor', '--json'], { wrapper: ['unshare', '-m', 'sh', '-c', script, 'sh'] })
  const { checks } = JSON.parse(out) as Report
  // Root is a system user.
  t.regex(checks.find(({ id }) => id === 'remove-ipc')?.finding ?? '', /the user 0 is a system user/)
})

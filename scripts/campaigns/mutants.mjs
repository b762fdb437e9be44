/**
 * `npm run mutants`: removes one defence at a time, and shows that a test notices.
 *
 *   npm run mutants                       all
 *   npm run mutants -- --only fence,near  the mutants with one of these in their id or name
 *   npm run mutants -- --jobs 2           two at a time, each in a copy of its own
 *
 * Each mutant of `mutant-list.mjs` changes a line or two in a copy of the sources. It fails when its marker is gone or stands
 * twice, when its text is not found below the marker, when the tests do not compile, or when all of them pass. A suite ends
 * with its first failed test. The last line is the sum.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { mutants } from './mutant-list.mjs'
import { findPlace } from './mutant-places.mjs'
import { addonBuild, capture, ensureBuild, ensureDependencies, root } from '../setup.mjs'

const minutes = 60_000

/** A line of cargo or AVA about a failed test. */
const FAILED_TEST = /^test .* FAILED$|^ +✘ \[fail\]/m

/** Suites by name: the arguments of `cargo test` with its environment, or the spec that AVA runs. */
const suites = {
  crash: { args: ['-p', 'cache-machine-core', '--features', 'kill-steps', '--test', 'crash'] },
  processes: { args: ['-p', 'cache-machine-core', '--features', 'kill-steps', '--test', 'processes'] },
  bounds: { args: ['-p', 'cache-machine-core', '--features', 'kill-steps', '--test', 'bounds'] },
  divisions: { args: ['-p', 'cache-machine-core', '--features', 'kill-steps', '--test', 'processes', 'divided'] },
  linearizable: { args: ['-p', 'cache-machine-core', '--features', 'kill-steps', '--test', 'linearizable'] },
  cache: { args: ['-p', 'cache-machine-core', '--test', 'cache'] },
  interface: { args: ['-p', 'cache-machine-core', '--test', 'interface'] },
  units: { args: ['-p', 'cache-machine-core', '--lib'] },
  hostile: { args: ['-p', 'cache-machine-core', '--test', 'hostile'] },
  queues: { args: ['-p', 'cache-machine-core', '--test', 'queues'] },
  transactions: { args: ['-p', 'cache-machine-core', '--test', 'transactions'] },
  gates: { args: ['-p', 'cache-machine-core', '--test', 'gates'] },
  permits: { args: ['-p', 'cache-machine-core', '--test', 'permits'] },
  snapshots: { args: ['-p', 'cache-machine-core', '--test', 'snapshots'] },
  flights: { args: ['-p', 'cache-machine-core', '--test', 'flights'] },
  regions: { args: ['-p', 'cache-machine-core', '--features', 'kill-steps', '--test', 'regions'] },
  segment: { args: ['-p', 'cache-machine-shm', '--test', 'segment'] },
  loom: {
    args: ['-p', 'cache-machine-shm', '--release', '--test', 'model'],
    env: { RUSTFLAGS: '--cfg cache_machine_loom' },
    target: 'loom',
  },
  near: { spec: '__test__/**/near-cache.spec.ts' },
  lock: { spec: '__test__/**/lock.spec.ts' },
  groups: { spec: '__test__/**/groups.spec.ts' },
  engines: { spec: '__test__/engines/*.spec.ts' },
}

const { values: options } = parseArgs({ options: { only: { type: 'string' }, jobs: { type: 'string', default: '1' } } })
process.exitCode = await main()

async function main() {
  await ensureDependencies()
  await ensureBuild()
  const parts = options.only?.split(',') ?? ['']
  const chosen = mutants.filter(({ id, name }) => parts.some((part) => `${id} ${name}`.includes(part)))
  const counts = { caught: 0, alive: 0 }
  const queue = chosen.values()
  await Promise.all(Array.from({ length: Number(options.jobs) }, (_, job) => judgeAll(queue, job, counts)))
  console.log(`${counts.caught} passed, ${counts.alive} failed`)
  return counts.alive === 0 && counts.caught > 0 ? 0 : 1
}

/** Judges mutants of the queue, which other jobs share, until it is empty. */
async function judgeAll(queue, job, counts) {
  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-mutants-'))
  // Shared by all mutants and runs, so that only the changed crate is compiled again.
  const targets = join(root, 'target/mutants', ...(job === 0 ? [] : [`job-${job}`]))
  try {
    // Specs of several users run programs of this folder as other users.
    chmodSync(folder, 0o755)
    copySources(folder)
    for (const mutant of queue) {
      const start = performance.now()
      const verdict = await judge(mutant, folder, targets)
      counts[verdict.isCaught ? 'caught' : 'alive']++
      const seconds = ((performance.now() - start) / 1000).toFixed(0)
      console.log(`${verdict.isCaught ? 'caught' : 'ALIVE '}  ${mutant.name}: ${verdict.by} (${seconds} s)`)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Copies the sources as they are in the working tree. The specs use the installed dependencies. */
function copySources(folder) {
  const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root })
  const wanted = /^(crates\/|lib\/|__test__\/|Cargo\.|rustfmt|index\.|testing\.|package\.json|tsconfig|ava\.config)/
  for (const file of `${tracked}`.split('\0').filter((name) => wanted.test(name))) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    cpSync(join(root, file), join(folder, file))
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
}

async function judge({ id, from, to, caught }, folder, targets) {
  const place = findPlace(folder, { id, from })
  if (place.problem !== undefined) return { isCaught: false, by: place.problem }
  const { path, sound, at } = place
  writeFileSync(path, sound.slice(0, at) + to + sound.slice(at + from.length))
  try {
    for (const suite of caught) {
      const verdict = await runSuite(suite, folder, targets, path.startsWith(join(folder, 'crates')))
      if (verdict !== 'passed') return { isCaught: verdict !== 'did not compile', by: `${suite} ${verdict}` }
    }
    return { isCaught: false, by: `${caught.join(', ')} passed` }
  } finally {
    writeFileSync(path, sound)
  }
}

/** Gives the command its own `/dev/shm` and process numbers, as root: a broken test leaves segments and processes behind. */
function isolated(command) {
  if (process.getuid() !== 0) return [command[0], command.slice(1)]
  const namespaces = ['--mount', '--mount-proc', '--pid', '--fork', '--kill-child']
  return ['unshare', [...namespaces, 'sh', '-c', 'mount -t tmpfs tmpfs /dev/shm && exec "$@"', 'sh', ...command]]
}

/** Returns passed, failed, hung, or did not compile. A test that hangs counts as having noticed the mutant. */
async function runSuite(name, folder, targets, isInRust) {
  const { args, spec, env = {}, target = 'debug' } = suites[name]
  const common = {
    cwd: folder,
    env: { ...env, CARGO_TARGET_DIR: join(targets, target), RUST_BACKTRACE: '0' },
  }
  const built =
    spec === undefined
      ? await cargo(['test', '--quiet', '--no-run', ...args], common)
      : await makeAddon(common, isInRust)
  if (!built) return 'did not compile'
  const command = spec === undefined ? ['cargo', 'test', ...args] : [join(root, 'node_modules/.bin/ava'), spec]
  const firstFailure = new AbortController()
  let rest = ''
  function onOutput(text) {
    rest += text
    if (FAILED_TEST.test(rest)) firstFailure.abort()
    rest = rest.slice(rest.lastIndexOf('\n') + 1)
  }
  const { signal } = firstFailure
  const { code } = await capture(...isolated(command), { ...common, timeout: 4 * minutes, signal, onOutput })
  if (signal.aborted) return 'failed'
  if (code === 'timeout') return 'hung'
  return code === 0 ? 'passed' : 'failed'
}

async function cargo(args, common) {
  const { code } = await capture('cargo', args, { ...common, timeout: 10 * minutes })
  return code === 0
}

/** Provides the addon for the specs: the built one, or one built from the mutant. */
async function makeAddon(common, isInRust) {
  const native = join(common.cwd, 'native')
  rmSync(native, { recursive: true, force: true })
  cpSync(join(root, 'native'), native, { recursive: true })
  if (!isInRust) return true
  const { code } = await capture(join(root, 'node_modules/.bin/napi'), addonBuild, { ...common, timeout: 10 * minutes })
  return code === 0
}

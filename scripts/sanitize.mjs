/**
 * `npm run sanitize`: the Rust tests under AddressSanitizer and under ThreadSanitizer, and the addon under valgrind.
 *
 *   npm run sanitize                   all: half an hour on two cores, most of it compiling
 *   npm run sanitize -- --only thread  address, thread or memcheck
 *
 * The sanitizers are switched on in the stable compiler. Its standard library is not instrumented, and ThreadSanitizer sees the
 * threads of one process on one mapping: what processes do to each other is loom's and the models' part. Left out are the tests
 * that end their processes by force at every step: a sanitizer has nothing to say of a process that is dead.
 *
 * The thing to get wrong: a report that nobody sees. A sanitizer ends the process with its own code, so the test fails.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies, root } from './setup.mjs'

const target = 'x86_64-unknown-linux-gnu'
/**
 * The unit tests of both crates, and these files. Not `crash`, `processes`, `linearizable` and `regions`: see above; nor `hostile`
 * and `hit_ratio`, which are long enough without.
 */
const files = {
  'cache-machine-shm': ['segment'],
  'cache-machine-core': ['cache', 'interface', 'feed', 'flights', 'limits', 'metrics', 'turns', 'region'],
}

/** `without`: files, and tests by a part of their names, with the reason. */
const sanitizers = {
  address: {
    flags: '-Zsanitizer=address',
    // Children that end by force leave memory behind. SIGBUS and SIGSEGV are the tests' own matter.
    env: { ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:allow_user_segv_handler=1' },
    without: { memory_is_pinned: 'limits the address space, of which the sanitizer needs terabytes' },
  },
  thread: {
    flags: '-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer',
    // One test after the other: a contended lock is taken inside the standard library, and what it guards counts as unguarded.
    oneByOne: true,
    env: { TSAN_OPTIONS: `halt_on_error=1:suppressions=${join(root, 'scripts/sanitize-thread.txt')}` },
    without: {
      memory_is_pinned: 'limits the address space, of which the sanitizer needs terabytes',
      truncat: 'hangs: it seems that the fault comes inside the sanitizer, which does the atomic access itself',
      who_waits: 'begins waits while the background thread looks for some: the lock between them is contended',
      feed: 'its listeners wait by condition variables, which lock again inside the standard library, unseen',
    },
  },
}

const { values: options } = parseArgs({ options: { only: { type: 'string' } } })
const results = []

await ensureDependencies()
for (const name of Object.keys(sanitizers)) if (isWanted(name)) results.push(...underSanitizer(name))
if (isWanted('memcheck')) results.push(await underValgrind())

const failed = results.filter((result) => !result).length
console.log(`\n${results.length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 && results.length > 0 ? 0 : 1

function isWanted(name) {
  return options.only === undefined || options.only === name
}

function underSanitizer(name) {
  const { flags, env, without, oneByOne = false } = sanitizers[name]
  for (const [what, reason] of Object.entries(without)) console.log(`${name}, without ${what}: ${reason}`)
  const choice = Object.keys(without).flatMap((part) => ['--skip', part])
  if (oneByOne) choice.push('--test-threads=1')
  return Object.entries(files).map(([crate, all]) => {
    const tests = all.filter((file) => !(file in without)).flatMap((file) => ['--test', file])
    const build = ['--target', target, '--target-dir', `target/${name}`, '-p', crate]
    const args = ['test', '--no-fail-fast', ...build, '--lib', ...tests, '--', ...choice]
    return run(`${name}: ${crate}`, 'cargo', args, {
      RUSTC_BOOTSTRAP: '1',
      RUSTFLAGS: `${flags} --cfg cache_machine_sanitized`,
      ...env,
    })
  })
}

/**
 * Reads and writes of memory that is not ours, in a program that makes every call. Of values that were never written valgrind is
 * not to tell: V8 reads its own in earnest, and what comes out of a mapping counts as written.
 */
async function underValgrind() {
  await ensureBuild()
  const valgrind = ['--quiet', '--undef-value-errors=no', '--error-exitcode=99', '--smc-check=all-non-file']
  const node = [process.execPath, '--jitless', '--import', '@oxc-node/core/register', '__test__/children/all-calls.ts']
  return run('memcheck: the addon', 'valgrind', [...valgrind, ...node])
}

function run(title, command, args, env = {}) {
  console.log(`\n${title}`)
  const { status, error } = spawnSync(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: 'inherit' })
  if (error !== undefined) console.log(`${command}: ${error.message}`)
  console.log(`${title}: ${status === 0 ? 'passed' : 'FAILED'}`)
  return status === 0
}

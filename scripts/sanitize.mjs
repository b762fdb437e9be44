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
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies, root } from './setup.mjs'

const target = 'x86_64-unknown-linux-gnu'
/** Of both crates; `hostile` and `hit_ratio` are long enough already, and what limits the address space leaves no room for a sanitizer. */
const rustTests = {
  'cache-machine-shm': ['--lib', '--test', 'segment', '--', '--skip', 'memory_is_pinned'],
  'cache-machine-core': [
    '--lib',
    ...tests('cache', 'interface', 'feed', 'flights', 'limits', 'metrics', 'turns', 'region'),
  ],
}

const sanitizers = {
  address: {
    flags: '-Zsanitizer=address',
    env: { ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:allow_user_segv_handler=1' },
  },
  thread: {
    flags: '-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer',
    env: { TSAN_OPTIONS: 'halt_on_error=1' },
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

function tests(...names) {
  return names.flatMap((name) => ['--test', name])
}

function underSanitizer(name) {
  const { flags, env } = sanitizers[name]
  return Object.entries(rustTests).map(([crate, args]) =>
    run(
      `${name}: ${crate}`,
      'cargo',
      ['test', '--target', target, '--target-dir', `target/${name}`, '-p', crate, ...args],
      {
        RUSTC_BOOTSTRAP: '1',
        RUSTFLAGS: flags,
        ...env,
      },
    ),
  )
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

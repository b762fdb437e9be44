/**
 * `npm run sanitize`: the Rust tests under AddressSanitizer and ThreadSanitizer, and the addon under valgrind.
 *
 *   npm run sanitize                   all: half an hour on two cores, mainly compile time
 *   npm run sanitize -- --only thread  address, thread or memcheck
 *
 * The sanitizers are enabled in the stable compiler, so the standard library is not instrumented. ThreadSanitizer
 * sees the threads of one process on one mapping; loom and the models check what processes do to each other. Tests
 * that kill their processes are left out: a sanitizer reports nothing about a killed process. So are the tests of
 * loom, and tests that take very long.
 *
 * A sanitizer that finds something ends the process with its own exit code, so that the test fails.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies, root } from '../setup.mjs'
import { testFilesOf } from './cargo-tests.mjs'
import { committedFiles } from './files.mjs'

const target = 'x86_64-unknown-linux-gnu'

/** Test files that run too long under a sanitizer, or only concern the kill steps. */
const LEFT_OUT = ['hostile', 'hit_ratio', 'steps']

/** `without`: test files and parts of test names that are left out, each with the reason. */
const sanitizers = {
  address: {
    flags: '-Zsanitizer=address',
    // Killed children leave memory behind. The tests handle SIGBUS and SIGSEGV themselves.
    env: { ASAN_OPTIONS: 'detect_leaks=0:handle_segv=0:allow_user_segv_handler=1' },
    without: { memory_is_pinned: 'limits the address space, of which the sanitizer needs terabytes' },
  },
  thread: {
    flags: '-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer',
    // One test at a time: a contended lock is taken inside the standard library, and the memory that it guards then
    // counts as unguarded.
    oneByOne: true,
    env: { TSAN_OPTIONS: `halt_on_error=1:suppressions=${join(root, 'scripts/verify/sanitize-thread.txt')}` },
    without: {
      memory_is_pinned: 'limits the address space, of which the sanitizer needs terabytes',
      truncat: 'hangs: probably the fault arises inside the sanitizer, which does the atomic access itself',
      panic_of_the_background_thread:
        'begins waits while the background thread reads them: the lock between them is contended',
      overtakes: 'begins waits while the background thread reads them, as above',
      feed: 'its listeners wait on condition variables, which lock inside the standard library, unseen',
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
  for (const [part, reason] of Object.entries(without)) {
    if (!isThere(part))
      throw new Error(`No test is named ${part} any more: change \`without\` in scripts/verify/sanitize.mjs`)
    console.log(`${name}, without ${part}: ${reason}`)
  }
  const choice = Object.keys(without).flatMap((part) => ['--skip', part])
  if (oneByOne) choice.push('--test-threads=1')
  return ['shm', 'core'].map((crate) => {
    const tests = testsOf(crate).filter((file) => !(file in without))
    const build = ['--target', target, '--target-dir', `target/${name}`, '-p', `cache-machine-${crate}`]
    const chosen = tests.flatMap((file) => ['--test', file])
    const args = ['test', '--no-fail-fast', ...build, '--lib', ...chosen, '--', ...choice]
    return run(`${name}: ${crate}`, 'cargo', args, {
      RUSTC_BOOTSTRAP: '1',
      RUSTFLAGS: `${flags} --cfg cache_machine_sanitized`,
      ...env,
    })
  })
}

/** The test files that a sanitizer can say something about. */
function testsOf(crate) {
  return testFilesOf(`crates/${crate}`)
    .filter(({ needsKillSteps, needsLoom }) => !needsKillSteps && !needsLoom)
    .map(({ name }) => name)
    .filter((name) => !LEFT_OUT.includes(name))
}

/** Whether a test file has this name, or a test has it in its name. */
function isThere(part) {
  const isFile = ['shm', 'core'].some((crate) => testsOf(crate).includes(part))
  return isFile || spawnSync('grep', ['-rqE', `fn \\w*${part}`, 'crates'], { cwd: root }).status === 0
}

/**
 * Reads and writes of foreign memory, by the addon, in a program that makes every call. Reports about uninitialised
 * values are off: V8 reads such values on purpose, and mapped memory counts as initialised.
 */
async function underValgrind() {
  await ensureBuild()
  const valgrind = ['--quiet', '--undef-value-errors=no', '--error-exitcode=99', '--smc-check=all-non-file']
  const node = [process.execPath, '--jitless', '--import', './__test__/helpers/typescript.mjs', programPath()]
  return run('memcheck: the addon', 'valgrind', [...valgrind, ...node])
}

/** The program may be in any folder of __test__. */
function programPath() {
  const path = committedFiles().find((file) => /^__test__\/.*\ball-calls\.ts$/.test(file))
  if (path === undefined) throw new Error('There is no all-calls.ts in __test__ any more')
  return path
}

function run(title, command, args, env = {}) {
  console.log(`\n${title}`)
  const { status, error } = spawnSync(command, args, { cwd: root, env: { ...process.env, ...env }, stdio: 'inherit' })
  if (error !== undefined) console.log(`${command}: ${error.message}`)
  console.log(`${title}: ${status === 0 ? 'passed' : 'FAILED'}`)
  return status === 0
}

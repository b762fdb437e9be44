/**
 * `npm run fuzz`: gives hostile and random inputs to every target for a given time.
 *
 *   npm run fuzz                       every target for 60 seconds
 *   npm run fuzz -- --seconds 1800     every target for half an hour
 *   npm run fuzz -- --only extents     the targets with this in their name
 *   npm run fuzz -- --jobs 2           two targets at once
 *   npm run fuzz -- --seed 7           this seed; by default it is random, and it is printed
 *
 * The Rust targets (crates/core/fuzz) run under libFuzzer with AddressSanitizer. A stable toolchain builds them:
 * RUSTC_BOOTSTRAP allows the unstable flags, and the crate libfuzzer-sys contains libFuzzer, which needs a C++
 * compiler. Without a C++ compiler these targets are skipped by name. The JavaScript targets are in fuzz/.
 *
 * A run starts from the inputs that earlier runs kept in target/fuzz/corpus. An input that makes a target fail is
 * kept in target/fuzz/crashes; turn it into a test. The last line is the sum.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { capture, ensureBuild, ensureDependencies, isMain, root } from '../setup.mjs'

const rustTargets = ['cache_vs_model', 'extents', 'flipped_segment', 'open_garbage']
const scriptTargets = ['codecs', 'options']

const folder = join(root, 'target/fuzz')
const minutes = 60_000

/**
 * The flags of cargo-fuzz without the tracing of comparisons, which makes a walk over a shard take five times as
 * long.
 */
const flags = [
  '-Zsanitizer=address',
  '-Cpasses=sancov-module',
  '-Cllvm-args=-sanitizer-coverage-level=4',
  '-Cllvm-args=-sanitizer-coverage-inline-8bit-counters',
  '-Cllvm-args=-sanitizer-coverage-pc-table',
  '--cfg fuzzing',
  '--cfg cache_machine_sanitized',
  '-Dwarnings',
]

/**
 * These targets reopen segments all the time. LeakSanitizer sometimes reports memory that is referenced only from the
 * stack of a new background thread, so it is off for them. The memory limit still applies to them.
 */
const reopening = ['flipped_segment', 'open_garbage']

/**
 * Options for short runs. At most 256 bytes are about thirty operations; longer inputs would mean fewer executions.
 * Inputs grow sooner than by default, since a fault that takes a dozen operations would not be found within a minute
 * otherwise. Long runs use the defaults of libFuzzer: more executions, and longer inputs at the end.
 */
const quickGrowth = ['-max_len=256', '-len_control=10']
/** A run of at least so many seconds for each target is a long one. */
const LONG_RUN_SECONDS = 600

/**
 * Builds the targets and runs each of them. The package must be built.
 *
 * @param {{ seconds: number, only?: string, seed: number, jobs?: number, log?: (line: string) => void }} options
 *   `seconds`: for each target; `jobs`: how many targets run at once.
 * @returns {Promise<{ passed: number, failed: number, skipped: string[], output: string }>}
 */
export async function runFuzz({ seconds, only = '', seed, jobs = 1, log = console.log }) {
  const wanted = (names) => names.filter((name) => name.includes(only))
  const sum = { passed: 0, failed: 0, skipped: [], output: '' }
  const note = ({ name, problem, executions }) => {
    log(`  ${name}: ${problem === undefined ? `${executions} executions` : 'FAILED'} (seed ${seed})`)
    sum[problem === undefined ? 'passed' : 'failed'] += 1
    sum.output +=
      problem === undefined ? `${name}: ${executions} executions\n` : `${name} failed, seed ${seed}\n${problem}\n`
  }

  const compiled = wanted(rustTargets)
  const obstacle = compiled.length > 0 ? await build() : undefined
  if (obstacle?.skip) sum.skipped.push(...compiled.map((name) => `${name}: ${obstacle.skip}`))
  else if (obstacle) note({ name: 'the build of the targets', problem: obstacle.problem })
  const runs = obstacle ? [] : compiled.map((name) => () => runCompiled(name, seconds, seed))
  runs.push(...wanted(scriptTargets).map((name) => () => runScript(name, seconds, seed)))
  const work = async () => {
    for (let run = runs.shift(); run; run = runs.shift()) note(await run())
  }
  await Promise.all(Array.from({ length: jobs }, work))
  return sum
}

/**
 * Builds the Rust targets. Returns the obstacle if it cannot: `skip` is a reason to skip them, `problem` is a
 * failure.
 */
async function build() {
  const { code: compiler } = await capture('c++', ['--version'])
  if (compiler !== 0) return { skip: 'there is no C++ compiler' }
  const manifest = ['--manifest-path', 'crates/core/fuzz/Cargo.toml', '--locked']
  const args = ['build', '--release', ...manifest, '--target', await host(), '--target-dir', folder]
  const env = { RUSTC_BOOTSTRAP: '1', RUSTFLAGS: flags.join(' '), CARGO_TERM_COLOR: 'never' }
  const { code, output } = await capture('cargo', args, { env, timeout: 30 * minutes })
  return code === 0 ? undefined : { problem: output }
}

async function host() {
  const { output } = await capture('rustc', ['-vV'])
  return /^host: (.+)$/m.exec(output)?.[1] ?? 'x86_64-unknown-linux-gnu'
}

/** The target keeps its segments in a temporary folder, in memory if the system has /dev/shm. */
async function runCompiled(name, seconds, seed) {
  const segments = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'cache-machine-fuzz-'))
  const corpus = join(folder, 'corpus', name)
  const crashes = join(folder, 'crashes', name)
  for (const path of [corpus, crashes]) mkdirSync(path, { recursive: true })
  try {
    const limits = [`-max_total_time=${seconds}`, '-timeout=20', '-rss_limit_mb=2048', `-seed=${seed}`]
    if (reopening.includes(name)) limits.push('-detect_leaks=0')
    if (seconds < LONG_RUN_SECONDS) limits.push(...quickGrowth)
    const args = [...limits, '-verbosity=0', '-print_final_stats=1', `-artifact_prefix=${crashes}/`, corpus]
    const env = { FUZZ_DIRECTORY: segments }
    const timeout = seconds * 1000 + 5 * minutes
    const { code, output } = await capture(join(folder, await host(), 'release', name), args, { env, timeout })
    return outcome(name, code, output, /^stat::number_of_executed_units: (\d+)$/m)
  } finally {
    rmSync(segments, { recursive: true })
  }
}

async function runScript(name, seconds, seed) {
  // Little memory, so that a decoder that allocates too much fails.
  const args = [
    '--max-old-space-size=512',
    `scripts/campaigns/fuzz/${name}.mjs`,
    '--seconds',
    `${seconds}`,
    '--seed',
    `${seed}`,
  ]
  const { code, output } = await capture(process.execPath, args, { timeout: seconds * 1000 + 5 * minutes })
  return outcome(name, code, output, /^executions: (\d+)$/m)
}

function outcome(name, code, output, count) {
  const executions = Number(count.exec(output)?.[1] ?? 0)
  if (code === 0 && executions > 0) return { name, executions }
  return { name, problem: `${output.slice(-8000)}\n${name} ended with ${code}` }
}

async function main() {
  const names = ['seconds', 'only', 'seed', 'jobs']
  const { values } = parseArgs({ options: Object.fromEntries(names.map((name) => [name, { type: 'string' }])) })
  await ensureDependencies()
  await ensureBuild()
  const seed = Number(values.seed ?? 1 + Math.floor(Math.random() * 2 ** 31))
  const [seconds, jobs] = [Number(values.seconds ?? 60), Number(values.jobs ?? 1)]
  const { passed, failed, skipped, output } = await runFuzz({ only: values.only, seconds, seed, jobs })
  if (failed > 0) console.log(output)
  for (const name of skipped) console.log(`skipped: ${name}`)
  console.log(`${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`)
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1
}

if (isMain(import.meta.url)) await main()

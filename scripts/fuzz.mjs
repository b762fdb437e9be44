/**
 * `npm run fuzz`: hostile and random inputs, as many as there is time for.
 *
 *   npm run fuzz                       every target for 60 seconds
 *   npm run fuzz -- --seconds 1800     for half an hour each
 *   npm run fuzz -- --only extents     those with this in their name
 *   npm run fuzz -- --jobs 2           so many targets at once
 *   npm run fuzz -- --seed 7           the seed; it is printed
 *
 * The targets in Rust (crates/core/fuzz) run under libFuzzer with AddressSanitizer, built by a stable toolchain: what is unstable
 * is allowed by name, and libfuzzer-sys brings libFuzzer, which needs a C++ compiler; where there is none they are skipped by name.
 * Those in JavaScript are in scripts/fuzz. A run goes on from the inputs that the last one kept in target/fuzz/corpus. What makes a
 * target fail is kept in target/fuzz/crashes, and becomes a test of its own.
 * The last line is the sum.
 */
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { capture, ensureBuild, ensureDependencies, root } from './setup.mjs'

const rustTargets = ['cache_vs_model', 'extents', 'flipped_segment', 'open_garbage']
const scriptTargets = ['codecs', 'options']

const folder = join(root, 'target/fuzz')
const minutes = 60_000

/** What cargo-fuzz passes, but for the tracing of comparisons: it makes a walk over a shard five times as long. */
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
 * They open segments again and again, and now and then the sanitizer takes what is on the stack of a new background thread for
 * lost. So no leaks are looked for there; memory that grows ends them all the same.
 */
const reopening = ['flipped_segment', 'open_garbage']

/**
 * For short runs: some thirty operations at most, as more make fewer executions of the same time. But they grow sooner than
 * libFuzzer would let them: what takes a dozen operations is else not found in a minute. A long run grows as libFuzzer has it,
 * which makes more executions, and ends with longer inputs.
 */
const quickGrowth = ['-max_len=256', '-len_control=10']
const LONG = 600

/**
 * Builds the targets and runs each of them. Needs the build of the package.
 *
 * @param {{ seconds: number, only?: string, seed: number, jobs?: number, log?: (line: string) => void }} options `seconds`: for
 *   each target; `jobs`: so many targets at once.
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

/** What keeps the targets from being built, if anything does. */
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

/** Its segments are in a folder of its own, in memory where there is such a place, which is gone afterwards. */
async function runCompiled(name, seconds, seed) {
  const segments = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'cache-machine-fuzz-'))
  const corpus = join(folder, 'corpus', name)
  const crashes = join(folder, 'crashes', name)
  for (const path of [corpus, crashes]) mkdirSync(path, { recursive: true })
  try {
    const limits = [`-max_total_time=${seconds}`, '-timeout=20', '-rss_limit_mb=2048', `-seed=${seed}`]
    if (reopening.includes(name)) limits.push('-detect_leaks=0')
    if (seconds < LONG) limits.push(...quickGrowth)
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
  // Little memory, so that a decoder that takes too much of it shows.
  const args = ['--max-old-space-size=512', `scripts/fuzz/${name}.mjs`, '--seconds', `${seconds}`, '--seed', `${seed}`]
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

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main()

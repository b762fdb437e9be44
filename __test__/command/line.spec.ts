/**
 * The command line: help, mistakes, exit codes, completion, output for people and programs.
 */
import { spawnSync } from 'node:child_process'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { run, program } from '../helpers/command-line.ts'
import {
  COMMANDS,
  KeyCounts,
  Output,
  Progress,
  Reservoir,
  barOf,
  bySimilarity,
  cut,
  duration,
  shownKey,
  similarTo,
  size,
} from '../helpers/internals.ts'
import { openCache, temporaryDirectory } from '../helpers/segment.ts'
import { testIf, works } from '../helpers/system.ts'

test.serial('without a command the program prints its help, and exit code 2', async (t) => {
  const none = await run(t, [])
  t.is(none.code, 2)
  t.is(none.out, '')
  for (const args of [['--help'], ['-h'], ['help']]) {
    const { out, code } = await run(t, args)
    t.is(code, 0)
    t.is(out, none.err)
    for (const { name } of COMMANDS) t.regex(out, new RegExp(`^  ${name} `, 'm'))
    t.true(out.split('\n').every((line) => line.length <= 80))
  }
})

test.serial('every command has help with its options and an example', async (t) => {
  for (const { name, options } of COMMANDS) {
    const { out, code } = await run(t, ['help', name])
    t.is(code, 0)
    for (const option of [...Object.keys(options), 'json', 'directory', 'help'])
      t.true(out.includes(`--${option}`), `${name} --${option}`)
    t.regex(out, /^Usage: cache-machine /)
    t.regex(out, /^Examples:\n {2}\S/m)
    t.regex(out, /^With --json it prints /m)
  }
  t.is((await run(t, ['get', '--help'])).out, (await run(t, ['help', 'get'])).out)
})

test.serial('the version is that of the package, also through a link', async (t) => {
  const link = join(temporaryDirectory(t), 'cache-machine')
  symlinkSync(program, link)
  const { out } = await run(t, ['--version'])
  t.regex(out, /^\d+\.\d+\.\d+/)
  t.is((await run(t, ['--version'], { file: link })).out, out)
})

test.serial('a mistake in the command line is exit code 2, and names what was meant', async (t) => {
  const mistakes: [string[], RegExp][] = [
    [['lst'], /Did you mean "cache-machine list"\?/],
    [['frobnicate'], /See "cache-machine --help"/],
    [['--json', 'list'], /the command comes before the option --json/],
    [['get'], /needs <segment>/],
    [['get', 'app'], /needs <key>/],
    [['get', 'app', 'k', 'x'], /"x" is one argument too many/],
    [['get', 'app', 'k', '--jsn'], /Did you mean --json\?/],
    [['set', 'app', 'k', '-5'], /Write "--" before arguments that begin with "-"/],
    [['get', 'app', 'k', '--json=1'], /--json takes no value/],
    [['get', 'app', 'k', '--namespace'], /--namespace needs a value/],
    [['keys', 'app', '--limit', 'many'], /not a whole number/],
    [['watch', 'app', '--for', 'soon'], /not a duration/],
    [['inspect', 'not a name'], /name must be 1 to 64 characters/],
    [['completion', 'tcsh'], /Pass bash, zsh or fish/],
  ]
  for (const [args, expected] of mistakes) {
    const { code, err, out } = await run(t, args)
    t.is(code, 2, args.join(' '))
    t.regex(err, expected)
    t.is(out, '')
  }
})

test.serial('with --json a failure is a JSON document on standard error', async (t) => {
  const { err, out, code } = await run(t, ['get', 'no-such-segment-here', 'k', '--json'])
  t.is(code, 1)
  t.is(out, '')
  const { error } = JSON.parse(err) as { error: { code: string; message: string; hint: string } }
  t.is(error.code, 'ERR_NO_SEGMENT')
  t.true(error.hint.length > 10)
  const usage = await run(t, ['get', '--json'])
  t.like(JSON.parse(usage.err), { error: { code: 'ERR_USAGE' } })
})

test.serial('output to a pipe has no colours and no characters beyond ASCII', async (t) => {
  const cache = openCache(t)
  cache.set('k', 1)
  for (const args of [
    ['list'],
    ['inspect', cache.name],
    ['stats', cache.name],
    ['doctor'],
    ['keys', cache.name, '--long'],
    ['help'],
  ]) {
    const { out } = await run(t, args, { env: { FORCE_COLOR: '1' } })
    t.regex(out, /^[\n\x20-\x7E]*$/, args.join(' '))
  }
})

test.serial('the completion scripts are right for their shells, and complete the names of segments', async (t) => {
  const { name } = openCache(t)
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { out, code } = await run(t, ['completion', shell])
    t.is(code, 0)
    for (const command of COMMANDS) t.true(out.includes(command.name))
    if (works(shell, '-n', '/dev/null')) {
      const { status, stderr } = spawnSync(shell, ['-n'], { input: out, encoding: 'utf8' })
      t.is(status, 0, stderr)
    }
  }
  const { out: script } = await run(t, ['completion', 'bash'])
  const complete = (words: string): string[] => {
    const list = words.split(' ')
    const probe = `cache-machine() { '${process.execPath}' '${program}' "$@"; }\n${script}
      COMP_WORDS=(${list.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${list.length - 1}; _cache_machine
      printf '%s\\n' "\${COMPREPLY[@]}"`
    return spawnSync('bash', ['-c', probe], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean)
  }
  t.deepEqual(complete('cache-machine ins'), ['inspect'])
  t.deepEqual(complete('cache-machine get --na'), ['--namespace'])
  t.deepEqual(complete('cache-machine completion f'), ['fish'])
  t.deepEqual(complete(`cache-machine get ${name}`), [name])
})

testIf(works('script', '--version')).serial('on a terminal there are colours, unless NO_COLOR is set', async (t) => {
  const { name } = openCache(t)
  const onTerminal = (env: NodeJS.ProcessEnv): string => {
    const command = `'${process.execPath}' '${program}' inspect ${name}`
    return spawnSync('script', ['-qec', command, '/dev/null'], {
      encoding: 'utf8',
      env: { ...process.env, TERM: 'xterm', NO_COLOR: '', ...env },
      input: '',
    }).stdout
  }
  t.true(onTerminal({}).includes('\u001B[32mok\u001B[0m'))
  t.false(onTerminal({ NO_COLOR: '1' }).includes('\u001B'))
  t.false(onTerminal({ TERM: 'dumb' }).includes('\u001B'))
})

// ---- parts

test('sizes and durations for people', (t) => {
  t.deepEqual([0, 1023, 1024, 1536, 150 * 1024, 5 * 2 ** 30, Infinity].map(size), [
    '0 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '150 KiB',
    '5 GiB',
    'unlimited',
  ])
  const times = [0, 999, 1000, 61_000, 3_600_000, 90_061_000, Infinity]
  t.deepEqual(times.map(duration), ['0 ms', '999 ms', '1s', '1m 1s', '1h', '1d 1h', 'never'])
  t.is(cut('abcdefgh', 6), 'abc...')
  t.is(shownKey(Uint8Array.of(0, 255)), '\\x00\\xff')
})

test('a bar is shown after a second, on a terminal only, and removed at the end', (t) => {
  let [written, now] = ['', 0]
  const sink = (isTTY: boolean): Output => new Output({ write: (text) => (written += String(text)), isTTY }, {})
  const progress = new Progress(sink(true), 'work', () => now)
  progress.show(1, 10)
  t.is(written, '')
  now = 2000
  progress.show(5, 10)
  t.true(written.includes('work  [############............] 50 %, 5 of 10, 2 s left'))
  now = 3500
  progress.showTime()
  t.true(written.endsWith('work  3 s'))
  progress.end()
  t.true(written.endsWith('\r\u001B[K'))
  written = ''
  const silent = new Progress(sink(false), 'work', () => now)
  now = 9000
  silent.show(5, 10)
  silent.end()
  t.is(written, '')
  t.is(barOf('work', 5, 0, 1000), 'work  5')
})

test('a sample has each item with the same chance, and a new one begins after it is taken', (t) => {
  const sample = new Reservoir<number>(2, () => 0)
  for (const item of [1, 2, 3, 4]) sample.add(item)
  t.is(sample.seen, 4)
  t.deepEqual(sample.take(), [4, 2])
  t.is(sample.seen, 0)
  t.deepEqual(sample.take(), [])
})

test('counts of keys keep the frequent ones within a bound', (t) => {
  const counts = new KeyCounts(100)
  for (let i = 0; i < 1000; i++) {
    counts.add('hot')
    counts.add(`cold${i}`)
  }
  t.is(counts.top(1)[0]?.[0], 'hot')
  t.true(counts.top(1000).length <= 100)
})

test('similar names', (t) => {
  t.is(similarTo('inspct', ['list', 'inspect']), 'inspect')
  t.is(similarTo('zzz', ['list', 'inspect']), undefined)
  t.is(similarTo('x', []), undefined)
  t.deepEqual(bySimilarity('app', ['other', 'apps', 'ap', 'App']).slice(0, 2).toSorted(), ['App', 'apps'])
})

/**
 * Prints the generated parts of the pages about the command, as JSON: the reference, the exit codes, and a session.
 *
 * `docs.mjs` runs it as `node --import @oxc-node/core/register scripts/verify/command-pages.mjs`, since it imports
 * TypeScript. The session is what the commands really print, on a segment of its own in a temporary folder. Numbers of
 * processes, moments and ages differ from run to run, so they are replaced by fixed ones.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open, segments } from '../../index.ts'
import { exitCodes, reference } from '../../lib/command/reference.ts'
import { root } from '../setup.mjs'

const program = join(root, 'lib/command/main.ts')

/** The session of README.md. */
const SESSION = [
  ['inspect', 'app'],
  ['get', 'app', 'user:1', '--meta'],
  ['keys', 'app', '--tags', 'pages', '--long'],
  ['set', 'app', 'flag', 'true', '--ttl', '10m'],
  ['stats', 'app', '--namespace', 'sessions'],
  ['get', 'ap', 'user:1'],
]

function session() {
  const directory = mkdtempSync(join(tmpdir(), 'cache-machine-'))
  const cache = open({ name: 'app', directory, engine: 'native' })
  try {
    cache.set('user:1', { name: 'Ada', born: new Date('1815-12-10') }, { ttl: '1h', tags: ['people'] })
    // One key with the tag: keys come in no order.
    cache.set('page:/news', '<h1>News</h1>', { ttl: '1h', tags: ['pages'] })
    const sessions = cache.namespace('sessions', { near: false })
    sessions.set('7f3a', { user: 1 }, '20m')
    for (const key of ['7f3a', '7f3a', '7f3a', 'none']) sessions.get(key)
    return SESSION.map((args) => transcript(args, directory)).join('\n')
  } finally {
    cache.close()
    segments.destroy('app', { directory, force: true })
    rmSync(directory, { recursive: true })
  }
}

function transcript(args, directory) {
  const node = ['--import', '@oxc-node/core/register', program, ...args, '--directory', directory]
  const { stdout, stderr } = spawnSync(process.execPath, node, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })
  return `$ npx cache-machine ${args.join(' ')}\n${steady(stdout + stderr, directory)}`
}

/** The same in every run. */
function steady(text, directory) {
  return text
    .replaceAll(directory, '/dev/shm')
    .replaceAll(/\.\d+\.\d+\.app\b/g, '.1.1000.app')
    .replace(/^created .*$/m, 'created   2026-11-30T09:12:04.193Z (3h 25m ago)')
    .replace(/^written .*$/m, 'written  2026-11-30T12:36:50.118Z (41s ago)')
    .replace(/^expires .*$/m, 'expires  2026-11-30T13:36:50.118Z (in 59m 18s)')
    .replace(/^( *)\d+ {2}running .*$/m, ' 4120  running  3h 25m    node /srv/app/server.js')
    .replace(/^ *PID .*$/m, '  PID  STATE    ATTACHED  TITLE')
    .replaceAll(/ +(?:59m \d+s|59m|1h)(?=  page)/g, `  ${'59m 18s'.padStart(9)}`)
    .replace(/^size .*maximum.*$/m, 'size      64 MiB (maximum); 64 MiB can be had here')
    .replace(/^taken .*can be had here$/m, 'taken        4 MiB of 64 MiB that can be had here')
    .replace(/^taken .*so far$/m, 'taken     4 MiB from the system so far')
    .replace(/^layout .*$/m, 'layout    1')
}

console.log(JSON.stringify({ reference: reference(), exitCodes: exitCodes(), session: session() }))

/**
 * Every example runs by itself, prints what its `expected.txt` says, and leaves nothing behind. See examples/README.md.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { regions, segments } from '../../index.ts'
import { asExpected } from '../helpers/expected-output.ts'
import { segmentName } from '../helpers/segment.ts'

const folder = fileURLToPath(new URL('../../examples/', import.meta.url))

const LIMIT_MS = 60_000

/** `npm start` runs these with a daemon. */
const RUN_ELSEWHERE = ['pm2-app']

const examples = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !RUN_ELSEWHERE.includes(entry.name))
  .map(({ name }) => name)

for (const example of examples) {
  // One at a time: an example may start any number of processes.
  test.serial(`examples/${example} prints its expected output, and leaves nothing behind`, async (t) => {
    t.timeout(LIMIT_MS + 30_000)
    const cache = segmentName(t)
    t.teardown(() => {
      for (const region of regions.list()) {
        if (region.cache === cache) regions.destroy(cache, region.name, { force: true })
      }
    })
    const { code, output, errors } = await run(t, example, cache)
    const { found, wanted } = asExpected(output, readFileSync(`${folder}${example}/expected.txt`, 'utf8'))
    t.is(errors, '')
    t.deepEqual(found, wanted)
    t.is(code, 0)
    t.is(segments.inspect(cache), undefined, 'its segment is left')
    t.false(
      regions.list().some((region) => region.cache === cache),
      'a region of it is left',
    )
  })
}

test('each example is in the list and has the files that this spec needs', (t) => {
  t.true(examples.length > 0)
  const list = readFileSync(`${folder}README.md`, 'utf8')
  for (const example of [...examples, ...RUN_ELSEWHERE])
    t.true(list.includes(`(${example}/)`), `${example} is not listed`)
  for (const example of examples) {
    for (const file of ['run.mjs', 'expected.txt'])
      t.true(existsSync(`${folder}${example}/${file}`), `${example}: ${file}`)
  }
})

test('wrong, missing or extra output is not as expected', (t) => {
  const expected = 'worker … waited\nit took … ms (of 10)\n'
  const fine = (output: string): boolean => {
    const { found, wanted } = asExpected(output, expected)
    return found.join('\n') === wanted.join('\n')
  }
  t.true(fine('worker 12 waited\nit took 0.5 ms (of 10)\n'))
  const wrong = [
    '',
    'worker 12 waited\n',
    'worker  waited\nit took 0.5 ms (of 10)\n',
    'it took 0.5 ms (of 10)\nworker 12 waited\n',
    'worker 12 waited\nit took 0.5 ms (of 11)\n',
    'worker 12 waited\nit took 0.5 ms (of 10)\n\n',
    'worker 12 waited\nit took 0.5 ms (of 10)\nand more\n',
    'worker 12\nwaited\nit took 0.5 ms (of 10)\n',
  ]
  for (const output of wrong) t.false(fine(output), output)
})

interface Run {
  readonly code: number | string | null
  readonly output: string
  readonly errors: string
}

/** Runs an example in its own process group, which is killed when the time is up or the test ends. */
async function run(t: ExecutionContext, example: string, cache: string): Promise<Run> {
  const child = spawn(process.execPath, [`${folder}${example}/run.mjs`], {
    env: { ...plainEnvironment(), CACHE_NAME: cache },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const killGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // All of them have ended.
    }
  }
  t.teardown(killGroup)
  const watchdog = setTimeout(killGroup, LIMIT_MS)
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve(status ?? signal))
  })
  clearTimeout(watchdog)
  return { code, output, errors }
}

/** The environment without the variables of the test runner: a user starts an example. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _, NODE_CHANNEL_FD: __, NODE_V8_COVERAGE: ___, ...environment } = process.env
  return environment
}

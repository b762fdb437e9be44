/**
 * `npm start`: the story, with a real PM2 daemon, real cluster workers and real HTTP requests.
 *
 *   npm start                    builds what is not built, tells the story, leaves nothing behind
 *   npm start -- --keep          leaves the app running, and prints how to stop it
 *   npm start -- --stop <folder> stops an app that `--keep` left running
 *   npm start -- --check         installs and builds nothing: for the tests, which have done so
 *
 * Every claim is checked. The exit code is 0 when all claims held and nothing is left.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies } from '../setup.mjs'
import * as chapters from './chapters.mjs'
import { duration } from './format.mjs'
import { Interruption } from './interruption.mjs'
import { Pm2 } from './pm2.mjs'
import { freePorts } from './ports.mjs'
import { Report } from './report.mjs'
import { createRun, endRun, isRun, keepRun, orphanedRuns, segmentOf } from './run.mjs'

const ecosystemFile = fileURLToPath(new URL('../../examples/pm2-app/ecosystem.config.cjs', import.meta.url))
/** Milliseconds for the whole story. */
const MAX_TIME = 90_000

const { values: options } = parseArgs({
  options: { keep: { type: 'boolean' }, check: { type: 'boolean' }, stop: { type: 'string' } },
})

if (process.platform === 'win32') {
  console.error(
    'The story needs Linux or macOS: on Windows all PM2 daemons share one pipe, so it would meet your own daemon.',
  )
  process.exit(1)
}

if (!options.check) await setUp()
// Imported here, since the package may not have been built before.
const { segments } = await import('cache-machine')

process.exitCode = await (options.stop === undefined ? tellStory() : stopStory(options.stop))

async function setUp() {
  try {
    await ensureDependencies({ log: console.log })
    await ensureBuild({ log: console.log })
  } catch (error) {
    console.error(error.message)
    process.exit(1)
  }
}

async function tellStory() {
  const start = performance.now()
  const interruption = new Interruption(MAX_TIME)
  for (const orphan of orphanedRuns()) await endRun(orphan, segments)

  const report = new Report()
  const [port, servicePort] = await freePorts(2)
  const home = createRun()
  const segment = segmentOf(home)
  const url = `http://127.0.0.1:${port}`
  const pm2 = new Pm2(home, { PORT: `${port}`, SERVICE_PORT: `${servicePort}`, CACHE_NAME: segment })

  let finished = false
  let left = []
  try {
    await tellChapters({ url, pm2, report, ecosystemFile, segments, segment, signal: interruption.signal })
    finished = true
  } catch (error) {
    if (interruption.signal.aborted) console.error(`\n${error.message}`)
    else console.error(`\n${error.stack}\n${pm2.lastWords()}`)
    // Ends anything that is still running, such as a load.
    interruption.abort(error)
  } finally {
    if (finished && options.keep) keepRun(home)
    else left = await endRun(home, segments)
  }
  interruption.dispose()

  report.claim(left.length === 0, 'nothing is left', left)
  if (finished) report.chapter(options.keep ? stillRunning(url, home) : ending(left))
  console.log(`\n${verdict(report, finished)} ${duration(performance.now() - start)}.`)
  return finished && report.failed === 0 ? 0 : (interruption.exitCode ?? 1)
}

async function tellChapters(scene) {
  await chapters.startWorkers(scene)
  await chapters.callBackAnotherWorker(scene)
  const cached = await chapters.shareLoad(scene)
  await chapters.showMemory(scene, cached)
  await chapters.killWorker(scene, cached)
  await chapters.reloadWorkers(scene, cached)
}

function verdict(report, finished) {
  if (!finished) return 'The story was interrupted after'
  if (report.failed > 0) return `${report.failed} of ${report.claims} claims did not hold, in`
  return `All ${report.claims} claims held, in`
}

function stillRunning(url, home) {
  return `Still running: ${url}, PM2_HOME=${home}. To stop it: npm start -- --stop ${home}`
}

function ending(left) {
  if (left.length > 0) return `PM2 was stopped, but this is left: ${left.join(', ')}`
  return 'PM2 is stopped: no process, no segment and no folder is left.'
}

async function stopStory(home) {
  if (!isRun(home)) {
    console.error(`${home} is not the folder of a story`)
    return 1
  }
  const left = await endRun(home, segments)
  console.log(ending(left))
  return left.length === 0 ? 0 : 1
}

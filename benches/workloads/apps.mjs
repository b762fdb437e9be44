/**
 * A real application under cluster: pages of cached items, with a database behind the cache.
 *
 * Each contender runs in Express and in Fastify, with 2 and 4 workers and with 1, 10 and 50 items on a page, in four
 * phases: cold, warm, with 1 % writes, and while a worker is killed. autocannon drives it over loopback. Each answer is
 * verified: the sum over the items must be right. An item that is older than the last acknowledged write of this client
 * counts as stale.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { appStores } from '../apps/stores.mjs'
import { checkOfPage, idsOf, ITEMS } from '../apps/items.mjs'
import { isInstalled } from '../install.mjs'

const program = fileURLToPath(new URL('../apps/primary.mjs', import.meta.url))
const CONNECTIONS = 16
/** Pages begin at the items in this order: the distance shares no factor with the number of items. */
const STEP = 7
const WRITE_EVERY = 100

const phases = ['cold', 'warm', '1 % writes', 'a worker is killed']
const metrics = {
  requests: { unit: 'requests/s', better: 'higher', title: 'requests per second' },
  p50: { unit: 'ms', better: 'lower', title: 'median latency' },
  p99: { unit: 'ms', better: 'lower', title: '99th percentile of the latency' },
  queries: { unit: 'queries', better: 'lower', title: 'database queries' },
  stale: { unit: 'items', better: 'lower', title: 'items served that were older than the last write' },
  memory: { unit: 'MiB', better: 'lower', title: 'memory of the workers and the server (PSS)' },
}

/** The tables of this workload: one for each metric and phase. */
export const appTables = phases.flatMap((phase) =>
  Object.entries(metrics).map(([metric, { title }]) => ({
    id: `apps-${metric}-${phases.indexOf(phase)}`,
    operation: `${phase}: ${metric}`,
    title: `A page of an application, ${phase}: ${title}`,
  })),
)

/** @param {import('../suite.mjs').Suite} suite */
export async function measureApps(suite) {
  const { plan, progress } = suite
  const stores = appStores.filter(({ package: name }) => isInstalled(name))
  for (const { label } of appStores.filter((store) => !stores.includes(store))) {
    suite.absent.push({ what: label, why: 'its npm package is not installed' })
  }
  for (const framework of plan.appFrameworks) {
    for (const workers of plan.appWorkers) {
      for (const count of plan.appItems) {
        const scene = `${framework}, ${workers} workers, ${count} items`
        progress.part(`An application: ${scene}`)
        await measureScene(suite, stores, { scene, framework, workers, count })
      }
    }
  }
}

async function measureScene(suite, stores, { scene, framework, workers, count }) {
  const samples = new Map(stores.map((store) => [store, []]))
  for (let round = 0; round < suite.plan.appRounds; round++) {
    // Another order in each round, so that a disturbance affects all alike.
    const order = stores.map((_, i) => stores[(i + round) % stores.length])
    for (const store of order) {
      suite.progress.step(`round ${round + 1} of ${suite.plan.appRounds}, ${store.label}`)
      try {
        samples.get(store).push(await measureStore(suite, store, { framework, workers, count, round }))
      } catch (error) {
        await suite.drop('apps', { contender: { id: store.label } }, error)
      }
    }
  }
  for (const [store, rounds] of samples) {
    if (rounds.length < suite.plan.appRounds) continue
    for (const phase of phases) {
      for (const [metric, { unit, better }] of Object.entries(metrics)) {
        const values = rounds.map((each) => each[phase][metric])
        suite.record({
          workload: 'apps',
          scene,
          operation: `${phase}: ${metric}`,
          contender: store.label,
          processes: workers,
          unit,
          better,
          samples: values,
        })
      }
    }
  }
}

/** The results of the four phases, one after the other in the same application. */
async function measureStore(suite, store, { framework, workers, count, round }) {
  const instance = `apps-${round}`
  const server = store.server && (await suite.servers.socketOf(store.server, 'free', { instance }))
  const serverPid = store.server && (await suite.servers.pidOf(store.server, 'free', { instance }))
  const name = suite.newName()
  const app = await Application.start({
    framework,
    workers,
    store: store.id,
    name,
    socket: server,
    database: join(suite.folder, `${name}.sock`),
  })
  try {
    const client = new Client(app.port, count)
    const results = {}
    for (const phase of phases) {
      const before = await app.ask('state')
      const isKill = phase === 'a worker is killed'
      const killed = isKill ? after(suite.plan.appMs / 3).then(() => app.ask('kill')) : undefined
      killed?.catch(() => undefined) // reported below
      const run = await client.run(suite.plan.appMs, {
        writeEvery: phase === '1 % writes' ? WRITE_EVERY : 0,
        mayFail: isKill,
      })
      await killed
      const state = await app.ask('state')
      const pids = [...state.pids, ...(serverPid === undefined ? [] : [serverPid])]
      results[phase] = {
        ...run,
        queries: state.queries - before.queries,
        memory: pids.reduce((sum, pid) => sum + proportionalSetSize(pid), 0) / 2 ** 20,
      }
    }
    return results
  } finally {
    await app.stop()
    if (store.server !== undefined) await suite.servers.stop(store.server, 'free', { instance })
    const { segments } = await import('../../dist/index.js')
    segments.destroy(name, { force: true })
  }
}

class Application {
  #child
  #exit

  static async start(settings) {
    const app = new Application()
    app.#child = spawn(process.execPath, [program, JSON.stringify(settings)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    app.#exit = once(app.#child, 'exit')
    const { port } = await app.#next()
    app.port = port
    return app
  }

  async ask(command) {
    this.#child.send({ command })
    return this.#next()
  }

  async stop() {
    if (this.#child.connected) this.#child.disconnect()
    await this.#exit
  }

  async #next() {
    const ended = this.#exit.then(([code]) => {
      throw new Error(`the application ended with ${code}`)
    })
    ended.catch(() => undefined)
    const [message] = await Promise.race([once(this.#child, 'message'), ended])
    return message
  }
}

/** Drives the application, and verifies its answers. */
class Client {
  #port
  #count
  #next = 0
  /** The last acknowledged version of each item. */
  #versions = new Uint32Array(ITEMS)

  constructor(port, count) {
    this.#port = port
    this.#count = count
  }

  /** @param {{ writeEvery: number, mayFail: boolean }} options `writeEvery` 0: no writes. */
  async run(milliseconds, { writeEvery, mayFail }) {
    const { default: autocannon } = await import('autocannon')
    let wrong = 0
    let stale = 0
    let number = 0
    const setupRequest = (request, context) => {
      const start = (this.#next += STEP) % ITEMS
      const isWrite = writeEvery > 0 && ++number % writeEvery === 0
      // Versions that a write acknowledged before this request.
      Object.assign(context, { start, isWrite, known: isWrite ? [] : this.#knownOf(start) })
      return { ...request, path: isWrite ? `/write?id=${start}` : `/page?start=${start}&count=${this.#count}` }
    }
    const onResponse = (status, body, { start, isWrite, known }) => {
      if (status !== 200) return void wrong++
      const answer = JSON.parse(body)
      if (isWrite) this.#versions[start] = Math.max(this.#versions[start], answer.version)
      else if (answer.sum !== checkOfPage(start, this.#count)) wrong++
      else stale += answer.versions.filter((version, i) => version < known[i]).length
    }
    const result = await autocannon({
      url: `http://127.0.0.1:${this.#port}`,
      connections: CONNECTIONS,
      duration: milliseconds / 1000,
      requests: [{ setupRequest, onResponse }],
    })
    if (wrong > 0) throw new Error(`${wrong} wrong answers`)
    if (result.errors > 0 && !mayFail) throw new Error(`${result.errors} failed requests`)
    const { p50, p99 } = result.latency
    return { requests: result.requests.total / result.duration, p50, p99, stale }
  }

  #knownOf(start) {
    return idsOf(start, this.#count).map((id) => this.#versions[id])
  }
}

function after(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

function proportionalSetSize(pid) {
  const [, kibibytes] = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
  return Number(kibibytes) * 1024
}

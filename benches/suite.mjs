/**
 * One run of the suite: its folders, its servers, its processes and what they measured. `dispose` leaves nothing of them.
 *
 * A contender that fails is dropped from the workload and named, ours too: a figure that is missing is a claim not shown.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contenders, isRoundTrip } from './contenders/index.mjs'
import { Crew } from './crew.mjs'
import { Hub } from './hub.mjs'
import { FOLDER_PREFIX } from './leftovers.mjs'
import { Progress } from './progress.mjs'
import { Servers } from './servers/index.mjs'
import { summary } from './statistics.mjs'

const SHARED_MEMORY = '/dev/shm'

/**
 * @typedef {object} Plan
 * @property {number} rounds runs of each figure; contenders alternate within each
 * @property {number} window milliseconds of one run
 * @property {number} warmUp milliseconds before the first
 * @property {boolean} quick fewer contenders, and fewer of everything
 */

/**
 * @typedef {object} Figure
 * @property {string} workload
 * @property {string} [scene] kind and number of keys
 * @property {string} operation
 * @property {string} contender
 * @property {string} placement
 * @property {number} processes
 * @property {string} unit
 * @property {'higher' | 'lower'} better
 * @property {number} median
 * @property {number} min
 * @property {number} max
 * @property {number[]} samples one for each round
 */

export class Suite {
  /** @type {Figure[]} */
  figures = []
  /** What went wrong: `{ contender, where, error }`. */
  problems = []
  /** What was not there: `{ what, why }`. */
  absent = []
  crews = new Set()
  #names = 0

  /**
   * @param {{ plan: Plan, absent?: { what: string, why: string, contenders: string[] }[], only?: string[], log?: (line: string) => void }} options
   *   `absent`: contenders that this machine can't run; `only`: the contenders to run, default all.
   */
  static async create({ plan, absent = [], only, log = console.error }) {
    const suite = new Suite()
    suite.plan = plan
    suite.absent = absent.map(({ what, why }) => ({ what, why }))
    const missing = new Set(absent.flatMap(({ contenders }) => contenders))
    suite.contenders = contenders.filter(({ id }) => !missing.has(id) && (only === undefined || only.includes(id)))
    suite.placements = missing.has('one') ? ['free'] : ['free', 'one']
    suite.progress = new Progress(log)
    const prefix = `${FOLDER_PREFIX}${process.pid}-`
    // For sockets, whose paths must be short; and for files that must be in memory.
    suite.folder = mkdtempSync(join(tmpdir(), prefix))
    suite.memoryFolder = mkdtempSync(join(existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir(), prefix))
    suite.servers = new Servers(suite.folder)
    suite.hub = new Hub(join(suite.folder, 'hub.sock'))
    await suite.hub.listen()
    return suite
  }

  /** A contender where it runs: a round trip, one at a time, in both placements. */
  entrants(accepts = () => true) {
    return this.contenders.filter(accepts).flatMap((contender) => {
      const placements = isRoundTrip(contender) && contender.inFlight === 1 ? this.placements : ['free']
      return placements.map((placement) => ({ contender, placement }))
    })
  }

  /** The name of a store of this run; `bench-` and our process id, so that leftovers can be told. */
  newName() {
    return `bench-${process.pid}-${++this.#names}`
  }

  /** @param {Omit<Figure, 'median' | 'min' | 'max'>} figure */
  record({ samples, ...figure }) {
    if (samples.length === 0) return
    // Six digits are three more than there is in it, and keep the file short.
    const rounded = samples.map((sample) => Number(sample.toPrecision(6)))
    this.figures.push({ processes: 1, placement: 'free', ...figure, ...summary(rounded) })
  }

  /** Starts a crew and prepares it; undefined, and named, if it fails. */
  async start(where, options, prepare = async () => undefined) {
    let crew
    try {
      crew = await Crew.start(this, options)
      await prepare(crew)
      return crew
    } catch (error) {
      await this.drop(where, crew ?? options, error)
      return undefined
    }
  }

  /** Does `work` with a crew; a failure ends the crew. Returns undefined then, and for a crew that has ended before. */
  async attempt(where, crew, work) {
    if (!this.crews.has(crew)) return undefined
    try {
      return await work(crew)
    } catch (error) {
      await this.drop(where, crew, error)
      return undefined
    }
  }

  /**
   * Runs of all crews by turns, in another order in each round, so that none always follows the same one.
   *
   * @param {(crew: Crew, round: number) => Promise<T>} run one run of one crew
   * @returns {Promise<Map<Crew, T[]>>} a result for each round
   * @template T
   */
  async alternate(where, crews, run) {
    const results = new Map(crews.map((crew) => [crew, []]))
    for (let round = 0; round < this.plan.rounds; round++) {
      for (const crew of rotated(crews, round)) {
        this.progress.step(`round ${round + 1} of ${this.plan.rounds}, ${crew.contender.label}`)
        const result = await this.attempt(where, crew, () => run(crew, round))
        results.get(crew).push(result)
      }
    }
    return results
  }

  /** Ends all crews. Returns the results of those that never failed: half a figure is none. */
  async finish(results) {
    const sound = [...results].filter(([crew]) => this.crews.has(crew))
    await this.endCrews()
    return sound
  }

  async drop(where, crew, error) {
    // Everything fails now, and nobody wants to hear of it: `abandon` ends the process.
    if (this.isAbandoned) await new Promise(() => undefined)
    const contender = crew.contender?.id ?? 'none'
    this.problems.push({ contender, where, error: withoutStack(error) })
    this.progress.say(`${contender} failed in ${where}: ${error.message}`)
    if (crew instanceof Crew) await crew.end(this)
  }

  async endCrews() {
    await Promise.all([...this.crews].map((crew) => crew.end(this)))
  }

  /** Ends everything at once, and starts nothing any more: for an interruption. */
  async abandon() {
    this.isAbandoned = true
    const crews = [...this.crews]
    for (const crew of crews) crew.kill()
    await Promise.all(crews.map((crew) => crew.gone()))
    await this.servers.stopAll()
  }

  async dispose() {
    await this.endCrews()
    await this.servers.stopAll()
    this.hub.close()
    this.progress.end()
    for (const folder of [this.folder, this.memoryFolder]) rmSync(folder, { recursive: true, force: true })
  }
}

/** Does `visit` for each, some at a time, and returns the results in order. */
export async function inLanes(items, lanes, visit) {
  const results = []
  let next = 0
  const lane = async () => {
    while (next < items.length) {
      const place = next++
      results[place] = await visit(items[place])
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return results
}

/** A child sends its stack along, which is for the terminal; paths of this machine are not for a report. */
function withoutStack({ message }) {
  const lines = message.split('\n').filter((line) => !/^\s+at /.test(line))
  return lines.slice(0, 3).join(' · ')
}

function rotated(items, round) {
  const by = round % Math.max(1, items.length)
  return [...items.slice(by), ...items.slice(0, by)]
}

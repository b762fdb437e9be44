/**
 * One run of the suite: its folders, servers and processes, and the figures that they measured. `dispose` removes all
 * but the figures.
 *
 * A contender that fails, ours included, is dropped from the workload and reported. A claim without one of its figures
 * is not judged.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { contenders, isRoundTrip } from './contenders/index.mjs'
import { ProcessGroup } from './process-group.mjs'
import { Hub } from './hub.mjs'
import { FOLDER_PREFIX } from './leftovers.mjs'
import { Progress } from './progress.mjs'
import { Servers } from './servers/index.mjs'
import { summary } from './statistics.mjs'

const SHARED_MEMORY = '/dev/shm'

/**
 * @typedef {object} Plan
 * @property {number} rounds the number of runs of each figure; contenders alternate within each round
 * @property {number} window the duration of one run, in milliseconds
 * @property {number} warmUp the duration of the warm-up, in milliseconds
 * @property {number} messages the number of messages of one run of `wake-up`; `lock` makes half as many hand-overs
 * @property {boolean} quick fewer contenders, keys and workloads
 */

/**
 * @typedef {object} Figure
 * @property {string} workload
 * @property {string} [scene] the kind of values and the number of keys
 * @property {string} operation
 * @property {string} contender
 * @property {string} placement
 * @property {number} processes
 * @property {string} unit
 * @property {'higher' | 'lower'} better
 * @property {number} median
 * @property {number} min
 * @property {number} max
 * @property {number[]} samples one of each round
 */

export class Suite {
  /** @type {Figure[]} */
  figures = []
  /** Failures: `{ contender, where, error }`. */
  problems = []
  /** Parts that this machine cannot run: `{ what, why }`. */
  absent = []
  groups = new Set()
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
    // `folder` is for sockets, which need short paths; `memoryFolder` for files that must be in memory.
    suite.folder = mkdtempSync(join(tmpdir(), prefix))
    suite.memoryFolder = mkdtempSync(join(existsSync(SHARED_MEMORY) ? SHARED_MEMORY : tmpdir(), prefix))
    suite.servers = new Servers(suite.folder)
    suite.hub = new Hub(join(suite.folder, 'hub.sock'))
    await suite.hub.listen()
    return suite
  }

  /** Each contender with its placements: both for round trips with one call at a time, otherwise only the free one. */
  entrants(accepts = () => true) {
    return this.contenders.filter(accepts).flatMap((contender) => {
      const placements = isRoundTrip(contender) && contender.inFlight === 1 ? this.placements : ['free']
      return placements.map((placement) => ({ contender, placement }))
    })
  }

  /** A new name for a store of this run. It contains our process id, by which leftovers.mjs recognizes it. */
  newName() {
    return `bench-${process.pid}-${++this.#names}`
  }

  /** @param {Omit<Figure, 'median' | 'min' | 'max'>} figure */
  record({ samples, ...figure }) {
    if (samples.length === 0) return
    // Six digits are more than the precision of a measurement, and keep the file short.
    const rounded = samples.map((sample) => Number(sample.toPrecision(6)))
    this.figures.push({ processes: 1, placement: 'free', ...figure, ...summary(rounded) })
  }

  /** Records times between two processes; `samples` are milliseconds, the figure is in µs. */
  recordTimes({ contender, placement }, workload, operation, samples) {
    this.record({
      workload,
      operation,
      contender: contender.id,
      placement,
      processes: 2,
      unit: 'µs',
      better: 'lower',
      samples: samples.map((time) => time * 1000),
    })
  }

  /** Starts a group and prepares it. A failure is reported, and the result is undefined. */
  async start(where, options, prepare = async () => undefined) {
    let group
    try {
      group = await ProcessGroup.start(this, options)
      await prepare(group)
      return group
    } catch (error) {
      await this.drop(where, group ?? options, error)
      return undefined
    }
  }

  /**
   * Starts two processes of each contender in every placement, for a workload between processes.
   *
   * @param {string[]} ids the contenders
   * @param {(group: ProcessGroup, context: object) => Promise<void>} prepare
   * @returns {Promise<ProcessGroup[]>} those that did not fail
   */
  startPairs(where, ids, prepare) {
    const contenders = this.contenders.filter(({ id }) => ids.includes(id))
    const pairs = contenders.flatMap((contender) => this.placements.map((placement) => ({ contender, placement })))
    return startAll(pairs, 1, (pair) => {
      const context = { name: this.newName(), kind: 'string', bytes: 0 }
      return this.start(where, { ...pair, count: 2, context }, (group) => prepare(group, context))
    })
  }

  /**
   * Calls `work` with a group. A failure ends the group; then, and for a group that ended before, the result is
   * undefined.
   */
  async attempt(where, group, work) {
    if (!this.groups.has(group)) return undefined
    try {
      return await work(group)
    } catch (error) {
      await this.drop(where, group, error)
      return undefined
    }
  }

  /**
   * Runs all groups one after the other, in a different order in each round, so that no group always follows the same
   * one.
   *
   * @param {(group: ProcessGroup, round: number) => Promise<T>} run one run of one group
   * @returns {Promise<Map<ProcessGroup, T[]>>} a result of each round
   * @template T
   */
  async alternate(where, groups, run) {
    const results = new Map(groups.map((group) => [group, []]))
    for (let round = 0; round < this.plan.rounds; round++) {
      for (const group of rotated(groups, round)) {
        this.progress.step(`round ${round + 1} of ${this.plan.rounds}, ${group.contender.label}`)
        const result = await this.attempt(where, group, () => run(group, round))
        results.get(group).push(result)
      }
    }
    return results
  }

  /** Ends all groups. Returns the results of the groups that never failed; results of some rounds make no figure. */
  async finish(results) {
    const sound = [...results].filter(([group]) => this.groups.has(group))
    await this.endGroups()
    return sound
  }

  async drop(where, group, error) {
    // After an interruption everything fails. Such failures are not reported, since `abandon` is about to end the
    // process.
    if (this.isAbandoned) await new Promise(() => undefined)
    const contender = group.contender?.id ?? 'none'
    this.problems.push({ contender, where, error: withoutStack(error) })
    this.progress.say(`${contender} failed in ${where}: ${error.message}`)
    if (group instanceof ProcessGroup) await group.end(this)
  }

  async endGroups() {
    await Promise.all([...this.groups].map((group) => group.end(this)))
  }

  /** Ends everything at once and lets nothing start again: for an interruption. */
  async abandon() {
    this.isAbandoned = true
    const groups = [...this.groups]
    for (const group of groups) group.kill()
    await Promise.all(groups.map((group) => group.ended()))
    await this.servers.stopAll()
  }

  async dispose() {
    await this.endGroups()
    await this.servers.stopAll()
    this.hub.close()
    this.progress.end()
    for (const folder of [this.folder, this.memoryFolder]) rmSync(folder, { recursive: true, force: true })
  }
}

/** Calls `start` for each item, `lanes` at a time. Returns the results in order, without those that are undefined. */
export async function startAll(items, lanes, start) {
  const results = []
  let next = 0
  const lane = async () => {
    while (next < items.length) {
      const index = next++
      results[index] = await start(items[index])
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return results.filter((result) => result !== undefined)
}

/** A child's error contains its stack. The terminal shows it; a report must not contain paths of this machine. */
function withoutStack({ message }) {
  const lines = message.split('\n').filter((line) => !/^\s+at /.test(line))
  return lines.slice(0, 3).join(' · ')
}

function rotated(items, round) {
  const by = round % Math.max(1, items.length)
  return [...items.slice(by), ...items.slice(0, by)]
}

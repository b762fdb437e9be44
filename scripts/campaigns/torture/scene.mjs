/**
 * Shared by all parts of a player: the open caches, the ledger, the trace, and the code that runs and times operations.
 *
 * A failure is appended to a file at once, by one system call, so that it survives the end of the process.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { CacheError, segments } from 'cache-machine'
import { Table, now } from './ledger.mjs'
import { Layout, holdings } from './plan.mjs'
import { Random } from './random.mjs'
import { openSegment, segmentsOf } from './segments.mjs'
import { Stalls } from './stalls.mjs'
import { Trace } from './trace.mjs'
import { shorten } from './values.mjs'

/** Milliseconds within which every waiting call must be answered. */
const PATIENCE = 60_000

/** Milliseconds. A thread that did not run for so long cannot judge whether another was late. */
const STALL = 300

/** The names of all operations, for the trace. */
export const operations = `
  get peek has getEntry getMany hasMany waitFor
  set setMany add replace swap update append compare-and-set delete deleteMany take
  touch persist ttl clear invalidateTags deletePrefix keys entries stats tally
  reopen destroy lock tryLock semaphore leader region watch publish getOrSet once
`
  .trim()
  .split(/\s+/)

export class Scene {
  /** The pending acts, by name. */
  acts = new Set()
  caches = {}
  /** When each generation of the caches was closed. */
  closings = []
  counts = {}
  /** Incremented each time the caches are opened again. */
  generation = 0
  stalls = new Stalls()

  constructor(input) {
    this.input = input
    this.plan = input.plan
    this.slot = input.slot
    this.life = input.life
    this.layout = new Layout(input.plan)
    this.random = new Random(this.plan.seed, this.slot, Math.round(this.life * 1000))
    this.ledger = new Table(join(input.folder, 'ledger'))
    this.holds = new Table(join(input.folder, `holds-${this.slot}`))
    this.trace = new Trace(input.folder, this.slot, operations)
    this.#held = this.holds.read(0)[0]
    this.open()
  }

  #acts = 0
  #held
  #lastBeat = now()
  #lastStall = 0

  has(group) {
    return this.plan.groups.includes(group)
  }

  suffers(fault) {
    return this.plan.faults.includes(fault)
  }

  open() {
    for (const segment of segmentsOf(this.layout.spaces)) {
      this.attempt(() => {
        const cache = openSegment(this.input, segment, { near: this.plan.near[this.slot] ?? false })
        // `side` is destroyed while it is in use, so damage is expected there.
        if (segment !== 'side') cache.on('damage', (event) => this.fail(`damage in ${segment}: ${shorten(event)}`))
        this.caches[segment] = { root: cache, ...this.#namespacesOf(segment, cache) }
      })
    }
  }

  #namespacesOf(segment, cache) {
    const here = this.layout.spaces.filter((space) => space.segment === segment)
    return Object.fromEntries(here.map(({ name }) => [name, cache.namespace(name)]))
  }

  /** The cache of a space; undefined if there was no room to open its segment. */
  cacheOf({ segment, name }) {
    return this.caches[segment]?.[name]
  }

  /** A namespace of `main`, opened once. */
  namespaceOf(name) {
    return (this.caches.main[name] ??= this.main.namespace(name))
  }

  /** The root of the segment in which no entry is lost. */
  get main() {
    return this.caches.main.root
  }

  reopen() {
    const entry = this.trace.begin('reopen', -1, 0)
    this.close()
    this.generation++
    this.caches = {}
    this.open()
    this.trace.end(entry, 0)
    this.count('reopened')
  }

  close() {
    this.closings[this.generation] = now()
    for (const { root } of Object.values(this.caches)) root.close()
  }

  /** Destroys a segment while other players have it open. */
  destroy(segment) {
    segments.destroy(`${this.input.prefix}-${segment}`, { force: true })
  }

  /** Notes in the ledger that this player is running. */
  beat() {
    if (now() - this.#lastBeat > STALL) this.#lastStall = now()
    this.#lastBeat = now()
    this.ledger.write(this.layout.beatRow(this.slot), [now(), this.trace.count])
  }

  /** Whether this thread paused since then, because it was suspended or had no processor. */
  wasStalled(since) {
    return now() - this.#lastBeat > STALL || this.#lastStall >= since
  }

  count(what, by = 1) {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }

  /** The durations and counts since the last call. */
  takeReport() {
    const report = { slices: this.stalls.take(), counts: this.counts }
    this.counts = {}
    return report
  }

  /** Runs a synchronous step. An expected error ends the step and is counted. */
  attempt(step) {
    try {
      step()
    } catch (error) {
      if (error instanceof Failure) throw error
      if (!this.isExpected(error)) this.fail(`an unexpected ${error.stack}`)
      this.count(error.code)
    }
  }

  /** Whether a correct program may get this error in this round. */
  isExpected(error) {
    if (!(error instanceof CacheError)) return false
    if (error.code === 'ERR_BUSY') return true
    return error.code === 'ERR_NO_SPACE' && this.plan.spaces.includes('tiny')
  }

  /**
   * Runs one operation, traced and timed. An operation that throws is not timed, since it may have waited for its
   * limit.
   */
  run(name, key, number, operation) {
    const entry = this.trace.begin(name, key?.index ?? -1, number)
    try {
      const result = operation()
      const end = now()
      this.stalls.add(end - entry.what[3], end)
      this.trace.end(entry, typeof result === 'number' ? result : 0)
      return result
    } catch (error) {
      this.trace.end(entry, -1)
      throw error
    }
  }

  /** Starts an act, and fails if it does not end in time. */
  act({ name, run }) {
    const act = `${name} ${++this.#acts}`
    this.count('acts')
    this.acts.add(act)
    const { generation } = this
    const watchdog = setTimeout(() => this.fail(`${name} was not answered within ${PATIENCE} ms`), PATIENCE)
    run()
      .catch((error) => {
        if (error instanceof Failure) throw error
        const isClosed = error.code === 'ERR_CLOSED' && generation !== this.generation
        if (!isClosed && error.code !== 'ERR_TIMEOUT' && !this.isExpected(error)) {
          this.fail(`an unexpected ${error.stack} in ${name}`)
        }
        this.count(error.code)
      })
      .finally(() => {
        clearTimeout(watchdog)
        this.acts.delete(act)
      })
  }

  /** Notes that a permit was held from `begun` to `ended`, for the judgement at the end of the round. */
  held(kind, which, begun, ended, token) {
    this.#held++
    this.holds.write(this.#held, [Object.keys(holdings).indexOf(kind), which, begun, ended, token, this.slot])
    this.holds.write(0, [this.#held])
  }

  /** Ends the round with a failure. */
  fail(what, key) {
    this.write(what, key)
    throw new Failure(what)
  }

  write(what, key) {
    const failure = { what, key: key?.index ?? -1, slot: this.slot, life: this.life, at: now(), pid: process.pid }
    appendFileSync(join(this.input.folder, 'failures'), `${JSON.stringify(failure)}\n`)
  }
}

/** A failure that was written to the file of failures. */
export class Failure extends Error {}

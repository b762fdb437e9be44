/**
 * What all parts of a player share: its open caches, the ledger, the trace, and how an operation is run, timed and judged.
 *
 * A failure is written into a file at once, by the system call itself, so that it is there whatever becomes of the process.
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

/** Longest time of anything that waits; what hangs takes for ever. */
const PATIENCE = 60_000

/** Who did not run for so long cannot say that others were late. */
const STALL = 300

/** All that a trace can name. */
export const operations = `
  get peek has getEntry getMany hasMany waitFor
  set setMany add replace swap update append compare-and-set delete deleteMany take
  touch persist ttl clear invalidateTags deletePrefix keys entries statistics tally
  reopen destroy lock tryLock semaphore leader region watch publish getOrSet once
`
  .trim()
  .split(/\s+/)

export class Scene {
  /** Acts that are under way, by name. */
  acts = new Set()
  caches = {}
  /** When each generation of the caches was closed. */
  closings = []
  counts = {}
  /** Grows when the caches are opened anew. */
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
        // Only the damage of a segment that nobody destroys is one.
        if (segment !== 'side') cache.on('damage', (event) => this.fail(`damage in ${segment}: ${shorten(event)}`))
        this.caches[segment] = { root: cache, ...this.#namespacesOf(segment, cache) }
      })
    }
  }

  #namespacesOf(segment, cache) {
    const here = this.layout.spaces.filter((space) => space.segment === segment)
    return Object.fromEntries(here.map(({ name }) => [name, cache.namespace(name)]))
  }

  /** The cache of a space, or undefined where its segment could not be opened for want of room. */
  cacheOf({ segment, name }) {
    return this.caches[segment]?.[name]
  }

  /** A namespace of `main`, opened once. */
  namespaceOf(name) {
    return (this.caches.main[name] ??= this.main.namespace(name))
  }

  /** The segment in which nothing is lost. */
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

  /** Destroys a segment under everybody who has it open. */
  destroy(segment) {
    segments.destroy(`${this.input.prefix}-${segment}`, { force: true })
  }

  /** Proof of life. */
  beat() {
    if (now() - this.#lastBeat > STALL) this.#lastStall = now()
    this.#lastBeat = now()
    this.ledger.write(this.layout.beatRow(this.slot), [now(), this.trace.count])
  }

  /** Whether this thread did not run for a while since then: stopped, or without a processor. */
  wasStalled(since) {
    return now() - this.#lastBeat > STALL || this.#lastStall >= since
  }

  count(what, by = 1) {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }

  /** What was measured and counted since the last time. */
  takeReport() {
    const report = { slices: this.stalls.take(), counts: this.counts }
    this.counts = {}
    return report
  }

  /** Runs a synchronous step; what may happen to anybody ends it. */
  attempt(step) {
    try {
      step()
    } catch (error) {
      if (error instanceof Failure) throw error
      if (!this.isExpected(error)) this.fail(`an unexpected ${error.stack}`)
      this.count(error.code)
    }
  }

  /** What a correct program must be able to hear in this round. */
  isExpected(error) {
    if (!(error instanceof CacheError)) return false
    if (error.code === 'ERR_BUSY') return true
    return error.code === 'ERR_NO_SPACE' && this.plan.spaces.includes('tiny')
  }

  /** One operation, in the trace and timed. What it throws is passed on, and its time not counted: it waited for its limit. */
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

  /** Starts something that waits; that it ends is watched over. */
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

  /** Notes that something was held from `begun` to `ended`, for the sum at the end of the round. */
  held(kind, which, begun, ended, token) {
    this.#held++
    this.holds.write(this.#held, [Object.keys(holdings).indexOf(kind), which, begun, ended, token, this.slot])
    this.holds.write(0, [this.#held])
  }

  /** The end of the round, and the reason. */
  fail(what, key) {
    this.write(what, key)
    throw new Failure(what)
  }

  write(what, key) {
    const failure = { what, key: key?.index ?? -1, slot: this.slot, life: this.life, at: now(), pid: process.pid }
    appendFileSync(join(this.input.folder, 'failures'), `${JSON.stringify(failure)}\n`)
  }
}

/** Something is wrong; it was written down. */
export class Failure extends Error {}

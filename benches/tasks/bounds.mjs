/**
 * The longest single call of each kind, in a segment of a given size and state.
 *
 * A call that this machine interrupts looks as long as one that the cache holds up. So the same loop also times a call
 * that does nothing.
 */
import { fork } from 'node:child_process'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { randomFrom } from '../zipf.mjs'

const writer = fileURLToPath(new URL('bounds-writer.mjs', import.meta.url))
/** A segment is filled with at most this many entries, of a size that fits. */
const MAX_ENTRIES = 300_000
const MIN_VALUE = 200
/** Bytes of an entry beside its value, roughly. */
const OVERHEAD = 120
const OVERFILL = 1.2
/** Calls between two readings of the clock while the segment is filled. */
const FILL_BATCH = 256
/** Milliseconds between two turns of the event loop, in which writers are killed and started. */
const SLICE_MS = 5
const KILL_EVERY_MS = 30
/** Tags that are invalidated before the measurement of the state `tagged`. */
const ENDED_TAGS = 5_000

export const keyOf = (number) => `entry:${number}`
const tagsOf = (number) => [`tag ${number}`, `group ${number % 100}`]

/** By name: the options of the segment and of its entries, how often each is read, and the processes beside it. */
const states = {
  full: {},
  hot: { reads: 3 },
  tagged: { isTagged: true },
  'TTLs, no eviction': { eviction: 'none', ttl: '1h' },
  writers: { writers: 'many' },
  kills: { writers: 'few', isKilled: true },
}

export const stateNames = Object.keys(states)

/**
 * @param {{ name: string, size: number, state: string, milliseconds: number, fillMs: number, writers: number }} args
 *   `milliseconds`: for each kind of call; `fillMs`: the maximum for the sets, and again for the reads, that make the
 *   state; `writers`: in the state `writers`.
 * @returns {Promise<{ calls: Record<string, { longest: number, count: number, failed: number }>, kills: number, filled: number }>}
 *   `longest` in nanoseconds; `filled`: the part of the sets and reads that were made, at most 1.
 */
export async function measureBounds(_memory, { name, size, state, milliseconds, fillMs, writers: many }) {
  const { open, segments } = await import('../../dist/index.js')
  const { eviction, ttl, reads = 0, isTagged = false, writers: how, isKilled = false } = states[state]
  const options = { name, size, near: false, ...(eviction && { eviction }) }
  const cache = open(options)
  const entries = Math.min(MAX_ENTRIES, Math.floor(size / (MIN_VALUE + OVERHEAD)))
  const value = 'x'.repeat(Math.floor(size / entries) - OVERHEAD)
  const scene = { open, segments, cache, options, entries, value, ttl, isTagged }
  const crowd = new Crowd(options, entries, value, how === 'many' ? many : 4)
  try {
    const filled = fill(scene, reads, fillMs)
    if (how !== undefined) await crowd.start()
    const calls = {}
    for (const [kind, call] of Object.entries(callsOf(scene))) {
      calls[kind] = await longest(call, milliseconds, () => isKilled && crowd.killSometimes())
    }
    return { calls, kills: crowd.kills, filled }
  } finally {
    await crowd.end()
    cache.close()
    segments.destroy(name, { force: true })
  }
}

/** @returns {number} the part of the state that was made in time */
function fill({ cache, entries, value, ttl, isTagged }, reads, fillMs) {
  const all = Math.ceil(entries * OVERFILL)
  const set = (i) => cache.set(keyOf(i), value, { ...(ttl && { ttl }), ...(isTagged && { tags: tagsOf(i) }) })
  const written = whileThereIsTime(all, fillMs, set)
  const made = whileThereIsTime(all * reads, fillMs, (i) => {
    cache.get(keyOf(all - 1 - Math.floor(i / reads)))
    return true
  })
  if (isTagged) for (let i = 0; i < ENDED_TAGS; i++) cache.invalidateTags(`ended ${i}`)
  return Math.min(written, made)
}

/** Calls `visit` with 0 up to `count`, until it returns false or the time is over. Returns the part that was done. */
function whileThereIsTime(count, milliseconds, visit) {
  const end = performance.now() + milliseconds
  for (let i = 0; i < count; i++) {
    if (!visit(i)) break
    if (i % FILL_BATCH === 0 && performance.now() > end) return i / count
  }
  return 1
}

/** The calls by kind. One that returns a promise is awaited; what it returns or resolves with ends the call untimed. */
function callsOf({ open, segments, cache, options, entries, value, ttl, isTagged }) {
  const random = randomFrom(1)
  const some = () => Math.floor(random() * entries * OVERFILL)
  const written = (i) => ({ ...(ttl && { ttl }), ...(isTagged && { tags: tagsOf(i) }) })
  const limiter = cache.limiter('bounds', { limit: 1_000_000, window: '1h' })
  const other = { name: `${options.name}0`, size: options.size }
  let next = entries * 2
  let walk = cache.keys()
  return {
    'nothing (the machine)': () => undefined,
    'set, new key': () => void cache.set(keyOf(++next), value, written(next)),
    'set, over a value': () => {
      const i = some()
      cache.set(keyOf(i), value, written(i))
    },
    get: () => void cache.get(keyOf(some())),
    getOrSet: () => cache.getOrSet(keyOf(some()), () => 'loaded').then(() => undefined),
    delete: () => void cache.delete(keyOf(some())),
    incr: () => void cache.incr(`count:${some() % 1000}`),
    update: () => void cache.update(`update:${some() % 1000}`, (before) => (before ?? 0) + 1),
    take: () => void cache.take(keyOf(some())),
    tryLock: () => {
      const lock = cache.tryLock(`lock:${some() % 1000}`)
      return () => lock?.release()
    },
    'limiter.consume': () => void limiter.consume(`client ${some() % 1000}`),
    invalidateTags: () => cache.invalidateTags(`other ${some()}`),
    'keys, a step': () => {
      if (walk.next().done) walk = cache.keys()
    },
    publish: () => void cache.publish('channel', 'message'),
    namespace: () => void cache.namespace(`space ${some() % 100}`),
    open: () => {
      const handle = open(options)
      return () => handle.close()
    },
    'open, new segment': () => {
      const handle = open(other)
      return () => {
        handle.close()
        segments.destroy(other.name)
      }
    },
    destroy: {
      before: () => open(other).close(),
      call: () => void segments.destroy(other.name),
    },
    deletePrefix: () => void cache.deletePrefix('no such key'),
    clear: () => cache.clear(),
  }
}

/** Times calls one by one until `milliseconds` have passed, at least one. */
async function longest(kind, milliseconds, between) {
  const { before, call } = typeof kind === 'function' ? { before: undefined, call: kind } : kind
  const result = { longest: 0, count: 0, failed: 0 }
  const end = performance.now() + milliseconds
  let slice = performance.now() + SLICE_MS
  do {
    before?.()
    const start = process.hrtime.bigint()
    let after
    try {
      after = call()
      if (after instanceof Promise) after = await after
    } catch (error) {
      if (error.code === undefined) throw error
      result.failed++
    }
    result.longest = Math.max(result.longest, Number(process.hrtime.bigint() - start))
    result.count++
    after?.()
    if (performance.now() < slice) continue
    between()
    await turn()
    slice = performance.now() + SLICE_MS
  } while (performance.now() < end)
  return result
}

/** Processes that write entries all the time, and are killed and replaced on demand. */
class Crowd {
  kills = 0
  #input
  #size
  #members = new Set()
  #exits = []
  #last = 0

  constructor(options, entries, value, size) {
    this.#input = JSON.stringify({ options, entries, length: value.length })
    this.#size = size
  }

  async start() {
    await Promise.all(Array.from({ length: this.#size }, () => this.#add()))
    this.#last = performance.now()
  }

  /** Kills one writer that runs, if the last one was killed long enough ago, and starts another. */
  killSometimes() {
    if (performance.now() < this.#last + KILL_EVERY_MS) return
    const [victim] = [...this.#members].filter(({ isWriting }) => isWriting)
    if (victim === undefined) return
    this.#last = performance.now()
    this.kills++
    this.#members.delete(victim)
    victim.child.kill('SIGKILL')
    this.#add().catch(() => undefined)
  }

  async end() {
    for (const { child } of this.#members) child.kill('SIGKILL')
    await Promise.all(this.#exits)
  }

  /** Resolves when the new writer writes. */
  #add() {
    const child = fork(writer, [this.#input], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    const member = { child, isWriting: false }
    this.#members.add(member)
    this.#exits.push(new Promise((resolve) => child.on('exit', resolve)))
    return new Promise((resolve, reject) => {
      child.once('message', () => {
        member.isWriting = true
        resolve()
      })
      child.once('exit', () => reject(new Error('a writer ended')))
    })
  }
}

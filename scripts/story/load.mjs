/**
 * Sends item requests from several clients at once, and counts the results.
 */
import { request } from './http.mjs'

/** How many requests are in flight at any time. */
export const clientCount = 16

const nothing = { sent: 0, answered: 0, refused: 0, lost: 0, hits: 0, misses: 0, wrong: 0 }

/**
 * @typedef {object} Tally
 * @property {number} sent After the load, each of these was answered, refused or lost.
 * @property {number} answered
 * @property {number} refused Answered with an error.
 * @property {number} lost Not answered.
 * @property {number} hits
 * @property {number} misses
 * @property {number} wrong Answers with another item than the requested one.
 * @property {Map<number, number>} workers Answers by process id.
 * @property {Map<string, number>} reasons Why requests were refused or lost.
 * @property {number} milliseconds
 */

/**
 * Sends requests until `done` returns true.
 *
 * @param {() => number} options.pick The next item to request.
 * @param {(tally: Tally) => boolean} options.done Called before each request.
 * @param {number} options.within Milliseconds; the load rejects if it is not done by then.
 * @param {number} options.timeout Milliseconds after which a request counts as lost.
 * @returns {Promise<Tally>}
 */
export async function runLoad(url, { pick, done, within, signal, timeout = 10_000 }) {
  const tally = { ...nothing, workers: new Map(), reasons: new Map() }
  const start = performance.now()

  async function client() {
    while (!done(tally)) {
      signal.throwIfAborted()
      if (performance.now() - start > within) throw new Error(`the load was not done within ${within / 1000} s`)
      const item = pick()
      tally.sent++
      try {
        count(tally, item, await request('GET', `${url}/items/${item}`, { timeout }))
      } catch (error) {
        if (error.status === undefined) tally.lost++
        else tally.refused++
        increment(tally.reasons, error.code ?? error.message)
      }
    }
  }

  await Promise.all(Array.from({ length: clientCount }, client))
  return { ...tally, milliseconds: performance.now() - start }
}

function count(tally, item, answer) {
  tally.answered++
  if (answer.hit) tally.hits++
  else tally.misses++
  if (answer.id !== item) tally.wrong++
  increment(tally.workers, answer.pid)
}

function increment(counts, key) {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

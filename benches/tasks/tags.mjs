/**
 * Tags: entries that carry them, invalidations at a rate, and a catalogue that is compared with exact tags.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { contenderOf } from '../contenders/index.mjs'
import { now } from '../measure.mjs'
import { keyOf, kinds } from '../values.mjs'
import { randomFrom } from '../zipf.mjs'

/** Tags that no entry has. */
const OTHER_TAGS = 100
/** Milliseconds between two looks at the clock: at a higher rate several invalidations follow each other. */
const PAUSE = 1

/** Sets every key to its own value, with a tag of its own. */
export function loadTagged({ store }, { kind, keys }) {
  for (let i = 0; i < keys; i++) store.setTagged(keyOf(i), kinds[kind].make(i), [tagOf(i)])
}

/**
 * Invalidates tags that no entry has, until `duration` milliseconds have passed.
 *
 * @returns {Promise<number>} how many times
 */
export async function invalidateOthers({ store }, { perSecond, duration }) {
  const start = now()
  let done = 0
  for (let elapsed = 0; elapsed < duration; elapsed = now() - start) {
    for (const due = Math.ceil((elapsed * perSecond) / 1000); done < due; done++) {
      store.invalidateTags([`other ${done % OTHER_TAGS}`])
    }
    await sleep(PAUSE)
  }
  return done
}

/**
 * @param {{ contender: string, context: import('../contenders/index.mjs').Context }} args With those of `replayItems`.
 * @returns {Promise<{ percent: number, exact: number }>}
 */
export async function replayCatalogue(_memory, { contender, context, ...args }) {
  const store = await contenderOf(contender).open(context)
  try {
    return replayItems(store, args)
  } finally {
    store.close()
    store.destroy()
  }
}

/**
 * Reads the items of a catalogue at random while other items are invalidated at random. Each item has a tag of its own;
 * a miss sets the item again. The time is simulated: reads and invalidations alternate in their ratio.
 *
 * Beside it runs a Map from which an invalidation deletes exactly its item. Counted are the reads after the first
 * minute.
 *
 * @param {import('../contenders/index.mjs').Store} store
 * @param {{ items: number, reads: number, invalidations: number, minutes: number, seed: number }} args `reads` and `invalidations`:
 *   in one minute.
 * @returns {{ percent: number, exact: number }} both hit ratios, in per cent
 * @throws if a read returned an item that was invalidated.
 */
export function replayItems(store, { items, reads, invalidations, minutes, seed }) {
  const random = randomFrom(seed)
  const exact = new Map()
  const counts = { ours: 0, exact: 0 }
  let writes = 0
  const set = (item) => {
    const value = `${item}, written as number ${++writes}`
    store.setTagged(keyOf(item), value, [tagOf(item)])
    exact.set(item, value)
  }
  const read = (item) => {
    const found = store.get(keyOf(item))
    const wanted = exact.get(item)
    if (found !== undefined && found !== wanted) throw new Error(`${keyOf(item)} is ${found} instead of ${wanted}`)
    if (found !== undefined) counts.ours++
    if (wanted !== undefined) counts.exact++
    if (found === undefined) set(item)
  }
  let due = 0
  const passMinute = () => {
    for (let i = 0; i < reads; i++) {
      read(Math.floor(random() * items))
      for (due += invalidations / reads; due >= 1; due--) {
        const item = Math.floor(random() * items)
        store.invalidateTags([tagOf(item)])
        exact.delete(item)
      }
    }
  }
  for (let item = 0; item < items; item++) set(item)
  passMinute()
  counts.ours = 0
  counts.exact = 0
  for (let minute = 0; minute < minutes; minute++) passMinute()
  const percent = (hits) => (hits / (reads * minutes)) * 100
  return { percent: percent(counts.ours), exact: percent(counts.exact) }
}

function tagOf(index) {
  return `item ${index}`
}

/**
 * Keys with one writer each, and the check of every read.
 *
 * The state after the nth write of a key follows from n. The writer notes in the ledger which number it begins and
 * which number was acknowledged. So a read must return a number between the one acknowledged before the read began
 * and the one begun when the read had ended. A value may only be missing because of a wipe, its lifetime or eviction.
 */
import { now } from './ledger.mjs'
import { Part } from './part.mjs'
import { beginsJournal, isDeletion, numberIn, shorten, valueOf } from './values.mjs'

/** Milliseconds: clocks of other processors, and rounding. */
const TOLERANCE = 5
const TAG = 'the-tag'
/** Keys of one large call. */
const HAMMERED = 300

export class Keys extends Part {
  #keys
  #own
  #large
  /** By index: the highest number that this player has read. */
  #seen = new Map()
  /** By index: the number of the last acknowledged write of this player; undefined if the state is unknown. */
  #state = new Map()

  constructor(scene) {
    super(scene)
    this.#keys = scene.layout.keys
    this.#own = this.#keys.filter(({ slot }) => slot === scene.slot)
    const large = this.#own.filter(({ maxLength }) => maxLength > 100_000)
    this.#large = large.length > 0 ? large : this.#own
    this.#resolveWipes()
  }

  get steps() {
    const own = () => this.random.pick(this.#own)
    const any = () => this.random.pick(this.#keys)
    return [
      { group: 'keys', weight: 12, run: () => this.#readOne(any()) },
      { group: 'keys', weight: 2, run: () => this.#readMany(this.#some(any)) },
      { group: 'keys', weight: 8, run: () => this.#write(own()) },
      { group: 'keys', weight: 1, run: () => this.#writeMany(this.#some(own)) },
      { group: 'keys', weight: 2, run: () => this.#renew(own()) },
      { group: 'keys', weight: 1.5, run: () => this.#write(this.random.pick(this.#large)) },
      { group: 'keys', weight: 1, run: () => this.#hammer() },
      { group: 'scans', weight: 0.03, run: () => this.#scan() },
      { group: 'wipes', weight: 0.2, run: () => this.#wipe() },
      { group: 'keys', weight: 0.05, run: () => this.#reset() },
    ]
  }

  get acts() {
    return [{ group: 'streams', weight: 2, name: 'waitFor', run: () => this.#waitFor(this.random.pick(this.#keys)) }]
  }

  opened() {
    this.#state.clear()
  }

  /** Distinct keys of one space. */
  #some(pick) {
    const first = pick()
    const same = Array.from({ length: 8 }, pick).filter(({ space }) => space === first.space)
    return [...new Set([first, ...same])]
  }

  // Reading.

  #readOne(key) {
    const cache = this.scene.cacheOf(key.space)
    if (cache === undefined) return
    const how = this.random.pick(['get', 'get', 'get', 'peek', 'getEntry', 'has'])
    const before = this.#stateBefore(key)
    let found
    this.scene.run(how, key, before.acknowledged[0], () => {
      found = cache[how](key.name)
      return this.#claimOf(key, how === 'getEntry' ? found?.value : found)
    })
    if (how === 'has') this.#judgePresence(key, found, before)
    else this.#judge(key, how === 'getEntry' ? found?.value : found, before)
  }

  #readMany(keys) {
    const cache = this.scene.cacheOf(keys[0].space)
    if (cache === undefined) return
    const how = this.random.pick(['getMany', 'hasMany'])
    const before = keys.map((key) => this.#stateBefore(key))
    const names = keys.map(({ name }) => name)
    const found = this.scene.run(how, keys[0], 0, () => cache[how](names))
    keys.forEach((key, i) => {
      if (how === 'hasMany') this.#judgePresence(key, found[i], before[i])
      else this.#judge(key, found[i], before[i])
    })
  }

  /** The result of a read, for the trace. */
  #claimOf(key, value) {
    return value === undefined || typeof value === 'boolean' ? Number(value ?? 0) : (numberIn(key, value) ?? -2)
  }

  #stateBefore(key) {
    return {
      acknowledged: this.scene.ledger.read(this.scene.layout.acknowledgedRow(key)),
      // Taken before the read: by the time a wait is judged, another call may have read a newer number.
      seen: this.#seen.get(key.index) ?? 0,
      wipesEnded: this.#wipesOf(key.space)[1],
      clock: this.#clock()[1],
    }
  }

  #judge(key, value, before) {
    if (value === undefined) return this.#judgePresence(key, false, before)
    const scene = this.scene
    const number = numberIn(key, value)
    if (number === undefined) return scene.fail(`${key.name} is ${shorten(value)}, which no player wrote`, key)
    const begun = scene.ledger.read(scene.layout.begunRow(key))[0]
    const [acknowledged] = before.acknowledged
    if (number > begun) scene.fail(`${key.name} has number ${number}, but the last begun is ${begun}`, key)
    if (isDeletion(key, number)) scene.fail(`${key.name} has number ${number}, which is a deletion`, key)
    if (number < acknowledged) {
      scene.fail(`${key.name} has number ${number}, though ${acknowledged} was acknowledged before the read began`, key)
    }
    if (number < before.seen) scene.fail(`${key.name} went back from number ${before.seen} to ${number}`, key)
    this.#seen.set(key.index, Math.max(number, this.#seen.get(key.index) ?? 0))
    this.#judgeSurvival(key, number, before)
  }

  /** A value must be gone if a wipe began after its write had ended, or if its lifetime is over. */
  #judgeSurvival(key, number, before) {
    const scene = this.scene
    const [acknowledged, , wipesBegun, , ended] = scene.ledger.read(scene.layout.acknowledgedRow(key))
    if (acknowledged !== number) return
    if (key.space.wiped && before.wipesEnded > wipesBegun) {
      scene.fail(`${key.name} with number ${number} survived the ${key.space.wiped} ${before.wipesEnded}`, key)
    }
    const lifetime = lifetimeOf(key, number)
    if (key.space.mortal && before.clock > ended + lifetime + TOLERANCE) {
      const late = before.clock - ended - lifetime
      scene.fail(
        `${key.name} with number ${number} and a lifetime of ${lifetime} ms is still there ${late} ms later`,
        key,
      )
    }
  }

  #judgePresence(key, isThere, before) {
    const scene = this.scene
    const [begun] = scene.ledger.read(scene.layout.begunRow(key))
    const [acknowledged, wipesResolved, , written] = before.acknowledged
    const states = Array.from({ length: begun - acknowledged + 1 }, (_, i) => acknowledged + i)
    const isAbsent = (number) => number === 0 || isDeletion(key, number)
    if (isThere) {
      if (states.every(isAbsent)) scene.fail(`${key.name} is there, and was deleted by number ${acknowledged}`, key)
      return
    }
    if (key.space.lossy || states.some(isAbsent)) return
    if (key.space.wiped && this.#wipesOf(key.space)[0] > wipesResolved) return
    const minLifetime = Math.min(...states.map((number) => lifetimeOf(key, number)))
    if (key.space.mortal && this.#clock()[0] >= written + minLifetime - TOLERANCE) return
    scene.fail(`${key.name} is lost: the last acknowledged number is ${acknowledged}, the last begun ${begun}`, key)
  }

  // Writing.

  #begin(key) {
    const { ledger, layout } = this.scene
    const number = ledger.read(layout.begunRow(key))[0] + 1
    const wipesResolved = this.#wipesOf(key.space)[2]
    const written = this.#clock()[1]
    ledger.write(layout.begunRow(key), [number, wipesResolved, written])
    return { number, wipesResolved, written }
  }

  #acknowledge(key, { number, wipesResolved, written }) {
    const { ledger, layout } = this.scene
    const wipesBegun = this.#wipesOf(key.space)[0]
    ledger.write(layout.acknowledgedRow(key), [number, wipesResolved, wipesBegun, written, this.#clock()[0]])
    this.#seen.set(key.index, number)
    this.#state.set(key.index, number)
  }

  #write(key) {
    const cache = this.scene.cacheOf(key.space)
    if (cache === undefined) return
    const isKnown = key.space.name === 'kept' && this.#state.has(key.index)
    const before = isKnown ? this.#state.get(key.index) : undefined
    this.#state.delete(key.index)
    const write = this.#begin(key)
    const { number } = write
    const how = this.#wayToWrite(key, number, before)
    const isDone = this.scene.run(how, key, number, () => ways[how](cache, key, number))
    if (isDone === undefined) return this.#acknowledge(key, write)
    // No other process writes the key, so the answer is known if the state before was known.
    if (before !== undefined && isDone !== expected(how, key, before)) {
      this.scene.fail(`${how} of ${key.name} answered ${shorten(isDone)} after number ${before}`, key)
    }
    const isWrite = !isDeletion(key, number)
    const isStored = how === 'swap' || !isWrite || isDone === true
    if (isStored) this.#acknowledge(key, write)
  }

  #wayToWrite(key, number, before) {
    if (key.journal) return beginsJournal(number) ? 'set' : before === undefined ? 'update' : 'append'
    if (isDeletion(key, number)) return this.random.pick(['delete', 'deleteMany', 'take'])
    const ways = ['set', 'set', 'swap', 'update', 'compare-and-set']
    if (before !== undefined) ways.push(isDeletion(key, before) ? 'add' : 'replace')
    return this.random.pick(ways)
  }

  #writeMany(keys) {
    const cache = this.scene.cacheOf(keys[0].space)
    if (cache === undefined) return
    const able = keys.filter((key) => !key.journal && !isDeletion(key, this.#nextOf(key)))
    if (able.length === 0) return
    const writes = able.map((key) => {
      this.#state.delete(key.index)
      return { key, ...this.#begin(key) }
    })
    const items = writes.map(({ key, number }) => [key.name, valueOf(key, number), optionsOf(key, number)])
    const stored = this.scene.run('setMany', able[0], writes[0].number, () => cache.setMany(items))
    writes.forEach(({ key, ...write }, i) => {
      if (stored[i]) this.#acknowledge(key, write)
      else if (!key.space.lossy) this.scene.fail(`${key.name} was not stored by setMany`, key)
    })
  }

  #nextOf(key) {
    return this.scene.ledger.read(this.scene.layout.begunRow(key))[0] + 1
  }

  /** `touch` and `persist` change neither the value nor its number. */
  #renew(key) {
    if (key.space.name !== 'kept' || !this.#state.has(key.index)) return
    const cache = this.scene.cacheOf(key.space)
    const number = this.#state.get(key.index)
    const isThere = !isDeletion(key, number)
    const how = this.random.pick(['touch', 'persist', 'ttl'])
    const answer = this.scene.run(how, key, number, () => cache[how](key.name, how === 'touch' ? '1000d' : undefined))
    const isRight = how === 'ttl' ? (answer !== undefined) === isThere : answer === isThere
    if (!isRight) this.scene.fail(`${how} of ${key.name} answered ${answer} after number ${number}`, key)
  }

  // Operations on many keys.

  #scan() {
    const own = this.#own.filter(({ space }) => space.name === 'kept')
    const cache = own.length > 0 ? this.scene.cacheOf(own[0].space) : undefined
    if (cache === undefined) return
    const how = this.random.pick(['keys', 'entries'])
    const met = new Map()
    this.scene.run(how, undefined, 0, () => {
      for (const item of cache[how]()) {
        const name = how === 'keys' ? item : item[0]
        met.set(name, (met.get(name) ?? 0) + 1)
      }
    })
    for (const key of own) {
      const number = this.#state.get(key.index)
      if (number === undefined) continue
      const times = met.get(key.name) ?? 0
      if (times !== Number(!isDeletion(key, number))) {
        this.scene.fail(`${key.name} with number ${number} came ${times} times in ${how}`, key)
      }
    }
  }

  #wipe() {
    const { layout, ledger } = this.scene
    const space = this.random.pick(layout.spaces)
    const cache = this.scene.cacheOf(space)
    if (cache === undefined || !space.wiped || layout.wiperOf(space) !== this.scene.slot) return
    const [begun, ended, resolved] = this.#wipesOf(space)
    const number = begun + 1
    ledger.write(layout.wipeRow(space), [number, ended, resolved])
    const wipes = {
      clear: ['clear', () => cache.clear()],
      tag: ['invalidateTags', () => cache.invalidateTags(TAG, { mode: this.random.pick(['remove', 'stale']) })],
      prefix: ['deletePrefix', () => cache.deletePrefix('prefixed-')],
    }
    const [how, wipe] = wipes[space.wiped]
    this.scene.run(how, undefined, number, wipe)
    ledger.write(layout.wipeRow(space), [number, number, number])
  }

  /** A wipe that the predecessor of this player had begun is over, whether it was done or not. */
  #resolveWipes() {
    const { layout, ledger, slot } = this.scene
    for (const space of layout.spaces) {
      if (layout.wiperOf(space) !== slot) continue
      const [begun, ended] = this.#wipesOf(space)
      ledger.write(layout.wipeRow(space), [begun, ended, begun])
    }
  }

  /** The numbers of the last wipe that began, that ended, and that is known to be over. */
  #wipesOf(space) {
    return space.wiped ? this.scene.ledger.read(this.scene.layout.wipeRow(space)) : [0, 0, 0]
  }

  /** The maximum and the minimum time that the segment's clock may show. */
  #clock() {
    if (!this.scene.plan.manualClock) return [now(), now()]
    return this.scene.ledger.read(this.scene.layout.clockRow)
  }

  /** Hundreds of writes in one call, so that much time passes under locks. These keys have no fixed writer. */
  #hammer() {
    const { caches } = this.scene
    const segment = this.random.pick(['main', 'scarce'])
    if (caches[segment] === undefined) return
    const names = Array.from({ length: HAMMERED }, (_, i) => `hammered-${i}`)
    const fill = String.fromCharCode(97 + this.random.below(26)).repeat(this.random.below(300))
    this.scene.run('setMany', undefined, HAMMERED, () =>
      caches[segment].root.setMany(names.map((name) => [name, name + fill])),
    )
    if (this.random.chance(0.2))
      this.scene.run('deleteMany', undefined, HAMMERED, () => caches[segment].root.deleteMany(names))
    const found = this.scene.run('getMany', undefined, HAMMERED, () => caches[segment].root.getMany(names))
    found.forEach((value, i) => {
      if (value !== undefined && !isHammered(value, names[i])) this.scene.fail(`${names[i]} is ${shorten(value)}`)
    })
  }

  /** Clears a segment that may lose entries, or destroys one while all players use it. */
  #reset() {
    const { caches } = this.scene
    const segment = this.random.pick(['scarce', 'side'])
    if (caches[segment] === undefined) return
    if (segment === 'scarce') this.scene.run('clear', undefined, 0, () => caches.scarce.root.clear())
    else this.scene.run('destroy', undefined, 0, () => this.scene.destroy('side'))
  }

  /** Waits for the next write of a key. */
  async #waitFor(key) {
    const scene = this.scene
    const cache = scene.cacheOf(key.space)
    if (cache === undefined) return
    const after = cache.getEntry(key.name)?.version ?? 0
    const before = this.#stateBefore(key)
    const begun = now()
    try {
      const entry = await cache.waitFor(key.name, { after, timeout: this.random.between(50, 3000), ref: true })
      if (entry.version <= after && key.space.segment !== 'side')
        scene.fail(`waitFor gave version ${entry.version} after ${after}`, key)
      this.#judge(key, entry.value, before)
    } catch (error) {
      // A segment that was destroyed and created again starts with new versions.
      if (error.code !== 'ERR_TIMEOUT' || key.space.segment === 'side' || scene.wasStalled(begun)) throw error
      const entry = cache.getEntry(key.name)
      const [number, , , , written] = scene.ledger.read(scene.layout.acknowledgedRow(key))
      const presentFor = scene.plan.manualClock ? 0 : now() - written
      // An entry without an acknowledged number may have been written just now.
      const isAcknowledged = entry !== undefined && numberIn(key, entry.value) === number
      if (isAcknowledged && entry.version > after && presentFor > 2000) {
        scene.fail(`waitFor missed version ${entry.version}, written ${presentFor.toFixed()} ms ago`, key)
      }
      throw error
    }
  }
}

function isHammered(value, name) {
  const fill = String(value).slice(name.length)
  return String(value).startsWith(name) && fill === (fill[0] ?? '').repeat(fill.length)
}

/** The ways to write a state. Each returns the answer of the call, or undefined if the call has none. */
const ways = {
  set: (cache, key, number) => cache.set(key.name, valueOf(key, number), optionsOf(key, number)),
  add: (cache, key, number) => cache.add(key.name, valueOf(key, number), optionsOf(key, number)),
  replace: (cache, key, number) => cache.replace(key.name, valueOf(key, number), optionsOf(key, number)),
  swap: (cache, key, number) => cache.swap(key.name, valueOf(key, number), optionsOf(key, number)) !== undefined,
  'compare-and-set': (cache, key, number) => {
    const version = cache.getEntry(key.name)?.version
    const condition = version === undefined ? 'absent' : { version }
    return cache.set(key.name, valueOf(key, number), { ...optionsOf(key, number), if: condition })
  },
  update: (cache, key, number) => {
    if (key.space.mortal || key.space.wiped === 'tag') return ways.set(cache, key, number)
    cache.update(key.name, () => valueOf(key, number))
  },
  append: (cache, key, number) => {
    cache.append(key.name, `${number};`)
  },
  delete: (cache, key) => cache.delete(key.name),
  deleteMany: (cache, key) => cache.deleteMany([key.name])[0],
  take: (cache, key) => cache.take(key.name) !== undefined,
}

/** The right answer of a way to write, if the state before is known. */
function expected(how, key, before) {
  const wasThere = !isDeletion(key, before)
  return ['swap', 'delete', 'deleteMany', 'take'].includes(how) ? wasThere : true
}

function optionsOf(key, number) {
  if (key.space.mortal) return { ttl: lifetimeOf(key, number) }
  return key.space.wiped === 'tag' ? { tags: [TAG, `number-${number % 3}`] } : {}
}

function lifetimeOf(key, number) {
  return key.space.mortal ? 30 + ((Math.imul(number, 40_503) >>> 0) % 1000) : Infinity
}

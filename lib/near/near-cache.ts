/**
 * The near cache: copies of values in this thread. A copy is valid as long as the words in shared memory that it
 * depends on are unchanged: its index word, the epochs, and the tag clock for a tagged entry. So a hit is as recent as
 * a read of the segment, without the native call. If only the tag clock has moved, a native call checks the tags of the
 * entry, and a copy that no invalidation concerns is kept with the new clock.
 *
 * Admission: every value while there is room; then every eighth read without a copy asks for one, and gets it if its
 * key has asked before, as a small table of index words remembers. Eviction is CLOCK. See
 * docs/decisions/0005-near-cache.md. Kept are immutable values, and trees of plain objects, arrays and Dates. With
 * `copy` each hit gets a new copy; with `frozen` each hit gets the same object, unless it contains a Date.
 *
 * If copies cost more than they save, because other processes change the values that this thread reads, or because it
 * reads more values than fit, the near cache rests: for a number of reads the segment is read directly.
 *
 * Caution: a copy keeps the words as they were loaded *before* the entry was read. Words loaded afterwards would make
 * an outdated copy look valid.
 */
import { copier, freeze } from '../codec/copy.ts'
import type { Copier } from '../codec/copy.ts'
import { frozenFlat } from '../codec/flat.ts'
import type { SegmentHandle } from '../segment/handle.ts'
import { Kind, MetaFloat, MetaInt, NearInt } from '../native/layout.ts'
import type { ResolvedNear } from '../arguments/options.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { unref } from '../waiting/timers.ts'

/** A kept value. The fields of a hit come first, to touch fewer cache lines. */
interface Copy {
  /** Undefined for an outdated copy, which waits for its next value or for eviction. */
  value: unknown
  /** Makes new copies; undefined for a value that is returned itself. */
  copy: Copier | undefined
  /** Position in `#words` of the upper half of its index word. */
  word: number
  generation: number
  /** Further conditions; undefined for most copies. */
  terms: Terms | undefined
  /** Reads since the clock hand last passed, at most 3. */
  reads: number
  /** `reads` when the value came. If it is the same when the value becomes outdated, the copy was of no use. */
  readsBefore: number
  /** The last value was of no use, so the next one is kept at its second read only. */
  waits: boolean
  /** The generation of a value that was read once and not kept. */
  passed: number
  /** Bytes of the value as stored. */
  size: number
  readonly key: string
}

/** Conditions that only some copies have. */
interface Terms {
  /** In milliseconds since boot; 0: never. */
  readonly deadline: Milliseconds
  /** Even. Undefined: no tags. */
  tagClock: number | undefined
}

/** Maximum of a use mark, as in the eviction policy of the segment; see `MAX_USES` in `crates/core`. */
const MAX_USES = 3
const MAX_READS = 3
/** Maximum number of hits that this thread collects before it counts them in the segment, and how many fewer it may be. */
const COUNT_AT_ONCE = 1024
const COUNT_SPREAD = 256
/** The maximum delay of that count. */
const COUNT_AFTER: Milliseconds = 1000
/** A line of the index in 32-bit words: 7 index words, 7 bytes of use marks, 1 byte of count. */
const LINE = 16
/** Position in a line of its use marks, in bytes. */
const USE_MARKS = 56
/** Maximum part of the room for one value. */
const MAX_PART = 1 / 8

/** When there is no room, one in this many reads of keys without a copy asks for one. */
const ASKED_EVERY = 8
/** After this many reads without a valid copy, except the first read of each key, the near cache judges its use. */
const JUDGED_AFTER = 1024
/** In nanoseconds: the native call that a hit saves, and decoding one byte of an object. */
const CALL_COST = 80
const DECODING_COST = 1
/**
 * In nanoseconds: the loss of a read without a valid copy, if it only searched for one, and if its value was offered.
 */
const PASSED_COST = 80
const USELESS_COST = 300
/** A rest lasts until the reads have taken this many times the loss: some milliseconds. */
const REST = 32

/** Near caches of this thread with uncounted hits. */
const uncounted = new Set<NearCache>()
/** Whether a listener of `exit` counts them. */
let countsAtExit = false

/** Counts all uncounted hits of this thread in the segment. */
export function countNearHits(): void {
  for (const near of uncounted) near.count()
}

/**
 * The near cache of a handle. Undefined: disabled, or the host forbids buffers over foreign memory. `onMany`: called by
 * a hit after each `COUNT_AT_ONCE` hits.
 */
export function openNearCache(
  handle: SegmentHandle,
  options: ResolvedNear | undefined,
  onMany: () => void,
): NearCache | undefined {
  if (options === undefined) return undefined
  const view = handle.view()
  return view === undefined ? undefined : new NearCache(handle, view, options, onMany)
}

/** The copies of one handle. The handle must be open: the view of a closed one is empty. */
export class NearCache {
  readonly #handle: SegmentHandle
  /** The part of the segment before the space for entries. Longer after a resize. */
  #words: Int32Array
  #bytes: Uint8Array
  readonly #options: ResolvedNear
  readonly #onMany: () => void
  readonly #copies = new Map<unknown, Copy>()
  /** The same copies in the order of the clock. */
  readonly #ring: Copy[] = []
  /** Index words of keys that asked for a copy once, by a hash. Created at the first eviction. */
  #seen: Int32Array | undefined
  /** Positions of the epoch of the root and of the epoch of the namespace; for the root they are the same. */
  readonly #rootEpoch: number
  readonly #ownEpoch: number
  readonly #tagClock: number
  /** The epochs of all copies. */
  #root = 0
  #own = 0
  #hand = 0
  #size = 0
  /** Hits from the last count to the next, and how many of them remain. */
  #granted = 1
  #left = 1
  #timer: NodeJS.Timeout | undefined
  /** Hits before the last count. */
  #counted = 0
  /** Those of them before the last call of `#onMany`. */
  #reported = 0
  /** Whether the value of the last read without a valid copy is to be offered. */
  #isWanted = true
  /**
   * At the last judgement: hits. Since then: reads that only searched for a copy, and reads without use of the copies.
   */
  #hitsBefore = 0
  #passed = 0
  #useless = 0
  /** Since then: offered values, and decoded bytes of objects among them. */
  #offered = 0
  #decoded = 0

  constructor(handle: SegmentHandle, view: ArrayBuffer, options: ResolvedNear, onMany: () => void) {
    this.#handle = handle
    this.#words = new Int32Array(view)
    this.#bytes = new Uint8Array(view)
    this.#options = options
    this.#onMany = onMany
    this.#rootEpoch = handle.rootEpochOffset / 4
    this.#ownEpoch = handle.epochOffset / 4
    this.#tagClock = handle.tagClockOffset / 4
  }

  /** The value of a key with a valid copy; undefined: read the segment. Allocates only the returned copy. */
  get(key: unknown): unknown {
    const copy = this.#copies.get(key)
    if (copy === undefined) return this.#missed()
    const words = this.#words
    const { word } = copy
    // `Atomics.load` comes first: it is an acquire load, and a call, so no plain load behind it can reuse the value of
    // an earlier hit. The order of the plain loads does not matter: a word that is unchanged when it is loaded was
    // unchanged before.
    const isValid =
      // mutant: near-ignores-word
      Atomics.load(words, word) === copy.generation &&
      // mutant: near-outlives-clear
      words[this.#rootEpoch] === this.#root &&
      // mutant: near-outlives-namespace
      words[this.#ownEpoch] === this.#own &&
      // mutant: near-outlives-tags
      (copy.terms === undefined || this.#hold(copy, copy.terms))
    if (!isValid) return this.#outdate(copy)
    const mark = (word & -LINE) * 4 + USE_MARKS + ((word & (LINE - 1)) >> 1)
    const uses = this.#bytes[mark] as number
    if (uses < MAX_USES) this.#bytes[mark] = uses + 1
    if (copy.reads < MAX_READS) copy.reads++
    if (--this.#left === 0 && !this.#isAttached()) return undefined
    return copy.copy === undefined ? copy.value : copy.copy(copy.value)
  }

  /**
   * Keeps the value that `getNear` has just read, if it qualifies. No other raw call may come in between. Returns the
   * value for the caller.
   */
  offer(key: unknown, found: unknown, kind: number): unknown {
    const value = this.shown(found, kind)
    const { ints, floats } = this.#handle
    const wordOffset = floats[MetaFloat.Word] as number
    const size = ints[MetaInt.Length] as number
    const isLarge = size > this.#options.maxSize * MAX_PART
    this.#offered++
    if (typeof value === 'object') this.#decoded += size
    if (wordOffset === 0 || typeof key !== 'string' || isLarge) return this.pass(value)
    this.#follow(ints[NearInt.Root] as number, ints[NearInt.Own] as number)
    // The generation is in the upper half.
    const word = wordOffset / 4 + 1
    if (word >= this.#words.length && !this.#extend(word)) return this.pass(value)
    const before = this.#copies.get(key)
    const generation = ints[NearInt.Generation] as number
    if (before?.waits && before.passed !== generation) {
      before.passed = generation
      return value
    }
    if (before === undefined && this.#seen !== undefined) {
      this.#useless++
      if (!wasSeen(this.#seen, word)) return value
    }
    // The caller may change the value that it gets.
    const mayChange = typeof value === 'object' && value !== null && !(this.#options.frozen && Object.isFrozen(value))
    const copy = mayChange ? copier(value) : undefined
    if (mayChange && copy === undefined) return this.pass(value)
    const kept = before ?? this.#add(key)
    kept.reads = Math.min(kept.reads, MAX_READS - 1)
    kept.readsBefore = kept.reads
    kept.value = copy === undefined ? value : copy(value)
    kept.copy = copy
    kept.word = word
    kept.generation = generation
    kept.waits = false
    kept.terms = this.#termsOf(floats[MetaFloat.Deadline] as number)
    this.#size += size - kept.size
    kept.size = size
    this.#shrink()
    return value
  }

  /** Looks further into the segment, which was resized. False: the host forbids it, or the view would be too long. */
  #extend(word: number): boolean {
    const view = this.#handle.view()
    if (view === undefined) return false
    this.#words = new Int32Array(view)
    this.#bytes = new Uint8Array(view)
    return word < this.#words.length
  }

  /** Whether a read without a valid copy is to use `getNear` and offer its value. */
  get isWanted(): boolean {
    return this.#isWanted
  }

  /** Records that a value cannot be kept. */
  pass<V>(value: V): V {
    this.#useless++
    return value
  }

  /** The number of reads for which the near cache rests, because copies cost more than they save; usually 0. */
  restsFor(): number {
    if (this.#useless + this.#passed < JUDGED_AFTER) return 0
    const hits = this.#counted + this.#granted - this.#left
    const saving = CALL_COST + (DECODING_COST * this.#decoded) / Math.max(this.#offered, 1)
    const loss = this.#passed * PASSED_COST + this.#useless * USELESS_COST
    const rest = (hits - this.#hitsBefore) * saving >= loss ? 0 : Math.ceil((REST * loss) / saving)
    this.#hitsBefore = hits
    this.#passed = 0
    this.#useless = 0
    this.#offered = 0
    this.#decoded = 0
    return rest
  }

  /** The value from the segment as `get` returns it. */
  shown(value: unknown, kind: number): unknown {
    if (!this.#options.frozen || typeof value !== 'object' || value === null) return value
    if (kind === Kind.Flat) return frozenFlat(value)
    if (kind === Kind.Json || kind === Kind.Structured) freeze(value)
    return value
  }

  /** Counts the uncounted hits. Called before the handle is closed, and before stats are read. */
  count(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    uncounted.delete(this)
    this.#countUpTo(1)
  }

  /**
   * Counts, at the first hit after a pause and at least every `COUNT_AT_ONCE` hits. The count also tells whether the handle is
   * still attached to the segment of its name, which no word in the segment tells.
   */
  #isAttached(): boolean {
    // At random, so that hits that repeat in a pattern are reported in no pattern.
    const isAttached = this.#countUpTo(COUNT_AT_ONCE - Math.floor(Math.random() * COUNT_SPREAD))
    if (this.#counted - this.#reported >= COUNT_AT_ONCE) {
      this.#reported += COUNT_AT_ONCE
      this.#onMany()
    }
    if (this.#timer !== undefined) return isAttached
    this.#timer = setTimeout(() => this.count(), COUNT_AFTER)
    unref(this.#timer)
    uncounted.add(this)
    if (!countsAtExit) process.on('exit', countNearHits)
    countsAtExit = true
    return isAttached
  }

  /** Counts; the next count is after `next` hits. False: the segment was lost. */
  #countUpTo(next: number): boolean {
    const hits = this.#granted - this.#left
    this.#counted += hits
    this.#granted = next
    this.#left = next
    return this.#handle.countHits(hits) === true
  }

  #termsOf(deadline: Milliseconds): Terms | undefined {
    const { ints } = this.#handle
    const tagClock = ints[NearInt.Tagged] === 1 ? (ints[NearInt.TagClock] as number) : undefined
    return deadline === 0 && tagClock === undefined ? undefined : { deadline, tagClock }
  }

  /** Whether tag clock and deadline of a copy still hold. */
  #hold(copy: Copy, terms: Terms): boolean {
    const { deadline, tagClock } = terms
    if (tagClock !== undefined && this.#words[this.#tagClock] !== tagClock && !this.#outlives(copy, terms)) return false
    if (deadline === 0) return true
    this.#handle.now()
    return (this.#handle.floats[MetaFloat.Now] as number) < deadline
  }

  /** Whether a copy outlives the invalidations since its tag clock, which were of other tags; it gets the new clock. */
  #outlives(copy: Copy, terms: Terms): boolean {
    if (copy.value === undefined || this.#isInvalidating) return false
    const clock = this.#handle.tagClock(copy.word >> 1, copy.generation)
    // mutant: near-tags-unchecked
    if (clock === undefined) return false
    terms.tagClock = clock
    return true
  }

  /** Whether an invalidation is under way, or its process has died in it: until it ends, no tagged copy is valid. */
  get #isInvalidating(): boolean {
    return ((this.#words[this.#tagClock] as number) & 1) === 1
  }

  /** There is no copy: decides whether this read asks for one. */
  #missed(): undefined {
    this.#isWanted = this.#seen === undefined || ++this.#passed % ASKED_EVERY === 0
  }

  /**
   * A copy that is invalid never becomes valid again: no generation, epoch or time comes back, and no invalidation. Only
   * during an invalidation it is not known yet.
   */
  #outdate(copy: Copy): undefined {
    this.#isWanted = true
    this.#useless++
    if (copy.terms?.tagClock !== undefined && this.#isInvalidating) return
    this.#size -= copy.size
    if (copy.value !== undefined) copy.waits = copy.reads === copy.readsBefore
    copy.value = undefined
    copy.copy = undefined
    copy.size = 0
  }

  /** All copies have the same epochs; a change drops all of them. */
  #follow(root: number, namespace: number): void {
    const own = this.#ownEpoch === this.#rootEpoch ? root : namespace
    if (root === this.#root && own === this.#own) return
    this.#copies.clear()
    this.#ring.length = 0
    this.#hand = 0
    this.#size = 0
    this.#seen = undefined
    this.#root = root
    this.#own = own
  }

  /** An empty copy for a key without one. */
  #add(key: string): Copy {
    const copy: Copy = {
      value: undefined,
      copy: undefined,
      word: 0,
      generation: 0,
      terms: undefined,
      reads: 0,
      readsBefore: 0,
      waits: false,
      passed: 0,
      size: 0,
      key,
    }
    if (this.#ring.length >= this.#options.maxEntries) this.#ring[this.#victim()] = copy
    else this.#ring.push(copy)
    this.#copies.set(key, copy)
    return copy
  }

  #shrink(): void {
    while (this.#size > this.#options.maxSize) {
      const at = this.#victim()
      const last = this.#ring.pop() as Copy
      if (at < this.#ring.length) this.#ring[at] = last
    }
  }

  /** Evicts a copy that was not read since the clock hand last passed; returns its position in the ring. */
  #victim(): number {
    this.#seen ??= new Int32Array(2 ** Math.ceil(Math.log2(this.#options.maxEntries)))
    for (;;) {
      const at = this.#hand < this.#ring.length ? this.#hand : 0
      const copy = this.#ring[at] as Copy
      this.#hand = at + 1
      if (copy.reads === 0 || copy.value === undefined) {
        this.#copies.delete(copy.key)
        this.#size -= copy.size
        return at
      }
      copy.reads--
    }
  }
}

/** Whether this index word is in the table; adds it. */
function wasSeen(seen: Int32Array, word: number): boolean {
  const at = (Math.imul(word, 0x9e3779b1) >>> 8) & (seen.length - 1)
  if (seen[at] === word) return true
  seen[at] = word
  return false
}

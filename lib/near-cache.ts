/**
 * Copies of values in this thread, each valid only while the words in shared memory that it depends on are unchanged: its
 * index word, the epochs, the tag clock for a tagged one. So a hit is as new as a read of the segment, without the call.
 *
 * Who is kept: everyone while there is room; then each eighth read without a copy asks for one, and gets it if the key asked
 * before (it left a mark in a small table); who goes: whom nobody has read since the hand of a clock came by. See docs/decisions/0005-near-cache.md. Kept are
 * immutable values, and trees of plain objects, arrays and Dates; of these `copy` gives a fresh copy each time, `frozen` always
 * the same one, unless there is a Date in it.
 *
 * Where copies cost more than they save, since others write what this thread reads, or it reads more than it may keep, the near
 * cache asks for a rest: some reads go to the segment as if there were none, then it is tried again.
 *
 * The thing to get wrong: what a copy is compared with. It keeps the words as they were loaded *before* the entry was read;
 * words that are loaded afterwards would make an outdated copy look valid.
 */
import { copier, freeze } from './codec/copy.ts'
import type { Copier } from './codec/copy.ts'
import { frozenFlat } from './codec/flat.ts'
import type { Handle } from './handle.ts'
import { Kind, MetaFloat, MetaInt, NearInt } from './native.ts'
import type { ResolvedNear } from './options.ts'
import type { Milliseconds } from './units.ts'

/** A kept value. Its first fields are those of a hit, which so has fewer cache lines to fetch. */
interface Copy {
  /** Undefined when it is known to be outdated: what is left waits for its next value, or for the hand. */
  value: unknown
  /** Makes fresh copies; undefined for what may be handed out itself. */
  copy: Copier | undefined
  /** Place of its index word's upper half in `#words`. */
  word: number
  generation: number
  /** What else it depends on; undefined for most. */
  terms: Terms | undefined
  /** Reads since the hand last came by, 3 at most. */
  reads: number
  /** What `reads` was when the value came: the same when it goes means that it was of no use. */
  readsBefore: number
  /** The last value was of no use: the next one is kept with its second read only. */
  waits: boolean
  /** The generation that was read once and not kept. */
  passed: number
  /** Bytes of the value as stored. */
  size: number
  readonly key: string
}

/** What only some copies depend on. */
interface Terms {
  /** Boot milliseconds, 0: never. */
  readonly deadline: Milliseconds
  /** Undefined: no tags. */
  readonly tagClock: number | undefined
}

/** What the policy of the segment asks for: see `MOST_TOUCHES` in `crates/core/src/read.rs`. */
const MOST_TOUCHES = 3
const MOST_READS = 3
/** Hits that are counted here before they are counted in the segment. */
const COUNT_AT_ONCE = 1024
/** After so long at most they are. */
const COUNT_AFTER: Milliseconds = 1000
/** A line of the index in 32-bit words: 7 index words, 7 touched bytes, 1 count. */
const LINE = 16
/** Byte of a line where the touched bytes start. */
const TOUCHED = 56
/** A value may take this part of the room at most, or it would drive out all others. */
const LARGEST_PART = 1 / 8

/** Once there is no room, one in so many reads of keys without a copy asks for one. */
const ASKED_EVERY = 8
/** So many reads that found no valid copy, the first of each key aside, and the copies are judged. */
const JUDGED_AFTER = 1024
/** Nanoseconds: the call that a hit saves, and decoding a byte of an object. */
const CALL_COST = 80
const DECODING_COST = 1
/** What a read loses that found no valid copy: one that looked for a copy only, and one whose value was to be kept. */
const PASSED_COST = 80
const USELESS_COST = 300
/** A rest is as long as reads take so many times what looking for copies had cost: some milliseconds. */
const REST = 32

/** Near caches of this thread with hits that are not counted yet. */
const uncounted = new Set<NearCache>()
/** Whether `exit` counts them. */
let countsAtExit = false

/** Makes the statistics of the segment exact as far as this thread is concerned. */
export function countNearHits(): void {
  for (const near of uncounted) near.count()
}

/** The near cache of a handle. Undefined: not wanted, or the host does not let JavaScript see the segment. */
export function openNearCache(handle: Handle, options: ResolvedNear | undefined): NearCache | undefined {
  if (options === undefined) return undefined
  const view = handle.view()
  return view === undefined ? undefined : new NearCache(handle, view, options)
}

/** The copies of one handle, which must be open: the view of one that is closed has no elements any more. */
export class NearCache {
  readonly #handle: Handle
  /** The segment in front of its space. */
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #options: ResolvedNear
  readonly #copies = new Map<unknown, Copy>()
  /** The copies once more, in the order of the clock. */
  readonly #ring: Copy[] = []
  /** Index words of keys that asked for a copy once, by a hash; made when the first copy has to go. */
  #seen: Int32Array | undefined
  /** Places of the root's epoch and of that of the handle's namespace; the root's own is the same. */
  readonly #rootEpoch: number
  readonly #ownEpoch: number
  readonly #tagClock: number
  /** The epochs of all copies. */
  #root = 0
  #own = 0
  #hand = 0
  #size = 0
  /** Hits from the last count to the next one, and how many of them are still to come. */
  #granted = 1
  #left = 1
  #timer: NodeJS.Timeout | undefined
  /** Hits before the last count. */
  #counted = 0
  /** Whether the value of the read that has just found no valid copy is to be offered. */
  #isWanted = true
  /** Since the copies were judged last: hits before, reads that passed them by, reads that they were of no use to. */
  #hitsBefore = 0
  #passed = 0
  #useless = 0
  /** And values offered, bytes of objects among them. */
  #offered = 0
  #decoded = 0

  constructor(handle: Handle, view: ArrayBuffer, options: ResolvedNear) {
    this.#handle = handle
    this.#words = new Int32Array(view)
    this.#bytes = new Uint8Array(view)
    this.#options = options
    this.#rootEpoch = handle.rootEpochOffset / 4
    this.#ownEpoch = handle.epochOffset / 4
    this.#tagClock = handle.tagClockOffset / 4
  }

  /** The value of a key if there is a valid copy of it; undefined: look into the segment. Allocates nothing but a copy. */
  get(key: unknown): unknown {
    const copy = this.#copies.get(key)
    if (copy === undefined) return this.#passBy()
    const words = this.#words
    const { word } = copy
    // The one Atomics.load comes first: it is an acquire, and a call, so that no plain load behind it can be an earlier
    // hit's. The order of the others is of no matter: whatever is unchanged when it is loaded was so a moment before.
    const isValid =
      Atomics.load(words, word) === copy.generation &&
      words[this.#rootEpoch] === this.#root &&
      words[this.#ownEpoch] === this.#own &&
      (copy.terms === undefined || this.#hold(copy.terms))
    if (!isValid) return this.#outdate(copy)
    const touched = (word & -LINE) * 4 + TOUCHED + ((word & (LINE - 1)) >> 1)
    const touches = this.#bytes[touched] as number
    if (touches < MOST_TOUCHES) this.#bytes[touched] = touches + 1
    if (copy.reads < MOST_READS) copy.reads++
    if (--this.#left === 0 && !this.#mayGoOn()) return undefined
    return copy.copy === undefined ? copy.value : copy.copy(copy.value)
  }

  /**
   * Keeps the value that `getNear` has just read, if it can be kept and its time has come; no other raw call may come in
   * between. Returns what the caller is to get.
   */
  offer(key: unknown, found: unknown, kind: number): unknown {
    const value = this.shown(found, kind)
    const { ints, floats } = this.#handle
    const wordOffset = floats[MetaFloat.Word] as number
    const size = ints[MetaInt.Length] as number
    const isLarge = size > this.#options.maxSize * LARGEST_PART
    this.#offered++
    if (typeof value === 'object') this.#decoded += size
    if (wordOffset === 0 || typeof key !== 'string' || isLarge) return this.pass(value)
    this.#follow(ints[NearInt.Root] as number, ints[NearInt.Own] as number)
    // Its generation is in the upper half.
    const word = wordOffset / 4 + 1
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
    // The caller may change what it gets.
    const mayChange = typeof value === 'object' && value !== null && !(this.#options.frozen && Object.isFrozen(value))
    const copy = mayChange ? copier(value) : undefined
    if (mayChange && copy === undefined) return this.pass(value)
    const kept = before ?? this.#add(key)
    kept.reads = Math.min(kept.reads, MOST_READS - 1)
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

  /** Whether the value of a read that has just found no valid copy is to be read by `getNear`, and offered. */
  get isWanted(): boolean {
    return this.#isWanted
  }

  /** Notes that a value cannot be kept, so that looking for it was of no use. */
  pass<V>(value: V): V {
    this.#useless++
    return value
  }

  /** How many reads are to go to the segment straight away, since copies cost more than they save; mostly none. */
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

  /** The value as `get` hands it out when it comes from the segment. */
  shown(value: unknown, kind: number): unknown {
    if (!this.#options.frozen || typeof value !== 'object' || value === null) return value
    if (kind === Kind.Flat) return frozenFlat(value)
    if (kind === Kind.Json || kind === Kind.Structured) freeze(value)
    return value
  }

  /** Counts the hits that were not counted yet. To be called before the handle is closed, and before statistics are read. */
  count(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    uncounted.delete(this)
    this.#countUpTo(1)
  }

  /**
   * At the first hit after a pause, and at every so many: counts, which also tells whether the segment is still the one of
   * its name. No word in it tells that.
   */
  #mayGoOn(): boolean {
    const isAttached = this.#countUpTo(COUNT_AT_ONCE)
    if (this.#timer !== undefined) return isAttached
    this.#timer = setTimeout(() => this.count(), COUNT_AFTER)
    this.#timer.unref()
    uncounted.add(this)
    if (!countsAtExit) process.on('exit', countNearHits)
    countsAtExit = true
    return isAttached
  }

  /** Counts, and will again after `next` hits. False: the segment is gone. */
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

  /** Whether tags and deadline of a copy allow it. */
  #hold({ deadline, tagClock }: Terms): boolean {
    if (tagClock !== undefined && this.#words[this.#tagClock] !== tagClock) return false
    if (deadline === 0) return true
    this.#handle.now()
    return (this.#handle.floats[MetaFloat.Now] as number) < deadline
  }

  /** There is no copy: whether this read is to ask for one. */
  #passBy(): undefined {
    this.#isWanted = this.#seen === undefined || ++this.#passed % ASKED_EVERY === 0
  }

  /** No generation, epoch, clock or time comes back: it will never be valid again. */
  #outdate(copy: Copy): undefined {
    this.#isWanted = true
    this.#useless++
    this.#size -= copy.size
    if (copy.value !== undefined) copy.waits = copy.reads === copy.readsBefore
    copy.value = undefined
    copy.copy = undefined
    copy.size = 0
  }

  /** All copies are of one life; those of an earlier one go together. */
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

  /** A place for a copy of a key that has none. */
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

  /** Takes out a copy that nobody read since the hand came by; returns its place in the ring. */
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

/** Whether this index word is among those that were seen last; from now on it is. */
function wasSeen(seen: Int32Array, word: number): boolean {
  const at = (Math.imul(word, 0x9e3779b1) >>> 8) & (seen.length - 1)
  if (seen[at] === word) return true
  seen[at] = word
  return false
}

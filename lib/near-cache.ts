/**
 * Copies of values in this thread, each valid only while the words in shared memory that it depends on are unchanged: its
 * index word, the epochs, the tag clock for a tagged one. So a hit is as new as a read of the segment, without the call.
 *
 * Who is kept: a key comes in with its second read (the first leaves a mark in a small table), and goes when the hand of a
 * clock finds that nobody has read it; see docs/decisions/0005. Only immutable values and plain objects are kept; of an
 * object `copy` gives a fresh copy each time, `frozen` always the same one.
 *
 * The thing to get wrong: what a copy is compared with. It keeps the words as they were loaded *before* the entry was read;
 * words that are loaded afterwards would make an outdated copy look valid.
 */
import { copier, freeze } from './codec/copy.ts'
import type { Copier } from './codec/copy.ts'
import type { Handle } from './handle.ts'
import { Kind, MetaFloat, MetaInt, NearInt } from './native.ts'
import type { ResolvedNear } from './options.ts'

/** A kept value. */
interface Copy {
  readonly key: string
  value: unknown
  /** Makes fresh copies; undefined for what may be handed out itself. */
  copy: Copier | undefined
  /** Index of the generation of its index word in `#words`. */
  word: number
  generation: number
  /** Offset of its touched byte. */
  touched: number
  /** Boot milliseconds, 0: never. */
  deadline: number
  tagged: boolean
  tagClock: number
  /** Bytes of the value as stored. */
  size: number
  /** Reads since the hand last came by, 3 at most. */
  reads: number
}

/** What the policy of the segment asks for: see `MOST_TOUCHES` in `crates/core/src/read.rs`. */
const MOST_TOUCHES = 3
const MOST_READS = 3
/** Hits that are counted here before they are counted in the segment. */
const COUNT_AT_ONCE = 1024
/** After so long at most they are. */
const COUNT_AFTER = 1000
/** Bytes of a line of the index: 7 words, 7 touched bytes, 1 count. */
const LINE = 64
const TOUCHED = 56

/** The near cache of one handle. */
export class NearCache {
  readonly #handle: Handle
  /** The segment in front of its space. */
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  readonly #options: ResolvedNear
  readonly #copies = new Map<unknown, Copy>()
  /** The copies once more, in the order of the clock. */
  readonly #ring: Copy[] = []
  /** Words of keys that were read once, by a hash. */
  readonly #seen: Int32Array
  readonly #epoch: number
  readonly #tagClock: number
  /** The epochs of all copies. */
  #root = 0
  #own = 0
  #hand = 0
  #size = 0
  #hits = 0
  #timer: NodeJS.Timeout | undefined

  constructor(handle: Handle, view: ArrayBuffer, options: ResolvedNear) {
    this.#handle = handle
    this.#words = new Int32Array(view)
    this.#bytes = new Uint8Array(view)
    this.#options = options
    this.#seen = new Int32Array(2 ** Math.ceil(Math.log2(options.maxEntries)))
    this.#epoch = handle.epochOffset >> 2
    this.#tagClock = handle.tagClockOffset >> 2
  }

  /** The value of a key if there is a valid copy of it; undefined: look into the segment. */
  get(key: unknown): unknown {
    const copy = this.#copies.get(key)
    if (copy === undefined || !this.#isValid(copy)) return undefined
    const touches = this.#bytes[copy.touched] as number
    if (touches < MOST_TOUCHES) this.#bytes[copy.touched] = touches + 1
    if (copy.reads < MOST_READS) copy.reads++
    this.#hits++
    if (this.#hits === 1 || this.#hits === COUNT_AT_ONCE) this.#count()
    return copy.copy === undefined ? copy.value : copy.copy(copy.value)
  }

  #isValid(copy: Copy): boolean {
    const words = this.#words
    return (
      Atomics.load(words, copy.word) === copy.generation &&
      Atomics.load(words, ROOT_EPOCH) === this.#root &&
      Atomics.load(words, this.#epoch) === this.#own &&
      (copy.deadline === 0 || (this.#handle.now() as number) < copy.deadline) &&
      (!copy.tagged || Atomics.load(words, this.#tagClock) === copy.tagClock)
    )
  }

  /**
   * Keeps a value that `getNear` has just read and that was decoded since, if its key was read before and it can be kept.
   * Returns what the caller is to get: the value itself, or the frozen one.
   */
  offer(key: unknown, value: unknown, kind: number): unknown {
    const { ints, floats } = this.#handle
    const word = floats[MetaFloat.Word] as number
    const frozen = kind === Kind.Json && this.#options.frozen
    const kept = frozen ? freeze(value) : value
    if (word === 0 || typeof key !== 'string' || kind > Kind.Json || isBytes(kind)) return kept
    const before = this.#copies.get(key)
    if (before === undefined && !this.#wasSeen(word)) return kept
    let copy: Copier | undefined
    if (kind === Kind.Json && !frozen) {
      copy = copier(value)
      if (copy === undefined) return kept
    }
    const size = ints[MetaInt.Length] as number
    if (size > this.#options.maxSize / 8) return kept
    this.#follow(ints[NearInt.Root] as number, ints[NearInt.Own] as number)
    const fresh: Copy = {
      key,
      // The caller may change what it gets.
      value: copy === undefined ? kept : copy(value),
      copy,
      word: (word + 4) >> 2,
      generation: ints[NearInt.Generation] as number,
      touched: Math.floor(word / LINE) * LINE + TOUCHED + ((word % LINE) >> 3),
      deadline: floats[MetaFloat.Deadline] as number,
      tagged: ints[NearInt.Tagged] === 1,
      tagClock: ints[NearInt.TagClock] as number,
      size,
      reads: 0,
    }
    if (this.#copies.has(key)) this.#replace(this.#copies.get(key) as Copy, fresh)
    else this.#add(fresh)
    return kept
  }

  /** Counts what was not counted yet. To be called before the handle is closed, and before statistics are read. */
  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#hits > 0) this.#handle.countHits(this.#hits)
    this.#hits = 0
  }

  #count(): void {
    if (this.#hits > 1) return this.flush()
    this.#timer = setTimeout(() => this.flush(), COUNT_AFTER)
    this.#timer.unref()
  }

  #wasSeen(word: number): boolean {
    const at = (Math.imul(word, 0x9e3779b1) >>> 8) & (this.#seen.length - 1)
    if (this.#seen[at] === word) return true
    this.#seen[at] = word
    return this.#ring.length < this.#options.maxEntries >> 1 // nobody has to go yet
  }

  /** All copies are of one life; those of an earlier one go together. */
  #follow(root: number, own: number): void {
    if (root === this.#root && own === this.#own) return
    this.#copies.clear()
    this.#ring.length = 0
    this.#hand = 0
    this.#size = 0
    this.#root = root
    this.#own = own
  }

  #replace(old: Copy, fresh: Copy): void {
    this.#size += fresh.size - old.size
    const { key: _, reads: __, ...changes } = fresh
    Object.assign(old, changes)
    this.#shrink()
  }

  #add(fresh: Copy): void {
    if (this.#ring.length >= this.#options.maxEntries) this.#ring[this.#victim()] = fresh
    else this.#ring.push(fresh)
    this.#copies.set(fresh.key, fresh)
    this.#size += fresh.size
    this.#shrink()
  }

  #shrink(): void {
    while (this.#size > this.#options.maxSize && this.#ring.length > 0) {
      const at = this.#victim()
      const last = this.#ring.pop() as Copy
      if (at < this.#ring.length) this.#ring[at] = last
    }
  }

  /** Takes out a copy that nobody read since the hand came by; returns its place in the ring. */
  #victim(): number {
    for (;;) {
      const at = this.#hand % this.#ring.length
      const copy = this.#ring[at] as Copy
      this.#hand = at + 1
      if (copy.reads === 0) {
        this.#copies.delete(copy.key)
        this.#size -= copy.size
        return at
      }
      copy.reads--
    }
  }
}

/** Index of the root's epoch in the segment. */
const ROOT_EPOCH = 16

function isBytes(kind: number): boolean {
  return kind === Kind.Buffer || kind === Kind.Uint8Array
}

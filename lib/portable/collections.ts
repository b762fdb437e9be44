/**
 * The operations on collections, as in `crates/core/src/collections/`. Each works on an array of elements.
 */
import { CollectionRequest, Kind } from '../native/layout.ts'
import { failure, invalid } from './failure.ts'
import { Malformed, Reader, Writer } from './packed.ts'
import type { Element, Item } from './packed.ts'

const LATEST = 2 ** 48 - 1
const ADD_ABSENT = 1
const ADD_PRESENT = 2
const ADD_GREATER = 4
const ADD_LESS = 8

/** What an operation works on. */
interface Scene {
  readonly kind: number
  readonly now: number
  readonly request: Reader
  readonly answer: Writer
  elements: Element[]
}

/** An answer, and the elements after it; undefined: nothing has changed. */
export interface Outcome {
  readonly answer: Buffer
  readonly elements: Element[] | undefined
}

/** Runs a request on the elements of a collection. */
export function runRequest(kind: number, elements: readonly Element[], bytes: Uint8Array, now: number): Outcome {
  const request = new Reader(bytes)
  const living = elements.filter(({ deadline }) => deadline === 0 || deadline > now)
  const scene: Scene = { kind, now, request, answer: new Writer(), elements: living }
  try {
    const operation = request.byte()
    const run = OPERATIONS[operation]
    if (run === undefined) throw new Malformed()
    const isChanged = run(scene)
    if (!request.isOver) throw new Malformed()
    const isChange = operation >= CollectionRequest.Put
    const hasChanged = isChange && (isChanged || living.length !== elements.length)
    return { answer: scene.answer.bytes(), elements: hasChanged ? scene.elements : undefined }
  } catch (error) {
    if (error instanceof Malformed) throw invalid('a request to a collection is malformed')
    throw error
  }
}

function compareItems(a: Item, b: Item): number {
  return a.kind - b.kind || Buffer.compare(a.bytes, b.bytes)
}

function isEqual(a: Item, b: Item): boolean {
  return compareItems(a, b) === 0
}

function compareScored(a: Element, b: Element): number {
  const [left, right] = [a.score ?? 0, b.score ?? 0]
  return left < right ? -1 : left > right ? 1 : compareItems(a.key, b.key)
}

/** An item as the key of a map. */
function nameOf({ kind, bytes }: Item): string {
  return `${kind}:${bytes.toString('latin1')}`
}

/** The elements by their keys: of several with one key, the last. */
function byName(elements: readonly Element[]): Map<string, Element> {
  return new Map(elements.map((element) => [nameOf(element.key), element]))
}

function find(scene: Scene, key: Item): Element | undefined {
  return scene.elements.find((element) => isEqual(element.key, key))
}

/** Puts elements in their places, instead of those with the same keys. Each key comes once. */
function put(scene: Scene, elements: readonly Element[]): void {
  const names = new Set(elements.map(({ key }) => nameOf(key)))
  const rest = scene.elements.filter(({ key }) => !names.has(nameOf(key)))
  const order = scene.kind === Kind.SortedSet ? compareScored : (a: Element, b: Element) => compareItems(a.key, b.key)
  scene.elements = [...rest, ...elements.map(own)].toSorted(order)
}

function remove(scene: Scene, isWanted: (element: Element, at: number) => boolean): Element[] {
  const gone = scene.elements.filter(isWanted)
  scene.elements = scene.elements.filter((element, at) => !isWanted(element, at))
  return gone
}

function show(scene: Scene, element: Element): void {
  const deadline = element.deadline === 0 ? 0 : Math.max(element.deadline - scene.now, 1)
  scene.answer.element({ ...element, deadline })
}

function deadlineOf(scene: Scene, ttl: number): number {
  return ttl > 0 ? Math.min(scene.now + Math.ceil(ttl), LATEST) : 0
}

function position(index: number, count: number): number {
  const whole = Math.trunc(index)
  return whole < 0 ? Math.max(count + whole, 0) : Math.min(whole || 0, count)
}

function rangeOf(scene: Scene): [from: number, to: number] {
  const { length } = scene.elements
  const from = position(scene.request.number(), length)
  return [from, Math.max(position(scene.request.number(), length), from)]
}

interface Scores {
  has(element: Element): boolean
}

function scoresOf({ request }: Scene): Scores {
  const flags = request.byte()
  const [min, max] = [request.number(), request.number()]
  return {
    has: ({ score = 0 }) =>
      ((flags & 1) === 0 ? score >= min : score > min) && ((flags & 2) === 0 ? score <= max : score < max),
  }
}

/** Picks things by chance, as `picker` of the core. */
function picker(total: number, wanted: number, seed: number): () => boolean {
  let [left, missing, state] = [total, Math.min(wanted, total), seed | 1]
  return () => {
    if (missing === 0) return false
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    const drawn = Number((BigInt(state >>> 0) * BigInt(left)) >> 32n)
    const isPicked = drawn < missing
    left = Math.max(left - 1, 0)
    if (isPicked) missing--
    return isPicked
  }
}

function isAllowed(flags: number, old: number | undefined, score: number): boolean {
  if (old === undefined) return (flags & ADD_PRESENT) === 0
  if ((flags & ADD_ABSENT) !== 0) return false
  return ((flags & ADD_GREATER) === 0 || score > old) && ((flags & ADD_LESS) === 0 || score < old)
}

type Operation = (scene: Scene) => boolean

const OPERATIONS: Readonly<Record<number, Operation>> = {
  [CollectionRequest.Count](scene) {
    scene.answer.count(scene.elements.length)
    return false
  },

  [CollectionRequest.Page](scene) {
    const [from, count] = [scene.request.count(), scene.request.count()]
    scene.answer.byte(scene.elements.length > from + count ? 1 : 0)
    for (const element of scene.elements.slice(from, from + count)) show(scene, element)
    return false
  },

  [CollectionRequest.Get](scene) {
    for (const { key } of scene.request.elements()) {
      const element = find(scene, key)
      scene.answer.byte(element === undefined ? 0 : 1)
      if (element !== undefined) show(scene, element)
    }
    return false
  },

  [CollectionRequest.Has](scene) {
    for (const { key } of scene.request.elements()) scene.answer.byte(find(scene, key) === undefined ? 0 : 1)
    return false
  },

  [CollectionRequest.Ttl](scene) {
    for (const { key } of scene.request.elements()) {
      const element = find(scene, key)
      const left = element?.deadline === 0 ? Infinity : (element?.deadline ?? scene.now - 1) - scene.now
      scene.answer.number(left)
    }
    return false
  },

  [CollectionRequest.Sample](scene) {
    const isPicked = picker(scene.elements.length, scene.request.count(), scene.request.count())
    for (const element of scene.elements) if (isPicked()) show(scene, element)
    return false
  },

  [CollectionRequest.Slice](scene) {
    const isFromEnd = scene.request.byte() !== 0
    const [from, to] = rangeOf(scene)
    const { length } = scene.elements
    const found = isFromEnd ? scene.elements.slice(length - to, length - from) : scene.elements.slice(from, to)
    for (const element of found) show(scene, element)
    return false
  },

  [CollectionRequest.IndexOf](scene) {
    const from = position(scene.request.number(), scene.elements.length)
    const { key } = scene.request.element()
    scene.answer.number(scene.elements.findIndex((element, at) => at >= from && isEqual(element.key, key)))
    return false
  },

  [CollectionRequest.Rank](scene) {
    const isFromEnd = scene.request.byte() !== 0
    const { key } = scene.request.element()
    const at = scene.elements.findIndex((element) => isEqual(element.key, key))
    scene.answer.number(at !== -1 && isFromEnd ? scene.elements.length - 1 - at : at)
    return false
  },

  [CollectionRequest.ByScore](scene) {
    const isFromEnd = scene.request.byte() !== 0
    const scores = scoresOf(scene)
    const [offset, limit] = [scene.request.count(), scene.request.count()]
    const within = scene.elements.filter(scores.has)
    const end = isFromEnd ? Math.max(within.length - offset, 0) : offset + limit
    for (const element of within.slice(isFromEnd ? Math.max(end - limit, 0) : offset, end)) show(scene, element)
    return false
  },

  [CollectionRequest.CountByScore](scene) {
    scene.answer.count(scene.elements.filter(scoresOf(scene).has).length)
    return false
  },

  [CollectionRequest.Put](scene) {
    const only = scene.request.byte()
    const known = byName(scene.elements)
    const given = [...byName(scene.request.elements())]
    const stored = given.filter(([name]) => only === 0 || (only === 2) === known.has(name))
    put(
      scene,
      stored.map(([, element]) => ({ ...element, deadline: deadlineOf(scene, element.deadline) })),
    )
    scene.answer.count(stored.filter(([name]) => !known.has(name)).length).count(stored.length)
    return stored.length !== 0
  },

  [CollectionRequest.Delete](scene) {
    const wanted = byName(scene.request.elements())
    const gone = remove(scene, ({ key }) => wanted.has(nameOf(key)))
    scene.answer.count(gone.length)
    return gone.length !== 0
  },

  [CollectionRequest.Take](scene) {
    const keys = scene.request.elements()
    for (const { key } of keys) {
      const element = find(scene, key)
      scene.answer.byte(element === undefined ? 0 : 1)
      if (element !== undefined) show(scene, element)
    }
    const wanted = byName(keys)
    return remove(scene, ({ key }) => wanted.has(nameOf(key))).length !== 0
  },

  [CollectionRequest.Incr](scene) {
    const [by, init] = [scene.request.number(), scene.request.number()]
    const { key } = scene.request.element()
    const old = find(scene, key)
    if (old !== undefined && (old.value?.kind !== Kind.Number || old.value.bytes.length !== 8)) {
      throw failure('ERR_NOT_A_NUMBER', 'the value is not a number')
    }
    const sum = (old?.value?.bytes.readDoubleLE(0) ?? init) + by
    if (!Number.isFinite(sum) || Math.abs(sum) > Number.MAX_SAFE_INTEGER) {
      throw failure('ERR_OVERFLOW', 'the result is not a finite number of at most 2^53 - 1')
    }
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(sum)
    put(scene, [{ key, value: { kind: Kind.Number, bytes }, score: undefined, deadline: old?.deadline ?? 0 }])
    scene.answer.number(sum)
    return true
  },

  [CollectionRequest.Expire](scene) {
    const deadline = deadlineOf(scene, scene.request.number())
    const wanted = byName(scene.request.elements())
    let found = 0
    scene.elements = scene.elements.map((element) => {
      if (!wanted.has(nameOf(element.key))) return element
      found++
      return { ...element, deadline }
    })
    scene.answer.count(found)
    return found !== 0
  },

  [CollectionRequest.TakeSample](scene) {
    const isPicked = picker(scene.elements.length, scene.request.count(), scene.request.count())
    const picked = new Set(scene.elements.filter(isPicked))
    for (const element of remove(scene, (element) => picked.has(element))) show(scene, element)
    return picked.size !== 0
  },

  [CollectionRequest.Push](scene) {
    const isFront = scene.request.byte() !== 0
    const max = scene.request.count()
    const items = scene.request.elements().map(own)
    scene.elements = isFront ? [...items, ...scene.elements] : [...scene.elements, ...items]
    if (max !== 0) scene.elements = isFront ? scene.elements.slice(0, max) : scene.elements.slice(-max)
    scene.answer.count(scene.elements.length)
    return items.length !== 0
  },

  [CollectionRequest.Pop](scene) {
    const isFront = scene.request.byte() !== 0
    const { length } = scene.elements
    const count = Math.min(scene.request.count(), length)
    const gone = remove(scene, (_, at) => (isFront ? at < count : at >= length - count))
    for (const element of gone) show(scene, element)
    return count !== 0
  },

  [CollectionRequest.SetAt](scene) {
    const index = scene.request.number()
    const item = own(scene.request.element())
    const { length } = scene.elements
    const at = index < -length ? length : position(index, length)
    scene.answer.byte(at < length ? 1 : 0)
    if (at >= length) return false
    scene.elements = scene.elements.with(at, item)
    return true
  },

  [CollectionRequest.Insert](scene) {
    const isAfter = scene.request.byte() !== 0
    const { key } = scene.request.element()
    const item = own(scene.request.element())
    const at = scene.elements.findIndex((element) => isEqual(element.key, key))
    if (at !== -1) scene.elements = scene.elements.toSpliced(isAfter ? at + 1 : at, 0, item)
    scene.answer.number(at === -1 ? -1 : scene.elements.length)
    return at !== -1
  },

  [CollectionRequest.Remove](scene) {
    const count = scene.request.number()
    const { key } = scene.request.element()
    const equal = scene.elements.flatMap((element, at) => (isEqual(element.key, key) ? [at] : []))
    const wanted = count === 0 ? equal.length : Math.min(equal.length, Math.trunc(Math.abs(count)))
    const chosen = new Set(count < 0 ? equal.slice(equal.length - wanted) : equal.slice(0, wanted))
    remove(scene, (_, at) => chosen.has(at))
    scene.answer.count(wanted)
    return wanted !== 0
  },

  [CollectionRequest.Trim](scene) {
    const isKept = scene.request.byte() !== 0
    const [from, to] = rangeOf(scene)
    const gone = remove(scene, (_, at) => (at >= from && at < to) !== isKept)
    scene.answer.count(gone.length)
    return gone.length !== 0
  },

  [CollectionRequest.Add](scene) {
    const flags = scene.request.byte()
    const known = byName(scene.elements)
    const stored = [...byName(scene.request.elements())].filter(([name, { score }]) => {
      const old = known.get(name)?.score
      return old !== score && isAllowed(flags, old, score ?? 0)
    })
    put(
      scene,
      stored.map(([, element]) => element),
    )
    const added = stored.filter(([name]) => !known.has(name)).length
    scene.answer.count(added).count(stored.length - added)
    return stored.length !== 0
  },

  [CollectionRequest.IncrScore](scene) {
    const [flags, by] = [scene.request.byte(), scene.request.number()]
    const { key } = scene.request.element()
    const old = find(scene, key)?.score
    const score = (old ?? 0) + by
    if (Number.isNaN(score)) throw failure('ERR_OVERFLOW', 'the result is not a finite number of at most 2^53 - 1')
    const isDone = isAllowed(flags, old, score)
    if (isDone) put(scene, [{ key, value: undefined, score, deadline: 0 }])
    scene.answer.number(isDone ? score : Number.NaN)
    return isDone
  },

  [CollectionRequest.DeleteByScore](scene) {
    const gone = remove(scene, scoresOf(scene).has)
    scene.answer.count(gone.length)
    return gone.length !== 0
  },
}

/** An element of a request, which lies in memory that the next request overwrites. */
function own(element: Element): Element {
  const { key, value } = element
  return { ...element, key: copied(key), value: value && copied(value) }
}

function copied({ kind, bytes }: Item): Item {
  return { kind, bytes: Buffer.from(bytes) }
}

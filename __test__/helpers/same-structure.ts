/**
 * Equality for values that were stored: everything that a program can observe of two values, except their place in
 * memory.
 *
 * It is stricter than `isDeepStrictEqual`: an object that occurs twice in one value must occur twice in the other, at
 * the same places; holes, prototypes, the order of properties and the bits of floats count; and the values share no
 * memory. Caution: of a view only its own bytes are compared, not the rest of its buffer.
 */
import { types } from 'node:util'

/** The path to the first difference, or undefined if the values are equal. */
export function difference(a: unknown, b: unknown): string | undefined {
  return new Comparison().compare(a, b, '$')
}

class Comparison {
  readonly #partners = new Map<object, object>()
  readonly #taken = new Set<object>()

  compare(a: unknown, b: unknown, path: string): string | undefined {
    if (typeof a !== 'object' || a === null) return Object.is(a, b) ? undefined : path
    if (typeof b !== 'object' || b === null) return path
    const partner = this.#partners.get(a)
    if (partner !== undefined) return partner === b ? undefined : `${path}, another object`
    if (a === b || this.#taken.has(b)) return `${path}, the same object`
    this.#partners.set(a, b)
    this.#taken.add(b)
    if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return `${path}, its prototype`
    return this.#contents(a, b, path)
  }

  #contents(a: object, b: object, path: string): string | undefined {
    if (ArrayBuffer.isView(a)) return sameBytes(a, b as ArrayBufferView) ? undefined : `${path}, its bytes`
    if (types.isArrayBuffer(a)) {
      return sameBytes(new Uint8Array(a), new Uint8Array(b as ArrayBuffer)) ? undefined : `${path}, its bytes`
    }
    if (types.isDate(a) && !Object.is(a.getTime(), (b as Date).getTime())) return `${path}, its time`
    if (types.isRegExp(a) && String(a) !== String(b)) return `${path}, its source or flags`
    if (types.isMap(a)) return this.#lists([...a].flat(), [...(b as typeof a)].flat(), `${path}.entries()`)
    if (types.isSet(a)) return this.#lists([...a], [...(b as typeof a)], `${path}.values()`)
    return this.#properties(a, b, path)
  }

  #lists(a: unknown[], b: unknown[], path: string): string | undefined {
    if (a.length !== b.length) return `${path}, its size`
    for (let i = 0; i < a.length; i++) {
      const found = this.compare(a[i], b[i], `${path}[${i}]`)
      if (found !== undefined) return found
    }
    return undefined
  }

  #properties(a: object, b: object, path: string): string | undefined {
    const names = keys(a)
    if (names.join('\n') !== keys(b).join('\n')) return `${path}, its names`
    for (const name of names) {
      if (enumerable(a, name) !== enumerable(b, name)) return `${path}.${name}, whether it is enumerable`
      const found = this.compare(a[name as keyof object], b[name as keyof object], `${path}.${name}`)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** Constructors determine the order of properties that are not enumerable, so that order does not count. */
function keys(object: object): string[] {
  const hidden = Object.getOwnPropertyNames(object).filter((name) => !enumerable(object, name))
  return [...hidden.toSorted(), ...Object.keys(object)]
}

function enumerable(object: object, name: string): boolean {
  return Object.prototype.propertyIsEnumerable.call(object, name)
}

function sameBytes(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return bytesOf(a).equals(bytesOf(b)) && !overlap(a, b)
}

/** Small Buffers share one pool, so an equal buffer alone proves nothing. */
function overlap(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return a.buffer === b.buffer && Math.abs(a.byteOffset - b.byteOffset) < a.byteLength
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

/**
 * Copies and frozen forms of values: of trees of plain objects and arrays, if the result equals the original.
 *
 * The objects inside a value are located once. Each copy is then one spread or slice per object, several times faster
 * than decoding.
 *
 * Caution: a spread loses some things. It sets the usual prototype, and makes two objects of a shared one; and although
 * a spread calls no setter, assigning `__proto__` does. Values with any of these are not copied in this way.
 */
import { types } from 'node:util'
import { isDense } from './kinds.ts'

/** Copies the value that it was made for, or an equal one. */
export type Copier = (value: unknown) => unknown

/**
 * A copier for a tree of plain objects, arrays, Dates and immutable values. Undefined for other values: decode them
 * again.
 */
export function copier(value: object): Copier | undefined {
  return copierOf(value, new Set())
}

function copierOf(value: object, seen: Set<object>): Copier | undefined {
  if (seen.size === seen.add(value).size) return undefined
  switch (Object.getPrototypeOf(value)) {
    case Object.prototype:
      return objectCopier(value as Record<string, unknown>, seen)
    case Array.prototype:
      return Array.isArray(value) && isDense(value) ? arrayCopier(value, seen) : undefined
    case Date.prototype:
      return types.isDate(value) ? copyDate : undefined
    default:
      return undefined
  }
}

function copyDate(value: unknown): Date {
  return new Date((value as Date).getTime())
}

function objectCopier(object: Record<string, unknown>, seen: Set<object>): Copier | undefined {
  const inner: [string, Copier][] = []
  for (const name of Object.keys(object)) {
    if (name === '__proto__') return undefined
    const value = object[name]
    if (typeof value !== 'object' || value === null) continue
    const copy = copierOf(value, seen)
    if (copy === undefined) return undefined
    inner.push([name, copy])
  }
  if (inner.length === 0) return (value) => ({ ...(value as object) })
  return (value) => {
    const copy = { ...(value as Record<string, unknown>) }
    for (const [name, copyInner] of inner) copy[name] = copyInner(copy[name])
    return copy
  }
}

function arrayCopier(array: readonly unknown[], seen: Set<object>): Copier | undefined {
  const inner: [number, Copier][] = []
  for (const [index, value] of array.entries()) {
    if (typeof value !== 'object' || value === null) continue
    const copy = copierOf(value, seen)
    if (copy === undefined) return undefined
    inner.push([index, copy])
  }
  if (inner.length === 0) return (value) => (value as unknown[]).slice()
  return (value) => {
    const copy = (value as unknown[]).slice()
    for (const [index, copyInner] of inner) copy[index] = copyInner(copy[index])
    return copy
  }
}

/**
 * Freezes a value deeply, if that makes it immutable. True for plain objects and arrays. False, without a change, for
 * values with a Map, a Date or the like, which freezing does not protect.
 */
export function freeze(value: object): boolean {
  const parts = new Set<object>()
  if (!collect(value, parts)) return false
  for (const part of parts) Object.freeze(part)
  return true
}

function collect(value: object, parts: Set<object>): boolean {
  if (parts.size === parts.add(value).size) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return false
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null && !collect(inner, parts)) return false
  }
  return true
}

/**
 * Fresh copies of plain objects, and frozen ones: what JSON makes, nothing else.
 *
 * An object is looked at once, for where in it there are further objects; each copy is then a spread or a slice for each of
 * them, several times as quick as a parse. The thing to get wrong: `__proto__`, which JSON makes an own property. Assigning
 * it would set a prototype, so an object that has one is not copied in this way at all.
 */

/** Makes a copy of the value for which it was made, or of an equal one. */
export type Copier = (value: unknown) => unknown

/** For plain objects and arrays of immutable values. Undefined: parse again. */
export function copier(value: unknown): Copier | undefined {
  if (typeof value !== 'object' || value === null) return (same) => same
  return Array.isArray(value) ? arrayCopier(value) : objectCopier(value as Record<string, unknown>)
}

function objectCopier(object: Record<string, unknown>): Copier | undefined {
  const inner: [string, Copier][] = []
  for (const [name, value] of Object.entries(object)) {
    if (name === '__proto__') return undefined
    if (typeof value !== 'object' || value === null) continue
    const copy = copier(value)
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

function arrayCopier(array: readonly unknown[]): Copier | undefined {
  const inner: [number, Copier][] = []
  for (const [index, value] of array.entries()) {
    if (typeof value !== 'object' || value === null) continue
    const copy = copier(value)
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

/** The same value, frozen as deep as it goes. */
export function freeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  for (const inner of Object.values(value)) freeze(inner)
  return Object.freeze(value)
}

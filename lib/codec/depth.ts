/**
 * The depth of JSON: a bound on both sides, as the structured format has one.
 *
 * `JSON.stringify` and `JSON.parse` accept thousands of levels, but code that recurses over such a value overflows the
 * stack: the near cache, which copies it, and the code of the caller.
 */
import { MAX_DEPTH } from './format.ts'

/** Whether a JSON text nests in more than `MAX_DEPTH` levels. Any other text gives any answer. */
export function isDeepText(text: string): boolean {
  return opensMany(text) && deepens(text)
}

/** Whether the value of a JSON text nests in more than `MAX_DEPTH` levels. */
export function isDeepValue(value: unknown, text: string): boolean {
  return opensMany(text) && isDeep(value, 0)
}

/**
 * Whether a text opens more than `MAX_DEPTH` objects and arrays, which few texts do. Native searches decide this in a
 * few percent of the time of `JSON.parse`.
 */
function opensMany(text: string): boolean {
  if (text.length <= 2 * MAX_DEPTH) return false
  let count = 0
  for (let at = text.indexOf('{'); at !== -1; at = text.indexOf('{', at + 1)) if (++count > MAX_DEPTH) return true
  for (let at = text.indexOf('['); at !== -1; at = text.indexOf('[', at + 1)) if (++count > MAX_DEPTH) return true
  return false
}

function deepens(text: string): boolean {
  const { length } = text
  let depth = 0
  let isQuoted = false
  for (let at = 0; at < length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: // "
        isQuoted = !isQuoted
        break
      case 0x5c: // the character behind a backslash
        at++
        break
      case 0x5b: // [
      case 0x7b: // {
        if (!isQuoted && ++depth > MAX_DEPTH) return true
        break
      case 0x5d: // ]
      case 0x7d: // }
        if (!isQuoted) depth--
    }
  }
  return false
}

function isDeep(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (depth === MAX_DEPTH) return true
  const contents: readonly unknown[] = Array.isArray(value) ? value : Object.values(value)
  for (const inner of contents) if (isDeep(inner, depth + 1)) return true
  return false
}

/**
 * Similar names, for messages that help with a mistyped one.
 */

/** All names, those nearest to `name` first. Upper and lower case are the same. */
export function bySimilarity(name: string, names: readonly string[]): string[] {
  const distances = new Map(names.map((other) => [other, distance(name.toLowerCase(), other.toLowerCase())]))
  return [...distances.keys()].toSorted((a, b) => (distances.get(a) ?? 0) - (distances.get(b) ?? 0))
}

/** The name that was probably meant; undefined if none is near. */
export function similarTo(name: string, names: readonly string[]): string | undefined {
  const [nearest] = bySimilarity(name, names)
  if (nearest === undefined) return undefined
  return distance(name.toLowerCase(), nearest.toLowerCase()) <= Math.max(1, name.length / 3) ? nearest : undefined
}

/**
 * The number of characters to insert, delete or replace (Levenshtein). A name that begins or ends another one is near to
 * it.
 */
function distance(a: string, b: string): number {
  if (a.length > 2 && b.length > 2 && (b.includes(a) || a.includes(b))) return a === b ? 0 : 0.5
  let above = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (above[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, (above[j] as number) + 1, (row[j - 1] as number) + 1))
    }
    above = row
  }
  return above[b.length] as number
}

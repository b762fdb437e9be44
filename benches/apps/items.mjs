/**
 * The items of the application, and the pages that show them. Both the workers and the client of the benchmark compute
 * them, so that every answer is verified.
 */

export const ITEMS = 2_000
/** Distance of two items on a page. It shares no factor with the number of items. */
const STRIDE = 37

/** An item of about 1 KiB. */
export function itemOf(id, version) {
  return { id, version, name: `item ${id}`, text: String.fromCharCode(97 + (id % 26)).repeat(960) }
}

/** The ids of the items on a page. */
export function idsOf(start, count) {
  return Array.from({ length: count }, (_, i) => (start + i * STRIDE) % ITEMS)
}

/** A sum over everything in an item but its version. */
export function checkOf({ id, name, text }) {
  return id * 7 + name.length + text.length * text.charCodeAt(id % text.length)
}

/** The sum that a page must show. */
export function checkOfPage(start, count) {
  return idsOf(start, count).reduce((sum, id) => sum + checkOf(itemOf(id, 0)), 0)
}

/**
 * Finds figures in results: all with certain fields, or the best of them.
 */

/**
 * @param {{ figures: import('./suite.mjs').Figure[] }} results
 * @param {Record<string, unknown>} wanted Fields that must be equal; an array accepts any of its values.
 * @returns {import('./suite.mjs').Figure[]}
 */
export function figuresOf({ figures }, wanted) {
  const matches = (figure) =>
    Object.entries(wanted).every(([field, value]) =>
      Array.isArray(value) ? value.includes(figure[field]) : figure[field] === value,
    )
  return figures.filter(matches)
}

/** The figure with the best median, for instance of several clients and placements of one rival. */
export function bestOf(results, wanted) {
  const sign = (figure) => (figure.better === 'higher' ? 1 : -1)
  return figuresOf(results, wanted).reduce(
    (best, figure) => (best === undefined || (figure.median - best.median) * sign(figure) > 0 ? figure : best),
    undefined,
  )
}

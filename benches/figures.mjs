/**
 * Finding figures in results: by what they say of themselves, and the best of several.
 */

/**
 * @param {{ figures: import('./suite.mjs').Figure[] }} results
 * @param {Record<string, unknown>} wanted Fields that must be equal; an array means: one of them.
 * @returns {import('./suite.mjs').Figure[]}
 */
export function figuresOf({ figures }, wanted) {
  const matches = (figure) =>
    Object.entries(wanted).every(([field, value]) =>
      Array.isArray(value) ? value.includes(figure[field]) : figure[field] === value,
    )
  return figures.filter(matches)
}

/** The figure with the best median: of several clients and placements, the one that does a contender most justice. */
export function bestOf(results, wanted) {
  const sign = (figure) => (figure.better === 'higher' ? 1 : -1)
  return figuresOf(results, wanted).reduce(
    (best, figure) => (best === undefined || (figure.median - best.median) * sign(figure) > 0 ? figure : best),
    undefined,
  )
}

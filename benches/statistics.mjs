/**
 * What becomes of the samples of one figure: the median, with the smallest and the largest as its spread.
 */

/**
 * @param {readonly number[]} samples At least one.
 * @returns {number} The middle one; of an even number the mean of the two in the middle.
 */
export function median(samples) {
  const sorted = samples.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * The smallest sample that is not below `share` of all samples (nearest rank).
 *
 * @param {readonly number[]} samples At least one.
 * @param {number} share 0.99 for p99.
 */
export function percentile(samples, share) {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

/** @param {readonly number[]} samples At least one. */
export function summary(samples) {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples), samples: [...samples] }
}

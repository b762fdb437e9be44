/**
 * Statistics of the samples of one figure: the median, and the minimum and the maximum as its spread.
 */

/**
 * @param {readonly number[]} samples At least one.
 * @returns {number} The middle sample; for an even number of samples, the mean of the middle two.
 */
export function median(samples) {
  const sorted = samples.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * The smallest sample such that at least `share` of all samples are not above it (nearest rank).
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

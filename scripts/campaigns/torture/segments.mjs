/**
 * The segments of a round. All players open them with the same options.
 */
import { open } from 'cache-machine'
import { manualClock } from '../internals.mjs'

/** `main` has room for all entries, which the round checks. `scarce` is so small that most entries are evicted. */
const sizes = { main: '48mb', scarce: '2mb', tiny: '3mb', side: '2mb' }

/** Opens one of a round's segments. `scene`: `{ prefix, plan, tinyFolder }`. */
export function openSegment(scene, segment, options = {}) {
  const { prefix, plan, tinyFolder } = scene
  return open({
    name: `${prefix}-${segment}`,
    size: sizes[segment],
    eviction: plan.eviction,
    writeTimeout: plan.writeTimeout,
    directory: segment === 'tiny' ? tinyFolder : undefined,
    [manualClock]: plan.manualClock && segment === 'main',
    ...options,
  })
}

/** The names of the segments of these spaces. */
export function segmentsOf(spaces) {
  return [...new Set(['main', ...spaces.map(({ segment }) => segment)])]
}

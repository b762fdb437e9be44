/**
 * The segments of a round and how they are opened: the same for all who take part.
 */
import { open } from 'cache-machine'
import { manualClock } from '../../dist/lib/testing.js'

/** Large enough that nothing has to go in `main`, which the round checks; so small that nearly everything has to in `scarce`. */
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

/**
 * Notices of changes that were made before.
 */
import { setImmediate as turn } from 'node:timers/promises'
import type { SharedCache } from '../../index.ts'
import { within } from './eventually.ts'

/**
 * Resolves when the notices of earlier changes have arrived: notices come in order, and a wait that begins now has
 * ended.
 */
export async function noticesArrived(cache: SharedCache): Promise<void> {
  const marker = within('the marker', cache.waitFor('marker'))
  await turn()
  cache.set('marker', 1)
  await marker
  cache.delete('marker')
}

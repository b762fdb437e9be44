/**
 * The longest single call of each kind, by the size and the state of the segment. It runs only when it is asked for: it
 * fills segments of up to 8 GiB.
 */
import { statfsSync } from 'node:fs'
import { freemem } from 'node:os'
import { stateNames } from '../tasks/bounds.mjs'

const CONTENDER = 'cache-machine-off'
/** A segment is measured only if so much more than its size is free. */
const ROOM = 1.2
/** Milliseconds: at most this long for one state, with writers that start on a busy machine. */
const MAX_STATE_MS = 300_000

export const title = (scene) => `The longest single call in a segment of ${scene}`

export function sizeName(bytes) {
  return bytes >= 2 ** 30 ? `${bytes / 2 ** 30} GiB` : `${bytes / 2 ** 20} MiB`
}

/** @param {import('../suite.mjs').Suite} suite */
export async function measureBounds(suite) {
  const { plan, progress } = suite
  if (!suite.contenders.some(({ id }) => id === CONTENDER)) return
  for (const size of plan.boundsSizes) {
    const scene = sizeName(size)
    progress.part(title(scene))
    const { bsize, bavail } = statfsSync('/dev/shm')
    const free = Math.min(bsize * bavail, freemem())
    if (free < size * ROOM) {
      suite.absent.push({
        what: `bounds in ${scene}`,
        why: `only ${sizeName(Math.floor(free / 2 ** 20) * 2 ** 20)} are free`,
      })
      continue
    }
    for (const state of stateNames) {
      progress.step(state)
      const group = await suite.start('bounds', {})
      if (group === undefined) return
      const { boundsMs: milliseconds, boundsFillMs: fillMs, boundsWriters: writers } = plan
      const args = { name: suite.newName(), size, state, milliseconds, fillMs, writers }
      const found = await suite.attempt('bounds', group, () => group.first.ask('measureBounds', args, MAX_STATE_MS))
      await group.end(suite)
      for (const [kind, { longest, failed, count }] of Object.entries(found?.calls ?? {})) {
        if (failed > 0) progress.say(`${scene}, ${state}: ${failed} of ${count} calls of ${kind} failed`)
        suite.record({
          workload: 'bounds',
          scene,
          operation: state === 'writers' ? `${plan.boundsWriters} writers` : state,
          contender: kind,
          unit: 'µs',
          better: 'lower',
          samples: [longest / 1000],
        })
      }
      if (found?.filled < 1) {
        const why = `only ${Math.round(found.filled * 100)} % of its sets or reads were made in ${fillMs / 1000} s`
        suite.absent.push({ what: `the state "${state}" in ${scene}, as a whole`, why })
      }
      if (found?.kills > 0) progress.say(`${scene}: ${found.kills} writers were killed`)
    }
  }
}

/**
 * Reads the clock in a loop, for a fifth of the time, and reports the longest gap between two reads. The gap shows
 * how long the machine alone pauses a process, as a comparison for the longest operation.
 */
import { now } from './ledger.mjs'

/** Milliseconds of each second. */
const BUSY = 200
const IDLE = 800

process.on('disconnect', () => process.exit())
setInterval(watch, BUSY + IDLE)

function watch() {
  const end = now() + BUSY
  let longest = 0
  for (let before = now(); before < end;) {
    const after = now()
    longest = Math.max(longest, after - before)
    before = after
  }
  process.send?.(longest)
}

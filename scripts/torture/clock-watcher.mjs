/**
 * Does nothing but look at the clock, for a fifth of the time, and tells the longest gap: what the machine alone takes from a
 * process, beside which the longest operation is to be seen.
 */
import { now } from './ledger.mjs'

const LOOK = 200
const REST = 800

process.on('disconnect', () => process.exit())
setInterval(look, LOOK + REST)

function look() {
  const end = now() + LOOK
  let longest = 0
  for (let before = now(); before < end;) {
    const after = now()
    longest = Math.max(longest, after - before)
    before = after
  }
  process.send?.(longest)
}

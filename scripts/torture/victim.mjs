/**
 * Does nothing but write, so that it is most likely inside a lock when it is killed.
 */
import { openSegment } from './segments.mjs'

/** Long ones take their time; all of them together must leave room in `main` for the others. */
const LENGTH = 300_000
const KEYS = 6

const starter = process.ppid
const main = openSegment(JSON.parse(process.argv[2]), 'main')
const value = new Uint8Array(LENGTH)
process.send('begun')
for (let i = 0; ; i = (i + 1) % KEYS) {
  try {
    main.set(`victim-${i}`, value)
  } catch (error) {
    if (error.code !== 'ERR_BUSY') throw error
  }
  // No event is seen in this loop.
  if (i === 0 && process.ppid !== starter) process.exit(1)
}

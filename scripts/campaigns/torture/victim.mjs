/**
 * Writes without pause, so that it most likely holds a lock when it is killed.
 */
import { openSegment } from './segments.mjs'

/** Long values take long to write. All of them together must leave room in `main` for the other keys. */
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
  // The loop handles no events, so it must check for the end of its parent.
  if (i === 0 && process.ppid !== starter) process.exit(1)
}

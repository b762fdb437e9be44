/**
 * A writer beside the measured process: sets, deletes and invalidates without pause, until it is killed or its parent
 * ends. Sends a message before.
 */
import { open } from '../../dist/index.js'
import { keyOf } from './bounds.mjs'

/** Calls between two turns of the event loop, in which the end of the parent is noticed. */
const BATCH = 500

const { options, entries, length } = JSON.parse(process.argv[2])
const cache = open(options)
const value = 'y'.repeat(length)
process.on('disconnect', () => process.exit())
process.send('writing')
write()

function write() {
  for (let i = 0; i < BATCH; i++) attempt(Math.floor(Math.random() * entries))
  setImmediate(write)
}

function attempt(number) {
  try {
    if (number % 50 === 0) cache.invalidateTags(`other ${number}`)
    else if (number % 10 === 0) cache.delete(keyOf(number))
    else cache.set(keyOf(number), value)
  } catch (error) {
    if (error.code !== 'ERR_BUSY') throw error
  }
}

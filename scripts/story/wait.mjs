/**
 * Waiting for something to become true, with a bound.
 */
import { setTimeout as pause } from 'node:timers/promises'

/**
 * Resolves with the first truthy result of `condition`, which may be async.
 *
 * @param {string} what Named in the error when `within` milliseconds have passed.
 */
export async function until(condition, { what, within, signal }) {
  const deadline = performance.now() + within
  for (;;) {
    signal?.throwIfAborted()
    const result = await condition()
    if (result) return result
    if (performance.now() > deadline) throw new Error(`waited ${within / 1000} s in vain for ${what}`)
    await pause(25)
  }
}

/**
 * Memory of a process, as its system sees it.
 *
 * RSS counts a shared page in every process that has touched it, PSS divides it among them: the sum of PSS is what all
 * processes together really take.
 */
import { readFileSync } from 'node:fs'

/** @returns {{ rss: number, pss: number } | undefined} bytes; undefined where there is no `/proc`. */
export function memoryOf(pid) {
  let rollup
  try {
    rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  } catch {
    return undefined
  }
  const field = (name) => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)[1]) * 1024
  return { rss: field('Rss'), pss: field('Pss') }
}

/**
 * The memory of a process, as the kernel counts it.
 *
 * RSS counts a shared page in full in every process that has accessed it. PSS divides the page among these processes,
 * so the sum of PSS is the memory that all processes take together.
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

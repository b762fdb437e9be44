/**
 * Opens a cache while the process lacks file descriptors, may make no large files, or has no addresses left. Reports
 * the outcome of each attempt, whether the open cache still works, and whether a new cache opens once the limit is
 * gone.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, readdirSync } from 'node:fs'
import { open, segments } from '../../index.ts'
import type { Bytes, CacheError } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

/** The outcome of `open` under the limit, and after it. */
export type Outcomes = Record<'descriptors' | 'file size' | 'address space', { under: string; after: string }>

const GIGABYTE = 2 ** 30
const name = input<string>()
const other = `${name}-other`
const cache = open({ name, size: '8mb' })
cache.set('kept', 1)

const outcomes: Outcomes = {
  descriptors: attempt('8mb', takeDescriptors),
  'file size': attempt('8mb', () => limit('fsize', 2 ** 20)),
  'address space': attempt('4gb', () => limit('as', addresses() + GIGABYTE)),
}
cache.close()
send(outcomes)

/** `restrict` returns a function that removes the limit. */
function attempt(size: Bytes, restrict: () => () => void): Outcomes['descriptors'] {
  const release = restrict()
  const under = openOther(size)
  cache.set('kept', (cache.get('kept') as number) + 1)
  release()
  if (segments.inspect(other) !== undefined) return { under, after: 'something is left' }
  const after = openOther(size)
  segments.destroy(other)
  return { under, after }
}

function openOther(size: Bytes): string {
  try {
    open({ name: other, size }).close()
    return 'works'
  } catch (error) {
    return (error as CacheError).code
  }
}

function takeDescriptors(): () => void {
  const most = Math.max(...readdirSync('/proc/self/fd').map(Number)) + 20
  const release = limit('nofile', most)
  const taken: number[] = []
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch {
    // All are taken.
  }
  return () => {
    taken.forEach(closeSync)
    release()
  }
}

function addresses(): number {
  return Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[0]) * 4096
}

/** A soft limit of this process, until the returned function is called. */
function limit(resource: string, value: number): () => void {
  const set = (to: string): void => {
    const { status } = spawnSync('prlimit', ['--pid', `${process.pid}`, `--${resource}=${to}:`])
    if (status !== 0) throw new Error(`prlimit --${resource}`)
  }
  const { stdout } = spawnSync('prlimit', [
    '--pid',
    `${process.pid}`,
    `--${resource}`,
    '--raw',
    '-o',
    'SOFT',
    '--noheadings',
  ])
  set(`${value}`)
  return () => set(String(stdout).trim())
}

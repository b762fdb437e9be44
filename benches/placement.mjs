/**
 * Where processes run: on any processor, or all on one processor.
 *
 * The main cost of a round trip between two processes is to wake a halted processor, which is slow on a virtual
 * machine. On one processor, client and server alternate and no processor has to wake. Both cases are realistic, so
 * both are measured.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** @type {Record<string, { label: string, short: string }>} */
export const placements = {
  free: { label: 'free placement, otherwise idle', short: 'idle' },
  one: { label: 'client and server on one processor', short: 'one CPU' },
}

/** The command line prefix that binds a command to its placement. */
export function prefixOf(placement) {
  return placement === 'one' ? ['taskset', '-c', String(firstProcessor())] : []
}

/**
 * A command line prefix by which the kernel kills a server when the suite ends, even by SIGKILL; empty without
 * `setpriv`.
 */
export function killWithParent() {
  return works('setpriv', '--version') ? ['setpriv', '--pdeathsig', 'KILL'] : []
}

export function canPlace() {
  return works('taskset', '--version')
}

/** Whether the program exists and runs. */
export function works(command, ...args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** The first processor that this process may use; in a container that need not be number 0. */
function firstProcessor() {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return Number.parseInt(list, 10)
}

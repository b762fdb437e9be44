/**
 * Where processes run: anywhere, or all on one processor.
 *
 * A round trip between two processes costs mostly what it costs to wake a processor that has halted, which a virtual machine
 * does slowly. On one processor client and server take turns and nothing has to be woken. Neither is wrong, so both are measured.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** @type {Record<string, { label: string, short: string }>} */
export const placements = {
  free: { label: 'free placement, otherwise idle', short: 'idle' },
  one: { label: 'client and server on one processor', short: 'one CPU' },
}

/** What is put before a command. */
export function prefixOf(placement) {
  return placement === 'one' ? ['taskset', '-c', String(firstProcessor())] : []
}

/** A server ends with the suite, even if that is killed: `setpriv` tells the kernel so, where there is one. */
export function endsWithParent() {
  return works('setpriv', '--version') ? ['setpriv', '--pdeathsig', 'KILL'] : []
}

export function canPlace() {
  return works('taskset', '--version')
}

/** Whether the program is there and runs. */
export function works(command, ...args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}

/** The first that this process may use: a container need not have number 0. */
function firstProcessor() {
  const [, list] = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return Number.parseInt(list, 10)
}

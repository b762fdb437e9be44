/**
 * Takes one lock again and again, and checks that no other holder is inside at the same time.
 *
 * The check needs no atomic step: each holder writes its name and a counter by plain sets, lets some time pass, and
 * must find both as it left them. The system call itself writes a line of standard output, so no line is lost with the
 * process: `t <turns of other holders during the wait> <milliseconds waited>` after each turn, `! <text>` for a
 * violation, and `done`.
 */
import { setImmediate as turnOfTheLoop, setTimeout as delay } from 'node:timers/promises'
import { open } from '../../index.ts'
import type { Lock, OpenOptions } from '../../index.ts'
import { input } from '../helpers/port.ts'
import { say } from '../helpers/say.ts'

export interface Contender {
  readonly options: OpenOptions
  readonly me: string
  /** The number of turns of all waits together. */
  readonly turns: number
  /** The number of simultaneous waits in this process. */
  readonly waiters: number
}

const { options, me, turns, waiters } = input<Contender>()
const cache = open<number | string>({ ...options, writeTimeout: '10s' })
process.on('disconnect', () => process.exit())
let left = turns
await Promise.all(Array.from({ length: waiters }, (_, i) => contend(`${me}.${i}`)))
say('done\n')
process.exit()

async function contend(name: string): Promise<void> {
  while (left > 0) {
    left--
    const asked = performance.now()
    const waiting = cache.lock('contended', { ref: true })
    // The ticket is in the queue by now. Before, this process may have been off its core for any number of turns.
    const before = number('turns')
    const lock = await waiting
    const waited = performance.now() - asked
    const turn = await beInside(name, lock)
    if (!lock.release()) say(`! ${name} had lost the lock in turn ${turn}\n`)
    say(`t ${turn - before} ${waited.toFixed(2)}\n`)
  }
}

/** Returns the number of turns before this one. */
async function beInside(name: string, lock: Lock): Promise<number> {
  if (number('token') >= lock.token) say(`! ${name}: token ${lock.token} after ${number('token')}\n`)
  cache.set('token', lock.token)
  cache.set('inside', name)
  const turn = number('turns')
  await passTime()
  cache.set('turns', turn + 1)
  await passTime()
  const found = [cache.get('inside'), number('turns'), number('token')]
  if (found.join() !== [name, turn + 1, lock.token].join()) say(`! ${name} in turn ${turn} found ${found.join()}\n`)
  cache.delete('inside')
  return turn
}

/** Nothing, a turn of the event loop, or rarely a millisecond. */
async function passTime(): Promise<void> {
  const chance = Math.random()
  if (chance < 0.02) await delay(1)
  else if (chance < 0.3) await turnOfTheLoop()
}

function number(key: string): number {
  return (cache.get(key) as number | undefined) ?? 0
}

/**
 * Takes items of a queue for ever: notes that it has begun one, works for a moment, acknowledges it, and notes that it has
 * ended. Notes are appended to a file by one system call each, so that they survive a SIGKILL.
 */
import { appendFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { open } from '../../index.ts'
import type { OpenOptions } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface QueueWork {
  readonly options: OpenOptions
  readonly notes: string
  /** Pushes so many items instead, and notes each acknowledged push. */
  readonly pushes?: number
  readonly first?: number
}

const { options, notes, pushes, first = 0 } = input<QueueWork>()
const queue = open({ writeTimeout: '10s', ...options }).queue<number>('jobs')
const note = (what: string, value: number): void => appendFileSync(notes, `${what} ${value} ${process.pid}\n`)

send('ready')
if (pushes === undefined) {
  for await (const item of queue) {
    note('begun', item.value)
    if (item.value % 7 === 0) await pause(1)
    if (item.ack()) note('ended', item.value)
  }
}
for (let i = first; i < first + (pushes ?? 0);) {
  if (queue.tryPush(i) === undefined) await pause(1)
  else note('pushed', i++)
}
send('done')

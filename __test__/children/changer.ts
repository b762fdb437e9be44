/**
 * Changes one key many times by `swap`, `update`, `append` or `incrBigInt`, at the same time as other processes.
 *
 * Sends the result of each call. The values that it stores are its own: `<me>:<number>`.
 */
import { receive, send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Changer extends SegmentInput {
  readonly me: number
  readonly times: number
  readonly method: 'swap' | 'update' | 'append' | 'incrBigInt'
}

const { cache, me, times, method } = openInput<Changer>()

const CHANGES: Record<Changer['method'], (i: number) => unknown> = {
  swap: (i) => cache.swap('key', `${me}:${i}`),
  update: (i) => cache.update('key', (list) => [...((list as string[] | undefined) ?? []), `${me}:${i}`]),
  append: (i) => cache.append('key', `${me}:${i}\n`),
  incrBigInt: () => cache.incrBigInt('key', 2n ** 64n),
}

receive(() => send(Array.from({ length: times }, (_, i) => CHANGES[method](i))))
send('ready')

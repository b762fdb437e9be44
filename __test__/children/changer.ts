/**
 * Changes one key many times by `swap`, `update`, `append` or `incrBigInt`, at the same time as others do.
 *
 * Sends what it got from each call. The values that it stores are its own: `<me>:<number>`.
 */
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Changer {
  readonly name: string
  readonly size: `${number}mb`
  readonly me: number
  readonly times: number
  readonly method: 'swap' | 'update' | 'append' | 'incrBigInt'
}

const { name, size, me, times, method } = input<Changer>()
const cache = open<unknown>({ name, size, writeTimeout: '10s' })

const CHANGES: Record<Changer['method'], (i: number) => unknown> = {
  swap: (i) => cache.swap('key', `${me}:${i}`),
  update: (i) => cache.update('key', (list) => [...((list as string[] | undefined) ?? []), `${me}:${i}`]),
  append: (i) => cache.append('key', `${me}:${i}\n`),
  incrBigInt: () => cache.incrBigInt('key', 2n ** 64n),
}

receive(() => send(Array.from({ length: times }, (_, i) => CHANGES[method](i))))
send('ready')

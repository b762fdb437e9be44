/**
 * Makes one call of `every-call.ts` again and again, until it is ended.
 */
import { open } from '../../index.ts'
import type { OpenOptions } from '../../index.ts'
import { asynchronous, synchronous } from '../helpers/every-call.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface OneCall {
  readonly options: OpenOptions
  readonly call: string
}

const { options, call } = input<OneCall>()
const cache = open({ writeTimeout: '10s', ...options })
const made = synchronous[call] ?? asynchronous[call]
if (made === undefined) throw new Error(`no such call: ${call}`)
let count = 0

receive(() => undefined)
await made(cache, count++)
send('ready')
for (;;) {
  for (let i = 0; i < 20; i++) await made(cache, count++)
  await new Promise(setImmediate)
}

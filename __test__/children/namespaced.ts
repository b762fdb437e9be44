/**
 * A namespace by remote control: the test sends `[method, ...arguments]` and gets `{ value }` or `{ code }` back.
 */
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Namespaced {
  readonly name: string
  readonly size: `${number}mb`
  readonly namespace: string
}

const { name, size, namespace } = input<Namespaced>()
const cache = open({ name, size, writeTimeout: '10s' }).namespace(namespace)

receive<[string, ...unknown[]]>(([method, ...args]) => {
  try {
    const member: unknown = Reflect.get(cache, method, cache)
    send({ value: typeof member === 'function' ? member.apply(cache, args) : member })
  } catch (error) {
    send({ code: (error as { code?: string }).code ?? String(error) })
  }
})
send('ready')

/**
 * Watches or subscribes, sends each item to the test, and then how the stream ended. Only the messages of the test keep
 * the process alive: `['close']`, or a method and its arguments.
 */
import { open } from '../../index.ts'
import type { FeedOptions, OpenOptions, WatchFilter } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Streamer {
  readonly options: OpenOptions
  readonly watch?: WatchFilter
  readonly subscribe?: string | { readonly prefix: string }
  readonly stream?: FeedOptions
  /** Take calls from the test, which keeps the process alive. */
  readonly listen?: boolean
}

const { options, watch, subscribe, stream, listen } = input<Streamer>()
const cache = open(options)
const items = subscribe === undefined ? cache.watch(watch, stream) : cache.subscribe(subscribe, stream)
if (listen) {
  receive<[string, ...unknown[]]>(([method, ...args]) => {
    const member = Reflect.get(cache, method, cache) as (...args: unknown[]) => unknown
    member.apply(cache, args)
  })
}
send('ready')
for await (const item of items) send(item)
send('ended')
process.channel?.unref()

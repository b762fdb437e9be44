/**
 * A measuring process: it has the store of one contender and runs the commands of the suite, one after the other.
 *
 * It ends when the suite ends. `BENCH_CHILD` has the socket of the suite and the id of this process.
 */
import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'
import * as adapters from './tasks/adapters.mjs'
import * as bounds from './tasks/bounds.mjs'
import * as collections from './tasks/collections.mjs'
import * as fill from './tasks/fill.mjs'
import * as hitRatio from './tasks/hit-ratio.mjs'
import * as limiter from './tasks/limiter.mjs'
import * as lock from './tasks/lock.mjs'
import * as store from './tasks/store.mjs'
import * as tags from './tasks/tags.mjs'
import * as throughput from './tasks/throughput.mjs'
import * as wakeUp from './tasks/wake-up.mjs'

/** By name. Each command receives the memory of the process and the arguments of the request. */
const commands = {
  ...store,
  ...throughput,
  ...wakeUp,
  ...lock,
  ...limiter,
  ...fill,
  ...hitRatio,
  ...tags,
  ...bounds,
  ...collections,
  ...adapters,
}

const { socket: path, id } = JSON.parse(process.env.BENCH_CHILD)
const memory = {}
const socket = createConnection(path)
const send = (message) => socket.write(`${JSON.stringify(message)}\n`)

socket.on('error', () => process.exit(1))
socket.on('close', () => process.exit(0))
// A worker of a cluster primary ends with its primary.
process.on('disconnect', () => process.exit(1))

send({ id, pid: process.pid })
for await (const line of createInterface(socket)) {
  const { number, command, args } = JSON.parse(line)
  try {
    send({ number, result: (await commands[command](memory, args)) ?? null })
  } catch (error) {
    send({ number, error: error.stack ?? `${error}` })
  }
}

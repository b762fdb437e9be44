/**
 * A measuring process: it has one contender's store, and does what the suite asks, one thing after the other.
 *
 * It ends when the suite is gone. `BENCH_CHILD` says where the suite listens, and who this is.
 */
import { createConnection } from 'node:net'
import { createInterface } from 'node:readline'
import * as fill from './tasks/fill.mjs'
import * as hitRatio from './tasks/hit-ratio.mjs'
import * as limiter from './tasks/limiter.mjs'
import * as lock from './tasks/lock.mjs'
import * as store from './tasks/store.mjs'
import * as throughput from './tasks/throughput.mjs'
import * as wakeUp from './tasks/wake-up.mjs'

/** By name: each takes what the process remembers, and the arguments of the question. */
const commands = { ...store, ...throughput, ...wakeUp, ...lock, ...limiter, ...fill, ...hitRatio }

const { socket: path, id } = JSON.parse(process.env.BENCH_CHILD)
const memory = {}
const socket = createConnection(path)
const send = (message) => socket.write(`${JSON.stringify(message)}\n`)

socket.on('error', () => process.exit(1))
socket.on('close', () => process.exit(0))
// In a primary's worker: it is of no use alone.
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

/**
 * The database behind the cache: it answers after a delay, and counts its queries. It runs in the primary; workers ask
 * it over a Unix socket, a line for each query.
 */
import { createConnection, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { ITEMS, itemOf } from './items.mjs'

const DELAY_MS = 5

export class Database {
  queries = 0
  #versions = new Uint32Array(ITEMS)
  #server

  /** Resolves when it listens on the socket. */
  async listen(path) {
    this.#server = createServer((socket) => {
      socket.on('error', () => undefined)
      const lines = createInterface({ input: socket })
      // A killed worker resets its connection.
      lines.on('error', () => undefined)
      lines.on('line', (line) => {
        const [query, kind, id] = line.split(' ')
        this.queries++
        setTimeout(() => socket.write(`${query} ${this.#answer(kind, Number(id))}\n`), DELAY_MS)
      })
    })
    await new Promise((resolve) => this.#server.listen(path, resolve))
  }

  #answer(kind, id) {
    if (kind === 'write') this.#versions[id]++
    return JSON.stringify(itemOf(id, this.#versions[id]))
  }
}

/** The client of a worker. */
export function connectDatabase(path) {
  const socket = createConnection(path)
  const waiting = new Map()
  let last = 0
  createInterface({ input: socket }).on('line', (line) => {
    const space = line.indexOf(' ')
    const query = Number(line.slice(0, space))
    waiting.get(query)(JSON.parse(line.slice(space + 1)))
    waiting.delete(query)
  })
  const ask = (kind, id) =>
    new Promise((resolve) => {
      waiting.set(++last, resolve)
      socket.write(`${last} ${kind} ${id}\n`)
    })
  return { read: (id) => ask('read', id), write: (id) => ask('write', id) }
}

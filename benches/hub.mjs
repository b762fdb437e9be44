/**
 * The connection between the suite and its measuring processes: each process connects to one Unix socket and sends its
 * id.
 *
 * The IPC channel of Node is not used, because some contenders are measured on it. Messages are lines of JSON: a
 * request is `{ number, command, args }`, an answer `{ number, result }` or `{ number, error }`. No message is sent
 * during a measurement.
 */
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

const MAX_START_MS = 30_000

/** The suite's side. */
export class Hub {
  #server
  #expected = new Map()

  /** @param {string} path */
  constructor(path) {
    this.path = path
    this.#server = createServer((socket) => this.#greet(socket))
  }

  listen() {
    return new Promise((resolve, reject) => {
      this.#server.on('error', reject)
      this.#server.listen(this.path, resolve)
    })
  }

  close() {
    this.#server.close()
  }

  /**
   * Resolves with the process of this id when it has connected.
   *
   * @param {string} id
   * @param {Promise<never>} failed rejects when the process cannot connect any more
   * @returns {Promise<Peer>}
   */
  async expect(id, failed) {
    let timer
    const arrived = new Promise((resolve) => this.#expected.set(id, resolve))
    const late = new Promise((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${id} did not start within ${MAX_START_MS / 1000} s`)), MAX_START_MS)
    })
    try {
      return await Promise.race([arrived, failed, late])
    } finally {
      clearTimeout(timer)
      this.#expected.delete(id)
    }
  }

  #greet(socket) {
    const lines = createInterface(socket)
    lines.once('line', (line) => {
      const { id, pid } = JSON.parse(line)
      this.#expected.get(id)?.(new Peer(socket, lines, id, pid))
    })
    socket.on('error', () => undefined)
  }
}

/** One measuring process, seen from the suite. */
export class Peer {
  #socket
  #pending = new Map()
  #next = 0

  constructor(socket, lines, id, pid) {
    this.id = id
    this.pid = pid
    this.#socket = socket
    lines.on('line', (line) => this.#settle(JSON.parse(line)))
    socket.on('close', () => this.#fail())
  }

  /** @param {number} [timeout] in milliseconds */
  ask(command, args = {}, timeout = 120_000) {
    return new Promise((resolve, reject) => {
      const number = ++this.#next
      const expire = () => this.#settle({ number, error: `${command}: no answer within ${timeout / 1000} s` })
      this.#pending.set(number, { resolve, reject, timer: setTimeout(expire, timeout) })
      this.#socket.write(`${JSON.stringify({ number, command, args })}\n`)
      if (this.#socket.destroyed) this.#fail()
    })
  }

  /** Closes the connection; the process then ends by itself. */
  disconnect() {
    this.#socket.destroy()
  }

  #settle({ number, result, error }) {
    const request = this.#pending.get(number)
    if (request === undefined) return
    this.#pending.delete(number)
    clearTimeout(request.timer)
    if (error === undefined) request.resolve(result)
    else request.reject(new Error(error))
  }

  #fail() {
    for (const number of this.#pending.keys()) this.#settle({ number, error: `${this.id} ended unexpectedly` })
  }
}

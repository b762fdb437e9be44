/**
 * How the suite speaks with its measuring processes: each connects to one Unix socket and says who it is.
 *
 * Not by IPC, because that channel belongs to the contenders that are measured on it. Lines of JSON: a question
 * `{ number, command, args }`, an answer `{ number, result }` or `{ number, error }`. Nothing is said while a clock runs.
 */
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'

const LONGEST_START = 30_000

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
   * The process of this id, once it has connected.
   *
   * @param {string} id
   * @param {Promise<never>} failed rejects when it can't be expected any more
   * @returns {Promise<Peer>}
   */
  async expect(id, failed) {
    let timer
    const arrived = new Promise((resolve) => this.#expected.set(id, resolve))
    const late = new Promise((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${id} did not start within ${LONGEST_START / 1000} s`)), LONGEST_START)
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

/** One measuring process, as the suite sees it. */
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

  /** The process ends when it notices. */
  hangUp() {
    this.#socket.destroy()
  }

  #settle({ number, result, error }) {
    const question = this.#pending.get(number)
    if (question === undefined) return
    this.#pending.delete(number)
    clearTimeout(question.timer)
    if (error === undefined) question.resolve(result)
    else question.reject(new Error(error))
  }

  #fail() {
    for (const number of this.#pending.keys()) this.#settle({ number, error: `${this.id} ended unexpectedly` })
  }
}

/**
 * The worker's side of a Map in the primary. Each request has a number, and its answer carries the same number.
 *
 * Messages are small arrays, the shortest form that both serializations accept.
 */

export const GET = 0
export const SET = 1
export const NOTIFY = 2

/** The number of a notification; no request has it. */
const NO_REQUEST = 0

export class PrimaryChannel {
  #next = 0
  #pending = new Map()
  #listener = () => undefined

  constructor() {
    process.on('message', (message) => {
      if (!Array.isArray(message)) return
      const [number, value] = message
      if (number === NO_REQUEST) {
        this.#listener(value)
        return
      }
      this.#pending.get(number)(value)
      this.#pending.delete(number)
    })
  }

  /** @returns {Promise<unknown>} */
  get(key) {
    return this.#request(GET, key, null)
  }

  /** @returns {Promise<unknown>} when the primary has stored it. */
  set(key, value) {
    return this.#request(SET, key, value)
  }

  /** The primary forwards the text to all other workers. */
  notify(text) {
    process.send([NO_REQUEST, NOTIFY, '', text])
  }

  listen(listener) {
    this.#listener = listener
  }

  #request(operation, key, value) {
    return new Promise((resolve) => {
      const number = ++this.#next
      this.#pending.set(number, resolve)
      process.send([number, operation, key, value])
    })
  }
}

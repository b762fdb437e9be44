/**
 * The worker's half of a Map in the primary: a question has a number, and the answer carries it.
 *
 * Messages are small arrays, the shortest form that both serializations take.
 */

export const GET = 0
export const SET = 1
export const RING = 2

/** No question has it. */
const RING_NUMBER = 0

export class PrimaryChannel {
  #next = 0
  #pending = new Map()
  #listener = () => undefined

  constructor() {
    process.on('message', (message) => {
      if (!Array.isArray(message)) return
      const [number, value] = message
      if (number === RING_NUMBER) {
        this.#listener(value)
        return
      }
      this.#pending.get(number)(value)
      this.#pending.delete(number)
    })
  }

  /** @returns {Promise<unknown>} */
  get(key) {
    return this.#ask(GET, key, null)
  }

  /** @returns {Promise<unknown>} when the primary has it. */
  set(key, value) {
    return this.#ask(SET, key, value)
  }

  /** The primary passes it on to all its workers. */
  ring(text) {
    process.send([RING_NUMBER, RING, '', text])
  }

  listen(listener) {
    this.#listener = listener
  }

  #ask(operation, key, value) {
    return new Promise((resolve) => {
      const number = ++this.#next
      this.#pending.set(number, resolve)
      process.send([number, operation, key, value])
    })
  }
}

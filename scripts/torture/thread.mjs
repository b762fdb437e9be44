/**
 * A worker thread that is started again whenever it was terminated, until all is over.
 */
export class Thread {
  /** Settles when it has ended for good. */
  ended
  #start
  #worker
  #lives = 0

  /** `start` starts the nth worker; `isOver` tells whether that is enough. */
  constructor(start, isOver) {
    this.#start = start
    this.ended = new Promise((resolve) => this.#live(isOver, resolve))
  }

  stop() {
    this.#worker.postMessage('stop')
  }

  terminate() {
    void this.#worker.terminate()
  }

  #live(isOver, resolve) {
    this.#worker = this.#start(++this.#lives)
    this.#worker.on('exit', () => (isOver() ? resolve() : this.#live(isOver, resolve)))
  }
}

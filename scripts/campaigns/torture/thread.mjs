/**
 * A worker thread that is started again after each termination, until the round is over.
 */
export class Thread {
  /** Resolves when the thread has ended for the last time. */
  ended
  #start
  #worker
  #lives = 0

  /** `start` starts the nth worker; `isOver` returns whether the round is over. */
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
